//! What is said when records cannot be written, or are dropped: once, and that it is
//! over once.

use std::{io, time::Duration};

use chancery_revocation::BootTime;
use tracing::{error, info, warn};

use crate::clock::SystemClock;

/// How often it is said that records are dropped.
const SAY_DROPS_EVERY: Duration = Duration::from_secs(60);

/// What was said so far.
#[derive(Debug, Default)]
pub(super) struct Outage {
    /// That nothing can be written.
    said: bool,
    /// That no more records may be dropped, in this outage.
    exhausted: bool,
    /// When it was last said that records are dropped.
    drops: Option<BootTime>,
}

impl Outage {
    /// Nothing could be written; up to `room` records may wait.
    pub(super) fn begin(&mut self, error: &io::Error, room: usize) {
        if std::mem::replace(&mut self.said, true) {
            return;
        }
        error!(
            %error,
            waiting_at_most = room,
            "records of mints cannot be written: once so many wait, mints are refused \
             (AUDIT_BEHIND) or not recorded, as the cluster's `records_when_behind` says; \
             make room, or mend the disk"
        );
    }

    /// All the `uncounted` records that may be dropped were.
    pub(super) fn exhaust(&mut self, uncounted: u64) {
        if !self.said || std::mem::replace(&mut self.exhausted, true) {
            return;
        }
        error!(
            uncounted,
            "as many records of mints were dropped as may be while none can be counted \
             (`records.uncounted`): from here on mints are refused (AUDIT_BEHIND)"
        );
    }

    /// Everything was written and synced.
    pub(super) fn end(&mut self) {
        self.exhausted = false;
        if std::mem::take(&mut self.said) {
            info!("records of mints are written again");
        }
    }

    /// So many records were dropped, and are counted as a gap.
    pub(super) fn dropped(&mut self, records: u64) {
        let now = SystemClock::boot();
        let quiet = |said| now.since(said).unwrap_or_default() < SAY_DROPS_EVERY;
        if self.drops.is_some_and(quiet) {
            return;
        }
        self.drops = Some(now);
        warn!(
            records,
            "records of mints were dropped, and are counted as gaps"
        );
    }
}
