//! How much a node keeps of its records, and how much may wait to be written.

use serde::Deserialize;

/// `[records]` in a node's configuration. What is not given has a default.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RecordLimits {
    /// A segment ends after this many bytes and the batch that crosses them, 64 KiB
    /// to 1 GiB.
    pub segment_bytes: u64,
    /// And after this long, seconds, a minute to a week.
    pub segment_seconds: u64,
    /// All segments together have at most this many bytes, at least four segments
    /// and at most 16 TiB: then the oldest is deleted.
    pub keep_bytes: u64,
    /// A segment that ended this long ago is deleted, seconds, an hour to ten years.
    /// Only the time counts in which the node ran: no wall clock that stands wrong, and
    /// no pause, makes records old.
    pub keep_seconds: u64,
    /// Records that wait to be written, 1024 to a million: beyond them the
    /// cluster's `records_when_behind` decides. One takes up to 3 KiB of memory, by
    /// the length of its names.
    pub waiting: u64,
    /// Records that may be dropped before the file counts them, 1024 to a trillion,
    /// where the cluster's `records_when_behind` is `drop`. Once a full disk has cost so
    /// many, mints are refused there too; after a crash so many more may be missing.
    pub uncounted: u64,
}

impl Default for RecordLimits {
    fn default() -> Self {
        Self {
            segment_bytes: 64 << 20,
            segment_seconds: 86_400,
            keep_bytes: 8 << 30,
            keep_seconds: 90 * 86_400,
            waiting: 65_536,
            uncounted: 16 << 20,
        }
    }
}

/// A limit: which, what it is, and what it has to be.
type Bound = (&'static str, u64, u64, u64, &'static str);

impl RecordLimits {
    /// Each key with its value, the least and the most that it may be, and these in
    /// words.
    pub(crate) fn bounds(&self) -> [Bound; 6] {
        [
            (
                "records.segment_bytes",
                self.segment_bytes,
                64 << 10,
                1 << 30,
                "65536 to 1073741824",
            ),
            (
                "records.segment_seconds",
                self.segment_seconds,
                60,
                604_800,
                "60 to 604800",
            ),
            (
                "records.keep_bytes",
                self.keep_bytes,
                self.segment_bytes.saturating_mul(4),
                16 << 40,
                "at least four times `records.segment_bytes`, and at most 17592186044416",
            ),
            (
                "records.keep_seconds",
                self.keep_seconds,
                3_600,
                10 * 366 * 86_400,
                "3600 to 316224000",
            ),
            (
                "records.waiting",
                self.waiting,
                1_024,
                1 << 20,
                "1024 to 1048576",
            ),
            (
                "records.uncounted",
                self.uncounted,
                1_024,
                1 << 40,
                "1024 to 1099511627776",
            ),
        ]
    }
}
