//! Fuzz targets for what stands in a file of records (`chancery-fuzzing` says what one
//! is): whole, and payload by payload, which no hash keeps from the parsers here.

use std::fmt::Debug;

use super::{
    Gap,
    format::{
        Chain, Close, Kind, Mark, NameKind, Names, RECORD_BYTES, Record, SegmentHeader,
        segment_number, segment_path,
    },
    read::{SegmentReader, Step},
};

/// The number of every segment here.
const SEGMENT: u64 = 1;

/// What is understood has one form.
fn is_kept<T: PartialEq + Debug>(
    input: &[u8],
    read: Option<T>,
    write: impl Fn(&T) -> Vec<u8>,
) -> bool {
    let Some(understood) = read else {
        return false;
    };
    assert_eq!(write(&understood), input, "{understood:?}");
    true
}

/// The first frame's payload.
pub fn segment_header(input: &[u8]) -> bool {
    let header = SegmentHeader::decode(input).ok();
    is_kept(input, header, SegmentHeader::encode)
}

/// A mark, which can be told by itself.
pub fn segment_mark(input: &[u8]) -> bool {
    let mark = Mark::decode(input).ok();
    assert!(mark.is_none() || Mark::at(input) == mark);
    is_kept(input, mark, Mark::encode)
}

/// A gap.
pub fn segment_gap(input: &[u8]) -> bool {
    is_kept(input, Gap::decode(input).ok(), Gap::encode)
}

/// The last frame's payload.
pub fn segment_close(input: &[u8]) -> bool {
    is_kept(input, Close::decode(input).ok(), Close::encode)
}

/// One record. What a later build may say in its last bits is passed over.
pub fn segment_record(input: &[u8]) -> bool {
    let Some(record) = Record::decode(input) else {
        return false;
    };
    let mut written = Vec::new();
    record.encode(&mut written);
    assert_eq!(written.len(), RECORD_BYTES);
    assert_eq!(Record::decode(&written), Some(record));
    assert!(!record.is_named(&Names::default()), "it has a subject");
    true
}

/// Names, of which each is of one kind.
pub fn segment_names(input: &[u8]) -> bool {
    let mut names = Names::default();
    if names.add(input).is_err() {
        return false;
    }
    let kinds = |number| {
        let is = |kind: &NameKind| names.is(*kind, number);
        NameKind::ALL.into_iter().filter(is).collect::<Vec<_>>()
    };
    let mut number = 1;
    while let [kind] = kinds(number)[..] {
        let (key, tokens) = (names.key(number), names.tokens(number));
        let is_read = match kind {
            NameKind::Key => key.is_some() && tokens.is_none(),
            NameKind::Tokens => tokens.is_some() && key.is_none(),
            NameKind::List => key.is_none() && tokens.is_none(),
            text => names.text(text, number).is_some(),
        };
        assert!(is_read, "name {number}, {kind:?}");
        number += 1;
    }
    assert_eq!(kinds(number), [], "a name of two kinds");
    true
}

/// A whole segment: nothing that is understood is torn, or has a record without names.
pub fn segment(input: &[u8]) -> bool {
    is_whole(input)
}

/// The frames of a segment, without hashes: kind, length (2 bytes), payload. Whatever
/// they hold, they are sealed here, so that what is behind the hashes is tried, too.
pub fn segment_frames(input: &[u8]) -> bool {
    let (mut chain, mut sealed) = (Chain::START, Vec::new());
    let mut rest = input;
    while let Some(([kind, high, low], behind)) = rest.split_first_chunk() {
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        let (Some(kind), Some((payload, behind))) =
            (Kind::of(*kind), behind.split_at_checked(length))
        else {
            return false;
        };
        chain.append(kind, payload, &mut sealed);
        rest = behind;
    }
    rest.is_empty() && is_whole(&sealed)
}

fn is_whole(bytes: &[u8]) -> bool {
    let length = bytes.len() as u64;
    let Ok(mut reader) = SegmentReader::begin(bytes, length, SEGMENT, u64::MAX) else {
        return false;
    };
    let mut records = 0;
    loop {
        match reader.step().unwrap() {
            Step::Records => {
                let named = |record: Record| record.is_named(reader.names());
                assert!(reader.records().all(named));
                records += reader.records().count() as u64;
            }
            Step::Gap(_) | Step::Deleted(_) | Step::Passed => {}
            Step::End => break,
            Step::Torn | Step::Damaged(_) => return false,
        }
    }
    assert_eq!(reader.end().length, length);
    assert_eq!(reader.records_read(), records);
    let closed = reader.closed();
    assert!(closed.is_none_or(|close| close.records == records));
    true
}

/// The name of a segment's file.
pub fn segment_file_name(input: &[u8]) -> bool {
    let Ok(name) = std::str::from_utf8(input) else {
        return false;
    };
    let Some(number) = segment_number(name) else {
        return false;
    };
    let path = segment_path("records".as_ref(), number);
    assert_eq!(path.file_name(), Some(name.as_ref()));
    true
}

#[cfg(test)]
mod tests {
    chancery_fuzzing::exercise! {
        segment_header,
        segment_mark,
        segment_gap,
        segment_close,
        segment_record,
        segment_names,
        segment,
        segment_frames,
        segment_file_name,
    }
}

#[cfg(test)]
mod corpus {
    use std::{io, sync::Arc};

    use chancery_credential::{IssuerNumber, Lineage, NodeNumber, TokenId};
    use chancery_fuzzing::keep;

    use super::*;
    use crate::records::{
        Cause, Issued,
        disk::SegmentFile,
        format::{Ending, Former, MARK_BYTES, frame_bytes},
        segment::{Beginning, Segment},
        tests::issued,
    };

    /// What is appended stays in memory.
    struct Nowhere;

    impl SegmentFile for Nowhere {
        fn write_at(&self, bytes: &[u8], _offset: u64) -> io::Result<usize> {
            Ok(bytes.len())
        }

        fn sync(&self) -> io::Result<()> {
            Ok(())
        }
    }

    fn header() -> SegmentHeader {
        SegmentHeader {
            segment: SEGMENT,
            node: NodeNumber(3),
            lineage: Lineage {
                generation: 1,
                random: 5,
            },
            process: 9,
            boot: [1; 16],
            begun_ms: 1_800_000_000_000,
            former: Former::default(),
            as_of_ms: 1_800_000_000_000,
            records_before: 7,
            waiting_at_most: 5_120,
            uncounted_at_most: 0,
            unsynced_at_most: 171_868,
            kept_ms: 60_000,
        }
    }

    fn gap() -> Gap {
        Gap {
            cause: Cause::Crash,
            records: 12,
            from_ms: 1,
            to_ms: 2,
            issuers: vec![IssuerNumber(4), IssuerNumber(5)],
            torn_bytes: 40,
        }
    }

    fn minted() -> [Issued; 2] {
        let id = |number| TokenId::new(IssuerNumber(7), [number; 12]);
        let plain = Issued {
            id: id(1),
            ..issued(1, 1_800_000_000)
        };
        let derived = Issued {
            id: id(2),
            actors: vec![plain.subject.clone()],
            grant_sets: vec!["readers".parse().unwrap()],
            ancestors: vec![id(1)],
            ..issued(2, 1_800_000_001)
        };
        [plain, derived]
    }

    /// A segment that was closed, with something of everything.
    fn whole() -> Vec<u8> {
        let beginning = Beginning {
            header: header(),
            gap: Some(gap()),
            deleted: Some(0),
        };
        let (mut bytes, chain) = beginning.encode();
        let file = Arc::new(Nowhere);
        let mut segment = Segment::new(file, &header(), chain, bytes.len() as u64);
        for issued in minted() {
            segment.add(&issued);
        }
        segment.end_batch(1_800_000_002_000);
        segment.gap(&Gap {
            cause: Cause::Dropped,
            ..gap()
        });
        segment.mark(1_800_000_003_000, 61_000, 16);
        segment.close(Ending::Stopped, 1_800_000_004_000);
        bytes.append(segment.tail.end());
        bytes
    }

    /// Kind and payload of each frame.
    fn frames(segment: &[u8]) -> Vec<(u8, &[u8])> {
        let mut frames = Vec::new();
        let mut rest = segment;
        while let [kind, a, b, c, ..] = rest {
            let length = u32::from_be_bytes([0, *a, *b, *c]) as usize;
            let end = usize::try_from(frame_bytes(length)).unwrap();
            frames.push((*kind, &rest[8..8 + length]));
            rest = &rest[end..];
        }
        frames
    }

    fn unsealed(frames: &[(u8, &[u8])]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (kind, payload) in frames {
            bytes.push(*kind);
            bytes.extend_from_slice(&u16::try_from(payload.len()).unwrap().to_be_bytes());
            bytes.extend_from_slice(payload);
        }
        bytes
    }

    #[test]
    fn every_frame_is_in_the_corpus() {
        let whole = whole();
        keep("segment", "ok-closed", &whole);
        keep("segment", "bad-torn", &whole[..whole.len() - 1]);
        let mut flipped = whole.clone();
        flipped[whole.len() / 2] ^= 1;
        keep("segment", "bad-flipped", &flipped);

        let frames = frames(&whole);
        let header = usize::try_from(frame_bytes(frames[0].1.len())).unwrap();
        keep("segment", "ok-header-alone", &whole[..header]);
        keep("segment_frames", "ok-closed", &unsealed(&frames));
        let twice = unsealed(&[&frames[..1], &frames].concat());
        keep("segment_frames", "bad-second-header", &twice);
        let nameless: Vec<_> = frames
            .iter()
            .copied()
            .filter(|(kind, _)| *kind != Kind::Names as u8)
            .collect();
        keep("segment_frames", "bad-nameless", &unsealed(&nameless));

        let of = |kind: Kind| {
            let found = frames.iter().find(|(found, _)| *found == kind as u8);
            found.unwrap().1
        };
        keep("segment_header", "ok-first", of(Kind::Header));
        keep("segment_header", "bad-magic", &[0; 204]);
        keep("segment_mark", "ok-mark", of(Kind::Mark));
        keep("segment_mark", "bad-check", &[7; MARK_BYTES]);
        keep("segment_gap", "ok-crash", of(Kind::Gap));
        keep("segment_gap", "bad-cause", &[9; 33]);
        keep("segment_close", "ok-stopped", of(Kind::Close));
        keep("segment_close", "bad-ending", &[9; 17]);
        keep("segment_names", "ok-names", of(Kind::Names));
        keep(
            "segment_names",
            "bad-list-of-nothing",
            &[6, 0, 4, 0, 0, 0, 9],
        );
        let records = of(Kind::Records);
        keep(
            "segment_record",
            "ok-record",
            &records[16..16 + RECORD_BYTES],
        );
        keep("segment_record", "bad-short", &records[16..RECORD_BYTES]);
        keep("segment_file_name", "ok-first", b"00000000000000000001.seg");
        keep("segment_file_name", "bad-short", b"1.seg");
    }
}
