//! A slice of `make nemesis` in every run of the tests: one round over namespaces, or
//! proxies where they are not permitted, and one over proxies.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use std::path::PathBuf;

use chancery_tests::{
    nemesis::{
        load::Pace,
        round::{Outcomes, Setup, run},
    },
    network::Network,
};

/// What a round does follows from its number: here links, a kill and a pause.
async fn round(round: u64, network: Network) -> Outcomes {
    let setup = Setup {
        steps: 2,
        voters: 3,
        pace: Pace::MODEST,
        out: PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("nemesis"),
    };
    let outcomes = run(round, &setup, network).await;
    assert_eq!(outcomes.violations, []);
    outcomes
}

/// One after the other: two clusters at once are too many for two cores.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_goes_wrong_breaks_no_law() {
    let tally = round(0, Network::that_can_be_cut()).await.tally;
    // What never happened cannot have been wrong.
    assert!(tally.accepted > 0 && tally.rejected > 0, "{tally}");
    assert!(tally.minted > 0 && tally.acknowledged > 0, "{tally}");
    assert!(tally.read > 0 && tally.faults == 2, "{tally}");

    let tally = round(6, Network::of_proxies()).await.tally;
    assert!(tally.accepted > 0 && tally.acknowledged > 0, "{tally}");
}
