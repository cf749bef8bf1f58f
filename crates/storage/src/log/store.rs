//! The handle of the log.

use std::{
    fmt,
    ops::Range,
    path::Path,
    sync::{Arc, Weak, atomic::Ordering},
};

use bytes::Bytes;

use super::{
    FlushedIndex, OnFlushed, Purged,
    commit::{Desk, Sink},
    form,
    ledger::Ledger,
    mark::SyncedMark,
    queue::{Book, Change},
    read,
    writer::Writer,
};
use crate::{
    DataDirectory, Error, Footprint, Result,
    database::{Database, Durability, WriteBatch},
};

/// The Raft log and the vote. Clones share one log; the last one to go writes what waits, and ends the thread.
#[derive(Clone)]
pub struct LogStore {
    handle: Arc<Handle>,
}

struct Handle {
    desk: Arc<Desk>,
    database: Arc<Database>,
    writer: Writer,
    // Dropped last: the lock is let go when nothing is written any more.
    _directory: DataDirectory,
}

/// What the log has done since it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogStatistics {
    /// Syncs of the write-ahead log, as RocksDB counts them: one for all that waited.
    pub syncs: u64,
    /// Entries on the disk by them.
    pub entries: u64,
    /// Votes on the disk by them.
    pub votes: u64,
    /// What it takes.
    pub footprint: Footprint,
}

/// Reads what a log has done, and does not keep it open.
#[derive(Clone)]
pub struct LogGauge(Weak<Handle>);

impl LogGauge {
    /// What was done since it was opened; `None` when it is closed.
    #[must_use]
    pub fn read(&self) -> Option<LogStatistics> {
        let handle = self.0.upgrade()?;
        Some(LogStore { handle }.statistics())
    }
}

impl fmt::Debug for LogGauge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("LogGauge").field(&self.read()).finish()
    }
}

impl LogStore {
    /// Opens the log of a directory, and starts the thread that writes it.
    ///
    /// # Errors
    /// [`Error::SyncedWritesLost`], [`Error::Corrupt`], [`Error::DatabaseMissing`], [`Error::AnotherNode`],
    /// [`Error::AnotherCluster`], or the disk's. Nothing on the disk has changed when it is refused for lost writes.
    pub fn open(directory: &DataDirectory) -> Result<Self> {
        let path = directory.path().join(super::DIRECTORY);
        let mark = SyncedMark::open(&directory.path().join(super::SYNCED))?;
        must_reach(&path, directory, mark.read()?)?;
        let database = Database::open(&path, directory.cache(), directory.marker())?;
        let remembered = form::read_remembered(&database)?;
        let (first, next) = form::read_extent(&database, remembered.purged.as_ref())?;
        let mut number = database.get_number(form::NUMBER)?.unwrap_or(0);
        let mut ledger = Ledger::of(first, next, remembered.purged);
        ledger.vote = remembered.vote;
        ledger.committed = remembered.committed;

        let database = Arc::new(database);
        let written = database.clone();
        let sink = Box::new(move |mut batch: WriteBatch, durability| {
            if durability != Durability::Synced {
                return written.write(batch, durability);
            }
            batch.put(form::NUMBER, (number + 1).to_be_bytes());
            written.write(batch, durability)?;
            number += 1;
            mark.record(number)
        });
        Self::start(directory.clone(), database, ledger, sink)
    }

    /// What recovery found is synced (RocksDB writes it into tables before it opens), so all of it counts as flushed.
    pub(super) fn start(
        directory: DataDirectory,
        database: Arc<Database>,
        ledger: Ledger,
        sink: Sink,
    ) -> Result<Self> {
        let purged = ledger.purged.as_ref().map(|purged| purged.index);
        let flushed = ledger.extent().map(|(_, last)| last).max(purged);
        let failure = directory.failure().clone();
        let flushed = Arc::new(FlushedIndex::of(flushed, failure.clone()));
        let desk = Arc::new(Desk::of(Book::of(ledger), flushed, failure));
        let writer = Writer::start(desk.clone(), sink, directory.path())?;
        Ok(Self {
            handle: Arc::new(Handle {
                desk,
                database,
                writer,
                _directory: directory,
            }),
        })
    }

    /// Appends consecutive entries; the first follows the last one held or purged (a log that never held any begins
    /// anywhere).
    ///
    /// They are readable on return, and on the disk when called back. Returns without waiting for the disk, unless
    /// 32 MiB of entries wait for it already: then it blocks the thread until they are fewer.
    ///
    /// # Errors
    /// [`Error::NotConsecutive`] (nothing is appended), [`Error::Failed`].
    pub fn append(&self, entries: Vec<(u64, Bytes)>, on_flushed: OnFlushed) -> Result<()> {
        self.handle.desk.submit(on_flushed, true, |book| {
            book.ledger.append(&entries)?;
            let first = entries.first().map_or(0, |(index, _)| *index);
            let entries = entries.into_iter().map(|(_, entry)| entry).collect();
            Ok(Change::Append { first, entries })
        })
    }

    /// Saves the vote; it may be acted upon once called back.
    ///
    /// # Errors
    /// [`Error::Failed`].
    pub fn save_vote(&self, vote: Bytes, on_flushed: OnFlushed) -> Result<()> {
        self.handle.desk.submit(on_flushed, false, |book| {
            book.ledger.vote = Some(vote.clone());
            Ok(Change::Vote(vote))
        })
    }

    /// Removes the entry `from` and all after it: for readers on return, on the disk when called back. Lowers
    /// [`FlushedIndex`] at once. What was purged stays purged.
    ///
    /// # Errors
    /// [`Error::Failed`].
    pub fn truncate_from(&self, from: u64, on_flushed: OnFlushed) -> Result<()> {
        self.handle.desk.submit(on_flushed, false, |book| {
            let cut = book.ledger.truncate(from);
            Ok(Change::Truncate {
                from: cut.start,
                to: cut.end,
            })
        })
    }

    /// Removes all entries through `through`, which may lie beyond the last (a state was installed): for readers on
    /// return, on the disk when called back. Through an index that is purged already it changes nothing.
    ///
    /// The state must be durable through `through` before: call [`crate::StateStore::sync`] and compare what it
    /// answers, or the next start finds neither the entries nor their effect ([`Error::StateBehindLog`]).
    ///
    /// # Errors
    /// [`Error::Failed`]; [`Error::NotConsecutive`] for the greatest index of all, which no entry can follow.
    pub fn purge_through(&self, through: u64, log_id: Bytes, on_flushed: OnFlushed) -> Result<()> {
        self.handle.desk.submit(on_flushed, false, |book| {
            Ok(match book.ledger.purge(through, log_id.clone())? {
                Some(first) => Change::Purge {
                    first,
                    through,
                    log_id,
                },
                None => Change::Append {
                    first: through,
                    entries: Vec::new(),
                },
            })
        })
    }

    /// Notes the committed log id. Written when the thread comes to it, synced with the next synced batch; a crash may
    /// take it back.
    ///
    /// # Errors
    /// [`Error::Failed`].
    pub fn save_committed(&self, committed: Bytes) -> Result<()> {
        let desk = &self.handle.desk;
        desk.failure.check()?;
        desk.book.lock().set_committed(committed);
        desk.nudge();
        Ok(())
    }

    /// The committed log id noted last.
    pub fn committed(&self) -> Option<Bytes> {
        self.handle.desk.book.lock().ledger.committed.clone()
    }

    /// The vote saved last, on the disk or on its way there.
    pub fn vote(&self) -> Option<Bytes> {
        self.handle.desk.book.lock().ledger.vote.clone()
    }

    /// Through where the log was purged.
    pub fn purged(&self) -> Option<Purged> {
        self.handle.desk.book.lock().ledger.purged.clone()
    }

    /// The first entry's index; `None` when there is no entry.
    pub fn first_index(&self) -> Option<u64> {
        self.handle
            .desk
            .book
            .lock()
            .ledger
            .extent()
            .map(|(first, _)| first)
    }

    /// The last entry's index; `None` when there is no entry.
    pub fn last_index(&self) -> Option<u64> {
        self.handle
            .desk
            .book
            .lock()
            .ledger
            .extent()
            .map(|(_, last)| last)
    }

    /// The entries of `range` that the log holds, consecutive from the first of them, until they exceed `max_bytes`;
    /// at least one if any is held. Recent ones come from memory, others from the disk (this thread waits for it).
    ///
    /// # Errors
    /// [`Error::Corrupt`] when an entry that should be there is not, [`Error::Failed`], or the disk's.
    pub fn read(&self, range: Range<u64>, max_bytes: usize) -> Result<Vec<(u64, Bytes)>> {
        let Handle { desk, database, .. } = &*self.handle;
        read::entries(desk, database, &range, max_bytes)
    }

    /// Through where the log is on this disk.
    pub fn flushed(&self) -> &Arc<FlushedIndex> {
        &self.handle.desk.flushed
    }

    /// For who wants to know what is done, and has no other use for the log.
    #[must_use]
    pub fn gauge(&self) -> LogGauge {
        LogGauge(Arc::downgrade(&self.handle))
    }

    /// What was done since it was opened.
    pub fn statistics(&self) -> LogStatistics {
        let counters = &self.handle.desk.counters;
        LogStatistics {
            syncs: self.handle.database.syncs(),
            entries: counters.entries.load(Ordering::Relaxed),
            votes: counters.votes.load(Ordering::Relaxed),
            footprint: self.handle.database.footprint(),
        }
    }
}

impl fmt::Debug for LogStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogStore")
            .field("extent", &self.handle.desk.book.lock().ledger.extent())
            .field("flushed", &self.handle.desk.flushed)
            .finish_non_exhaustive()
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.desk.close();
        self.writer.end();
    }
}

/// Refuses a log that ends before the last batch that was synced, without changing anything: recovery for writing
/// would drop what it cannot read, and with it what could still be saved by hand.
fn must_reach(path: &Path, directory: &DataDirectory, synced: u64) -> Result<()> {
    let database = Database::open_read_only(path, directory.cache(), directory.marker(), None)?;
    let found = database.get_number(form::NUMBER)?.unwrap_or(0);
    if found < synced {
        return Err(Error::SyncedWritesLost {
            path: path.to_owned(),
            synced,
            found,
        });
    }
    Ok(())
}
