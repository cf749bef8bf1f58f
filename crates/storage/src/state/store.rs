//! The handle of the state.

use std::{
    fmt,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use parking_lot::{Mutex, RwLock};

use super::{
    APPLIED, Applied, Checkpoint, FinishedState, StagedState, checkpoint::Images, installed,
};
use crate::{
    DataDirectory, Error, Footprint, Result, Rows,
    database::{Database, Durability, Pair, WriteBatch},
    row,
    row::{Row, RowWrite},
};

/// The state tables. Clones share one state.
#[derive(Clone)]
pub struct StateStore {
    inner: Arc<Inner>,
}

struct Inner {
    root: PathBuf,
    current: RwLock<Current>,
    images: Mutex<Images>,
    /// The number of the next staged database.
    next: AtomicU64,
    // Dropped last: the lock is let go when nothing is open any more.
    directory: DataDirectory,
}

struct Current {
    database: Arc<Database>,
    applied: Option<Applied>,
}

impl StateStore {
    /// Opens the state of a directory, and removes what a crash left of replaced, unfinished and half-made ones.
    ///
    /// # Errors
    /// [`Error::DatabaseMissing`], [`Error::Damaged`], [`Error::Corrupt`], [`Error::AnotherNode`],
    /// [`Error::AnotherCluster`], or the disk's.
    pub fn open(directory: &DataDirectory) -> Result<Self> {
        let root = directory.path().join(super::DIRECTORY);
        let number = installed::read(&root)?;
        let path = installed::path(&root, number);
        let database = Database::open(&path, directory.cache(), directory.marker())?;
        installed::remove_others(&root, number)?;
        let images = Images::open(directory)?;
        let applied = Applied::read(&database)?;
        let current = Current {
            database: Arc::new(database),
            applied,
        };
        let inner = Inner {
            root,
            current: RwLock::new(current),
            images: Mutex::new(images),
            next: AtomicU64::new(number.saturating_add(1)),
            directory: directory.clone(),
        };
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// Writes rows and how far they bring the state: all of it or nothing, also in a crash. Later changes of a row win.
    ///
    /// Survives the death of the process; [`Self::sync`] makes it survive the machine's.
    ///
    /// # Errors
    /// [`Error::WouldGoBack`] (nothing is written), [`Error::Failed`], or the disk's, which fails storage.
    pub fn write(&self, rows: Vec<RowWrite>, applied: Applied) -> Result<()> {
        self.check()?;
        let mut current = self.inner.current.write();
        current.must_not_go_back(applied.index)?;
        let mut batch = WriteBatch::default();
        for write in rows {
            let key = row::database_key(write.table, &write.key);
            match write.value {
                Some(value) => batch.put(key, value),
                None => batch.delete(key),
            }
        }
        batch.put(APPLIED, applied.to_value());
        self.watch(current.database.write(batch, Durability::Written))?;
        current.applied = Some(applied);
        Ok(())
    }

    /// What the state takes.
    pub fn footprint(&self) -> Footprint {
        self.database().footprint()
    }

    /// How far the state has come; `None` before the first write.
    pub fn applied(&self) -> Option<Applied> {
        self.inner.current.read().applied.clone()
    }

    /// One row's value.
    ///
    /// # Errors
    /// [`Error::Corrupt`], [`Error::Failed`], or the disk's.
    pub fn get(&self, table: u8, key: &[u8]) -> Result<Option<Bytes>> {
        self.check()?;
        let value = self.database().get(&row::database_key(table, key))?;
        Ok(value.map(Bytes::from))
    }

    /// The rows of a table, in the order of their keys; see [`Rows`] for what concurrent writes do to it.
    pub fn scan(&self, table: u8) -> Rows {
        Rows::of(self.database(), Some(table), &self.inner.directory)
    }

    /// Of the rows of a table whose keys are in `[from, to)`, the first `most`.
    ///
    /// # Errors
    /// [`Error::Corrupt`], [`Error::Failed`], or the disk's.
    pub fn first(&self, table: u8, from: &[u8], to: &[u8], most: usize) -> Result<Vec<Row>> {
        let (from, to) = (row::database_key(table, from), row::database_key(table, to));
        self.some(most, |database| {
            database.range(from, to).take(most).collect()
        })
    }

    /// Of the rows of a table whose keys are in `[from, to)`, the last `most`, from the last on; fewer when their values
    /// have `bytes` together before, with the one that brings them there.
    ///
    /// # Errors
    /// [`Error::Corrupt`], [`Error::Failed`], or the disk's.
    pub fn last(
        &self,
        table: u8,
        from: &[u8],
        to: &[u8],
        most: usize,
        bytes: usize,
    ) -> Result<Vec<Row>> {
        let (from, to) = (row::database_key(table, from), row::database_key(table, to));
        self.some(most, |database| {
            let (mut pairs, mut had) = (Vec::new(), 0_usize);
            for pair in database.range_backwards(from, to).take(most) {
                let pair = pair?;
                had = had.saturating_add(pair.1.len());
                pairs.push(pair);
                if had >= bytes {
                    break;
                }
            }
            Ok(pairs)
        })
    }

    fn some(
        &self,
        most: usize,
        read: impl FnOnce(&Database) -> Result<Vec<Pair>>,
    ) -> Result<Vec<Row>> {
        self.check()?;
        let database = self.database();
        let mut rows = Vec::with_capacity(most.min(1_024));
        for (key, value) in read(&database)? {
            rows.push(row::parse(&database, &key, value)?);
        }
        Ok(rows)
    }

    /// The rows of all tables, in the order of (table, key).
    pub fn rows(&self) -> Rows {
        Rows::of(self.database(), None, &self.inner.directory)
    }

    /// Makes everything written so far survive the machine, and answers through which index the state now does.
    ///
    /// **The state must be synced through N before the log forgets N**: call this, and purge the log through no more
    /// than what it answers. Waits for the disk.
    ///
    /// # Errors
    /// [`Error::Failed`], or the disk's, which fails storage.
    pub fn sync(&self) -> Result<Option<u64>> {
        self.check()?;
        let (database, applied) = {
            let current = self.inner.current.read();
            (
                current.database.clone(),
                current.applied.as_ref().map(|applied| applied.index),
            )
        };
        self.watch(database.sync())?;
        Ok(applied)
    }

    /// Makes an image of the state as it is at one moment of this call, durable, while others go on writing; keeps the
    /// newest two. The image says which index it stands for. Costs a flush and links, not a copy.
    ///
    /// # Errors
    /// [`Error::NothingApplied`], [`Error::Failed`], or the disk's. Storage does not fail with it: the state is as it was.
    pub fn checkpoint(&self) -> Result<Checkpoint> {
        self.check()?;
        let mut images = self.inner.images.lock();
        images.make(&self.database(), &self.inner.directory)
    }

    /// The newest image that can be opened; one that cannot is passed over, with a warning.
    ///
    /// # Errors
    /// [`Error::Failed`].
    pub fn newest_checkpoint(&self) -> Result<Option<Checkpoint>> {
        self.check()?;
        Ok(self.inner.images.lock().newest(&self.inner.directory))
    }

    /// Removes an image, found damaged while its rows were read.
    ///
    /// # Errors
    /// The disk's.
    pub fn discard_checkpoint(&self, checkpoint: &Checkpoint) -> Result<()> {
        self.inner.images.lock().discard(checkpoint.index())
    }

    /// Begins another state beside the present one, empty; given up when dropped before it is installed.
    ///
    /// # Errors
    /// [`Error::Failed`], or the disk's.
    pub fn stage(&self) -> Result<StagedState> {
        self.check()?;
        let number = self.inner.next.fetch_add(1, Ordering::Relaxed);
        StagedState::create(&self.inner.root, number, &self.inner.directory)
    }

    /// Makes a finished state the state: durable by the replaced pointer, then for everybody who asks. Scans that have
    /// begun go on in the old one, whose files go with the last of them.
    ///
    /// # Errors
    /// [`Error::WouldGoBack`], [`Error::Failed`], or the disk's, which fails storage: which state is in force is not
    /// known then.
    pub fn install(&self, finished: FinishedState) -> Result<()> {
        self.check()?;
        let mut current = self.inner.current.write();
        current.must_not_go_back(finished.applied().index)?;
        let (number, database, applied) = finished.into_parts();
        // From here on its files are not ours to remove: the pointer may name them.
        database.condemn(false);
        self.watch(installed::write(&self.inner.root, number))?;
        #[cfg(simulation)]
        crate::simulated::has_come(&self.inner.root, crate::simulated::Moment::Install);
        current.database.condemn(true);
        *current = Current {
            database,
            applied: Some(applied),
        };
        Ok(())
    }

    fn database(&self) -> Arc<Database> {
        self.inner.current.read().database.clone()
    }

    fn check(&self) -> Result<()> {
        self.inner.directory.failure().check()
    }

    fn watch<T>(&self, result: Result<T>) -> Result<T> {
        self.inner.directory.failure().watch(result)
    }
}

impl Current {
    fn must_not_go_back(&self, given: u64) -> Result<()> {
        match &self.applied {
            Some(applied) if given < applied.index => Err(Error::WouldGoBack {
                applied: applied.index,
                given,
            }),
            _ => Ok(()),
        }
    }
}

impl fmt::Debug for StateStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StateStore")
            .field("applied", &self.applied().map(|applied| applied.index))
            .finish_non_exhaustive()
    }
}
