//! Wall clocks that stand wrong, and are set right: nothing is deleted, hidden, or told
//! of another time for that.

use std::{
    sync::{Arc, atomic::AtomicU64},
    time::SystemTime,
};

use super::*;
use crate::{clock::SystemClock, records::start::start_by};

const TEN_YEARS: Duration = Duration::from_secs(10 * 366 * 86_400);
const TEN_YEARS_MS: u64 = 10 * 366 * 86_400_000;

/// A wall clock, to be set.
#[derive(Clone)]
struct Wall(Arc<AtomicU64>);

impl Wall {
    fn at(ms: u64) -> Self {
        Self(Arc::new(AtomicU64::new(ms)))
    }

    fn right() -> Self {
        Self::at(SystemClock::wall_ms())
    }

    fn set(&self, ms: u64) {
        self.0.store(ms, Ordering::SeqCst);
    }

    fn ms(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }
}

/// A process of the node on a machine whose clock is `wall`.
fn process_by(desk: &Desk, process: u64, wall: &Wall) -> Records {
    let clock = wall.clone();
    let records = start_by(
        desk.path(),
        &desk.limits,
        1,
        author(process),
        &|_| Vec::new(),
        Arc::new(move || clock.ms()),
        (),
    )
    .unwrap();
    until("its first segment was begun", || {
        !records.recorder().is_full()
    });
    records
}

/// Mints as a node does: by its own clock.
fn mint_by(wall: &Wall, records: &Records, count: u64) -> Vec<TokenId> {
    let mut ids = Vec::new();
    for _ in 0..count {
        let record = issued(6, wall.ms() / 1_000);
        ids.push(record.id);
        records
            .recorder()
            .record(record, WhenBehind::Refuse)
            .unwrap();
    }
    let recorder = records.recorder();
    until("the lanes were empty", || recorder.waiting() == 0);
    ids
}

/// How far the last segment says that it is complete.
fn complete_until_ms(desk: &Desk) -> u64 {
    desk.verify().segments.last().unwrap().as_of_ms
}

/// Whose clock stands ten years ahead after a repair, or jumps there while the node runs,
/// has lost nothing; nor has who sets it right.
#[test]
fn a_wall_clock_that_stands_wrong_deletes_nothing() {
    let desk = Desk::with(RecordLimits {
        keep_seconds: 3_600,
        segment_bytes: 2_000,
        ..RecordLimits::default()
    });
    let right = SystemClock::wall_ms();
    let clocks = [right, right + TEN_YEARS_MS, right, 0, right];
    for (process, begins) in (1..).zip(clocks) {
        let wall = Wall::at(begins);
        let records = process_by(&desk, process, &wall);
        for jumps_to in [begins, right + TEN_YEARS_MS, right] {
            wall.set(jumps_to);
            let last = || desk.verify().segments.last().unwrap().segment;
            let before = last();
            mint_by(&wall, &records, 30);
            until("another segment was begun", || last() > before);
        }
        close(records);
        // As far as files go, all of it is ten years old, too.
        let then = SystemTime::now() - TEN_YEARS;
        for segment in desk.verify().segments {
            let path = desk.segment(segment.segment);
            let file = fs::File::options().write(true).open(path).unwrap();
            file.set_modified(then).unwrap();
        }
    }
    let report = desk.verify();
    assert_eq!((report.damage, report.deleted_through), (Vec::new(), 0));
    assert_eq!(report.records, 5 * 3 * 30);
    assert_eq!(report.gaps, []);
}

/// The clock went back to 1970 behind yesterday's mints: an auditor finds them.
#[test]
fn a_clock_that_was_set_back_hides_no_mint() {
    let desk = Desk::new();
    let (right, nineteen_seventy) = (Wall::right(), Wall::at(0));
    let mut minted = Vec::new();
    for (process, wall) in [(1, &right), (2, &nineteen_seventy)] {
        let records = process_by(&desk, process, wall);
        minted.push(mint_by(wall, &records, 3));
        close(records);
    }
    let since = |since| Filter {
        since: Some(since),
        ..Filter::default()
    };
    let found = |filter: &Filter| -> Vec<_> {
        let found = desk.find(filter);
        found.iter().map(|found| found.id).collect()
    };
    let an_hour_before = right.ms() / 1_000 - 3_600;
    assert_eq!(found(&since(an_hour_before)), minted[0]);
    // And those that the wrong clock stamped are found where it stamped them.
    let until = Filter {
        until: Some(3_600),
        ..Filter::default()
    };
    assert_eq!(found(&until), minted[1]);
}

/// Killed with a clock that stood ten years ahead, and set right before the next start:
/// what is missing was handed over before now.
#[test]
fn a_gap_behind_a_clock_that_stood_ahead_begins_before_now() {
    let desk = Desk::new();
    let right = SystemClock::wall_ms();
    let wall = Wall::at(right);
    let records = process_by(&desk, 1, &wall);
    mint_by(&wall, &records, 3);
    until("they were in the file", || desk.verify().records == 3);
    wall.set(right + TEN_YEARS_MS);
    until("the clock's jump was in the file", || {
        complete_until_ms(&desk) == right + TEN_YEARS_MS
    });
    let killed = desk.copy();
    close(records);
    let now = right + 60_000;
    close(process_by(&killed, 2, &Wall::at(now)));
    let report = killed.verify();
    let [(_, gap)] = &report.gaps[..] else {
        panic!("{:?}", report.gaps);
    };
    // The last that was written by the right clock, and as far as either went.
    assert_eq!(gap.from_ms, right);
    assert_eq!(gap.to_ms, right + TEN_YEARS_MS);

    // When it stood ahead all the time, nothing bounds it from below.
    let desk = Desk::new();
    let ahead = Wall::at(right + TEN_YEARS_MS);
    let records = process_by(&desk, 1, &ahead);
    let killed = desk.copy();
    close(records);
    close(process_by(&killed, 2, &Wall::at(now)));
    let gap = &killed.verify().gaps[0].1;
    assert!(gap.from_ms <= now, "{gap:?}");
    assert!(gap.to_ms >= now, "{gap:?}");
}

/// Set right while the node runs and mints nothing: what it writes from there on is of
/// the right time, and so is the gap after a crash.
#[test]
fn a_clock_that_is_set_back_under_a_node_is_followed() {
    let desk = Desk::new();
    let right = SystemClock::wall_ms();
    let wall = Wall::at(right + TEN_YEARS_MS);
    let records = process_by(&desk, 1, &wall);
    mint_by(&wall, &records, 3);
    until("they were in the file", || desk.verify().records == 3);
    wall.set(right);
    until("the file was complete up to now", || {
        complete_until_ms(&desk) == right
    });
    let killed = desk.copy();
    close(records);
    close(process_by(&killed, 2, &Wall::at(right + 1_000)));
    let gap = &killed.verify().gaps[0].1;
    assert_eq!((gap.from_ms, gap.to_ms), (right, right + 1_000));
}
