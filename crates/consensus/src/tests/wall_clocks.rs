//! A leader whose wall clock is alone with its time stamps nothing.

use std::time::Duration;

use super::cluster::{Cluster, eventually, owner};
use crate::ProposeError;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_whose_clock_is_off_stamps_nothing_until_it_is_set_right() {
    const AHEAD_MS: u64 = 3_600_000;
    let cluster = Cluster::of_three().await;
    cluster.add_owner(1, "before").await;
    let leader = cluster.leader().await;
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
    for number in [1, 2, 3] {
        let ahead = log_time(number).saturating_sub(right);
        assert!(
            ahead < AHEAD_MS,
            "log time on node {number}: {ahead} ms ahead"
        );
    }

    clocks.set_ahead(0);
    cluster.add_owner(1, "after").await;
    cluster.end().await;
}
