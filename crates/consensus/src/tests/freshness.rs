//! A node says how old its state can be, and says nothing it cannot prove.

use std::time::Duration;

use chancery_revocation::{BootTime, View};

use chancery_authority::{Command, SettingsChange};

use super::{
    cluster::{Cluster, PATIENCE, eventually, owner},
    switchboard::Way,
};
use crate::{Clocks, SystemClocks};

fn is_fresh(view: &View) -> bool {
    let now = SystemClocks.boot();
    view.freshness()
        .is_some_and(|freshness| freshness.age(now).is_ok())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn voters_and_learners_prove_that_they_are_fresh() {
    let mut cluster = Cluster::born().await;
    cluster.join(2).await;
    for number in [1, 2] {
        eventually("fresh", async || is_fresh(cluster.nodes[&number].view())).await;
    }
    cluster.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_is_cut_off_goes_stale_and_is_fresh_again_when_healed() {
    let cluster = Cluster::of_three().await;
    let leader = cluster.leader().await;
    let alone = [1, 2, 3]
        .into_iter()
        .find(|number| *number != leader)
        .unwrap();
    let view = cluster.nodes[&alone].view().clone();
    eventually("fresh", async || is_fresh(&view)).await;

    cluster.board.isolate(alone);
    eventually("stale", async || !is_fresh(&view)).await;
    for number in [1, 2, 3].into_iter().filter(|number| *number != alone) {
        assert!(
            is_fresh(cluster.nodes[&number].view()),
            "node {number} has a quorum"
        );
    }

    cluster.board.heal();
    eventually("fresh again", async || is_fresh(&view)).await;
    cluster.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_without_a_quorum_proves_nothing() {
    let cluster = Cluster::of_three().await;
    let leader = cluster.leader().await;
    let node = cluster.nodes[&leader].clone();
    node.prove_now(PATIENCE).await.unwrap();
    cluster.board.isolate(leader);
    eventually("stale", async || !is_fresh(node.view())).await;
    let proof = node.prove_now(Duration::from_millis(500)).await;
    assert!(
        proof.is_err(),
        "its lease is over, and it asked for no lease"
    );
    cluster.end().await;
}

/// A leader that stands still does not hear that it leads no more, and answers of before
/// lie in its buffers. They say what was so when they were sent.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_that_come_late_confirm_no_leader() {
    let cluster = Cluster::of_three().await;
    let leader = cluster.leader().await;
    let [one, other] = [1, 2, 3]
        .into_iter()
        .filter(|number| *number != leader)
        .collect::<Vec<_>>()
        .try_into()
        .unwrap();
    let node = cluster.nodes[&leader].clone();
    let board = &cluster.board;
    for follower in [one, other] {
        board.cut(follower, leader);
        board.hold(leader, follower, Way::Back);
    }
    // It reaches both, and neither's answer comes back.
    let last = node.status().last_log;
    let (proposer, proposal) = (node.clone(), cluster.proposal(owner("before")));
    let asking = tokio::spawn(async move { proposer.propose(proposal, PATIENCE).await });
    for follower in [one, other] {
        let follower_has_it = async || cluster.nodes[&follower].status().last_log > last;
        eventually("it has the entry", follower_has_it).await;
        board.hold(leader, follower, Way::There);
    }
    // Another is elected, and something is decided.
    let is_led_anew = async || {
        let raft = &cluster.nodes[&one].inner.raft;
        raft.trigger().elect(false).await.unwrap();
        let status = cluster.nodes[&other].status();
        status.leader.is_some_and(|leads| leads.0 != leader)
    };
    eventually("another leads", is_led_anew).await;
    cluster.add_owner(one, "meanwhile").await;
    let decided = SystemClocks.boot();
    // It asks on, and these questions wait.
    assert!(node.prove_now(Duration::from_millis(150)).await.is_err());

    board.release(leader, one, Way::Back);
    // Unless its connections have ended meanwhile, on a machine that is that busy.
    let is_gone = async || {
        let is_lost = node.status().leader != Some(node.node());
        cluster.knows_owner(leader, "before") || is_lost
    };
    eventually("one answer came", is_gone).await;
    board.release(leader, other, Way::Back);
    for _ in 0..20 {
        let _ = node.prove_now(Duration::from_millis(25)).await;
        let fresh = node.view().freshness();
        let is_fresh = fresh.is_some_and(|fresh| fresh.as_of > decided);
        let knows = cluster.knows_owner(leader, "meanwhile");
        assert!(!is_fresh || knows, "it is called fresh without it");
    }
    board.heal();
    asking.abort();
    cluster.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proof_that_is_asked_for_begins_after_the_question() {
    let cluster = Cluster::of_three().await;
    for number in [1, 2, 3] {
        let node = &cluster.nodes[&number];
        let before = SystemClocks.boot();
        let askers = (0..8).map(|_| node.prove_now(PATIENCE));
        for answer in futures::future::join_all(askers).await {
            answer.unwrap();
        }
        let as_of = node.view().freshness().unwrap().as_of;
        // The view keeps whole milliseconds, rounded down.
        assert!(as_of >= BootTime(before.0 - before.0 % 1_000_000));
    }
    cluster.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proved_node_knows_all_that_was_answered_before() {
    let cluster = Cluster::of_three().await;
    for round in 0..20 {
        let name = format!("owner-{round}");
        cluster.add_owner(1, &name).await;
        for number in [2, 3] {
            cluster.nodes[&number].prove_now(PATIENCE).await.unwrap();
            assert!(
                cluster.knows_owner(number, &name),
                "node {number}, round {round}"
            );
        }
    }
    cluster.end().await;
}

/// Two ticks, of which the former would outlast the test.
pub(super) fn tick(tick_ms: u64) -> Command {
    const LONG_MS: u64 = 600_000;
    Command::SetSettings(SettingsChange {
        tick_ms: Some(tick_ms),
        freshness_ms: Some(3 * LONG_MS),
        v_default_ms: Some(4 * LONG_MS),
        v_max_ms: Some(4 * LONG_MS),
        epoch_s: Some(100 * LONG_MS / 1_000),
        ..SettingsChange::default()
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tick_that_was_shortened_does_not_wait_for_the_long_one() {
    let cluster = Cluster::born().await;
    let node = &cluster.nodes[&1];
    let proved = &node.inner.prover.proved;
    let set = async |tick_ms| {
        let outcome = cluster.command(1, tick(tick_ms)).await.unwrap();
        outcome.verdict.unwrap();
    };
    set(600_000).await;
    let mut sleeping = node.inner.prover.sleeping.subscribe();
    let long = sleeping.wait_for(|tick| *tick == Duration::from_millis(600_000));
    tokio::time::timeout(PATIENCE, long).await.unwrap().unwrap();
    let waited = node.next_proof(PATIENCE).await;
    assert!(
        waited.is_ok(),
        "who waits for one does not wait for a long tick"
    );
    let asleep = *proved.borrow();
    set(50).await;
    let mut proofs = proved.subscribe();
    let next = proofs.wait_for(|at| *at > asleep);
    let woken = tokio::time::timeout(PATIENCE, next).await.is_ok();
    assert!(woken, "at once, and not when the long one is over");
    cluster.end().await;
}
