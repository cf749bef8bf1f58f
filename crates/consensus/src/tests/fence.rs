//! A change is said to be in force when no node can go without it, and not before.

use std::time::Duration;

use chancery_credential::{NodeNumber, Revision};

use super::{
    cluster::{Cluster, PATIENCE, eventually, owner},
    freshness::tick,
};
use crate::{Clocks, Enforcement, EnforcementState, SystemClocks, Wait};

async fn in_force(cluster: &Cluster, asked_of: u64, revision: Revision) -> Enforcement {
    let node = &cluster.nodes[&asked_of];
    let told = node.enforcement(revision, Wait::Nodes, PATIENCE).await;
    assert_eq!(told.state, EnforcementState::Enforced, "{told:?}");
    assert_eq!(told.waiting_for, []);
    told
}

/// What is said at once.
async fn so_far(cluster: &Cluster, asked_of: u64, revision: Revision) -> Enforcement {
    let node = &cluster.nodes[&asked_of];
    node.enforcement(revision, Wait::Nodes, Duration::ZERO)
        .await
}

fn serves(cluster: &Cluster, number: u64) -> bool {
    let freshness = cluster.nodes[&number].view().freshness();
    freshness.is_some_and(|freshness| freshness.age(SystemClocks.boot()).is_ok())
}

async fn everybody_serves(cluster: &Cluster) {
    for number in cluster.nodes.keys() {
        eventually("it serves", async || serves(cluster, *number)).await;
    }
}

/// Nobody has to be waited out: a term has begun long ago, or everybody was heard of.
async fn settled(cluster: &Cluster) {
    everybody_serves(cluster).await;
    let revision = cluster.add_owner(1, "settled").await;
    in_force(cluster, 1, revision).await;
}

fn another_than(number: u64) -> u64 {
    if number == 1 { 2 } else { 1 }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_in_force_was_applied_by_everybody_whichever_node_is_asked() {
    let cluster = Cluster::of_three().await;
    settled(&cluster).await;
    for through in [1, 2, 3] {
        let name = format!("owner-{through}");
        let mut proposal = cluster.proposal(owner(&name));
        proposal.awaited = true;
        let node = &cluster.nodes[&through];
        let outcome = node.propose(proposal, PATIENCE).await.unwrap();
        let told = in_force(&cluster, through, outcome.revision).await;
        assert_eq!(told.waited_out, []);
        for number in [1, 2, 3] {
            assert!(cluster.knows_owner(number, &name), "node {number}");
        }
        let again = so_far(&cluster, another_than(through), outcome.revision).await;
        assert_eq!(again.state, EnforcementState::Enforced);
    }
    cluster.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_is_cut_off_is_waited_out_until_it_serves_no_more() {
    let cluster = Cluster::of_three().await;
    settled(&cluster).await;
    let leader = cluster.leader().await;
    let alone = another_than(leader);
    cluster.board.isolate(alone);
    let revision = cluster.add_owner(leader, "without-it").await;
    let told = so_far(&cluster, leader, revision).await;
    if serves(&cluster, alone) {
        assert_eq!(told.state, EnforcementState::Committed);
        assert!(told.waiting_for.contains(&NodeNumber(alone)), "{told:?}");
        assert!(told.at_most.is_some());
    }
    let told = in_force(&cluster, leader, revision).await;
    assert!(!serves(&cluster, alone), "it could have served without it");
    assert_eq!(told.waited_out, [NodeNumber(alone)]);

    let later = cluster.add_owner(leader, "later").await;
    let told = in_force(&cluster, leader, later).await;
    assert_eq!(
        told.waited_out,
        [],
        "who was dead for long is not waited for"
    );
    cluster.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_next_leader_waits_out_the_one_that_was_lost() {
    let cluster = Cluster::of_three().await;
    settled(&cluster).await;
    let lost = cluster.leader().await;
    cluster.board.isolate(lost);
    let survivor = another_than(lost);
    let revision = cluster.add_owner(survivor, "after").await;
    let told = in_force(&cluster, survivor, revision).await;
    assert!(!serves(&cluster, lost), "it could have served without it");
    assert_eq!(told.waited_out, [NodeNumber(lost)]);
    cluster.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_was_started_again_is_not_waited_out() {
    let mut cluster = Cluster::of_three().await;
    settled(&cluster).await;
    let leader = cluster.leader().await;
    let restarted = another_than(leader);
    cluster.stop(restarted).await;
    let revision = cluster.add_owner(leader, "meanwhile").await;
    cluster.start(restarted).await;
    let told = in_force(&cluster, leader, revision).await;
    // On a machine that is slow its proof may have run out before it was back.
    if !told.waited_out.is_empty() {
        assert_eq!(told.waited_out, [NodeNumber(restarted)]);
    }
    eventually("it serves again", async || serves(&cluster, restarted)).await;
    let later = cluster.add_owner(leader, "later").await;
    assert_eq!(in_force(&cluster, leader, later).await.waited_out, []);
    cluster.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_waits_for_a_node_that_gave_its_proofs_back() {
    let mut cluster = Cluster::of_three().await;
    settled(&cluster).await;
    let leader = cluster.leader().await;
    let leaves = another_than(leader);
    cluster.nodes[&leaves].give_back().await;
    assert!(!serves(&cluster, leaves), "it serves nothing from then on");
    let revision = cluster.add_owner(leader, "first").await;
    let told = so_far(&cluster, leader, revision).await;
    assert!(!told.waiting_for.contains(&NodeNumber(leaves)), "{told:?}");
    cluster.stop(leaves).await;
    let revision = cluster.add_owner(leader, "second").await;
    let told = in_force(&cluster, leader, revision).await;
    assert_eq!(told.waited_out, []);

    cluster.start(leaves).await;
    eventually("it serves again", async || serves(&cluster, leaves)).await;
    assert!(cluster.knows_owner(leaves, "second"));
    cluster.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_leaves_in_order_makes_nobody_wait() {
    let mut cluster = Cluster::of_three().await;
    settled(&cluster).await;
    let leaves = cluster.leader().await;
    cluster.nodes[&leaves].give_back().await;
    let next = cluster.leader_among(leaves).await;
    assert_ne!(next, leaves);
    cluster.stop(leaves).await;
    let revision = cluster.add_owner(next, "after").await;
    let told = in_force(&cluster, next, revision).await;
    assert_eq!(told.waited_out, []);
    cluster.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_never_committed_is_never_said_to_be_in_force() {
    let cluster = Cluster::of_three().await;
    settled(&cluster).await;
    let leader = cluster.leader().await;
    let beyond = Revision(cluster.nodes[&leader].status().last_log.0 + 1_000);
    let node = &cluster.nodes[&leader];
    let told = node
        .enforcement(beyond, Wait::Nodes, Duration::from_millis(200))
        .await;
    assert_eq!(told.state, EnforcementState::Unknown);

    let cut_off = another_than(leader);
    cluster.board.isolate(cut_off);
    let revision = cluster.add_owner(leader, "without-it").await;
    let told = so_far(&cluster, cut_off, revision).await;
    assert_eq!(told.state, EnforcementState::Unknown, "it cannot know");
    in_force(&cluster, leader, revision).await;
    cluster.board.heal();
    in_force(&cluster, cut_off, revision).await;
    cluster.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn followers_say_at_once_what_is_waited_for_and_not_with_their_next_proof() {
    let cluster = Cluster::of_three().await;
    settled(&cluster).await;
    // No proof will be asked for while the test runs, and none runs out.
    let outcome = cluster.command(1, tick(600_000)).await.unwrap();
    outcome.verdict.unwrap();
    for number in [1, 2, 3] {
        let sleeping = &cluster.nodes[&number].inner.prover.sleeping;
        let mut sleeping = sleeping.subscribe();
        let long = sleeping.wait_for(|tick| *tick == Duration::from_millis(600_000));
        tokio::time::timeout(PATIENCE, long).await.unwrap().unwrap();
    }
    let through = another_than(cluster.leader().await);
    let revision = cluster.add_owner(through, "said-at-once").await;
    let told = in_force(&cluster, through, revision).await;
    assert_eq!(told.waited_out, []);
    cluster.end().await;
}
