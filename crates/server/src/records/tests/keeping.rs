//! How long records are kept, and that the chain says what was let go.

use std::sync::Arc;

use super::*;
use crate::{
    clock::SystemClock,
    records::{
        disk::Directory,
        recover::{date, recover},
        start::write_to,
    },
};

fn small() -> Desk {
    Desk::with(RecordLimits {
        segment_bytes: 64 << 10,
        keep_bytes: 256 << 10,
        ..RecordLimits::default()
    })
}

#[test]
fn the_oldest_are_deleted_and_the_chain_says_so() {
    let desk = small();
    let records = desk.start(1, 1);
    let mut minted = 0;
    until("a segment was begun", || {
        fs::exists(desk.segment(1)).unwrap()
    });
    while fs::exists(desk.segment(1)).unwrap() {
        mint_slowly(records.recorder(), 6, 500);
        minted += 500;
    }
    mint_slowly(records.recorder(), 6, 3_000);
    close(records);

    let report = desk.verify();
    assert_eq!(report.damage, []);
    let first = report.segments[0].segment;
    assert!(first > 1);
    assert_eq!(report.deleted_through, first - 1);
    assert_eq!(report.records_before + report.records, minted + 3_000);
    let bytes: u64 = report.segments.iter().map(|segment| segment.bytes).sum();
    // A segment ends behind the batch that crosses its bound.
    assert!(bytes <= desk.limits.keep_bytes + (64 << 10), "{bytes}");

    // One more than the chain lets go is missing.
    fs::remove_file(desk.segment(first)).unwrap();
    let damage = desk.verify().damage;
    assert_eq!(damage[0].segment, first, "{damage:?}");
}

#[test]
fn what_is_too_old_is_deleted_by_the_next_start_too() {
    let desk = Desk::new();
    for process in 1..=2 {
        let records = desk.start(process, 1);
        mint(records.recorder(), 6, 2);
        close(records);
    }
    let mut desk = desk;
    desk.limits.keep_seconds = 0;
    let records = desk.start(3, 1);
    mint(records.recorder(), 6, 2);
    close(records);
    let report = desk.verify();
    assert_eq!((report.damage.len(), report.deleted_through), (0, 2));
    assert_eq!((report.records_before, report.records), (4, 2));
}

/// What counts is for how long the node has kept records, over all its processes.
#[test]
fn what_ended_long_ago_by_the_time_that_the_node_ran_is_deleted() {
    let desk = Desk::with(RecordLimits {
        keep_seconds: 3_600,
        ..RecordLimits::default()
    });
    for process in 1..=2 {
        let records = desk.start(process, 1);
        mint(records.recorder(), 6, 2);
        close(records);
    }
    let goes_on_after = |process: u64, ran_ms: u64| {
        let directory = Directory::open(desk.path()).unwrap();
        let mut kept = directory.segments().unwrap();
        let boot = author(process).boot;
        let mut next = recover(&directory, &kept, 0, boot, &|_| Vec::new()).unwrap();
        date(&directory, &mut kept, &next);
        next.kept_ms += ran_ms;
        let found = (next, kept);
        write_to(
            directory,
            &desk.limits,
            1,
            author(process),
            found,
            Arc::new(SystemClock::wall_ms),
            (),
        )
        .unwrap()
    };
    close(goes_on_after(3, 3_000_000));
    assert_eq!(desk.verify().deleted_through, 0);
    close(goes_on_after(4, 3_000_000));
    // The second ended when the third process had begun.
    let report = desk.verify();
    assert_eq!((report.damage.len(), report.deleted_through), (0, 1));
    assert_eq!(report.records_before, 2);
}

/// An auditor of the last hour does not read the last year.
#[test]
fn a_segment_that_ended_before_is_not_read() {
    let desk = Desk::new();
    for process in 1..=2 {
        let records = desk.start(process, 1);
        mint(records.recorder(), 6, 2);
        close(records);
    }
    let mut bytes = fs::read(desk.segment(1)).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    fs::write(desk.segment(1), &bytes).unwrap();
    let in_an_hour = crate::clock::SystemClock::wall_ms() / 1000 + 3_600;
    let since = |since| Filter {
        since: Some(since),
        ..Filter::default()
    };
    let (found, damage) = search(desk.path(), &since(in_an_hour));
    assert_eq!((found, damage), (Vec::new(), Vec::new()));
    let (_, damage) = search(desk.path(), &since(0));
    assert_eq!(damage[0].segment, 1);
    // Nor what was issued later than is sought.
    let until = |until| Filter {
        until: Some(until),
        ..Filter::default()
    };
    let (found, damage) = search(desk.path(), &until(999));
    assert_eq!((found, damage), (Vec::new(), Vec::new()));
    let (_, damage) = search(desk.path(), &until(1_000));
    assert_eq!(damage[0].segment, 1);
}
