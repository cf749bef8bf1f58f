//! The thread that writes: from the lanes into the segments.

use std::{io, sync::Arc, thread, time::Duration};

use chancery_revocation::BootTime;
use metrics::counter;
use tracing::error;

use super::{
    Cause, Gap, RecordLimits, Recorder,
    disk::{Disk, Ended},
    format::{Ending, RECORD_BYTES, SegmentHeader},
    kept::Kept,
    lanes::Lane,
    outage::Outage,
    recover::Next,
    segment::{Beginning, Segment},
    start::Author,
    syncer::Syncer,
    tail::MAX_UNSYNCED,
};
use crate::clock::SystemClock;

/// Milliseconds since the Unix epoch, as this machine believes. It may be set, forwards
/// and back: it is written down, and nothing waits or goes by it.
pub(super) type WallClock = Arc<dyn Fn() -> u64 + Send + Sync>;

/// How often the lanes are emptied; a fifth of what is promised.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// How often what was written is synced: so much is lost at most with the power.
const SYNC_EVERY: Duration = Duration::from_secs(1);
/// How often the time is written while nothing is minted: so exactly a crash is
/// bounded from below.
const MARK_EVERY_MS: u64 = 1_000;
/// A batch, and with it what is neither in a lane nor in the file, has at most so
/// many records.
pub(super) const BATCH_RECORDS: u64 = 4_096;
/// What is in the file and not synced has at most so many: no record is smaller, and
/// nothing is taken from the lanes while the tail is full.
pub(super) const UNSYNCED_RECORDS: u64 = (MAX_UNSYNCED / RECORD_BYTES) as u64 + BATCH_RECORDS;
/// And ends beyond so many bytes.
pub(super) const BATCH_BYTES: usize = 1 << 20;
/// How long a stopping node tries to write what it has.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// What a look at the lanes came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pass {
    /// They were not emptied: look again at once.
    More,
    /// They were.
    Idle,
    /// Everything is written, and the chain is closed.
    Finished,
}

/// Writes a node's records until the recorder is closed.
pub(super) struct Writer<D> {
    recorder: Arc<Recorder>,
    disk: D,
    limits: RecordLimits,
    author: Author,
    syncer: Syncer,
    wall: WallClock,
    segment: Option<Segment>,
    next: Next,
    kept: Kept,
    /// For how long this node's processes had kept records when this one began, and when
    /// that was.
    kept_before: (u64, BootTime),
    /// Records that may be dropped uncounted, as the segments of this process say.
    reserved: u64,
    /// What was written last is not to wait for its sync.
    sync_at_once: bool,
    /// A sync has succeeded that no mark tells of.
    synced_unsaid: bool,
    /// What was handed over before this is in the segments, milliseconds since the
    /// Unix epoch by the clock as it stood.
    as_of_ms: u64,
    /// When drops were last asked for, milliseconds since the Unix epoch.
    drops_seen_ms: u64,
    /// When the time was last written, as `kept_ms`: also when the clock is set back.
    marked_ms: u64,
    first_lane: usize,
    synced: BootTime,
    /// The last sync failed, and none has succeeded since.
    unsafe_since_sync: bool,
    outage: Outage,
    /// Records and bytes that were counted.
    counted: (u64, u64),
}

/// Whether it is so long ago, by the clock that goes on through a suspend.
fn is_past(moment: BootTime, span: Duration) -> bool {
    SystemClock::boot().since(moment).unwrap_or_default() >= span
}

impl<D: Disk> Writer<D> {
    pub(super) fn new(
        recorder: Arc<Recorder>,
        disk: D,
        limits: RecordLimits,
        author: Author,
        (next, kept): (Next, Vec<Ended>),
        wall: WallClock,
    ) -> io::Result<Self> {
        let started_ms = wall();
        Ok(Self {
            recorder,
            disk,
            limits,
            author,
            syncer: Syncer::start()?,
            wall,
            segment: None,
            counted: (next.records_before, 0),
            kept_before: (next.kept_ms, SystemClock::boot()),
            reserved: 0,
            sync_at_once: false,
            synced_unsaid: false,
            marked_ms: next.kept_ms,
            next,
            kept: Kept::new(kept),
            as_of_ms: started_ms,
            drops_seen_ms: started_ms,
            first_lane: 0,
            synced: SystemClock::boot(),
            unsafe_since_sync: false,
            outage: Outage::default(),
        })
    }

    /// Runs until the recorder is closed and everything is written; or until that
    /// has failed for too long, and then the next start finds the chain unclosed.
    pub(super) fn run(mut self) {
        let mut give_up = None;
        loop {
            // Asked first: what was handed over before is in the lanes.
            let last = self.recorder.is_quiet();
            let pass = self.pass(last);
            self.say(&pass);
            match pass {
                Ok(Pass::More) => continue,
                Ok(Pass::Finished) => return,
                Ok(Pass::Idle) | Err(_) => {}
            }
            if self.recorder.is_closed() {
                let closed = *give_up.get_or_insert_with(SystemClock::boot);
                if is_past(closed, LAST_WORDS) {
                    error!(
                        "not all records of mints could be written; the next start records a gap"
                    );
                    return;
                }
            }
            thread::park_timeout(LOOK_EVERY);
        }
    }

    fn say(&mut self, pass: &io::Result<Pass>) {
        match pass {
            Err(error) => {
                self.outage.begin(error, self.recorder.room());
                if self.reserved > 0 && !self.recorder.may_drop() {
                    self.outage.exhaust(self.reserved);
                }
            }
            Ok(_) if !self.unsafe_since_sync => self.outage.end(),
            Ok(_) => {}
        }
    }

    /// One look at the lanes. After an error nothing is lost: the next pass goes on
    /// where this one failed, and takes nothing new before it has.
    fn pass(&mut self, last: bool) -> io::Result<Pass> {
        let begun = ((self.wall)(), SystemClock::boot());
        if let Some(done) = self.syncer.poll() {
            self.note_sync(done)?;
        }
        if self.finish_segment()? == Some(Ending::Stopped) {
            return Ok(Pass::Finished);
        }
        self.begin_segment(begun.0)?;
        self.write()?;
        // Before anything is taken: where each pass fails behind that, nothing else would
        // end the segment, or sync it.
        self.rotate_when_due(begun.0)?;
        if is_past(self.synced, SYNC_EVERY) {
            self.sync();
        }
        self.make_room_to_write_again()?;
        let drained = self.drain(begun.0);
        self.write()?;
        if self.sync_at_once && !self.syncer.is_busy() {
            self.sync();
            self.sync_at_once = false;
        }
        if drained {
            self.recorder.set_written_up_to(begun.1);
        }
        if drained && last {
            if let Some(segment) = self.segment.as_mut() {
                segment.close(Ending::Stopped, begun.0);
            }
            self.finish_segment()?;
            return Ok(Pass::Finished);
        }
        Ok(if drained { Pass::Idle } else { Pass::More })
    }

    /// Goes on in another segment when this one is large or old.
    fn rotate_when_due(&mut self, now_ms: u64) -> io::Result<()> {
        let (kept_ms, limits) = (self.kept_ms(), &self.limits);
        let age_ms = limits.segment_seconds.saturating_mul(1000);
        let is_due = |segment: &&mut Segment| {
            segment.is_full(limits.segment_bytes) || segment.age_ms(kept_ms) >= age_ms
        };
        let Some(segment) = self.segment.as_mut().filter(is_due) else {
            return Ok(());
        };
        segment.close(Ending::Rotated, now_ms);
        self.finish_segment()?;
        self.begin_segment(now_ms)
    }

    fn note_sync(&mut self, done: io::Result<u64>) -> io::Result<()> {
        let Some(segment) = self.segment.as_mut() else {
            return Ok(());
        };
        match done {
            Ok(up_to) => {
                self.recorder.allow_drops(segment.synced(up_to));
                self.unsafe_since_sync = false;
                self.synced_unsaid = true;
                Ok(())
            }
            Err(error) => {
                segment.tail.begin_again();
                self.unsafe_since_sync = true;
                Err(error)
            }
        }
    }

    fn sync(&mut self) {
        let Some(segment) = self.segment.as_ref() else {
            return;
        };
        if segment.tail.is_unsynced() && !self.syncer.is_busy() {
            self.syncer.begin(&segment.file, segment.tail.written());
            self.synced = SystemClock::boot();
        }
    }

    fn write(&mut self) -> io::Result<()> {
        let Some(segment) = self.segment.as_mut() else {
            return Ok(());
        };
        segment.write()?;
        let (records, bytes) = (segment.records(), segment.tail.length());
        let (records_before, bytes_before) = std::mem::replace(&mut self.counted, (records, bytes));
        counter!("chancery_records_written_total").increment(records - records_before);
        counter!("chancery_records_bytes_total").increment(bytes.saturating_sub(bytes_before));
        Ok(())
    }

    /// No more is kept for writing it again than there is room for.
    fn make_room_to_write_again(&mut self) -> io::Result<()> {
        let is_full = |segment: &Segment| segment.tail.is_full();
        if !self.segment.as_ref().is_some_and(is_full) {
            return Ok(());
        }
        self.sync();
        let slow = "the disk does not come to the end of a sync";
        Err(io::Error::new(io::ErrorKind::TimedOut, slow))
    }

    /// Has a segment that was closed survive the loss of power, before the next one
    /// follows from it. Gives how it ended.
    fn finish_segment(&mut self) -> io::Result<Option<Ending>> {
        let ending = |segment: &Segment| segment.ending();
        let Some(ending) = self.segment.as_ref().and_then(ending) else {
            return Ok(None);
        };
        if let Some(done) = self.syncer.wait() {
            self.note_sync(done)?;
        }
        self.write()?;
        if let Some(segment) = self.segment.as_ref() {
            let up_to = segment.tail.written();
            let done = segment.file.sync().map(|()| up_to);
            self.note_sync(done)?;
        }
        let Some(segment) = self.segment.take() else {
            return Ok(None);
        };
        self.kept.push(Ended {
            segment: segment.number(),
            bytes: segment.end().length,
            kept_ms: self.kept_ms(),
        });
        self.next = Next {
            number: segment.number() + 1,
            former: segment.end(),
            records_before: segment.records(),
            kept_ms: self.kept_ms(),
            gap: None,
        };
        Ok(Some(ending))
    }

    fn begin_segment(&mut self, now_ms: u64) -> io::Result<()> {
        if self.segment.is_some() {
            return Ok(());
        }
        let reserved = self.reservation();
        let beginning = Beginning {
            header: SegmentHeader {
                segment: self.next.number,
                node: self.author.node,
                lineage: self.author.lineage,
                process: self.author.process,
                boot: self.author.boot.0,
                begun_ms: now_ms,
                former: self.next.former,
                as_of_ms: self.as_of_ms,
                records_before: self.next.records_before,
                waiting_at_most: self.recorder.room() as u64 + BATCH_RECORDS,
                uncounted_at_most: reserved,
                unsynced_at_most: UNSYNCED_RECORDS,
                kept_ms: self.kept_ms(),
            },
            gap: self.next.gap.clone(),
            deleted: self.kept.too_old(&self.limits, self.kept_ms()),
        };
        let (bytes, chain) = beginning.encode();
        let file = self.disk.create(self.next.number, &bytes)?;
        let length = bytes.len() as u64;
        self.segment = Some(Segment::new(file, &beginning.header, chain, length));
        // It is on the disk as a whole: what it says may be missing may be.
        self.recorder.allow_drops(reserved - self.reserved);
        self.reserved = reserved;
        self.recorder.begin();
        self.counted.1 = 0;
        self.synced_unsaid = false;
        self.marked_ms = self.kept_ms();
        self.synced = SystemClock::boot();
        if let Some(through) = beginning.deleted {
            self.kept.let_go(through, &self.disk);
        }
        Ok(())
    }

    /// For how long this node's processes have kept records by now, together.
    fn kept_ms(&self) -> u64 {
        let (before_ms, began) = self.kept_before;
        let since = SystemClock::boot().since(began).unwrap_or_default();
        before_ms.saturating_add(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }

    /// Records that the next segment, or mark, says may be dropped uncounted.
    fn reservation(&self) -> u64 {
        if self.recorder.expects_drops() {
            self.limits.uncounted
        } else {
            self.reserved
        }
    }

    /// Takes a batch from the lanes into the segment. Gives whether they were empty
    /// then.
    fn drain(&mut self, now_ms: u64) -> bool {
        let Some(segment) = self.segment.as_mut() else {
            return false;
        };
        let recorder = self.recorder.clone();
        let lanes = recorder.lanes();
        let mut room = BATCH_RECORDS;
        let mut drained = true;
        // From another lane each time: none waits for ever behind a busy one.
        'lanes: for step in 0..lanes.len() {
            let number = (self.first_lane + step) % lanes.len();
            while let Some(issued) = lanes.get(number).and_then(Lane::pop) {
                room -= 1;
                if segment.add(&issued) >= BATCH_BYTES || room == 0 {
                    self.first_lane = number + 1;
                    drained = false;
                    break 'lanes;
                }
            }
        }
        if drained {
            self.as_of_ms = now_ms;
        }
        let written = segment.end_batch(self.as_of_ms) > 0;
        if let Some(gap) = dropped(lanes, self.drops_seen_ms, now_ms) {
            counter!("chancery_records_dropped_total").increment(gap.records);
            segment.gap(&gap);
            segment.allow_drops_later(gap.records);
            self.outage.dropped(gap.records);
        }
        self.drops_seen_ms = now_ms;
        let kept_ms = self.kept_ms();
        if written {
            self.marked_ms = kept_ms;
        }
        let idle = drained && kept_ms.saturating_sub(self.marked_ms) >= MARK_EVERY_MS;
        if idle || self.synced_unsaid {
            self.mark();
        }
        self.reserve();
        drained
    }

    /// Writes down how far this process has come.
    fn mark(&mut self) {
        let (kept_ms, reserved) = (self.kept_ms(), self.reserved);
        if let Some(segment) = self.segment.as_mut() {
            segment.mark(self.as_of_ms, kept_ms, reserved);
            self.marked_ms = kept_ms;
            self.synced_unsaid = false;
        }
    }

    /// Once records may be dropped: says how many may be missing, before any is. They
    /// may be from when that is on the disk, which is at once and not in a second.
    fn reserve(&mut self) {
        let more = self.reservation().saturating_sub(self.reserved);
        if more == 0 {
            return;
        }
        self.reserved += more;
        self.mark();
        if let Some(segment) = self.segment.as_mut() {
            segment.allow_drops_later(more);
        }
        self.sync_at_once = true;
    }
}

/// What found no room since drops were last asked for. Where the clock was set back
/// meanwhile, all that either may have shown lies between.
fn dropped(lanes: &[Lane], from_ms: u64, to_ms: u64) -> Option<Gap> {
    let mut gap: Option<Gap> = None;
    for dropped in lanes.iter().filter_map(Lane::take_dropped) {
        let gap = gap.get_or_insert_with(|| Gap {
            cause: Cause::Dropped,
            records: 0,
            from_ms: from_ms.min(to_ms),
            to_ms: to_ms.max(from_ms),
            issuers: Vec::new(),
            torn_bytes: 0,
        });
        gap.records += dropped.records;
        gap.issuers.extend([dropped.lowest, dropped.highest]);
    }
    if let Some(gap) = &mut gap {
        gap.issuers.sort_unstable();
        gap.issuers.dedup();
    }
    gap
}
