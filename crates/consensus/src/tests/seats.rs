//! The membership changes when a keeper's command wants it, and what a leader began
//! and did not end is ended.

use std::collections::BTreeMap;

use chancery_authority::{Command, Seat};
use chancery_credential::{NodeNumber, PeerPublicKey};
use openraft::ChangeMembers;

use super::cluster::{Cluster, PATIENCE, eventually, new_peer_key};
use crate::{ChangeError, Consensus, Departure, MembershipChange, Progress};

fn members(node: &Consensus) -> BTreeMap<u64, bool> {
    let members = node.status().members;
    let seats = members.iter().map(|member| (member.number.0, member.voter));
    seats.collect()
}

fn refused(result: Result<Progress, ChangeError>) -> String {
    match result {
        Err(ChangeError::Refused(why)) => why,
        other => panic!("{other:?}"),
    }
}

async fn ask(node: &Consensus, change: MembershipChange) -> Result<Progress, ChangeError> {
    node.change_membership(change, PATIENCE).await
}

async fn must(cluster: &Cluster, through: u64, command: Command) {
    let outcome = cluster.command(through, command).await.unwrap();
    assert!(outcome.verdict.is_ok(), "{outcome:?}");
}

/// Whoever holds a member's peer key can ask the leader, as every node does.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_changes_nothing_that_no_command_asks_for() {
    let mut cluster = Cluster::of_three().await;
    cluster.join(4).await;
    let leader = cluster.leader().await;
    let other = [1, 2, 3]
        .into_iter()
        .find(|number| *number != leader)
        .unwrap();
    let thief = &cluster.nodes[&4];
    must(&cluster, leader, Command::RevokeNode(NodeNumber(other))).await;
    let before = members(&cluster.nodes[&leader]);
    for change in [
        MembershipChange::Promote(NodeNumber(4)),
        MembershipChange::Demote(NodeNumber(other)),
        MembershipChange::Demote(NodeNumber(leader)),
        MembershipChange::Remove(NodeNumber(other), Departure::Graceful),
        // Barred, and nobody said that it is to go.
        MembershipChange::Remove(NodeNumber(other), Departure::Compromised),
        MembershipChange::Transfer(None),
    ] {
        let why = refused(ask(thief, change).await);
        assert!(why.contains("the record"), "{change:?}: {why}");
        assert!(why.contains("chancery node "), "what to do instead: {why}");
    }
    assert_eq!(members(&cluster.nodes[&leader]), before);

    // A look is free, and a keeper's word is enough.
    let promote = MembershipChange::Promote(NodeNumber(4));
    let may = thief.may_change_membership(promote, PATIENCE).await;
    assert_eq!(may, Ok(Progress::Possible(NodeNumber(4))));
    cluster.seat(4, Seat::Voter).await;
    assert_eq!(ask(thief, promote).await, Ok(Progress::Done));
    // And no longer than it stands.
    cluster.seat(4, Seat::Learner).await;
    let demote = MembershipChange::Demote(NodeNumber(4));
    assert_eq!(ask(thief, demote).await, Ok(Progress::Done));
    refused(ask(thief, promote).await);
    cluster.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wish_that_somebody_leads_is_worth_one_election() {
    let cluster = Cluster::of_three().await;
    let first = cluster.leader().await;
    let all = [1, 2, 3];
    let next = all.into_iter().find(|number| *number != first).unwrap();
    let thief = &cluster.nodes[&all
        .into_iter()
        .find(|number| ![first, next].contains(number))
        .unwrap()];
    let to = |number| MembershipChange::Transfer(Some(NodeNumber(number)));
    eventually("it leads, as was wished", async || {
        cluster.seat(next, Seat::Leader).await;
        let _ = ask(thief, to(next)).await;
        cluster.leader().await == next
    })
    .await;
    eventually("the other is heard of", async || {
        let may = thief.may_change_membership(to(first), PATIENCE).await;
        may == Ok(Progress::Possible(NodeNumber(first)))
    })
    .await;
    let back = refused(ask(thief, to(first)).await);
    assert!(back.contains("the record"), "{back}");

    // It loses the lead by an election, and does not get it back by the same wish.
    eventually("another leads", async || {
        let trigger = cluster.nodes[&next].inner.raft.trigger();
        let _ = trigger.transfer_leader(first).await;
        cluster.leader().await == first
    })
    .await;
    eventually("it is heard of", async || {
        let may = thief.may_change_membership(to(next), PATIENCE).await;
        may == Ok(Progress::Possible(NodeNumber(next)))
    })
    .await;
    let spent = refused(ask(thief, to(next)).await);
    assert!(spent.contains("the record"), "{spent}");
    cluster.end().await;
}

/// The leader is lost between the two steps of a change: both sets of voters would
/// decide together until somebody asks for something else.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_lost_leader_began_is_ended_by_the_next() {
    let mut cluster = Cluster::of_three().await;
    cluster.join(4).await;
    let old = cluster.leader().await;
    let leader = cluster.nodes[&old].clone();
    // It is in the middle of it, and ends nothing by itself.
    let turn = leader.inner.members.turn.lock().await;
    let four = std::collections::BTreeSet::from([4]);
    let changing = leader
        .raft()
        .change_membership(ChangeMembers::AddVoterIds(four), true);
    let mut changing = Box::pin(changing);
    let survivor = if old == 1 { 2 } else { 1 };
    // Polled once it asks for the first step, and never for the second.
    assert!(futures::poll!(&mut changing).is_pending());
    eventually("both sets decide", async || {
        cluster.nodes[&survivor].status().joint
    })
    .await;
    let position = || {
        cluster.nodes[&survivor]
            .inner
            .published
            .position
            .read()
            .membership
            .clone()
    };
    eventually("that is decided", async || {
        position().membership().get_joint_config().len() == 2
    })
    .await;
    cluster.board.isolate(old);
    drop(changing);
    drop(turn);

    let next = cluster.leader_among(old).await;
    for number in [1, 2, 3, 4].into_iter().filter(|number| *number != old) {
        eventually("one set decides", async || {
            let status = cluster.nodes[&number].status();
            !status.joint && status.members.iter().filter(|member| member.voter).count() == 4
        })
        .await;
    }
    cluster.add_owner(next, "after").await;
    cluster.board.heal();
    cluster.end().await;
}

/// It would need the answer to come with its new key, and the answer its vote.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_voters_neither_gets_another_key_before_the_other_decides_alone() {
    let mut cluster = Cluster::born().await;
    cluster.join(2).await;
    cluster.promote(2).await;
    let enrol = MembershipChange::Enrol(NodeNumber(2));
    eventually("node 1 leads", async || {
        let trigger = cluster.nodes[&2].inner.raft.trigger();
        let _ = trigger.transfer_leader(1).await;
        cluster.leader().await == 1
    })
    .await;
    must(&cluster, 1, Command::RevokeNode(NodeNumber(2))).await;
    let may = cluster.nodes[&1]
        .may_change_membership(enrol, PATIENCE)
        .await;
    let why = refused(may);
    assert!(
        why.contains("until node 2 comes with its new key it would be 2 voters of which 1 answers")
            && why.ends_with("promote another node, or demote node 2, first"),
        "{why}"
    );
    // Nor when the command was given all the same: nothing stalls.
    let key = new_peer_key();
    let identity = crate::PeerIdentity::from_pkcs8(&key).unwrap();
    let readmit = Command::ReadmitNode {
        node: NodeNumber(2),
        peer_key: PeerPublicKey::from_spki(identity.spki()).unwrap(),
    };
    must(&cluster, 1, readmit).await;
    refused(ask(&cluster.nodes[&1], enrol).await);
    cluster.add_owner(1, "still").await;

    cluster.seat(2, Seat::Learner).await;
    let demote = MembershipChange::Demote(NodeNumber(2));
    assert_eq!(ask(&cluster.nodes[&1], demote).await, Ok(Progress::Done));
    assert_eq!(ask(&cluster.nodes[&1], enrol).await, Ok(Progress::Done));
    assert_eq!(ask(&cluster.nodes[&1], enrol).await, Ok(Progress::Done));
    cluster.stop(2).await;
    let came = cluster.nodes[&1].status().applied;
    cluster.machines.get_mut(&2).unwrap().key = key;
    cluster.admitted_again(2, came);
    cluster.start(2).await;
    cluster.promote(2).await;
    cluster.add_owner(2, "back").await;
    cluster.end().await;
}
