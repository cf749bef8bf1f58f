//! The chain over all segments of a directory, walked from its start to its end.

use std::{collections::BTreeSet, fs, io, ops::ControlFlow, path::Path};

use chancery_credential::NodeNumber;

use super::{
    Cause, Gap,
    format::{Ending, Former, SegmentHeader, segment_number, segment_path},
    read::{Opening, SegmentReader, Step, Unopened},
};

/// What is not as it was written, and where it shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// The segment.
    pub segment: u64,
    /// The byte of its file at which what holds together ends.
    pub offset: u64,
    /// What is wrong.
    pub what: String,
}

/// How a segment ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// By its last frame: another follows, or the node stopped.
    Closed,
    /// Without one, and nothing follows: the node runs, or ended without a word.
    Open {
        /// Bytes of a frame that is being written, or that was not finished.
        torn_bytes: u64,
    },
    /// Without one, and the next segment begins with a gap.
    Cut,
    /// Not as it was written.
    Damaged,
}

/// Who is told what stands in the chain.
pub(super) trait Visitor {
    /// Whether a segment has to be read at all; `next` is the one that follows.
    fn wants(&self, _header: &SegmentHeader, _next: Option<&SegmentHeader>) -> bool {
        true
    }

    /// A frame of records.
    fn records(&mut self, reader: &SegmentReader) -> ControlFlow<()>;

    /// A gap, in a segment.
    fn gap(&mut self, segment: u64, gap: Gap);

    /// A segment was read to its end.
    fn ended(&mut self, reader: &SegmentReader, standing: Standing);
}

/// What a walk found of the chain itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Walked {
    pub(super) damage: Vec<Damage>,
    /// All segments up to this one were let go, as the chain says; 0: none.
    pub(super) deleted_through: u64,
    /// The first that is there.
    pub(super) first: u64,
    /// Records before it.
    pub(super) records_before: u64,
}

/// Walks the segments of a directory, in order.
///
/// # Errors
/// When the directory or a file cannot be read, or there is none. Damage is no error.
pub(super) fn walk(directory: &Path, visitor: &mut dyn Visitor) -> io::Result<Walked> {
    let mut walk = Walk {
        directory,
        walked: Walked::default(),
        former: None,
        node: None,
        missing: Vec::new(),
    };
    let mut segments = segments(directory)?;
    if segments.is_empty() {
        let none = "there are no segments of records";
        return Err(io::Error::new(io::ErrorKind::NotFound, none));
    }
    walk.walked.first = segments.first().copied().unwrap_or_default();
    walk.note_missing(1, walk.walked.first);
    let mut before: Option<u64> = None;
    while let Some(segment) = segments.pop_first() {
        if let Some(before) = before {
            walk.note_missing(before + 1, segment);
        }
        before = Some(segment);
        let follows = segment_path(directory, segment + 1).exists();
        let next = follows.then_some(segment + 1);
        let walked = walk.segment(segment, next, visitor);
        match walked.map_err(|error| of_file(directory, segment, &error))? {
            ControlFlow::Break(()) => return Ok(walk.walked),
            // It was being written when it was read: what was read then is what there
            // was.
            ControlFlow::Continue(Some(Standing::Open { .. })) => {}
            // It was closed since it was listed: go on with what came after.
            ControlFlow::Continue(_) if segment_path(directory, segment + 1).exists() => {
                segments.insert(segment + 1);
            }
            ControlFlow::Continue(_) => {}
        }
    }
    walk.judge_missing();
    Ok(walk.walked)
}

/// Which file it is that cannot be read.
fn of_file(directory: &Path, segment: u64, error: &io::Error) -> io::Error {
    let path = segment_path(directory, segment);
    io::Error::new(error.kind(), format!("`{}`: {error}", path.display()))
}

/// The numbers of the segments that are there.
///
/// # Errors
/// When the directory cannot be read.
pub(super) fn segments(directory: &Path) -> io::Result<BTreeSet<u64>> {
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(directory)? {
        let name = entry?.file_name();
        found.extend(name.to_str().and_then(segment_number));
    }
    Ok(found)
}

struct Walk<'a> {
    directory: &'a Path,
    walked: Walked,
    /// Where the segment before ended, and the records up to there, when it was read.
    former: Option<(Former, u64)>,
    /// Whose they are, by the first that could be read.
    node: Option<NodeNumber>,
    /// Segments that are not there, from and to.
    missing: Vec<(u64, u64)>,
}

impl Walk<'_> {
    fn damage(&mut self, segment: u64, offset: u64, what: impl Into<String>) {
        self.walked.damage.push(Damage {
            segment,
            offset,
            what: what.into(),
        });
    }

    /// Segments from `expected` on that are not there before `found`.
    fn note_missing(&mut self, expected: u64, found: u64) {
        if expected < found {
            self.missing.push((expected, found - 1));
            self.former = None;
        }
    }

    /// What is missing was let go, and the chain says so, or it is damage.
    fn judge_missing(&mut self) {
        for (from, to) in std::mem::take(&mut self.missing) {
            let from = from.max(self.walked.deleted_through + 1);
            if from <= to {
                let what = if from == to {
                    "it is missing, and nothing says that it was let go".to_owned()
                } else {
                    format!(
                        "it is missing up to segment {to}, and nothing says that they were let go"
                    )
                };
                self.damage(from, 0, what);
            }
        }
    }

    /// Reads a segment; gives how it ends, when that shows.
    fn segment(
        &mut self,
        segment: u64,
        next: Option<u64>,
        visitor: &mut dyn Visitor,
    ) -> io::Result<ControlFlow<(), Option<Standing>>> {
        let opening = match Opening::read(self.directory, segment) {
            Ok(opening) => opening,
            // Let go since it was listed.
            Err(Unopened::Io(error)) if error.kind() == io::ErrorKind::NotFound => {
                self.missing.push((segment, segment));
                self.former = None;
                return Ok(ControlFlow::Continue(None));
            }
            Err(Unopened::Io(error)) => return Err(error),
            Err(Unopened::Damaged(why)) => {
                self.damage(segment, 0, why);
                self.former = None;
                return Ok(ControlFlow::Continue(None));
            }
        };
        let next = next.and_then(|next| Opening::read(self.directory, next).ok());
        self.take_in_opening(&opening);
        let next_header = next.as_ref().map(|next| &next.header);
        if !visitor.wants(&opening.header, next_header) {
            self.former = None;
            return Ok(ControlFlow::Continue(None));
        }
        self.read(segment, next.as_ref(), visitor)
    }

    /// Holds a segment's beginning against the end of the one before.
    fn take_in_opening(&mut self, opening: &Opening) {
        let header = &opening.header;
        let node = *self.node.get_or_insert(header.node);
        if header.node != node {
            let what = format!(
                "it is node {}'s, and those before are node {node}'s: give the records of each \
                 node a directory of their own",
                header.node
            );
            self.damage(header.segment, 0, what);
        }
        if header.segment == self.walked.first {
            self.walked.records_before = header.records_before;
        }
        let through = opening.deleted.unwrap_or_default();
        self.walked.deleted_through = self.walked.deleted_through.max(through);
        let before = header.segment.saturating_sub(1);
        if let Some((end, records)) = self.former.take() {
            if end != header.former {
                let what = "the segment behind it follows from another end than this";
                self.damage(before, end.length, what);
            } else if records != header.records_before {
                let what = format!(
                    "{} records are said to be before it, and there are {records}",
                    header.records_before
                );
                self.damage(header.segment, 0, what);
            }
        }
        if let Some(gap) = opening
            .gap
            .as_ref()
            .filter(|gap| gap.cause == Cause::Damage)
        {
            let what = format!(
                "its last {} bytes were damaged when the node started, as it recorded then",
                gap.torn_bytes
            );
            self.damage(before, header.former.length, what);
        }
    }

    fn read(
        &mut self,
        segment: u64,
        next: Option<&Opening>,
        visitor: &mut dyn Visitor,
    ) -> io::Result<ControlFlow<(), Option<Standing>>> {
        let length = next.map_or(u64::MAX, |next| next.header.former.length);
        let mut reader = match SegmentReader::open(self.directory, segment, length) {
            Ok(reader) => reader,
            Err(Unopened::Io(error)) => return Err(error),
            Err(Unopened::Damaged(why)) => {
                self.damage(segment, 0, why);
                return Ok(ControlFlow::Continue(None));
            }
        };
        let wrong = loop {
            match reader.step()? {
                Step::Records => {
                    if visitor.records(&reader).is_break() {
                        return Ok(ControlFlow::Break(()));
                    }
                }
                Step::Gap(gap) => visitor.gap(segment, gap),
                Step::Deleted(_) | Step::Passed => {}
                Step::End => break None,
                Step::Torn => break Some(TORN.to_owned()),
                Step::Damaged(why) => break Some(why),
            }
        };
        let standing = self.judge_end(&reader, next, wrong);
        if standing != Standing::Damaged {
            let records = reader.header().records_before + reader.records_read();
            self.former = Some((reader.end(), records));
        }
        visitor.ended(&reader, standing);
        Ok(ControlFlow::Continue(Some(standing)))
    }

    /// How a segment ends; `wrong` is why it could not be read to its end.
    fn judge_end(
        &mut self,
        reader: &SegmentReader,
        next: Option<&Opening>,
        wrong: Option<String>,
    ) -> Standing {
        let segment = reader.header().segment;
        match self.end(reader, next, wrong) {
            Ok(standing) => standing,
            Err(what) => {
                self.damage(segment, reader.offset(), what);
                Standing::Damaged
            }
        }
    }

    fn end(
        &self,
        reader: &SegmentReader,
        next: Option<&Opening>,
        wrong: Option<String>,
    ) -> Result<Standing, String> {
        let behind = reader.file_bytes() - reader.offset();
        let Some(next) = next else {
            return self.last_end(reader, behind, wrong);
        };
        if let Some(why) = wrong {
            return Err(why);
        }
        let length = next.header.former.length;
        if reader.offset() < length {
            return Err(format!(
                "it is truncated: the segment behind it says that it has {length} bytes"
            ));
        }
        let cut = next.gap.as_ref().filter(|gap| gap.cause != Cause::Dropped);
        match (cut, reader.closed()) {
            (Some(gap), _) if gap.torn_bytes != behind => Err(format!(
                "{behind} bytes stand behind its end, and not {}",
                gap.torn_bytes
            )),
            (None, _) if behind > 0 => Err(format!("{behind} bytes stand behind its end")),
            (None, None) => Err("it was not closed, and no gap is recorded behind it".to_owned()),
            (_, Some(_)) => Ok(Standing::Closed),
            (Some(_), None) => Ok(Standing::Cut),
        }
    }

    /// The end of the last segment, in which a node may be writing now.
    fn last_end(
        &self,
        reader: &SegmentReader,
        behind: u64,
        wrong: Option<String>,
    ) -> Result<Standing, String> {
        let torn = wrong.as_deref() == Some(TORN);
        match (reader.closed(), wrong) {
            (None, None) => Ok(Standing::Open { torn_bytes: 0 }),
            (None, Some(_)) if torn => Ok(Standing::Open { torn_bytes: behind }),
            // Who looks cannot know whether the machine went down; a start can.
            (None, Some(why)) => Err(format!(
                "{why}: if the machine lost power, start the node, which records what is missing \
                 as a gap, or says that it is damage"
            )),
            (_, Some(why)) => Err(why),
            (Some(close), None) if close.ending == Ending::Rotated => {
                let next = segment_path(self.directory, reader.header().segment + 1);
                if next.exists() {
                    return Ok(Standing::Closed);
                }
                Err(
                    "it was closed for another to follow, and that is missing (unless the node \
                     runs, and its disk is full)"
                        .to_owned(),
                )
            }
            (Some(_), None) => Ok(Standing::Closed),
        }
    }
}

/// A segment that ends within a frame.
const TORN: &str = "it ends within a frame";
