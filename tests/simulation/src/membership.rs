//! Members come, vote, lose their vote, and leave.

use std::{collections::BTreeSet, time::Duration};

use chancery_authority::{Command, Seat};
use chancery_consensus::{Departure, MembershipChange, Progress};
use chancery_credential::NodeNumber;

use crate::{board::Phase, client::Client, cluster::peer_signer};

/// Members of a simulated cluster at most.
const MOST: usize = 7;

/// Makes a cluster of so many voters.
pub async fn make(client: &mut Client, voters: usize) {
    for _ in 1..voters {
        loop {
            if let Some(number) = client.join(40).await {
                if client.promote(number, 100).await {
                    break;
                }
            }
            client.rest(100..200).await;
        }
    }
}

/// Changes the membership now and then, until the trial is over.
pub async fn work(mut client: Client) {
    let mut away = BTreeSet::new();
    while client.board.phase() == Phase::Trial {
        client.rest(500..6_000).await;
        let up = client.board.up();
        let members: Vec<u64> = up.into_iter().filter(|node| !away.contains(node)).collect();
        let Some(node) = client.random.choice(&members).copied() else {
            continue;
        };
        match client.random.u8(0..10) {
            0..4 if members.len() < MOST => {
                if let Some(number) = client.join(6).await
                    && client.random.bool()
                {
                    client.promote(number, 6).await;
                }
            }
            4..6 if members.len() > 3 => {
                if remove(&mut client, node).await {
                    away.insert(node);
                }
            }
            6 => {
                demote(&mut client, node).await;
            }
            7 => {
                client.promote(node, 5).await;
            }
            _ => {
                let node = NodeNumber(node);
                let seat = Seat::Leader;
                if seated(&mut client, node, seat).await {
                    let change = MembershipChange::Transfer(Some(node));
                    client.change(change, 3).await;
                }
            }
        }
    }
}

async fn seated(client: &mut Client, node: NodeNumber, seat: Seat) -> bool {
    let command = Command::SeatNode { node, seat };
    matches!(client.order(command, None, 4).await, Some(Ok(_)))
}

async fn demote(client: &mut Client, node: u64) -> bool {
    let node = NodeNumber(node);
    seated(client, node, Seat::Learner).await
        && client.change(MembershipChange::Demote(node), 5).await
}

/// As the server does it: looked at first, then commanded, then taken out, then marked.
async fn remove(client: &mut Client, number: u64) -> bool {
    let node = NodeNumber(number);
    let change = MembershipChange::Remove(node, Departure::Graceful);
    let mut others = client.board.up();
    others.retain(|other| *other != number);
    let Some(through) = client.random.choice(others) else {
        return false;
    };
    let within = Duration::from_secs(2);
    let may = client.board.ask(through, move |consensus| async move {
        consensus.may_change_membership(change, within).await
    });
    let may = tokio::time::timeout(within * 2, may).await;
    if !matches!(may, Ok(Some(Ok(Progress::Possible(_) | Progress::Done)))) {
        return false;
    }
    let retired = client.order(Command::RetireNode(node), None, 4).await;
    if !matches!(retired, Some(Ok(_))) || !client.change(change, 12).await {
        return false;
    }
    let key = peer_signer(number).public().thumbprint();
    let removed = client
        .order(Command::RemoveNode { node, key }, None, 8)
        .await;
    matches!(removed, Some(Ok(_)))
}
