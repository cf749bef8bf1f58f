//! A leader whose wall clock is alone with its time stamps nothing.

use std::time::Duration;

use super::cluster::{Cluster, eventually, owner};
use crate::{Clocks, ProposeError, SystemClocks};

const AHEAD_MS: u64 = 3_600_000;

/// Why the node cannot say that it is fresh, once it cannot.
async fn unproved(cluster: &Cluster, number: u64) -> String {
    let node = &cluster.nodes[&number];
    eventually("stale", async || {
        let freshness = node.view().freshness();
        freshness.is_none_or(|freshness| freshness.age(SystemClocks.boot()).is_err())
    })
    .await;
    node.status().unproved.unwrap_or_default()
}

async fn fresh(cluster: &Cluster, number: u64) {
    let node = &cluster.nodes[&number];
    eventually("fresh", async || {
        let freshness = node.view().freshness();
        freshness.is_some_and(|freshness| freshness.age(SystemClocks.boot()).is_ok())
    })
    .await;
}

/// It would hold lifetimes against the wrong hour, and nothing could be written.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_whose_clock_is_off_serves_no_more_and_lets_another_lead() {
    let cluster = Cluster::of_three().await;
    let former = cluster.leader().await;
    let log_time = |number: u64| cluster.nodes[&number].read_state(|state| state.log_time_ms());
    let right = log_time(former);
    cluster.machines[&former].clocks.set_ahead(AHEAD_MS);

    let leader = cluster.leader_among(former).await;
    let told = unproved(&cluster, former).await;
    assert!(told.contains("the clock of node"), "{told}");
    cluster.add_owner(leader, "meanwhile").await;
    fresh(&cluster, leader).await;
    assert!(log_time(leader).saturating_sub(right) < AHEAD_MS);

    cluster.machines[&former].clocks.set_ahead(0);
    fresh(&cluster, former).await;
    cluster.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_whose_clock_is_off_is_told_so_and_serves_no_more() {
    let cluster = Cluster::of_three().await;
    let leader = cluster.leader().await;
    let other = if leader == 1 { 2 } else { 1 };
    fresh(&cluster, other).await;
    cluster.machines[&other].clocks.set_ahead(AHEAD_MS);
    let told = unproved(&cluster, other).await;
    assert!(told.contains("the clock of node"), "{told}");
    cluster.add_owner(leader, "meanwhile").await;

    cluster.machines[&other].clocks.set_ahead(0);
    fresh(&cluster, other).await;
    assert_eq!(
        cluster.leader().await,
        leader,
        "and the lead stays where it was"
    );
    cluster.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_whose_clock_is_off_stamps_nothing_until_it_is_set_right() {
    let mut cluster = Cluster::of_three().await;
    cluster.add_owner(1, "before").await;
    let leader = cluster.leader().await;
    let [gone, other] = [1, 2, 3]
        .into_iter()
        .filter(|it| *it != leader)
        .collect::<Vec<_>>()[..]
    else {
        panic!("three nodes")
    };
    // Of the two that are left nobody can tell whose clock is wrong.
    cluster.stop(gone).await;
    let clocks = cluster.machines[&leader].clocks.clone();
    let log_time = |number: u64| cluster.nodes[&number].read_state(|state| state.log_time_ms());
    let right = log_time(leader);

    clocks.set_ahead(AHEAD_MS);
    let node = &cluster.nodes[&leader];
    eventually("nothing is stamped", async || {
        let command = cluster.proposal(owner(&format!("ahead-{}", cluster.request().random[7])));
        let answer = node.propose(command, Duration::from_millis(500)).await;
        matches!(answer, Err(ProposeError::Unavailable { .. }))
    })
    .await;
    for number in [leader, other] {
        let ahead = log_time(number).saturating_sub(right);
        assert!(
            ahead < AHEAD_MS,
            "log time on node {number}: {ahead} ms ahead"
        );
    }

    clocks.set_ahead(0);
    cluster.add_owner(other, "after").await;
    cluster.end().await;
}
