//! Group commit: the one thread that writes the log.

use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use parking_lot::{Condvar, Mutex};

use super::{
    FlushedIndex, OnFlushed, form,
    queue::{Book, Change, Drained},
};
use crate::{
    Error, Failure, Result,
    database::{Durability, WriteBatch},
};

/// Where batches go: the database, or a test's idea of one.
pub(super) type Sink = Box<dyn FnMut(WriteBatch, Durability) -> Result<()> + Send>;

/// What the thread and the handles share.
pub(super) struct Desk {
    pub(super) book: Mutex<Book>,
    /// Something waits, or nobody is left.
    work: Condvar,
    /// The queue has room again.
    room: Condvar,
    pub(super) flushed: Arc<FlushedIndex>,
    pub(super) failure: Failure,
    pub(super) counters: Counters,
    /// As `work`, of a task.
    #[cfg(simulation)]
    pub(super) called: Arc<tokio::sync::Notify>,
}

/// What happened since the log was opened.
#[derive(Default)]
pub(super) struct Counters {
    pub(super) entries: AtomicU64,
    pub(super) votes: AtomicU64,
}

impl Desk {
    pub(super) fn of(book: Book, flushed: Arc<FlushedIndex>, failure: Failure) -> Self {
        let counters = Counters::default();
        let (work, room) = (Condvar::new(), Condvar::new());
        Self {
            book: Mutex::new(book),
            work,
            room,
            flushed,
            failure,
            counters,
            #[cfg(simulation)]
            called: Arc::default(),
        }
    }

    /// Puts a change into the ledger and the queue at once. `edit` does the first and says what the second is to be.
    ///
    /// Refused, the callback is called here.
    pub(super) fn submit(
        &self,
        on_flushed: OnFlushed,
        waits_for_room: bool,
        edit: impl FnOnce(&mut Book) -> Result<Change>,
    ) -> Result<()> {
        let mut book = self.book.lock();
        if waits_for_room {
            self.room.wait_while(&mut book, |book| {
                book.is_full() && self.failure.check().is_ok()
            });
        }
        match self.failure.check().and_then(|()| edit(&mut book)) {
            Ok(change) => {
                if let Change::Truncate { from, .. } = change {
                    self.flushed.lower(from);
                }
                book.enqueue(change, on_flushed);
                self.nudge();
                Ok(())
            }
            Err(error) => {
                drop(book);
                on_flushed(Err(io::Error::from(error.clone())));
                Err(error)
            }
        }
    }

    /// Wakes the thread: something is there for it.
    pub(super) fn nudge(&self) {
        self.work.notify_one();
        #[cfg(simulation)]
        self.called.notify_one();
    }

    /// No handle is left.
    pub(super) fn close(&self) {
        self.book.lock().closed = true;
        self.nudge();
    }

    /// What waits now, for a task that must not wait for it.
    #[cfg(simulation)]
    pub(super) fn take_now(&self) -> Option<Drained> {
        self.drain(&mut self.book.lock())
    }

    #[cfg(simulation)]
    pub(super) fn is_closed(&self) -> bool {
        self.book.lock().closed
    }

    #[cfg(not(simulation))]
    fn take(&self) -> Option<Drained> {
        let mut book = self.book.lock();
        self.work
            .wait_while(&mut book, |book| book.is_idle() && !book.closed);
        self.drain(&mut book)
    }

    fn drain(&self, book: &mut Book) -> Option<Drained> {
        if book.is_idle() {
            return None;
        }
        let drained = book.drain();
        self.room.notify_all();
        Some(drained)
    }

    fn commit(&self, sink: &mut Sink, drained: &Drained) -> Result<()> {
        self.failure.check()?;
        let mut batch = WriteBatch::default();
        for waiting in &drained.waiting {
            form::put_change(&mut batch, &waiting.change);
        }
        if let Some(committed) = &drained.committed {
            form::put_committed(&mut batch, committed);
        }
        if drained.waiting.is_empty() {
            return self.failure.watch(sink(batch, Durability::Written));
        }
        let durability = Durability::Synced;
        #[cfg(simulation)]
        let durability = durability.mistaken(drained);
        let began = Instant::now();
        self.failure.watch(sink(batch, durability))?;
        metrics::histogram!("chancery_log_sync_seconds").record(began.elapsed());
        for waiting in &drained.waiting {
            match &waiting.change {
                Change::Append { entries, .. } => self
                    .counters
                    .entries
                    .fetch_add(entries.len() as u64, Ordering::Relaxed),
                Change::Vote(_) => self.counters.votes.fetch_add(1, Ordering::Relaxed),
                Change::Truncate { .. } | Change::Purge { .. } => 0,
            };
        }
        Ok(())
    }

    /// A panic on the way fails storage and leaves nobody waiting.
    pub(super) fn written(&self, sink: &mut Sink, drained: &Drained) -> Result<()> {
        catch_unwind(AssertUnwindSafe(|| self.commit(sink, drained))).unwrap_or_else(|_| {
            let why = "writing the log panicked";
            self.failure.declare(why);
            Err(Error::Failed(why.into()))
        })
    }

    /// Tells those who wait: the flushed index first, then each callback in order.
    pub(super) fn tell(&self, drained: Drained, outcome: &Result<()>) {
        if outcome.is_ok() {
            let mut book = self.book.lock();
            let flushed = book.settle(&drained, self.flushed.get());
            self.flushed.set(flushed);
        }
        for waiting in drained.waiting {
            let result = outcome.clone().map_err(io::Error::from);
            if catch_unwind(AssertUnwindSafe(|| (waiting.on_flushed)(result))).is_err() {
                self.failure.declare("a callback of the log panicked");
            }
        }
    }
}

/// Writes what waits until no handle is left and nothing waits.
#[cfg(not(simulation))]
pub(super) fn run(desk: &Desk, mut sink: Sink) {
    while let Some(drained) = desk.take() {
        let outcome = desk.written(&mut sink, &drained);
        desk.tell(drained, &outcome);
    }
}

#[cfg(simulation)]
impl Durability {
    fn mistaken(self, drained: &Drained) -> Self {
        use chancery_mutation::{Mutation, is_made};
        let votes_only = drained
            .waiting
            .iter()
            .all(|waiting| matches!(waiting.change, Change::Vote(_)));
        if is_made(Mutation::LogSync) || is_made(Mutation::VoteSync) && votes_only {
            Self::Written
        } else {
            self
        }
    }
}
