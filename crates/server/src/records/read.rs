//! A segment, read frame by frame: never more of it in memory than its names and
//! one frame.

use std::{
    fs::File,
    io::{self, BufReader, Read, Take},
    path::Path,
};

use bytes::Buf;
use chancery_credential::IssuerNumber;

use super::{
    Gap,
    format::{
        Chain, Close, Former, IssuedWithin, Kind, Mark, Names, Piece, RECORD_BYTES, Record,
        SegmentHeader, frame_bytes, segment_path,
    },
};

/// What stands before the records of a frame: when, and the number of the first.
const RECORDS_HEAD: usize = 16;

/// The next frame of a segment.
#[derive(Debug)]
pub(super) enum Step {
    /// Records: [`SegmentReader::records`] gives them.
    Records,
    Gap(Gap),
    /// All segments up to this one were let go.
    Deleted(u64),
    /// Names, a mark, or the last frame: taken in.
    Passed,
    /// The end, after a frame.
    End,
    /// The end, within a frame.
    Torn,
    /// What does not follow from what is before it, and why.
    Damaged(String),
}

/// Why there is no reader.
#[derive(Debug)]
pub(super) enum Unopened {
    /// The file cannot be read.
    Io(io::Error),
    /// It does not begin as a segment does.
    Damaged(String),
}

/// A segment from its first frame on.
#[derive(Debug)]
pub(super) struct SegmentReader<R = BufReader<File>> {
    input: Take<R>,
    chain: Chain,
    offset: u64,
    payload: Vec<u8>,
    header: SegmentHeader,
    names: Names,
    records: u64,
    issued: IssuedWithin,
    as_of_ms: u64,
    kept_ms: u64,
    uncounted_at_most: u64,
    closed: Option<Close>,
    file_bytes: u64,
}

impl SegmentReader<BufReader<File>> {
    /// Opens a segment of a directory, of which the first `length` bytes count.
    ///
    /// # Errors
    /// [`Unopened`].
    pub(super) fn open(directory: &Path, segment: u64, length: u64) -> Result<Self, Unopened> {
        let file = File::open(segment_path(directory, segment)).map_err(Unopened::Io)?;
        let file_bytes = file.metadata().map_err(Unopened::Io)?.len();
        let input = BufReader::with_capacity(1 << 18, file);
        Self::begin(input, file_bytes, segment, length)
    }
}

impl<R: Read> SegmentReader<R> {
    /// Begins to read a segment of `file_bytes`, of which the first `length` count.
    ///
    /// # Errors
    /// [`Unopened`].
    pub(super) fn begin(
        input: R,
        file_bytes: u64,
        segment: u64,
        length: u64,
    ) -> Result<Self, Unopened> {
        let mut input = input.take(length);
        let (mut chain, mut payload) = (Chain::START, Vec::new());
        let header = match chain.read(&mut input, &mut payload).map_err(Unopened::Io)? {
            Piece::Frame(Kind::Header) => SegmentHeader::decode(&payload)
                .map_err(|error| Unopened::Damaged(error.to_string()))?,
            Piece::Broken(why) => return Err(Unopened::Damaged(why.to_owned())),
            Piece::Frame(_) | Piece::End | Piece::Torn => {
                let why = "it has no whole header".to_owned();
                return Err(Unopened::Damaged(why));
            }
        };
        if header.segment != segment {
            let why = format!("it holds segment {}", header.segment);
            return Err(Unopened::Damaged(why));
        }
        Ok(Self {
            input,
            chain,
            offset: frame_bytes(payload.len()),
            payload,
            header,
            names: Names::default(),
            records: 0,
            issued: IssuedWithin::NONE,
            as_of_ms: header.as_of_ms,
            kept_ms: header.kept_ms,
            uncounted_at_most: header.uncounted_at_most,
            closed: None,
            file_bytes,
        })
    }

    pub(super) const fn header(&self) -> &SegmentHeader {
        &self.header
    }

    pub(super) const fn names(&self) -> &Names {
        &self.names
    }

    /// Where the next frame begins.
    pub(super) const fn offset(&self) -> u64 {
        self.offset
    }

    /// Where the frames that were read end.
    pub(super) const fn end(&self) -> Former {
        Former {
            hash: self.chain.hash(),
            length: self.offset,
            issued: self.issued,
        }
    }

    /// The size of the file when it was opened, or more if more was read since.
    pub(super) fn file_bytes(&self) -> u64 {
        self.file_bytes.max(self.offset)
    }

    /// Records that were read.
    pub(super) const fn records_read(&self) -> u64 {
        self.records
    }

    /// What was handed over before this is in what was read, milliseconds since the
    /// Unix epoch, as was written last: less than before where the clock was set back.
    pub(super) const fn as_of_ms(&self) -> u64 {
        self.as_of_ms
    }

    /// For how long the node had kept records, milliseconds; see the header.
    pub(super) const fn kept_ms(&self) -> u64 {
        self.kept_ms
    }

    /// Records that may have been dropped and are not counted in what was read.
    pub(super) const fn uncounted_at_most(&self) -> u64 {
        self.uncounted_at_most
    }

    pub(super) const fn closed(&self) -> Option<Close> {
        self.closed
    }

    /// Reads the next frame.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub(super) fn step(&mut self) -> io::Result<Step> {
        let before = self.chain;
        let kind = match self.chain.read(&mut self.input, &mut self.payload)? {
            Piece::Frame(kind) => kind,
            Piece::End => return Ok(Step::End),
            Piece::Torn => return Ok(Step::Torn),
            Piece::Broken(why) => return Ok(Step::Damaged(why.to_owned())),
        };
        let step = match self.take_in(kind) {
            Ok(step) => step,
            Err(why) => {
                self.chain = before;
                return Ok(Step::Damaged(why));
            }
        };
        self.offset += frame_bytes(self.payload.len());
        Ok(step)
    }

    fn take_in(&mut self, kind: Kind) -> Result<Step, String> {
        let text = |error: super::format::Unreadable| error.to_string();
        if self.closed.is_some() {
            return Err("a frame stands behind the last one".to_owned());
        }
        match kind {
            Kind::Header => Err("a second header".to_owned()),
            Kind::Names => {
                self.names.add(&self.payload).map_err(text)?;
                Ok(Step::Passed)
            }
            Kind::Records => self.take_in_records(),
            Kind::Mark => {
                let mark = Mark::decode(&self.payload).map_err(text)?;
                self.as_of_ms = mark.as_of_ms;
                self.kept_ms = self.kept_ms.max(mark.kept_ms);
                self.uncounted_at_most = mark.uncounted_at_most;
                Ok(Step::Passed)
            }
            Kind::Gap => Gap::decode(&self.payload).map(Step::Gap).map_err(text),
            Kind::Deleted => {
                let through = self.payload.as_slice().try_get_u64();
                through
                    .map(Step::Deleted)
                    .map_err(|error| error.to_string())
            }
            Kind::Close => {
                let close = Close::decode(&self.payload).map_err(text)?;
                if close.records != self.records {
                    return Err(format!(
                        "it has {} records, and its last frame says {}",
                        self.records, close.records
                    ));
                }
                self.closed = Some(close);
                Ok(Step::Passed)
            }
        }
    }

    fn take_in_records(&mut self) -> Result<Step, String> {
        let mut head = self.payload.as_slice();
        let (Ok(as_of_ms), Ok(first)) = (head.try_get_u64(), head.try_get_u64()) else {
            return Err("a frame of records has no beginning".to_owned());
        };
        if !head.len().is_multiple_of(RECORD_BYTES) {
            return Err("a frame of records ends within one".to_owned());
        }
        let expected = self.header.records_before + self.records;
        if first != expected {
            return Err(format!("record {first} stands where {expected} should"));
        }
        if !self.records().all(|record| record.is_named(&self.names)) {
            return Err("a record has a number that is no name's".to_owned());
        }
        let mut issued = self.issued;
        let each = self.records();
        each.for_each(|record| issued.add(record.issued_at));
        self.records += (head.len() / RECORD_BYTES) as u64;
        self.issued = issued;
        self.as_of_ms = as_of_ms;
        Ok(Step::Records)
    }

    /// The records of the frame that [`Step::Records`] was said of.
    pub(super) fn records(&self) -> impl Iterator<Item = Record> + '_ {
        let records = self.payload.get(RECORDS_HEAD..).unwrap_or_default();
        records
            .chunks_exact(RECORD_BYTES)
            .filter_map(Record::decode)
    }

    /// The issuers of these records.
    pub(super) fn issuers(&self) -> impl Iterator<Item = IssuerNumber> + '_ {
        self.records().map(|record| record.id.issuer())
    }
}

/// What a segment begins with, beside its header.
#[derive(Debug)]
pub(super) struct Opening {
    pub(super) header: SegmentHeader,
    /// What was missing when its process started.
    pub(super) gap: Option<Gap>,
    /// All segments up to this one were let go when it began.
    pub(super) deleted: Option<u64>,
}

impl Opening {
    /// Reads the beginning of a segment.
    ///
    /// # Errors
    /// [`Unopened`].
    pub(super) fn read(directory: &Path, segment: u64) -> Result<Self, Unopened> {
        let mut reader = SegmentReader::open(directory, segment, u64::MAX)?;
        let mut opening = Self {
            header: *reader.header(),
            gap: None,
            deleted: None,
        };
        for _ in 0..2 {
            match reader.step().map_err(Unopened::Io)? {
                Step::Gap(gap) if opening.gap.is_none() => opening.gap = Some(gap),
                Step::Deleted(through) => opening.deleted = Some(through),
                _ => break,
            }
        }
        Ok(opening)
    }
}
