//! The log is cut, and whoever comes later starts from a snapshot.

use chancery_credential::Revision;

use super::cluster::{Cluster, eventually};
use crate::{Compaction, Step};

const SHORT: Compaction = Compaction {
    entries_per_snapshot: 20,
    entries_kept: 2,
    entries_cut: 1,
    lag_for_snapshot: 10,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_learner_joins_from_a_snapshot_when_the_log_is_cut() {
    let mut cluster = Cluster::born_with(SHORT).await;
    for round in 0..60 {
        cluster.add_owner(1, &format!("owner-{round}")).await;
    }
    eventually("the log is cut", async || {
        cluster.nodes[&1].status().purged > Revision(20)
    })
    .await;

    cluster.join(2).await;
    for round in 0..60 {
        assert!(
            cluster.knows_owner(2, &format!("owner-{round}")),
            "owner-{round}"
        );
    }
    cluster.caught_up(2).await;
    assert_eq!(
        cluster.nodes[&1].state_digest(),
        cluster.nodes[&2].state_digest()
    );
    let (first, second) = (cluster.nodes[&1].view(), cluster.nodes[&2].view());
    assert_eq!(
        first.snapshot(),
        second.snapshot(),
        "the same is in force on both"
    );

    // It goes on from there, and from its disk.
    cluster.add_owner(2, "after").await;
    cluster.stop(2).await;
    cluster.start(2).await;
    assert!(cluster.knows_owner(2, "owner-0") && cluster.knows_owner(2, "after"));
    cluster.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_voter_that_was_away_for_too_long_is_brought_back_by_a_snapshot() {
    let cluster = Cluster::of_three_with(SHORT).await;
    let leader = cluster.leader().await;
    let away = [1, 2, 3]
        .into_iter()
        .find(|number| *number != leader)
        .unwrap();
    cluster.caught_up(away).await;
    let mut events = cluster.nodes[&away].events();
    let left_at = cluster.nodes[&away].status().applied;
    cluster.board.isolate(away);
    for round in 0..60 {
        cluster.add_owner(leader, &format!("owner-{round}")).await;
    }
    eventually("cut beyond it", async || {
        let leader = cluster.leader_among(away).await;
        cluster.nodes[&leader].status().purged > left_at
    })
    .await;

    cluster.board.heal();
    eventually("back", async || cluster.knows_owner(away, "owner-59")).await;
    assert!(cluster.knows_owner(away, "owner-0"));
    let replaced = loop {
        match events.next().await.unwrap() {
            Step::Replaced { revision } => break revision,
            Step::Applied { .. } => {}
        }
    };
    assert!(replaced > left_at, "whoever follows is told to start again");
    cluster.end().await;
}
