//! How much the history holds, and that pages show it whole while it grows.

use std::time::Duration;

use chancery_credential::Revision;

use super::{HistoryBounds, HistoryQuery, chronicle::Chronicle, page};
use crate::codec::encode_history_entry;

const BOUND: u64 = 256 << 10;

const fn bounded(bytes: u64) -> HistoryBounds {
    HistoryBounds {
        bytes,
        age: Duration::from_secs(3_600),
    }
}

/// Fills a class with the smallest entries up to its bound.
fn full_of_small_entries() -> Chronicle {
    let chronicle = Chronicle::within(bounded(BOUND));
    while chronicle.bytes() < BOUND - (BOUND >> 5) {
        let small: Vec<_> = (0..64).map(|_| chronicle.by_root(1, 0)).collect();
        chronicle.apply(&small);
    }
    chronicle
}

#[test]
fn small_old_entries_make_room_for_large_new_ones() {
    let chronicle = full_of_small_entries();
    for batch in 0..40 {
        let large: Vec<_> = (0..16).map(|_| chronicle.by_root(1, 16 << 10)).collect();
        let brought: usize = large
            .iter()
            .map(|entry| encode_history_entry(entry).len())
            .sum();
        let written = chronicle.apply(&large);
        let bytes = chronicle.bytes();
        assert!(
            bytes <= BOUND + brought as u64,
            "batch {batch}: {bytes} bytes"
        );
        // A key that goes is smaller than the entry that went with it.
        let most = 2 * brought + usize::try_from(BOUND).unwrap();
        assert!(written < most, "batch {batch}: {written} bytes written");
    }
}

/// What is over a bound that was set anew goes, but not all at once.
#[test]
fn a_lower_bound_is_reached_in_steps() {
    let mut chronicle = full_of_small_entries();
    for _ in 0..64 {
        let large: Vec<_> = (0..4).map(|_| chronicle.by_root(2, 16 << 10)).collect();
        chronicle.bind(bounded(u64::MAX));
        chronicle.apply(&large);
    }
    let before = chronicle.bytes();
    chronicle.bind(bounded(BOUND));
    let mut steps = 0;
    while chronicle.bytes() > BOUND {
        let at = chronicle.bytes();
        chronicle.apply(&[chronicle.by_root(1, 0)]);
        let gone = at - chronicle.bytes();
        assert!((1..512 << 10).contains(&gone), "{gone} bytes went of {at}");
        steps += 1;
    }
    assert!(steps > 5, "{steps} steps from {before} bytes");
}

/// All pages from the newest entry on, while `meanwhile` goes on.
fn shown(chronicle: &Chronicle, meanwhile: &dyn Fn()) -> Vec<Revision> {
    let mut query = HistoryQuery {
        most: 7,
        ..HistoryQuery::default()
    };
    let mut shown = Vec::new();
    loop {
        let goes_on = || {
            meanwhile();
            true
        };
        let page = page(&chronicle.store, &query, &goes_on).unwrap();
        shown.extend(page.entries.iter().map(|entry| entry.revision));
        query.before = page.next;
        if page.next.is_none() {
            return shown;
        }
    }
}

fn all_up_to(newest: Revision) -> Vec<Revision> {
    (1..=newest.0).rev().map(Revision).collect()
}

/// Each look at the disk finds entries that the look before did not: in some parts, that
/// is, and not in those that were read before.
#[test]
fn no_entry_is_left_out_or_shown_twice_while_others_are_applied() {
    let chronicle = Chronicle::within(bounded(u64::MAX));
    let apply = || {
        let batch = [1, 3, 2].map(|via| chronicle.by_root(via, 10));
        chronicle.apply(&batch);
    };
    for _ in 0..40 {
        apply();
    }
    let newest = chronicle.applied();
    assert_eq!(shown(&chronicle, &apply), all_up_to(newest));
    assert!(chronicle.applied() > newest, "others were applied");
}

/// What is too large to be kept until its turn comes is shown all the same.
#[test]
fn large_entries_of_many_parts_are_shown_in_order() {
    let chronicle = Chronicle::within(bounded(u64::MAX));
    for _ in 0..2 {
        let batch: Vec<_> = (1..=100)
            .map(|via| chronicle.by_root(via, 100 << 10))
            .collect();
        chronicle.apply(&batch);
    }
    let all = all_up_to(chronicle.applied());
    assert_eq!(all.len(), 200);
    assert_eq!(shown(&chronicle, &|| {}), all);
}

#[test]
fn nobody_reads_on_for_who_has_gone() {
    let chronicle = Chronicle::within(bounded(u64::MAX));
    let batch: Vec<_> = (0..100).map(|_| chronicle.by_root(1, 10)).collect();
    chronicle.apply(&batch);
    let asked = std::cell::Cell::new(0);
    let goes_soon = || {
        asked.set(asked.get() + 1);
        asked.get() < 10
    };
    // Nothing fits, so that all of it would be looked at.
    let query = HistoryQuery {
        command: Some("NONE".into()),
        most: 7,
        ..HistoryQuery::default()
    };
    let error = page(&chronicle.store, &query, &goes_soon).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::Interrupted);
    assert_eq!(asked.get(), 10, "it ended at once");
}
