//! The promises of the loom test once more, on real threads and the real tables:
//! loom models the tables, and here it shows that they order what the model says.
#![cfg(not(loom))]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod cluster;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use chancery_credential::Revision;
use chancery_revocation::{Change, Facts, Verdict, View, judge_facts};
use cluster::{BOUND, Case, LIMITS, LINEAGE, PROVED, key, opening, outcome, watermark};

const ROUNDS: u64 = 20_000;

fn held(case: &Case, revision: Revision) -> Facts<'_> {
    Facts {
        revision,
        ancestors: &[],
        ..Facts::of(key(1).public().key_id(), &case.claims)
    }
}

/// Every round takes away what the agent holds. Whoever judges or mints meanwhile
/// may be of the round before or after, never of both.
#[test]
fn held_tokens_are_revoked_under_load() {
    let case = Case::in_force();
    let view = View::new(LINEAGE);
    view.publish_changes(Revision(1), &[opening(1, 1)]);
    view.publish_revision(Revision(1));
    view.prove_fresh(PROVED, BOUND);
    // Another consumer of the log: the last revision that took something away.
    let registry = AtomicU64::new(1);
    let over = AtomicBool::new(false);

    let judge = || {
        while !over.load(Ordering::Relaxed) {
            let rev = view.begin().view_revision();
            match judge_facts(&held(&case, rev), LIMITS, &view, &case.now) {
                Verdict::Valid((), standing) => assert_eq!(standing.revision, rev),
                verdict => assert_eq!(outcome(&verdict), "AGENT_REVOKED"),
            }
        }
    };
    let mint = || {
        while !over.load(Ordering::Relaxed) {
            let serving = view.begin();
            let taken_at = Revision(registry.load(Ordering::Acquire));
            assert!(
                taken_at >= serving.view_revision(),
                "a mint missed a change"
            );
        }
    };
    thread::scope(|scope| {
        scope.spawn(judge);
        scope.spawn(mint);
        for at in 2..ROUNDS {
            let change = watermark("agent:spiffe://example.org/planner", at);
            view.publish_changes(Revision(at), &[change]);
            registry.store(at, Ordering::Release);
            view.publish_revision(Revision(at));
        }
        over.store(true, Ordering::Relaxed);
    });
}

/// Every round raises a watermark, then the floor past it, which drops it. A token
/// from before was dead all the time.
#[test]
fn what_the_floor_drops_is_refused_under_load() {
    let case = Case::in_force();
    let view = View::new(LINEAGE);
    let mark = |at: u64| watermark("agent:spiffe://example.org/planner", at);
    view.publish_changes(Revision(2), &[opening(1, 1), mark(2)]);
    view.publish_revision(Revision(2));
    view.prove_fresh(PROVED, BOUND);
    let dead = AtomicU64::new(1);
    let over = AtomicBool::new(false);

    let judge = || {
        while !over.load(Ordering::Relaxed) {
            let rev = Revision(dead.load(Ordering::Acquire));
            let verdict = judge_facts(&held(&case, rev), LIMITS, &view, &case.now);
            assert!(matches!(verdict, Verdict::Refused(_)), "{rev}: {verdict:?}");
        }
    };
    thread::scope(|scope| {
        scope.spawn(judge);
        scope.spawn(judge);
        for at in (3..ROUNDS).step_by(2) {
            view.publish_changes(Revision(at), &[mark(at)]);
            view.publish_revision(Revision(at));
            dead.store(at - 1, Ordering::Release);
            view.publish_changes(Revision(at + 1), &[Change::Floor(Revision(at))]);
            view.publish_revision(Revision(at + 1));
        }
        over.store(true, Ordering::Relaxed);
    });
    assert_eq!(
        view.begin().finish(&case.now).unwrap().age,
        Duration::from_millis(500)
    );
}
