//! The segments that have ended and are kept, and which of them are too old.

use std::collections::VecDeque;

use tracing::{info, warn};

use super::{
    RecordLimits,
    disk::{Disk, Ended},
};

/// Ended segments, the oldest first.
pub(super) struct Kept(VecDeque<Ended>);

impl Kept {
    pub(super) fn new(ended: Vec<Ended>) -> Self {
        Self(ended.into())
    }

    pub(super) fn push(&mut self, ended: Ended) {
        self.0.push_back(ended);
    }

    /// The last segment that is too old, or one too many, when another is begun. Its age
    /// is what this node has run since it ended (`kept_ms`: for how long by now): a wall
    /// clock that stands ahead must not have the audit trail deleted.
    pub(super) fn too_old(&self, limits: &RecordLimits, kept_ms: u64) -> Option<u64> {
        let keep_ms = limits.keep_seconds.saturating_mul(1000);
        let mut bytes: u64 = self.0.iter().map(|ended| ended.bytes).sum();
        bytes = bytes.saturating_add(limits.segment_bytes);
        let mut through = None;
        for ended in &self.0 {
            let young = kept_ms.saturating_sub(ended.kept_ms) < keep_ms;
            if bytes <= limits.keep_bytes && young {
                break;
            }
            bytes = bytes.saturating_sub(ended.bytes);
            through = Some(ended.segment);
        }
        through
    }

    /// Deletes segments, the oldest first. The chain says so by now: who finds them
    /// missing finds out why.
    pub(super) fn let_go(&mut self, through: u64, disk: &impl Disk) {
        while let Some(ended) = self.0.front().filter(|ended| ended.segment <= through) {
            let segment = ended.segment;
            if let Err(error) = disk.remove(segment) {
                warn!(segment, %error, "old records of mints cannot be deleted");
                return;
            }
            info!(segment, "old records of mints were deleted");
            self.0.pop_front();
        }
    }
}
