//! The segment that is being written: frames, until they are in the file.

use std::{collections::VecDeque, io, sync::Arc};

use bytes::BufMut;

use super::{
    Gap, Issued,
    disk::SegmentFile,
    format::{
        Chain, Close, Ending, Former, IssuedWithin, Kind, Mark, NameTable, Record, SegmentHeader,
    },
    tail::Tail,
};

/// What a segment begins with: made whole, or not at all.
pub(super) struct Beginning {
    pub(super) header: SegmentHeader,
    pub(super) gap: Option<Gap>,
    /// The last segment that is let go when this one begins.
    pub(super) deleted: Option<u64>,
}

impl Beginning {
    /// The frames, and the chain after them.
    pub(super) fn encode(&self) -> (Vec<u8>, Chain) {
        let (mut chain, mut out) = (Chain::START, Vec::new());
        chain.append(Kind::Header, &self.header.encode(), &mut out);
        if let Some(gap) = &self.gap {
            chain.append(Kind::Gap, &gap.encode(), &mut out);
        }
        if let Some(through) = self.deleted {
            let mut payload = Vec::with_capacity(16);
            payload.put_u64(through);
            payload.put_u64(self.header.begun_ms);
            chain.append(Kind::Deleted, &payload, &mut out);
        }
        (out, chain)
    }
}

/// Records that were put into form and have no frame yet.
#[derive(Default)]
struct Batch {
    bytes: Vec<u8>,
    records: u64,
}

/// A segment that is open.
pub(super) struct Segment {
    pub(super) file: Arc<dyn SegmentFile>,
    pub(super) tail: Tail,
    header: SegmentHeader,
    chain: Chain,
    names: NameTable,
    batch: Batch,
    /// Records of the node, those of this segment included.
    records: u64,
    issued: IssuedWithin,
    /// Records that may be dropped once the file is safe up to an offset, in order.
    drops_to_allow: VecDeque<(u64, u64)>,
    ending: Option<Ending>,
}

impl Segment {
    pub(super) fn new(
        file: Arc<dyn SegmentFile>,
        header: &SegmentHeader,
        chain: Chain,
        length: u64,
    ) -> Self {
        Self {
            file,
            tail: Tail::after(length),
            header: *header,
            chain,
            names: NameTable::default(),
            batch: Batch::default(),
            records: header.records_before,
            issued: IssuedWithin::NONE,
            drops_to_allow: VecDeque::new(),
            ending: None,
        }
    }

    /// Puts a record into form. Gives the bytes that the batch has by now.
    pub(super) fn add(&mut self, issued: &Issued) -> usize {
        Record::of(issued, &mut self.names).encode(&mut self.batch.bytes);
        self.batch.records += 1;
        self.issued.add(issued.issued_at);
        self.batch.bytes.len() + self.names.fresh_bytes()
    }

    /// Ends a batch: what was handed over before `as_of_ms` is then in the segment
    /// up to here. Gives how many records it had.
    pub(super) fn end_batch(&mut self, as_of_ms: u64) -> u64 {
        let fresh = self.names.take_fresh();
        let out = self.tail.end();
        if !fresh.is_empty() {
            self.chain.append(Kind::Names, &fresh, out);
        }
        let Batch { bytes, records } = std::mem::take(&mut self.batch);
        if records > 0 {
            let mut payload = Vec::with_capacity(16 + bytes.len());
            payload.put_u64(as_of_ms);
            payload.put_u64(self.records);
            payload.put_slice(&bytes);
            self.chain.append(Kind::Records, &payload, out);
            self.records += records;
        }
        records
    }

    /// Says how far the writer has come, and how much of the segment is safe.
    pub(super) fn mark(&mut self, as_of_ms: u64, kept_ms: u64, uncounted_at_most: u64) {
        let mark = Mark {
            segment: self.header.segment,
            process: self.header.process,
            as_of_ms,
            kept_ms,
            uncounted_at_most,
            synced: self.tail.safe(),
        };
        let out = self.tail.end();
        self.chain.append(Kind::Mark, &mark.encode(), out);
    }

    /// Remembers that so many records may be dropped once all that was appended so far
    /// is safe.
    pub(super) fn allow_drops_later(&mut self, records: u64) {
        let from = self.tail.length();
        self.drops_to_allow.push_back((from, records));
    }

    /// The first `up_to` bytes are safe. Gives how many records may be dropped now.
    pub(super) fn synced(&mut self, up_to: u64) -> u64 {
        self.tail.synced(up_to);
        let safe = self.tail.safe();
        let mut allowed = 0;
        while let Some((_, records)) = (self.drops_to_allow.front())
            .copied()
            .filter(|(from, _)| *from <= safe)
        {
            self.drops_to_allow.pop_front();
            allowed += records;
        }
        allowed
    }

    pub(super) fn gap(&mut self, gap: &Gap) {
        let out = self.tail.end();
        self.chain.append(Kind::Gap, &gap.encode(), out);
    }

    /// Whether another has to follow.
    pub(super) fn is_full(&self, bytes: u64) -> bool {
        self.tail.length() >= bytes || self.names.is_full()
    }

    /// How long ago it was begun, when records have been kept for `kept_ms` by now.
    pub(super) const fn age_ms(&self, kept_ms: u64) -> u64 {
        kept_ms.saturating_sub(self.header.kept_ms)
    }

    pub(super) const fn ending(&self) -> Option<Ending> {
        self.ending
    }

    /// Appends the last frame.
    pub(super) fn close(&mut self, ending: Ending, at_ms: u64) {
        if self.ending.is_some() {
            return;
        }
        let close = Close {
            ending,
            at_ms,
            records: self.records - self.header.records_before,
        };
        self.chain
            .append(Kind::Close, &close.encode(), self.tail.end());
        self.ending = Some(ending);
    }

    /// Writes what is not in the file.
    ///
    /// # Errors
    /// What the system says.
    pub(super) fn write(&mut self) -> io::Result<()> {
        self.tail.write(&*self.file)
    }

    pub(super) const fn number(&self) -> u64 {
        self.header.segment
    }

    /// Where the next one begins.
    pub(super) const fn end(&self) -> Former {
        Former {
            hash: self.chain.hash(),
            length: self.tail.length(),
            issued: self.issued,
        }
    }

    pub(super) const fn records(&self) -> u64 {
        self.records
    }
}
