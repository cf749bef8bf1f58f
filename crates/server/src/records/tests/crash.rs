//! A process that ended without a word: the next one says what may be missing.

use super::{disk_faults::node_on, faulty_disk::Faults, *};
use std::sync::atomic::Ordering;

use crate::records::{
    Cause, Standing,
    behind::synced_by_marks_behind,
    read::SegmentReader,
    writer::{BATCH_RECORDS, UNSYNCED_RECORDS},
};

/// What a running node has on its disk, once what it minted is there.
fn killed(minted: u64) -> Desk {
    let desk = Desk::new();
    let records = desk.start(1, 1);
    mint(records.recorder(), 6, minted);
    until("the records were in the file", || {
        fs::exists(desk.segment(1)).unwrap() && desk.verify().records == minted
    });
    let killed = desk.copy();
    close(records);
    killed
}

/// Wherever the write under way was cut off.
#[test]
fn a_restart_records_a_gap_that_names_the_issuer() {
    let killed = killed(3);
    let whole = fs::read(killed.segment(1)).unwrap();
    let reader = SegmentReader::open(killed.path(), 1, u64::MAX).unwrap();
    let header = usize::try_from(reader.offset()).unwrap();
    for length in (header..=whole.len()).step_by(5) {
        let desk = killed.copy();
        fs::write(desk.segment(1), &whole[..length]).unwrap();
        let before = desk.verify();
        assert!(matches!(before.segments[0].standing, Standing::Open { .. }));
        let opened = |process| {
            assert_eq!(process, Some(1));
            vec![ISSUER, IssuerNumber(9)]
        };
        let again = desk.start_after(2, 1, &opened);
        let minted = mint(again.recorder(), 6, 2);
        close(again);

        let report = desk.verify();
        assert_eq!(report.damage, [], "{length} bytes");
        assert_eq!(report.records, before.records + 2);
        assert_eq!(report.segments[0].standing, Standing::Cut);
        let [(segment, gap)] = &report.gaps[..] else {
            panic!("{length} bytes: {:?}", report.gaps);
        };
        assert_eq!((*segment, gap.cause), (2, Cause::Crash));
        assert_eq!(gap.issuers, [ISSUER, IssuerNumber(9)]);
        assert!(gap.records >= desk.limits.waiting && !gap.is_exact());
        assert!(gap.from_ms <= gap.to_ms && gap.from_ms > 0);
        let torn = match before.segments[0].standing {
            Standing::Open { torn_bytes } => torn_bytes,
            _ => 0,
        };
        assert_eq!(gap.torn_bytes, torn);
        let found = desk.find(&Filter::default());
        assert_eq!(found.len() as u64, before.records + 2);
        assert_eq!(found.last().unwrap().id, minted[1]);
    }
}

#[test]
fn a_restart_after_a_clean_stop_has_no_gap() {
    let desk = Desk::new();
    for process in 1..=3 {
        let records = desk.start(process, 1);
        mint(records.recorder(), 6, 2);
        close(records);
    }
    let report = desk.verify();
    assert_eq!((report.records, report.segments.len()), (6, 3));
    assert_eq!((report.gaps, report.damage), (Vec::new(), Vec::new()));
}

/// The machine lost power, and its disk left zeros where it did not come to write.
#[test]
fn zeros_at_the_end_are_a_loss_of_power() {
    let desk = killed(3);
    let whole = fs::read(desk.segment(1)).unwrap();
    fs::write(desk.segment(1), [&whole[..], &[0; 5_000]].concat()).unwrap();
    let changed = desk.copy();
    close(desk.start_after_power_loss(2));
    let report = desk.verify();
    assert_eq!(report.damage, []);
    assert_eq!(report.gaps[0].1.cause, Cause::PowerLoss);
    assert_eq!(report.gaps[0].1.torn_bytes, 5_000);
    assert_eq!(report.gaps[0].1.issuers, [ISSUER], "as its records say");

    // A machine that has run on since forgets nothing: the volume went away, and came
    // back without it.
    close(changed.start(2, 1));
    let report = changed.verify();
    assert_eq!(report.damage, []);
    assert_eq!(report.gaps[0].1.cause, Cause::VolumeLoss);
    assert_eq!(report.gaps[0].1.torn_bytes, 5_000);
}

/// Bytes of a segment's middle that the disk did not come to write.
fn with_a_hole(killed: &Desk, at: usize) -> Desk {
    let desk = killed.copy();
    let mut bytes = fs::read(desk.segment(1)).unwrap();
    bytes[at..at + 40].fill(0);
    fs::write(desk.segment(1), &bytes).unwrap();
    desk
}

/// Killed before anything was synced, with more minted than may have waited.
fn killed_unsynced(desk: &Desk, minted: u64) -> Desk {
    let faults = Faults::none();
    faults.unsynced.store(true, Ordering::SeqCst);
    let records = node_on(desk, &faults);
    for agent in 0..minted / 100 {
        mint(records.recorder(), agent, 100);
        let recorder = records.recorder();
        until("the lanes were empty", || recorder.waiting() == 0);
    }
    until("the records were in the file", || {
        desk.verify().records == minted
    });
    let killed = desk.copy();
    faults.unsynced.store(false, Ordering::SeqCst);
    close(records);
    killed
}

/// Whichever way what was not synced is lost: the machine went down, or the volume did
/// under a machine that ran on, and came back with holes, or with a file that ends early.
#[test]
fn what_was_not_synced_lies_within_the_gap_however_it_was_lost() {
    const MINTED: u64 = 8_000;
    const WAITING: u64 = 1_024;
    let desk = Desk::with(RecordLimits {
        waiting: WAITING,
        ..RecordLimits::default()
    });
    let killed = killed_unsynced(&desk, MINTED);
    let whole = fs::read(killed.segment(1)).unwrap();
    let reader = SegmentReader::open(killed.path(), 1, u64::MAX).unwrap();
    let header = usize::try_from(reader.offset()).unwrap();
    let truncated = &whole[..header + 50];
    let mut empty = whole.clone();
    empty[header..header + 2_048].fill(0);
    let lost: [(&[u8], bool, Cause); 4] = [
        (truncated, false, Cause::Crash),
        (truncated, true, Cause::PowerLoss),
        (&empty, false, Cause::VolumeLoss),
        (&empty, true, Cause::PowerLoss),
    ];
    for (left, went_down, cause) in lost {
        let desk = killed.copy();
        fs::write(desk.segment(1), left).unwrap();
        if went_down {
            close(desk.start_after_power_loss(2));
        } else {
            close(desk.start(2, 1));
        }
        let report = desk.verify();
        assert_eq!(report.damage, [], "{cause:?}");
        let [(_, gap)] = &report.gaps[..] else {
            panic!("{cause:?}: {:?}", report.gaps);
        };
        assert_eq!((gap.cause, gap.is_exact()), (cause, false));
        let missing = MINTED - report.records;
        assert!(missing > WAITING + BATCH_RECORDS, "more than ever wait");
        assert!(gap.records >= missing, "{missing} are missing: {gap:?}");
        let room = WAITING + BATCH_RECORDS + UNSYNCED_RECORDS;
        assert!(gap.records <= room, "{gap:?}");
    }
}

/// The machine lost power: of what was not synced any part may be there.
#[test]
fn a_hole_in_what_was_not_synced_is_a_gap_and_counts_it() {
    const MINTED: u64 = 400;
    let killed = killed_unsynced(&Desk::new(), MINTED);
    let header = SegmentReader::open(killed.path(), 1, u64::MAX).unwrap();
    let (header, length) = (header.offset(), header.file_bytes());
    for at in [header, header + 9, (header + length) / 2, length - 45] {
        let hole = with_a_hole(&killed, usize::try_from(at).unwrap());
        let before = hole.copy();
        close(hole.start_after_power_loss(2));
        let report = hole.verify();
        assert_eq!(report.damage, [], "a hole at {at}");
        assert_eq!(report.segments[0].standing, Standing::Cut);
        let [(_, gap)] = &report.gaps[..] else {
            panic!("a hole at {at}: {:?}", report.gaps);
        };
        assert_eq!((gap.cause, gap.is_exact()), (Cause::PowerLoss, false));
        assert!(MINTED - report.records <= gap.records);
        assert!(at > header || report.records == 0);
        assert!(gap.torn_bytes >= 40);
        // Of a machine that ran on nothing loses a part of a sector: somebody changed it.
        close(before.start(2, 1));
        assert_eq!(before.verify().gaps[0].1.cause, Cause::Damage);
    }
}

/// What a mark says was safe was safe, whatever happened to the machine since.
#[test]
fn a_hole_in_what_was_synced_is_damage() {
    let desk = Desk::new();
    let records = desk.start(1, 1);
    mint(records.recorder(), 6, 100);
    let synced = || synced_by_marks_behind(desk.path(), 1, 1, 0).unwrap();
    until("a mark said that they were safe", || {
        synced() > 100 * 100 && desk.verify().records == 100
    });
    let safe = usize::try_from(synced()).unwrap();
    let killed = desk.copy();
    close(records);
    for at in [300, safe / 2, safe - 45] {
        let hole = with_a_hole(&killed, at);
        close(hole.start_after_power_loss(2));
        let report = hole.verify();
        assert_eq!(report.gaps[0].1.cause, Cause::Damage, "a hole at {at}");
        assert_eq!(report.damage[0].segment, 1, "a hole at {at}");
    }
    // Whole sectors of it are no exception, on a machine that ran on.
    let desk = killed.copy();
    let mut bytes = fs::read(desk.segment(1)).unwrap();
    bytes[512..2_048].fill(0);
    fs::write(desk.segment(1), &bytes).unwrap();
    close(desk.start(2, 1));
    assert_eq!(desk.verify().gaps[0].1.cause, Cause::Damage);
}

/// Somebody took the whole directory away, or it was lost with its name.
#[test]
fn a_node_that_had_issuers_and_has_no_records_begins_with_a_gap() {
    let desk = Desk::new();
    let opened = |process| {
        assert_eq!(process, None, "whichever it was");
        vec![IssuerNumber(9), ISSUER]
    };
    close(desk.start_after(2, 1, &opened));
    let report = desk.verify();
    assert_eq!(report.damage, []);
    let [(segment, gap)] = &report.gaps[..] else {
        panic!("{:?}", report.gaps);
    };
    assert_eq!((*segment, gap.cause), (1, Cause::Absent));
    assert_eq!(gap.issuers, [ISSUER, IssuerNumber(9)]);
    assert!(!gap.is_exact() && gap.to_ms > 0);
    // It is said once.
    close(desk.start_after(3, 1, &|_| vec![ISSUER]));
    assert_eq!(desk.verify().gaps.len(), 1);
}

/// Whoever flips a byte while the node is down has not made it a gap.
#[test]
fn damage_that_a_start_finds_stays_damage() {
    let desk = killed(3);
    let mut bytes = fs::read(desk.segment(1)).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(desk.segment(1), &bytes).unwrap();
    close(desk.start(2, 1));
    let report = desk.verify();
    assert_eq!(report.gaps[0].1.cause, Cause::Damage);
    assert_eq!(report.damage[0].segment, 1, "{:?}", report.damage);
    assert_eq!(
        fs::read(desk.segment(1)).unwrap(),
        bytes,
        "nothing is destroyed"
    );

    // Neither has who destroys its beginning. Whose process it was is not known then.
    let desk = killed(3);
    fs::write(desk.segment(1), b"gone").unwrap();
    let opened = |process| {
        assert_eq!(process, None);
        vec![ISSUER]
    };
    close(desk.start_after(2, 1, &opened));
    assert_eq!(desk.verify().gaps[0].1.issuers, [ISSUER]);
    let damage = desk.verify().damage;
    assert!(
        damage.iter().any(|damage| damage.segment == 1),
        "{damage:?}"
    );
}
