//! A process that ended without a word: the next one says what may be missing.

use super::*;
use crate::records::{Cause, Standing, read::SegmentReader};

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
            assert_eq!(process, 1);
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
fn zeros_at_the_end_are_a_crash() {
    let desk = killed(3);
    let whole = fs::read(desk.segment(1)).unwrap();
    fs::write(desk.segment(1), [&whole[..], &[0; 5_000]].concat()).unwrap();
    close(desk.start(2, 1));
    let report = desk.verify();
    assert_eq!(report.damage, []);
    assert_eq!(report.gaps[0].1.cause, Cause::Crash);
    assert_eq!(report.gaps[0].1.torn_bytes, 5_000);
    assert_eq!(report.gaps[0].1.issuers, [ISSUER], "as its records say");
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

    // Neither has who destroys its beginning.
    let desk = killed(3);
    fs::write(desk.segment(1), b"gone").unwrap();
    close(desk.start(2, 1));
    let damage = desk.verify().damage;
    assert!(
        damage.iter().any(|damage| damage.segment == 1),
        "{damage:?}"
    );
}
