//! What the operators do, from the birth to the end.

use std::time::Duration;

use chancery_authority::{Command, RequestId};

use crate::{
    board::Phase,
    client::Client,
    clock::SystemClock,
    cluster::{self, AGENTS},
    membership,
    plan::Plan,
};

/// Make a cluster, work on it while things go wrong, and see it work again.
pub async fn work(mut client: Client, plan: Plan) {
    let birth = cluster::birth(plan.tick_ms);
    loop {
        let (birth, random) = (birth.clone(), client.random.u128(..));
        let request = RequestId {
            time_ms: SystemClock::wall_ms(),
            random: random.to_be_bytes(),
        };
        let within = Duration::from_secs(5);
        let born = client.board.ask(1, move |consensus| async move {
            consensus.birth(birth, request, within).await.is_ok()
        });
        if born.await == Some(true) {
            break;
        }
        client.rest(20..50).await;
    }
    let name = "payments".parse().expect("a name");
    let description = String::new();
    client
        .order(Command::AddOwner { name, description }, None, 50)
        .await;
    for agent in 0..AGENTS {
        let spec = cluster::agent_spec(agent);
        client.order(Command::RegisterAgent(spec), None, 50).await;
    }
    membership::make(&mut client, plan.voters).await;
    client.board.enter(Phase::Trial);
    for _ in 0..plan.clients {
        tokio::spawn(client.another().work(AGENTS));
    }
    if plan.has_membership {
        tokio::spawn(membership::work(client.another()));
    }
    while client.board.phase() == Phase::Trial {
        client.rest(50..51).await;
    }
    progress(&mut client, plan.voters as u64).await;
    client.board.enter(Phase::Over);
}

/// Writes are carried out, and then everybody that may be fresh is.
async fn progress(client: &mut Client, voters: u64) {
    let mut done = 0;
    while done < 3 {
        done += u32::from(client.add_owner(20).await);
    }
    let newest = client.oracle.lock().truth.newest();
    loop {
        let up = client.board.up();
        let well = up.iter().all(|node| {
            let Some(consensus) = client.board.consensus(*node) else {
                return false;
            };
            let number = consensus.node();
            let leaves = consensus.read_state(|state| {
                let record = state.node(number);
                record.is_none_or(|record| record.retiring || record.removed_at.is_some())
            });
            let view = consensus.view();
            let enrolled = client.board.is_enrolled(*node);
            let gone = client.board.gone().contains(node);
            gone || leaves
                || !enrolled
                || (view.freshness().is_some() && view.revision().0 >= newest)
        });
        let all_there = client.board.all_are_up();
        let gone = client.board.gone();
        // A verifier knows those that the cluster was made of.
        let verifiers_are_lost = (1..=voters).all(|node| gone.contains(&node));
        let verifiers_are_fresh = {
            let oracle = client.oracle.lock();
            oracle.fresh_verifiers.values().all(|is_fresh| *is_fresh)
        };
        if well && all_there && (verifiers_are_fresh || verifiers_are_lost) {
            return;
        }
        client.rest(50..100).await;
    }
}
