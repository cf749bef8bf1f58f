//! A suspension, and a mint or a check at the same time.

use std::sync::Arc;

use chancery_credential::{Lineage, Revision};
use chancery_revocation::memory::{Weakness, weakened};
use chancery_revocation::{Delta, Serving, Snapshot, Stale, Verdict, View};
use loom::sync::atomic::{AtomicBool, Ordering};
use loom::thread;

use crate::{R, clock, facts, judged, opening, view, watermark};

#[derive(Copy, Clone)]
enum Publication {
    /// As nodes publish entries.
    AsWritten,
    /// As nodes install a snapshot.
    Snapshot,
    /// A verifier's: the view is the only consumer.
    Delta,
    RevisionFirst,
    RevisionBeforeRegistry,
}

#[derive(Copy, Clone)]
enum Mint {
    AsWritten,
    StatusFirst,
}

/// The registry stands for every other consumer of a node.
fn suspend(view: &View, registry: &AtomicBool, publication: Publication) {
    match publication {
        Publication::AsWritten => {
            let changes = [watermark(R.0)];
            view.publish_entries([(R, &changes[..])], R, || {
                registry.store(true, Ordering::Release);
            });
        }
        Publication::Snapshot => {
            let snapshot = Snapshot {
                lineage: Lineage::default(),
                revision: R,
                view_revision: R,
                changes: vec![opening(1, 1), watermark(R.0)],
            };
            let registry = || registry.store(true, Ordering::Release);
            view.install_with(&snapshot, registry).unwrap();
        }
        Publication::Delta => {
            let delta = Delta {
                previous: Revision(1),
                revision: R,
                changes: vec![watermark(R.0)],
            };
            view.apply(&delta).unwrap();
        }
        Publication::RevisionFirst => {
            view.publish_revision(R);
            view.publish_changes(R, &[watermark(R.0)]);
            registry.store(true, Ordering::Release);
        }
        Publication::RevisionBeforeRegistry => {
            view.publish_changes(R, &[watermark(R.0)]);
            view.publish_revision(R);
            registry.store(true, Ordering::Release);
        }
    }
}

/// The `rev` of the token, if the agent was not seen suspended.
fn mint(view: &View, registry: &AtomicBool, mint: Mint) -> Option<Revision> {
    let status = || registry.load(Ordering::Acquire);
    let (suspended, rev, seen) = match mint {
        Mint::AsWritten => {
            let read = |serving: &Serving| Ok::<_, Stale>((status(), serving.view_revision()));
            let ((suspended, rev), current) = view.answer(&clock(10), read).expect("fresh");
            (suspended, rev, current.revision)
        }
        Mint::StatusFirst => {
            let (suspended, serving) = (status(), view.begin());
            (suspended, serving.view_revision(), serving.revision())
        }
    };
    assert!(seen >= rev);
    (!suspended).then_some(rev)
}

fn a_mint_races_with_a_suspension(publication: Publication, order: Mint) {
    loom::model(move || {
        let view = view(&[], 1);
        let registry = Arc::new(AtomicBool::new(false));
        let minter = {
            let (view, registry) = (Arc::clone(&view), Arc::clone(&registry));
            thread::spawn(move || mint(&view, &registry, order))
        };
        suspend(&view, &registry, publication);
        if let Some(rev) = minter.join().unwrap() {
            let verdict = judged(&facts(1, rev.0), &view, 10);
            assert!(
                matches!(verdict, Verdict::Refused(_)),
                "outlives the suspension: {rev}"
            );
        }
    });
}

#[test]
fn no_token_outlives_a_suspension_that_its_mint_did_not_see() {
    a_mint_races_with_a_suspension(Publication::AsWritten, Mint::AsWritten);
    a_mint_races_with_a_suspension(Publication::Snapshot, Mint::AsWritten);
}

#[test]
#[should_panic(expected = "outlives")]
fn found_when_the_revision_is_published_before_the_registry() {
    a_mint_races_with_a_suspension(Publication::RevisionBeforeRegistry, Mint::AsWritten);
}

#[test]
#[should_panic(expected = "outlives")]
fn found_when_a_mint_reads_the_revision_after_the_status() {
    a_mint_races_with_a_suspension(Publication::AsWritten, Mint::StatusFirst);
}

#[test]
#[should_panic(expected = "outlives")]
fn found_when_publishing_is_relaxed_under_a_mint() {
    weakened(Weakness::RelaxedPublication, || {
        a_mint_races_with_a_suspension(Publication::AsWritten, Mint::AsWritten);
    });
}

#[test]
#[should_panic(expected = "outlives")]
fn found_when_observing_is_relaxed_in_a_mint() {
    weakened(Weakness::RelaxedObservation, || {
        a_mint_races_with_a_suspension(Publication::AsWritten, Mint::AsWritten);
    });
}

fn a_check_races_with_a_suspension(publication: Publication) {
    loom::model(move || {
        let view = view(&[], 1);
        let registry = AtomicBool::new(false);
        let checker = {
            let view = Arc::clone(&view);
            thread::spawn(move || {
                let before = view.revision();
                (before, judged(&facts(1, 1), &view, 10))
            })
        };
        suspend(&view, &registry, publication);
        match checker.join().unwrap() {
            (before, Verdict::Valid((), standing)) => {
                assert!(before < R, "saw it and accepted: {before}");
                assert!(standing.revision < R, "saw it and accepted: {standing:?}");
            }
            (_, verdict) => assert!(matches!(verdict, Verdict::Refused(_)), "{verdict:?}"),
        }
    });
}

#[test]
fn who_sees_the_revision_refuses_what_it_killed() {
    a_check_races_with_a_suspension(Publication::AsWritten);
    a_check_races_with_a_suspension(Publication::Delta);
}

#[test]
#[should_panic(expected = "saw it and accepted")]
fn found_when_the_revision_is_published_before_the_changes() {
    a_check_races_with_a_suspension(Publication::RevisionFirst);
}

#[test]
#[should_panic(expected = "saw it and accepted")]
fn found_when_publishing_is_relaxed_under_a_check() {
    weakened(Weakness::RelaxedPublication, || {
        a_check_races_with_a_suspension(Publication::AsWritten);
    });
}

#[test]
#[should_panic(expected = "saw it and accepted")]
fn found_when_observing_is_relaxed_in_a_check() {
    weakened(Weakness::RelaxedObservation, || {
        a_check_races_with_a_suspension(Publication::AsWritten);
    });
}

#[test]
fn who_mints_at_a_revision_mints_above_every_watermark_up_to_it() {
    loom::model(|| {
        let view = view(&[], 1);
        let minter = {
            let view = Arc::clone(&view);
            thread::spawn(move || view.begin())
        };
        view.publish_changes(R, &[watermark(R.0)]);
        view.publish_revision(R);
        let serving = minter.join().unwrap();
        assert_eq!(serving.revision() >= R, serving.view_revision() >= R);
    });
}
