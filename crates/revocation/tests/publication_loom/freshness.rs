//! A proof, and what it vouches for.

use std::sync::Arc;

use chancery_revocation::Verdict;
use chancery_revocation::memory::{Weakness, weakened};
use loom::thread;

use crate::{BOUND, R, clock, facts, judged, view, watermark};

#[derive(Copy, Clone)]
enum Proving {
    AsWritten,
    BeforeApplying,
}

#[derive(Copy, Clone)]
enum Reading {
    /// What an answer says of itself.
    Answer,
    Judgement,
    FreshnessLast,
}

/// At 120 ms only the proof of 100 ms is young enough, and it vouches for the
/// watermark.
fn a_proof_vouches_for_a_watermark(proving: Proving, reading: Reading) {
    const NOW: u64 = 120;
    loom::model(move || {
        let view = view(&[], 1);
        let prover = {
            let view = Arc::clone(&view);
            thread::spawn(move || {
                if matches!(proving, Proving::BeforeApplying) || view.revision() >= R {
                    view.prove_fresh(clock(100).boot, BOUND);
                }
            })
        };
        let checker = {
            let view = Arc::clone(&view);
            thread::spawn(move || match reading {
                Reading::Answer => {
                    if let Ok(current) = view.begin().finish(&clock(NOW)) {
                        let seen = current.revision;
                        assert!(seen >= R, "new freshness, old revision: {seen}");
                    }
                }
                Reading::Judgement => {
                    let verdict = judged(&facts(1, 1), &view, NOW);
                    let accepted = matches!(verdict, Verdict::Valid(..));
                    assert!(!accepted, "new freshness, old revision: {verdict:?}");
                }
                Reading::FreshnessLast => {
                    let revision = view.revision();
                    let fresh = view.freshness().unwrap().age(clock(NOW).boot).is_ok();
                    assert!(!fresh || revision >= R, "new freshness, old revision");
                }
            })
        };
        view.publish_changes(R, &[watermark(R.0)]);
        view.publish_revision(R);
        prover.join().unwrap();
        checker.join().unwrap();
    });
}

#[test]
fn a_new_proof_is_never_combined_with_an_old_revision() {
    a_proof_vouches_for_a_watermark(Proving::AsWritten, Reading::Answer);
    a_proof_vouches_for_a_watermark(Proving::AsWritten, Reading::Judgement);
}

#[test]
#[should_panic(expected = "new freshness, old revision")]
fn found_when_a_proof_is_published_before_what_it_vouches_for() {
    a_proof_vouches_for_a_watermark(Proving::BeforeApplying, Reading::Judgement);
}

#[test]
#[should_panic(expected = "new freshness, old revision")]
fn found_when_freshness_is_read_after_the_revision() {
    a_proof_vouches_for_a_watermark(Proving::AsWritten, Reading::FreshnessLast);
}

#[test]
#[should_panic(expected = "new freshness, old revision")]
fn found_when_publishing_is_relaxed_under_a_proof() {
    weakened(Weakness::RelaxedPublication, || {
        a_proof_vouches_for_a_watermark(Proving::AsWritten, Reading::Judgement);
    });
}

#[test]
#[should_panic(expected = "new freshness, old revision")]
fn found_when_observing_is_relaxed_under_a_proof() {
    weakened(Weakness::RelaxedObservation, || {
        a_proof_vouches_for_a_watermark(Proving::AsWritten, Reading::Judgement);
    });
}

#[test]
fn of_two_proofs_the_one_asked_for_later_stays() {
    loom::model(|| {
        let view = view(&[], 1);
        let other = {
            let view = Arc::clone(&view);
            thread::spawn(move || view.prove_fresh(clock(100).boot, BOUND))
        };
        view.prove_fresh(clock(200).boot, BOUND);
        other.join().unwrap();
        assert_eq!(view.freshness().unwrap().as_of, clock(200).boot);
    });
}

#[test]
fn no_proof_that_is_under_way_survives_a_withdrawal() {
    loom::model(|| {
        let view = view(&[], 1);
        let prover = {
            let view = Arc::clone(&view);
            thread::spawn(move || view.prove_fresh(clock(100).boot, BOUND))
        };
        view.withdraw();
        prover.join().unwrap();
        let answer = view.begin().finish(&clock(110));
        assert!(answer.is_err(), "fresh again: {answer:?}");
    });
}
