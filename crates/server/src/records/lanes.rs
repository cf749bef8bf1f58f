//! Lanes: where records wait to be written, one to a thread that mints.

use std::{
    cell::Cell,
    sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering},
};

use chancery_credential::IssuerNumber;
use crossbeam_queue::ArrayQueue;

use super::Issued;

/// One lane. Apart from its neighbours by more than a cache line and what the
/// processor fetches with it: threads that mint do not disturb each other.
#[derive(Debug)]
#[repr(align(128))]
pub(super) struct Lane {
    waiting: ArrayQueue<Issued>,
    /// Mints that are handing over now.
    giving: AtomicUsize,
    dropped: AtomicU64,
    /// The issuers of what was dropped lie between these.
    lowest: AtomicU32,
    highest: AtomicU32,
}

/// Records that found no room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Dropped {
    pub(super) records: u64,
    pub(super) lowest: IssuerNumber,
    pub(super) highest: IssuerNumber,
}

impl Lane {
    pub(super) fn with_room_for(records: usize) -> Self {
        Self {
            waiting: ArrayQueue::new(records.max(1)),
            giving: AtomicUsize::new(0),
            dropped: AtomicU64::new(0),
            lowest: AtomicU32::new(u32::MAX),
            highest: AtomicU32::new(0),
        }
    }

    /// Says that a record is on its way. Sequentially consistent with the look at
    /// whether the recorder is closed: one of the two sides sees the other.
    pub(super) fn enter(&self) -> Giving<'_> {
        self.giving.fetch_add(1, Ordering::SeqCst);
        Giving(self)
    }

    pub(super) fn is_quiet(&self) -> bool {
        self.giving.load(Ordering::SeqCst) == 0
    }

    /// # Errors
    /// The record, when the lane is full.
    #[expect(
        clippy::result_large_err,
        reason = "it is given back without an allocation"
    )]
    pub(super) fn push(&self, issued: Issued) -> Result<(), Issued> {
        self.waiting.push(issued)
    }

    pub(super) fn pop(&self) -> Option<Issued> {
        self.waiting.pop()
    }

    pub(super) fn is_full(&self) -> bool {
        self.waiting.is_full()
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    pub(super) fn capacity(&self) -> usize {
        self.waiting.capacity()
    }

    /// Counts a record of `issuer` that found no room.
    pub(super) fn drop_one(&self, issuer: IssuerNumber) {
        self.lowest.fetch_min(issuer.0, Ordering::Relaxed);
        self.highest.fetch_max(issuer.0, Ordering::Relaxed);
        self.dropped.fetch_add(1, Ordering::Release);
    }

    /// What was dropped since the last call. A drop that is being counted now is in
    /// this or the next; the issuers may then stand in both.
    pub(super) fn take_dropped(&self) -> Option<Dropped> {
        let records = self.dropped.swap(0, Ordering::AcqRel);
        (records > 0).then(|| Dropped {
            records,
            lowest: IssuerNumber(self.lowest.load(Ordering::Relaxed)),
            highest: IssuerNumber(self.highest.load(Ordering::Relaxed)),
        })
    }
}

/// A record on its way into a lane.
pub(super) struct Giving<'a>(&'a Lane);

impl Drop for Giving<'_> {
    fn drop(&mut self) {
        self.0.giving.fetch_sub(1, Ordering::SeqCst);
    }
}

/// The number of this thread among those that mint, from 0.
pub(super) fn thread_number() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static NUMBER: Cell<Option<usize>> = const { Cell::new(None) };
    }
    NUMBER.with(|number| {
        number.get().unwrap_or_else(|| {
            let next = NEXT.fetch_add(1, Ordering::Relaxed);
            number.set(Some(next));
            next
        })
    })
}
