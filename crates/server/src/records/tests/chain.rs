//! What was changed afterwards is found, wherever it was changed.

use super::*;
use crate::records::Standing;

/// Closed segments, at least three, small enough to try every byte of.
fn three_segments() -> Desk {
    let desk = Desk::with(RecordLimits {
        segment_bytes: 300,
        ..RecordLimits::default()
    });
    let records = desk.start(1, 1);
    for segment in 1..=2 {
        mint(records.recorder(), segment, 2);
        until("another segment was begun", || {
            fs::exists(desk.segment(segment + 1)).unwrap()
        });
    }
    close(records);
    let whole = desk.verify();
    assert_eq!((whole.damage.len(), whole.records), (0, 4));
    desk
}

/// Every byte of the first three segments, one bit each.
#[test]
fn a_flipped_byte_is_found_wherever_it_is() {
    let desk = three_segments();
    for segment in 1..=3 {
        let path = desk.segment(segment);
        let sound = fs::read(&path).unwrap();
        for (offset, byte) in sound.iter().enumerate() {
            let mut flipped = sound.clone();
            flipped[offset] = byte ^ (1 << (offset % 8));
            fs::write(&path, &flipped).unwrap();
            let damage = desk.verify().damage;
            assert!(!damage.is_empty(), "segment {segment}, byte {offset}");
            assert!(
                damage
                    .iter()
                    .any(|damage| { damage.segment == segment && damage.offset <= offset as u64 }),
                "segment {segment}, byte {offset}: {damage:?}"
            );
            let (_, damage) = search(desk.path(), &Filter::default());
            assert!(!damage.is_empty(), "segment {segment}, byte {offset}");
        }
        fs::write(&path, &sound).unwrap();
    }
    assert_eq!(desk.verify().damage, []);
}

#[test]
fn a_truncated_segment_is_found_and_the_last_one_is_not_closed_then() {
    let desk = three_segments();
    let last = desk.verify().segments.last().unwrap().segment;
    for segment in [1, 2, last] {
        let path = desk.segment(segment);
        let sound = fs::read(&path).unwrap();
        for length in 0..sound.len() {
            fs::write(&path, &sound[..length]).unwrap();
            let report = desk.verify();
            if segment < last {
                let damage = report.damage.iter();
                let here = damage.filter(|damage| damage.segment == segment).count();
                assert!(here > 0, "segment {segment}, {length} bytes");
            } else if report.damage.is_empty() {
                let standing = report.segments.last().unwrap().standing;
                assert!(matches!(standing, Standing::Open { .. }), "{length} bytes");
            }
        }
        fs::write(&path, &sound).unwrap();
    }
    assert_eq!(desk.verify().damage, []);
}

#[test]
fn bytes_behind_an_end_are_found() {
    let desk = three_segments();
    let last = desk.verify().segments.last().unwrap().segment;
    for segment in [1, last] {
        let path = desk.segment(segment);
        let sound = fs::read(&path).unwrap();
        fs::write(&path, [&sound[..], b"more"].concat()).unwrap();
        let damage = desk.verify().damage;
        assert_eq!(damage[0].segment, segment, "{damage:?}");
        assert_eq!(damage[0].offset, sound.len() as u64);
        fs::write(&path, &sound).unwrap();
    }
}

#[test]
fn a_missing_segment_is_found_the_last_one_too() {
    let desk = three_segments();
    let last = desk.verify().segments.last().unwrap().segment;
    for segment in [1, 2, last] {
        let path = desk.segment(segment);
        let sound = fs::read(&path).unwrap();
        fs::remove_file(&path).unwrap();
        let damage = desk.verify().damage;
        assert!(!damage.is_empty(), "segment {segment}");
        fs::write(&path, &sound).unwrap();
    }
    // Two that change places are no chain either.
    let (first, second) = (desk.segment(1), desk.segment(2));
    let (one, two) = (fs::read(&first).unwrap(), fs::read(&second).unwrap());
    fs::write(&first, two).unwrap();
    fs::write(&second, one).unwrap();
    assert!(!desk.verify().damage.is_empty());
}

/// A segment of another chain does not fit in, though it is sound in itself.
#[test]
fn a_segment_of_another_chain_is_found() {
    let (desk, other) = (three_segments(), three_segments());
    fs::copy(other.segment(2), desk.segment(2)).unwrap();
    assert!(!desk.verify().damage.is_empty());
}

/// Files of two nodes in one directory: whoever looks is told so, whatever they look for.
#[test]
fn the_files_of_two_nodes_are_told_apart() {
    let desk = three_segments();
    let another = Author {
        node: NodeNumber(4),
        ..author(1)
    };
    let other = Desk::new();
    for process in 1..=2 {
        let author = Author { process, ..another };
        close(other.start_as(author, 1, &|_| Vec::new()));
    }
    fs::copy(other.segment(2), desk.segment(2)).unwrap();
    let (_, by_find) = search(desk.path(), &Filter::default());
    for damage in [desk.verify().damage, by_find] {
        let told = |damage: &Damage| damage.what.contains("it is node 4's, and those before");
        assert!(damage.iter().any(told), "{damage:?}");
    }
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let desk = three_segments();
    fs::remove_file(desk.segment(2)).unwrap();
    fs::create_dir(desk.segment(2)).unwrap();
    let error = verify(desk.path()).unwrap_err().to_string();
    assert!(error.contains("00000000000000000002.seg"), "{error}");
}

/// While nobody has started the node, only a start can tell a loss of power from damage.
#[test]
fn an_open_segment_that_does_not_hold_leads_to_a_start() {
    let desk = Desk::new();
    let records = desk.start(1, 1);
    mint(records.recorder(), 6, 3);
    until("they were in the file", || desk.verify().records == 3);
    let killed = desk.copy();
    close(records);
    let mut bytes = fs::read(killed.segment(1)).unwrap();
    bytes[300] ^= 1;
    fs::write(killed.segment(1), &bytes).unwrap();
    let damage = killed.verify().damage;
    assert!(damage[0].what.contains("start the node"), "{damage:?}");
}
