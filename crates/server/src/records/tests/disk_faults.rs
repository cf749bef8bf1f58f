//! A disk that takes no more: what mints do then, and that nothing is lost when it
//! does again.

use std::sync::{Arc, atomic::Ordering};

use super::{
    faulty_disk::{Faults, FaultyDisk},
    *,
};
use crate::{
    clock::SystemClock,
    records::{Cause, disk::Directory, recover::Next, start::write_to, writer::BATCH_RECORDS},
};

const WAITING: u64 = 1_024;
/// Enough for all that can be owed: a batch that was taken and not written, which has
/// a mebibyte at most, and what waits behind it.
const ROOM_FOR_ALL: u64 = 4 << 20;

pub(super) fn node_on(desk: &Desk, faults: &Arc<Faults>) -> Records {
    let disk = FaultyDisk {
        directory: Directory::open(desk.path()).unwrap(),
        faults: faults.clone(),
    };
    let beginning = Next {
        number: 1,
        ..Next::default()
    };
    write_to(
        disk,
        &desk.limits,
        2,
        author(1),
        (beginning, Vec::new()),
        Arc::new(SystemClock::wall_ms),
        (),
    )
    .unwrap()
}

fn desk() -> Desk {
    Desk::with(RecordLimits {
        waiting: WAITING,
        ..RecordLimits::default()
    })
}

fn is_behind(records: &Records) -> bool {
    records.recorder().is_behind(SystemClock::boot())
}

/// Mints until there is no room. Gives how many were recorded.
fn mint_until_refused(recorder: &Recorder) -> u64 {
    let mut minted = 0;
    while recorder
        .record(issued(1, 1_000), WhenBehind::Refuse)
        .is_ok()
    {
        minted += 1;
    }
    minted
}

#[test]
fn a_full_disk_refuses_mints_and_loses_none() {
    let (desk, faults) = (desk(), Faults::none());
    let records = node_on(&desk, &faults);
    let recorder = records.recorder().clone();
    let mut minted = mint(&recorder, 1, 50).len() as u64;
    until("they were written", || {
        fs::exists(desk.segment(1)).unwrap() && desk.verify().records == 50
    });
    assert!(!is_behind(&records));

    // A frame is cut off within, and then nothing fits.
    faults.room.store(333, Ordering::SeqCst);
    minted += mint_until_refused(&recorder);
    until("the node was behind", || is_behind(&records));
    // The writer has what it could not write, and takes nothing more from the lanes.
    until("a write was refused", || {
        faults.refused.load(Ordering::SeqCst) > 0
    });
    minted += mint_until_refused(&recorder);
    assert_eq!(recorder.waiting(), recorder.room(), "what waits is bounded");
    assert!(recorder.is_full());

    faults.room.store(u64::MAX, Ordering::SeqCst);
    until("it was not behind any more", || !is_behind(&records));
    minted += mint(&recorder, 1, 50).len() as u64;
    close(records);
    let report = desk.verify();
    assert_eq!((report.damage, report.gaps), (Vec::new(), Vec::new()));
    assert_eq!(report.records, minted, "each token has its record");
}

#[test]
fn a_full_disk_drops_records_and_counts_each() {
    let (desk, faults) = (desk(), Faults::none());
    let records = node_on(&desk, &faults);
    let recorder = records.recorder().clone();
    let mut minted = 0_u64;
    until_it_may_drop(&recorder);
    faults.room.store(1_000, Ordering::SeqCst);
    for _ in 0..10 * WAITING {
        recorder.record(issued(1, 1_000), WhenBehind::Drop).unwrap();
        minted += 1;
    }
    until("the node was behind", || is_behind(&records));
    faults.room.store(u64::MAX, Ordering::SeqCst);
    until("it was not behind any more", || !is_behind(&records));
    minted += mint(&recorder, 1, 50).len() as u64;
    close(records);

    let report = desk.verify();
    assert_eq!(report.damage, []);
    let dropped: u64 = report.gaps.iter().map(|(_, gap)| gap.records).sum();
    assert!(dropped > 0);
    assert_eq!(
        report.records + dropped,
        minted,
        "each is there, or counted"
    );
    for (_, gap) in &report.gaps {
        assert_eq!((gap.cause, gap.is_exact()), (Cause::Dropped, true));
        assert_eq!(gap.issuers, [ISSUER]);
    }
}

/// What may be missing stands in the file before it is missing.
fn until_it_may_drop(recorder: &Recorder) {
    until("its first segment was begun", || !recorder.is_full());
    assert!(!recorder.may_drop(), "nobody has asked for it");
    recorder.expect_drops();
    until("records may be dropped", || recorder.may_drop());
}

/// The counts of what was dropped lie in memory while nothing can be written: the file
/// says beforehand how many that can be.
#[test]
fn after_a_kill_what_was_dropped_lies_within_the_gap_too() {
    const UNCOUNTED: u64 = 15_000;
    let (mut desk, faults) = (desk(), Faults::none());
    desk.limits.uncounted = UNCOUNTED;
    let records = node_on(&desk, &faults);
    let recorder = records.recorder().clone();
    until_it_may_drop(&recorder);
    faults.room.store(0, Ordering::SeqCst);
    let mut given = 0_u64;
    while recorder.record(issued(1, 1_000), WhenBehind::Drop).is_ok() {
        given += 1;
    }
    assert!(given >= UNCOUNTED, "{given}");
    let killed = desk.copy();
    close(killed.start(2, 1));
    let report = killed.verify();
    assert_eq!(report.damage, []);
    let [(_, gap)] = &report.gaps[..] else {
        panic!("{:?}", report.gaps);
    };
    assert_eq!((gap.cause, gap.is_exact()), (Cause::Crash, false));
    let missing = given - report.records;
    assert!(missing <= gap.records, "{missing} are missing: {gap:?}");
    // What is dropped at all is bounded by what may be.
    assert!(missing >= UNCOUNTED, "{missing}");

    // Once each is counted, as many more may be.
    faults.room.store(u64::MAX, Ordering::SeqCst);
    until("records may be dropped again", || recorder.may_drop());
    close(records);
    let report = desk.verify();
    assert_eq!(report.damage, []);
    let dropped: u64 = report.gaps.iter().map(|(_, gap)| gap.records).sum();
    assert_eq!(report.records + dropped, given);
}

/// A disk that is full when the node starts, and when a segment ends.
#[test]
fn a_segment_that_cannot_be_begun_is_begun_later() {
    let faults = Faults::none();
    let desk = Desk::with(RecordLimits {
        segment_bytes: 1,
        ..desk().limits
    });
    faults.room.store(10, Ordering::SeqCst);
    let records = node_on(&desk, &faults);
    let recorder = records.recorder().clone();
    // Nothing could say of a crash now that records are missing.
    let mut minted = mint_until_refused(&recorder);
    assert_eq!(minted, 0);
    until("the node was behind", || is_behind(&records));
    for _ in 0..3 {
        faults.room.store(ROOM_FOR_ALL, Ordering::SeqCst);
        until("there was room again", || !recorder.is_full());
        faults.room.store(0, Ordering::SeqCst);
        minted += mint_until_refused(&recorder);
        until("the node was behind", || is_behind(&records));
    }
    faults.room.store(u64::MAX, Ordering::SeqCst);
    close(records);
    let report = desk.verify();
    assert_eq!((report.damage, report.gaps), (Vec::new(), Vec::new()));
    assert_eq!(report.records, minted);
    assert!(report.segments.len() > 1);
}

/// What a failed sync lost is written again.
#[test]
fn a_disk_that_forgets_what_it_did_not_sync_loses_nothing() {
    let (desk, faults) = (desk(), Faults::none());
    let records = node_on(&desk, &faults);
    let recorder = records.recorder().clone();
    mint(&recorder, 1, 100);
    faults.forgets.store(true, Ordering::SeqCst);
    until("it forgot", || faults.forgot.load(Ordering::SeqCst) > 0);
    mint(&recorder, 1, 100);
    faults.forgets.store(false, Ordering::SeqCst);
    close(records);
    let report = desk.verify();
    assert_eq!((report.damage, report.gaps), (Vec::new(), Vec::new()));
    assert_eq!(report.records, 200);
}

/// A node on a full disk stops all the same; its next start says what is missing.
#[test]
fn a_stop_does_not_wait_for_ever_for_room() {
    let (desk, faults) = (desk(), Faults::none());
    let records = node_on(&desk, &faults);
    let recorder = records.recorder().clone();
    mint(&recorder, 1, 10);
    until("they were written", || {
        fs::exists(desk.segment(1)).unwrap() && desk.verify().records == 10
    });
    faults.room.store(0, Ordering::SeqCst);
    mint(&recorder, 1, 7);
    close(records);
    close(desk.start(2, 1));
    let report = desk.verify();
    assert_eq!((report.damage.len(), report.records), (0, 10));
    let [(_, gap)] = &report.gaps[..] else {
        panic!("{:?}", report.gaps);
    };
    assert_eq!((gap.cause, &gap.issuers[..]), (Cause::Crash, &[ISSUER][..]));
    assert!(gap.records >= 7);
}

/// A disk that fails in every pass, and takes what it refused in the next: segments end
/// and are synced all the same.
#[test]
fn a_disk_that_takes_everything_only_when_asked_again_has_small_segments() {
    const SEGMENT_BYTES: u64 = 64 << 10;
    const MINTED: u64 = 40 * WAITING;
    let (mut desk, faults) = (desk(), Faults::none());
    desk.limits.segment_bytes = SEGMENT_BYTES;
    let records = node_on(&desk, &faults);
    let recorder = records.recorder().clone();
    until("its first segment was begun", || !recorder.is_full());
    faults.reluctant.store(true, Ordering::SeqCst);
    mint(&recorder, 1, MINTED);
    faults.reluctant.store(false, Ordering::SeqCst);
    close(records);
    let report = desk.verify();
    assert_eq!((report.damage, report.gaps), (Vec::new(), Vec::new()));
    assert_eq!(report.records, MINTED);
    // What is taken at once, with its frame and names.
    let batch = BATCH_RECORDS * 110;
    for segment in &report.segments {
        assert!(segment.bytes <= SEGMENT_BYTES + batch, "{segment:?}");
    }
}
