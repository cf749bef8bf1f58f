//! The judge of histories is judged: each law has histories that break it and nothing
//! else, and histories that come as close as may be and break nothing.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod bad;
mod good;
mod story;

use std::collections::BTreeSet;

use bad::bad;
use chancery_tests::history::{
    Complaint::{self, *},
    Outcome,
};
use good::good;
use story::{PROMISES, Story};

#[test]
fn each_bad_history_is_rejected_for_what_is_bad_in_it() {
    for (what, story, expected) in bad() {
        let expected: BTreeSet<Complaint> = expected.iter().copied().collect();
        assert_eq!(story.complaints(), expected, "{what}");
    }
}

#[test]
fn every_complaint_has_a_history_that_earns_it() {
    let earned: BTreeSet<Complaint> = bad()
        .iter()
        .flat_map(|(.., it)| it.iter().copied())
        .collect();
    let all = [
        AcceptedAfterEnforced,
        AcceptedBeyondF,
        AcceptedBeyondV,
        AcceptedAgainstState,
        MintedAfterEnforced,
        MintedBeyondF,
        OlderThanSaid,
        ServedStale,
        SessionWentBack,
        LostWrite,
        RevisionTwice,
        FenceLate,
        LeaderWentBack,
        TermWentBack,
        StatesDiffer,
    ];
    assert_eq!(earned, BTreeSet::from(all));
}

#[test]
fn good_histories_are_accepted() {
    for (what, story) in good() {
        assert_eq!(story.0.judge(&PROMISES), [], "{what}");
    }
}

/// What is bad is found among much that is good.
#[test]
fn a_bad_history_within_a_good_one_is_rejected() {
    for (what, story, expected) in bad() {
        let mut all = Story::default();
        for turn in 0..20_000_u64 {
            let (session, begun) = (100 + u32::try_from(turn % 50).unwrap(), 20_000 + turn);
            let name = format!("other-{turn}");
            let outcome = Outcome::Committed(1_000_000 + turn);
            all = all.register(session, (begun, begun + 1), &name, outcome);
        }
        all.0.append(story.0);
        let found = all.complaints();
        assert!(
            expected.iter().all(|it| found.contains(it)),
            "{what}: {found:?}"
        );
    }
}
