//! The view and its deliberately naive twin agree on every log and every token; and
//! a view is the same however it came about.
#![cfg(not(loom))]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod log;
mod naive;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::Duration;

use chancery_credential::{Lineage, Revision};
use chancery_revocation::{
    BootTime, Change, Delta, Limits, Now, Reason, Verdict, View, judge_facts,
};
use log::{Stated, logs, statements};
use naive::{Naive, Opinion};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

const WALL: u64 = 1_000_000;
const LIMITS: Limits = Limits {
    leeway: 2,
    ttl_cap: 900,
};
const NOW: Now = Now {
    wall: WALL,
    boot: BootTime(1_000_000_000),
};

fn view_of(deltas: &[Delta]) -> View {
    let view = View::new(Lineage::default());
    for delta in deltas {
        view.apply(delta).unwrap();
    }
    view
}

fn prove(view: &View) {
    view.prove_fresh(NOW.boot, Duration::from_secs(2));
}

fn judged(stated: &Stated, view: &View) -> Verdict<()> {
    judge_facts(&stated.facts(), LIMITS, view, &NOW)
}

fn opinion(verdict: &Verdict<()>) -> Opinion {
    match verdict {
        Verdict::Valid(..) => Opinion::Valid,
        Verdict::Refused(_) => Opinion::Refused,
        Verdict::Behind(_) => Opinion::Behind,
        _ => Opinion::Stale,
    }
}

#[test]
fn the_naive_twin_agrees() {
    let seen = RefCell::new(BTreeMap::new());
    let cases = (logs(), vec(statements(), 30), any::<bool>());
    let agree = |(deltas, statements, fresh): (Vec<Delta>, Vec<Stated>, bool)| {
        let view = View::new(Lineage::default());
        let mut twin = Naive::default();
        for delta in &deltas {
            view.apply(delta).unwrap();
            twin.apply(delta);
        }
        if fresh {
            prove(&view);
        }
        prop_assert_eq!(view.revision(), twin.revision);
        prop_assert_eq!(view.view_revision(), twin.view_revision);
        for stated in &statements {
            let verdict = judged(stated, &view);
            let expected = twin.judge(&stated.facts(), LIMITS, NOW.wall, fresh);
            prop_assert_eq!(opinion(&verdict), expected, "{:?}: {:?}", stated, verdict);
            *seen.borrow_mut().entry(expected).or_insert(0_u32) += 1;
        }
        Ok(())
    };
    // An agreement on nothing but refusals would say little: so it goes on until each
    // opinion was seen often, which 1,500 cases nearly always give.
    let often = |seen: &RefCell<BTreeMap<Opinion, u32>>| {
        let seen = seen.borrow();
        [
            Opinion::Valid,
            Opinion::Refused,
            Opinion::Behind,
            Opinion::Stale,
        ]
        .iter()
        .all(|opinion| seen.get(opinion).is_some_and(|n| *n > 500))
    };
    for _ in 0..10 {
        TestRunner::new(Config::with_cases(1500))
            .run(&cases, agree)
            .unwrap();
        if often(&seen) {
            return;
        }
    }
    panic!("{:?}", seen.into_inner());
}

proptest! {
    #![proptest_config(Config::with_cases(400))]

    #[test]
    fn a_view_is_the_same_however_it_came_about(
        deltas in logs(),
        cuts in (any::<prop::sample::Index>(), any::<prop::sample::Index>()),
        statements in vec(statements(), 10),
    ) {
        let mut cuts = [cuts.0.index(deltas.len() + 1), cuts.1.index(deltas.len() + 1)];
        cuts.sort_unstable();
        let [early, late] = cuts;
        let from_the_start = view_of(&deltas);
        let snapshot = view_of(&deltas[..late]).snapshot();

        let from_nothing = View::new(Lineage::default());
        from_nothing.install(&snapshot).unwrap();
        let from_an_older = view_of(&deltas[..early]);
        from_an_older.install(&snapshot).unwrap();
        let in_one_delta = View::new(Lineage::default());
        in_one_delta.apply(&coalesced(&deltas)).unwrap();
        for view in [&from_nothing, &from_an_older] {
            prop_assert_eq!(&view.snapshot(), &snapshot);
            // Deltas that overlap the snapshot say nothing new.
            deltas[early..].iter().for_each(|delta| view.apply(delta).unwrap());
        }
        for view in [&from_nothing, &from_an_older, &in_one_delta] {
            prove(view);
            let mut snapshot = view.snapshot();
            if std::ptr::eq(view, &in_one_delta) {
                // A delta has one revision: the last of those that it joins.
                snapshot.view_revision = from_the_start.view_revision();
            }
            prop_assert_eq!(snapshot, from_the_start.snapshot());
        }
        prove(&from_the_start);
        for stated in &statements {
            prop_assert_eq!(judged(stated, &from_nothing), judged(stated, &from_the_start));
            prop_assert_eq!(judged(stated, &from_an_older), judged(stated, &from_the_start));
        }
    }

    #[test]
    fn changes_that_come_again_change_nothing(deltas in logs()) {
        let view = view_of(&deltas);
        let before = view.snapshot();
        for delta in &deltas {
            view.publish_changes(delta.revision, &delta.changes);
            view.publish_revision(delta.revision);
        }
        prop_assert_eq!(view.snapshot(), before);
    }

    #[test]
    fn a_snapshot_is_installed_in_any_order(deltas in logs(), seed in any::<u64>()) {
        let snapshot = view_of(&deltas).snapshot();
        let mut shuffled = snapshot.clone();
        shuffle(&mut shuffled.changes, seed);
        let view = View::new(Lineage::default());
        view.install(&shuffled).unwrap();
        prop_assert_eq!(view.snapshot(), snapshot);
    }

    #[test]
    fn what_a_view_refuses_no_later_view_accepts(
        deltas in logs(),
        cut in any::<prop::sample::Index>(),
        statements in vec(statements(), 30),
    ) {
        let earlier = view_of(&deltas[..cut.index(deltas.len())]);
        let later = view_of(&deltas);
        prove(&earlier);
        prove(&later);
        for stated in &statements {
            let before = judged(stated, &earlier);
            // By log time alone a token can come to be valid.
            let for_good = matches!(&before, Verdict::Refused(reason)
                if !matches!(reason, Reason::NotYetValid { .. }));
            if for_good {
                let after = judged(stated, &later);
                // It may have forgotten why, and be behind instead: that ends in no.
                prop_assert!(!matches!(after, Verdict::Valid(..)), "{:?} then {:?}", before, after);
            }
        }
    }
}

fn coalesced(deltas: &[Delta]) -> Delta {
    Delta {
        previous: Revision(0),
        revision: deltas.last().map_or(Revision(0), |delta| delta.revision),
        changes: deltas
            .iter()
            .flat_map(|delta| delta.changes.clone())
            .collect(),
    }
}

/// Fisher and Yates, with a linear congruential generator.
fn shuffle(changes: &mut [Change], mut seed: u64) {
    for last in (1..changes.len()).rev() {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        changes.swap(last, (seed >> 33) as usize % (last + 1));
    }
}
