//! The first frame of a segment: whose it is, and what it follows.

use bytes::{Buf, BufMut, TryGetError};
use chancery_credential::{Lineage, NodeNumber};

use super::{Unreadable, frame::Hash};

const MAGIC: [u8; 8] = *b"CHANCREC";
const VERSION: u32 = 1;

/// When the records of a segment were issued: none before, none after. By the records
/// alone, for no other clock says when a token was issued.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::records) struct IssuedWithin {
    /// Seconds since the Unix epoch.
    earliest: u64,
    /// Seconds since the Unix epoch.
    latest: u64,
}

impl IssuedWithin {
    /// Of no record.
    pub(in crate::records) const NONE: Self = Self {
        earliest: u64::MAX,
        latest: 0,
    };

    /// Takes in a record.
    pub(in crate::records) fn add(&mut self, issued_at: u64) {
        self.earliest = self.earliest.min(issued_at);
        self.latest = self.latest.max(issued_at);
    }

    /// Whether one may have been issued at or after `since`, and at or before `until`.
    pub(in crate::records) fn overlaps(&self, since: Option<u64>, until: Option<u64>) -> bool {
        since.is_none_or(|since| since <= self.latest)
            && until.is_none_or(|until| self.earliest <= until)
    }
}

impl Default for IssuedWithin {
    /// Of records of which nothing is known.
    fn default() -> Self {
        Self {
            earliest: 0,
            latest: u64::MAX,
        }
    }
}

/// Where the former segment ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::records) struct Former {
    /// Of its last frame; zeros when there is none.
    pub(in crate::records) hash: Hash,
    /// How many of its bytes count. What stands behind them was torn.
    pub(in crate::records) length: u64,
    /// When its records were issued.
    pub(in crate::records) issued: IssuedWithin,
}

/// What a segment begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::records) struct SegmentHeader {
    /// Counts from 1 without a hole.
    pub(in crate::records) segment: u64,
    /// Whose records they are.
    pub(in crate::records) node: NodeNumber,
    /// Of the cluster when the process started.
    pub(in crate::records) lineage: Lineage,
    /// Tells the processes of a node apart.
    pub(in crate::records) process: u64,
    /// The start of the machine that it ran in; zeros when that is not known.
    pub(in crate::records) boot: [u8; 16],
    /// When it was begun, milliseconds since the Unix epoch.
    pub(in crate::records) begun_ms: u64,
    /// Where the chain stood.
    pub(in crate::records) former: Former,
    /// What was handed over before this is in former segments, milliseconds since
    /// the Unix epoch by the clock as it stood; in the first of a process, when that
    /// started.
    pub(in crate::records) as_of_ms: u64,
    /// Records in all segments before this one.
    pub(in crate::records) records_before: u64,
    /// The most records that are handed over and not yet in the file.
    pub(in crate::records) waiting_at_most: u64,
    /// The most records that are dropped before the file counts them; a mark may raise
    /// it later.
    pub(in crate::records) uncounted_at_most: u64,
    /// The most records that are in the file and would not survive the loss of power.
    pub(in crate::records) unsynced_at_most: u64,
    /// For how long this node's processes have kept records by now, together,
    /// milliseconds by CLOCK_BOOTTIME: what a segment's age is counted by, since no
    /// wall clock can be wrong in it.
    pub(in crate::records) kept_ms: u64,
}

impl SegmentHeader {
    pub(in crate::records) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(224);
        out.put_slice(&MAGIC);
        out.put_u32(VERSION);
        out.put_u64(self.segment);
        out.put_u64(self.node.0);
        out.put_u64(self.lineage.generation);
        out.put_u64(self.lineage.random);
        out.put_u64(self.process);
        out.put_slice(&self.boot);
        out.put_u64(self.begun_ms);
        out.put_slice(&self.former.hash);
        out.put_u64(self.former.length);
        out.put_u64(self.former.issued.earliest);
        out.put_u64(self.former.issued.latest);
        out.put_u64(self.as_of_ms);
        out.put_u64(self.records_before);
        out.put_u64(self.waiting_at_most);
        out.put_u64(self.uncounted_at_most);
        out.put_u64(self.unsynced_at_most);
        out.put_u64(self.kept_ms);
        out
    }

    /// # Errors
    /// [`Unreadable`].
    pub(in crate::records) fn decode(mut payload: &[u8]) -> Result<Self, Unreadable> {
        let input = &mut payload;
        let mut magic = [0; 8];
        if input.try_copy_to_slice(&mut magic).is_err() || magic != MAGIC {
            return Err(Unreadable::Magic);
        }
        let too_short = |_: TryGetError| Unreadable::Length("a header");
        let version = input.try_get_u32().map_err(too_short)?;
        if version != VERSION {
            return Err(Unreadable::Version(version));
        }
        let header = Self::read(input).map_err(too_short)?;
        if input.is_empty() {
            Ok(header)
        } else {
            Err(Unreadable::Length("a header"))
        }
    }

    fn read(input: &mut &[u8]) -> Result<Self, TryGetError> {
        let (mut boot, mut hash) = ([0; 16], [0; 32]);
        Ok(Self {
            segment: input.try_get_u64()?,
            node: NodeNumber(input.try_get_u64()?),
            lineage: Lineage {
                generation: input.try_get_u64()?,
                random: input.try_get_u64()?,
            },
            process: input.try_get_u64()?,
            boot: {
                input.try_copy_to_slice(&mut boot)?;
                boot
            },
            begun_ms: input.try_get_u64()?,
            former: Former {
                hash: {
                    input.try_copy_to_slice(&mut hash)?;
                    hash
                },
                length: input.try_get_u64()?,
                issued: IssuedWithin {
                    earliest: input.try_get_u64()?,
                    latest: input.try_get_u64()?,
                },
            },
            as_of_ms: input.try_get_u64()?,
            records_before: input.try_get_u64()?,
            waiting_at_most: input.try_get_u64()?,
            uncounted_at_most: input.try_get_u64()?,
            unsynced_at_most: input.try_get_u64()?,
            kept_ms: input.try_get_u64()?,
        })
    }
}
