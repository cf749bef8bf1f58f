//! One request, however often it arrives and by whichever way: carried out once, and
//! answered with what was decided the first time.

use std::time::Duration;

use chancery_authority::{Command, Reason};
use chancery_credential::Subject;
use tokio::task::JoinHandle;

use super::cluster::{Cluster, PATIENCE, eventually};
use crate::{Clocks, Consensus, Outcome, Proposal, ProposeError, SystemClocks};

fn subject(name: &str) -> Subject {
    Subject::Owner(name.parse().unwrap())
}

fn suspend(name: &str) -> Command {
    Command::Suspend(subject(name))
}

fn resume(name: &str) -> Command {
    Command::Resume(subject(name))
}

/// Sends a request through a node until it is known what became of it, as a client
/// does.
async fn insist(node: &Consensus, proposal: &Proposal) -> Outcome {
    loop {
        match node.propose(proposal.clone(), PATIENCE).await {
            Ok(outcome) => return outcome,
            Err(ProposeError::Unknown(_)) => {}
            Err(error) => panic!("{error}"),
        }
    }
}

impl Cluster {
    async fn insist(&self, number: u64, proposal: &Proposal) -> Outcome {
        insist(&self.nodes[&number], proposal).await
    }

    /// The same, while other things happen.
    fn send(&self, number: u64, proposal: &Proposal) -> JoinHandle<Outcome> {
        let (node, proposal) = (self.nodes[&number].clone(), proposal.clone());
        tokio::spawn(async move { insist(&node, &proposal).await })
    }

    /// A node that does not lead.
    async fn follower(&self) -> u64 {
        let leader = self.leader().await;
        let mut all = self.nodes.keys().copied();
        all.find(|number| *number != leader).unwrap()
    }

    /// Another node than `not` takes the lead.
    async fn lead_elsewhere(&self, not: u64) {
        let old = self.leader_among(not).await;
        let mut all = self.nodes.keys().copied();
        let new = all.find(|number| ![old, not].contains(number)).unwrap();
        eventually("another leads", async || {
            let leader = self.leader_among(not).await;
            if leader == old {
                let trigger = self.nodes[&old].inner.raft.trigger();
                let _ = trigger.transfer_leader(new).await;
            }
            leader != old
        })
        .await;
    }

    /// Whether the owner is suspended, as every node says once it has caught up.
    async fn is_suspended(&self, name: &str) -> bool {
        let mut said = Vec::new();
        for number in self.nodes.keys().copied().collect::<Vec<_>>() {
            self.caught_up(number).await;
            let node = &self.nodes[&number];
            said.push(node.read_state(|state| state.is_suspended(&subject(name))));
        }
        assert!(said.windows(2).all(|pair| pair[0] == pair[1]), "{said:?}");
        said[0]
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_resume_that_was_held_up_does_not_undo_a_later_suspension() {
    let cluster = Cluster::of_three().await;
    cluster.add_owner(1, "payments").await;
    cluster.command(1, suspend("payments")).await.unwrap();

    // It goes through a node that is cut off, which keeps trying to hand it on.
    let cut_off = cluster.follower().await;
    cluster.caught_up(cut_off).await;
    cluster.board.isolate(cut_off);
    let request = cluster.proposal(resume("payments"));
    let held_up = cluster.send(cut_off, &request);

    // Its client gets no answer and turns to another node. Then things change.
    let leader = cluster.leader_among(cut_off).await;
    let first = cluster.insist(leader, &request).await;
    assert!(first.verdict.is_ok());
    let suspended = cluster.command(leader, suspend("payments")).await.unwrap();
    assert!(suspended.revision > first.revision);
    assert!(!held_up.is_finished(), "it was still on its way");

    cluster.board.heal();
    let late = held_up.await.unwrap();
    assert_eq!(late, first, "answered with what was decided the first time");
    assert!(cluster.is_suspended("payments").await);
    cluster.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_resume_that_was_held_up_for_too_long_is_refused() {
    /// Longer than a request id is good for.
    const LATE_MS: u64 = 61_000;
    let cluster = Cluster::of_three().await;
    cluster.add_owner(1, "payments").await;

    let cut_off = cluster.follower().await;
    cluster.caught_up(cut_off).await;
    cluster.board.isolate(cut_off);
    // Whether it was ever decided cannot be told any more when it arrives.
    let held_up = cluster.send(cut_off, &cluster.proposal(resume("payments")));

    for machine in cluster.machines.values() {
        machine.clocks.set_ahead(LATE_MS);
    }
    let leader = cluster.leader_among(cut_off).await;
    let mut suspension = cluster.proposal(suspend("payments"));
    suspension.request.time_ms += LATE_MS;
    cluster.insist(leader, &suspension).await.verdict.unwrap();

    cluster.board.heal();
    let late = held_up.await.unwrap();
    assert_eq!(late.verdict.unwrap_err().reason(), Reason::RequestTooOld);
    assert!(cluster.is_suspended("payments").await);
    cluster.end().await;
}

/// How the first attempt fared.
#[derive(Debug, Clone, Copy, PartialEq)]
enum First {
    /// Carried out through the leader; its answer was lost.
    LostAtTheLeader,
    /// Carried out through a follower; its answer was lost.
    LostOnTheWay,
    /// Held up in a node that is cut off until the end.
    HeldUp,
}

/// What happens between the first attempt and the end.
#[derive(Debug, Clone, Copy)]
struct Script {
    first: First,
    /// The client asks again, through another node, before the suspension.
    retried: bool,
    /// Another node leads, before the retry and after the suspension.
    leader_before: bool,
    leader_after: bool,
}

fn scripts() -> Vec<Script> {
    let mut all = Vec::new();
    for first in [First::LostAtTheLeader, First::LostOnTheWay, First::HeldUp] {
        for choices in 0..8_u8 {
            all.push(Script {
                first,
                retried: choices & 1 != 0,
                leader_before: choices & 2 != 0,
                leader_after: choices & 4 != 0,
            });
        }
    }
    all
}

/// Suspended, resumed by the request in question, suspended again; the request then
/// arrives once more through every node. Whatever the script, it has one outcome, and
/// the second suspension, which was asked later, stands.
async fn play(cluster: &Cluster, script: Script, name: &str) {
    cluster.add_owner(1, name).await;
    cluster.command(1, suspend(name)).await.unwrap();
    let request = cluster.proposal(resume(name));
    let follower = cluster.follower().await;
    cluster.caught_up(follower).await;

    let mut answers = Vec::new();
    let mut held_up = None;
    match script.first {
        First::LostAtTheLeader => drop(cluster.insist(cluster.leader().await, &request).await),
        First::LostOnTheWay => drop(cluster.insist(follower, &request).await),
        First::HeldUp => {
            cluster.board.isolate(follower);
            held_up = Some(cluster.send(follower, &request));
        }
    }
    // Whoever is cut off takes no lead; nor does it matter who else does not.
    if script.leader_before {
        cluster.lead_elsewhere(follower).await;
    }
    if script.retried {
        let other = cluster.leader_among(follower).await;
        answers.push(cluster.insist(other, &request).await);
    }
    let leader = cluster.leader_among(follower).await;
    // What is asked in the same millisecond is not later.
    eventually("later", async || {
        SystemClocks.wall_ms() > request.request.time_ms
    })
    .await;
    let suspension = cluster.command(leader, suspend(name)).await.unwrap();
    if script.leader_after {
        cluster.lead_elsewhere(follower).await;
    }
    cluster.board.heal();
    if let Some(held_up) = held_up {
        answers.push(held_up.await.unwrap());
    }
    for number in [1, 2, 3] {
        answers.push(cluster.insist(number, &request).await);
    }

    let first = answers[0].clone();
    assert!(
        answers.iter().all(|answer| *answer == first),
        "{script:?}: {answers:?}"
    );
    let carried_out_before = script.first != First::HeldUp || script.retried;
    match first.verdict {
        Ok(_) => assert!(
            carried_out_before && first.revision < suspension.revision,
            "{script:?}: {first:?}"
        ),
        Err(rejection) => {
            assert!(!carried_out_before, "{script:?}: {rejection}");
            assert_eq!(rejection.reason(), Reason::AskedBefore);
        }
    }
    assert!(cluster.is_suspended(name).await, "{script:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn however_a_request_arrives_it_is_carried_out_once() {
    let cluster = Cluster::of_three().await;
    for (number, script) in scripts().into_iter().enumerate() {
        let name = format!("owner-{number}");
        let played = play(&cluster, script, &name);
        // A script that hangs says which it was.
        let limit = Duration::from_secs(120);
        let ended = tokio::time::timeout(limit, played).await;
        assert!(ended.is_ok(), "{script:?} did not end");
    }
    cluster.end().await;
}

/// Through every node at once, while the lead changes hands: whichever copy comes
/// first is the one, and all are told of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn copies_on_their_way_while_the_lead_moves_are_one_request() {
    let cluster = Cluster::of_three().await;
    for round in 0..5 {
        let name = format!("owner-{round}");
        cluster.add_owner(1, &name).await;
        cluster.command(1, suspend(&name)).await.unwrap();
        let request = cluster.proposal(resume(&name));
        let mut copies = Vec::new();
        for number in [1, 2, 3, 1, 2, 3] {
            copies.push(cluster.send(number, &request));
        }
        cluster.lead_elsewhere(0).await;
        for number in [1, 2, 3] {
            copies.push(cluster.send(number, &request));
        }
        let mut told = Vec::new();
        for copy in copies {
            told.push(copy.await.unwrap());
        }
        assert!(told[0].verdict.is_ok(), "{told:?}");
        assert!(told.iter().all(|outcome| *outcome == told[0]), "{told:?}");
        assert!(!cluster.is_suspended(&name).await);
    }
    cluster.end().await;
}
