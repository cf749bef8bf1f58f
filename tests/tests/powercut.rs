//! A slice of `make powercut` in every run of the tests.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use std::path::PathBuf;

use chancery_tests::powercut::round::Rig;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_survives_the_loss_of_power() {
    let out = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("powercut");
    let mut rig = Rig::set_up(out).await;
    let mut lost = 0;
    for round in 0..2 {
        let (counts, violations) = rig.round(round).await;
        assert_eq!(violations, []);
        assert!(counts.acknowledged > 0 && counts.read > 0, "{counts}");
        assert!(counts.minted > 0, "{counts}");
        lost += counts.writes + counts.names;
    }
    assert!(
        lost > 0,
        "a power cut that takes nothing away shows nothing"
    );
}
