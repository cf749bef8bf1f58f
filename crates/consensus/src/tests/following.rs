//! Who follows the log hears of everything, or hears that it missed something.

use super::cluster::{Cluster, KEPT_STEPS};
use crate::{Missed, Step};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_that_does_not_read_is_told_what_it_missed_and_goes_on() {
    let cluster = Cluster::born().await;
    let mut slow = cluster.nodes[&1].events();
    let mut last = cluster.add_owner(1, "first").await;
    // More steps than are kept for one that is slow.
    for number in 0..=KEPT_STEPS {
        last = cluster.add_owner(1, &format!("owner-{number}")).await;
    }
    let Err(Missed::Lagged(missed)) = slow.next().await else {
        panic!("it was not told");
    };
    assert!(missed > 0);
    let reached = loop {
        match slow.next().await.unwrap() {
            Step::Applied { revision, .. } if revision == last => break revision,
            Step::Applied { revision, .. } => assert!(revision < last),
            other @ Step::Replaced { .. } => panic!("{other:?}"),
        }
    };
    assert_eq!(reached, last);
    cluster.end().await;
}
