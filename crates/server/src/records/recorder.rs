//! The hand-over: from any thread that mints to the one that writes.

use std::{
    sync::{
        OnceLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::Thread,
    time::Duration,
};

use chancery_authority::WhenBehind;
use chancery_revocation::BootTime;
use thiserror::Error;

use super::{
    Issued,
    lanes::{Lane, thread_number},
};

/// Records are behind when what was handed over this long ago is not in the file.
/// P8 has them there ten times as soon; a machine that is busy for a moment is not
/// taken from its callers.
const BEHIND_AFTER: Duration = Duration::from_secs(1);

/// Why a token is not given: it would leave no record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(crate) enum Unrecorded {
    /// Everything that may wait does, and the cluster's setting is `refuse`.
    #[error("this node cannot write its records of mints as fast as it mints, or not at all")]
    Full,
    /// The node is stopping.
    #[error("this node is stopping, and records no more mints")]
    Closed,
}

/// Takes records. Bounded; hands over without a lock and without a system call.
#[derive(Debug)]
pub(crate) struct Recorder {
    lanes: Box<[Lane]>,
    /// There is a segment of this process: a gap of what it could not write can be
    /// told of.
    begun: AtomicBool,
    closed: AtomicBool,
    /// Somebody minted, or will, where records may be dropped.
    drops: AtomicBool,
    /// Records that may still be dropped: the file says already that they may be
    /// missing. What was dropped since comes back once the file counts it.
    uncounted: AtomicU64,
    /// What was handed over before this moment of CLOCK_BOOTTIME is in the file,
    /// nanoseconds.
    written_up_to: AtomicU64,
    writer: OnceLock<Thread>,
}

impl Recorder {
    /// A lane for each thread that mints, with room for `waiting` records in all.
    pub(crate) fn new(threads: usize, waiting: usize, now: BootTime) -> Self {
        let threads = threads.clamp(1, 256);
        let each = waiting.div_ceil(threads);
        Self {
            lanes: (0..threads).map(|_| Lane::with_room_for(each)).collect(),
            begun: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            drops: AtomicBool::new(false),
            uncounted: AtomicU64::new(0),
            written_up_to: AtomicU64::new(now.0),
            writer: OnceLock::new(),
        }
    }

    /// Takes the record of a token that is about to be given. Not before this has
    /// succeeded may it leave.
    ///
    /// # Errors
    /// [`Unrecorded`]: then the token must not be given. Nothing was recorded.
    pub(crate) fn record(&self, issued: Issued, when_behind: WhenBehind) -> Result<(), Unrecorded> {
        let Some(own) = self.own() else {
            return Err(Unrecorded::Full);
        };
        let _giving = own.enter();
        if self.closed.load(Ordering::SeqCst) {
            return Err(Unrecorded::Closed);
        }
        if !self.has_begun() {
            return Err(Unrecorded::Full);
        }
        if when_behind == WhenBehind::Drop {
            self.expect_drops();
        }
        // The others are asked only when its own is full, and refused is only what
        // finds all of them full.
        let mut homeless = match own.push(issued) {
            Ok(()) => return Ok(()),
            Err(issued) => issued,
        };
        for lane in &self.lanes {
            homeless = match lane.push(homeless) {
                Ok(()) => return Ok(()),
                Err(issued) => issued,
            };
        }
        match when_behind {
            WhenBehind::Drop if self.take_uncounted() => {
                own.drop_one(homeless.id.issuer());
                Ok(())
            }
            WhenBehind::Drop | WhenBehind::Refuse => Err(Unrecorded::Full),
        }
    }

    /// Whether a mint would be refused now: to be asked before a signature is made for
    /// nothing.
    pub(crate) fn refuses(&self, when_behind: WhenBehind) -> bool {
        let may_drop = when_behind == WhenBehind::Drop && self.has_begun() && self.may_drop();
        !may_drop && self.is_full()
    }

    /// Whether a record that finds no room may be dropped.
    pub(crate) fn may_drop(&self) -> bool {
        self.uncounted.load(Ordering::Acquire) > 0
    }

    /// Has the file say that records may be missing, before any is.
    pub(crate) fn expect_drops(&self) {
        // Read first: a line of the cache that nobody writes is everybody's.
        if !self.drops.load(Ordering::Relaxed) {
            self.drops.store(true, Ordering::Relaxed);
        }
    }

    pub(super) fn expects_drops(&self) -> bool {
        self.drops.load(Ordering::Relaxed)
    }

    /// So many more may be dropped: the file on the disk says that they may be missing,
    /// or counts as many that were.
    pub(crate) fn allow_drops(&self, records: u64) {
        self.uncounted.fetch_add(records, Ordering::AcqRel);
    }

    fn take_uncounted(&self) -> bool {
        let take = |left: u64| left.checked_sub(1);
        (self.uncounted)
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, take)
            .is_ok()
    }

    /// Whether a record would find no room now. The other lanes are looked at only when
    /// its own is full.
    pub(crate) fn is_full(&self) -> bool {
        !self.has_begun()
            || (self.own().is_none_or(Lane::is_full) && self.lanes.iter().all(Lane::is_full))
    }

    /// Takes records from here on. Not before the first segment of this process is on
    /// the disk: what it took before a crash would be missing, and nothing would say so.
    pub(crate) fn begin(&self) {
        self.begun.store(true, Ordering::Release);
    }

    fn has_begun(&self) -> bool {
        self.begun.load(Ordering::Acquire)
    }

    /// The lane of this thread.
    fn own(&self) -> Option<&Lane> {
        self.lanes.get(thread_number() % self.lanes.len().max(1))
    }

    /// Whether what was handed over a second ago is not in the file.
    pub(crate) fn is_behind(&self, now: BootTime) -> bool {
        let written = BootTime(self.written_up_to.load(Ordering::Acquire));
        now.since(written).is_some_and(|age| age > BEHIND_AFTER)
    }

    /// Records that wait.
    pub(crate) fn waiting(&self) -> usize {
        self.lanes.iter().map(Lane::len).sum()
    }

    /// The most that can wait.
    pub(crate) fn room(&self) -> usize {
        self.lanes.iter().map(Lane::capacity).sum()
    }

    /// Takes no more records, and has the writer write what it has.
    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
        if let Some(writer) = self.writer.get() {
            writer.unpark();
        }
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::SeqCst)
    }

    /// Whether nobody hands over any more. What was handed over before is in the
    /// lanes.
    pub(super) fn is_quiet(&self) -> bool {
        self.is_closed() && self.lanes.iter().all(Lane::is_quiet)
    }

    pub(super) fn lanes(&self) -> &[Lane] {
        &self.lanes
    }

    /// Names the thread that writes: [`Recorder::close`] wakes it.
    pub(super) fn written_by(&self, writer: Thread) {
        let _ = self.writer.set(writer);
    }

    pub(super) fn set_written_up_to(&self, moment: BootTime) {
        self.written_up_to.store(moment.0, Ordering::Release);
    }
}
