//! A state that arrives from another node, beside the one in force.

use std::{fmt, path::Path, sync::Arc};

use super::{APPLIED, Applied, installed};
use crate::{
    DataDirectory, Error, Result, Row, Rows, Tally,
    database::{Database, Durability, WriteBatch},
    durable, row,
    row::Count,
};

/// Rows written at once.
const BATCH_BYTES: usize = 1 << 20;

/// A state under way. Dropped, its files go.
pub struct StagedState {
    number: u64,
    database: Database,
    count: Count,
    // Dropped last: the lock is let go when nothing is open any more.
    directory: DataDirectory,
}

/// A complete, durable state that is not in force. Dropped, its files go.
pub struct FinishedState {
    number: u64,
    database: Arc<Database>,
    applied: Applied,
    // Dropped last: the lock is let go when nothing is open any more.
    directory: DataDirectory,
}

impl StagedState {
    pub(super) fn create(root: &Path, number: u64, directory: &DataDirectory) -> Result<Self> {
        let path = installed::path(root, number);
        let database = Database::create(&path, directory.cache(), directory.marker())?;
        database.condemn(true);
        Ok(Self {
            number,
            database,
            count: Count::default(),
            directory: directory.clone(),
        })
    }

    /// Adds rows, in the sender's order. Blocks on the disk now and then: what waits in memory is bounded.
    ///
    /// # Errors
    /// [`Error::Failed`], or the disk's. The state in force is not touched by it.
    pub fn push(&mut self, rows: Vec<Row>) -> Result<()> {
        self.directory.failure().check()?;
        let mut batch = WriteBatch::default();
        for row in rows {
            self.count.add(&row);
            batch.put(row::database_key(row.table, &row.key), &row.value);
            if batch.size_in_bytes() >= BATCH_BYTES {
                self.database
                    .write(std::mem::take(&mut batch), Durability::Memory)?;
            }
        }
        self.database.write(batch, Durability::Memory)
    }

    /// The tally of what was added so far.
    pub fn tally(&self) -> Tally {
        self.count.tally()
    }

    /// Makes what was added durable, if it is all that was sent.
    ///
    /// # Errors
    /// [`Error::Incomplete`], [`Error::Failed`], or the disk's; the staged state is gone then.
    pub fn finish(self, applied: Applied, sent: &Tally) -> Result<FinishedState> {
        self.directory.failure().check()?;
        let received = self.tally();
        if received != *sent {
            return Err(Error::Incomplete {
                expected: sent.rows,
                found: received.rows,
            });
        }
        let mut batch = WriteBatch::default();
        batch.put(APPLIED, applied.to_value());
        self.database.write(batch, Durability::Memory)?;
        #[cfg(simulation)]
        if chancery_mutation::is_made(chancery_mutation::Mutation::StagedSync) {
            return Ok(self.finished(applied));
        }
        self.database.flush()?;
        durable::sync_content(self.database.path())?;
        // The database's own name, in the directory that holds it.
        durable::sync_directory(
            self.database
                .path()
                .parent()
                .unwrap_or(self.directory.path()),
        )?;
        Ok(self.finished(applied))
    }

    fn finished(self, applied: Applied) -> FinishedState {
        let Self {
            number,
            database,
            directory,
            ..
        } = self;
        FinishedState {
            number,
            database: Arc::new(database),
            applied,
            directory,
        }
    }
}

impl FinishedState {
    /// How far this state has come.
    pub fn applied(&self) -> &Applied {
        &self.applied
    }

    /// Its rows, in the order of (table, key): to see that they are a state before they are the state.
    pub fn rows(&self) -> Rows {
        Rows::of(self.database.clone(), None, &self.directory)
    }

    pub(super) fn into_parts(self) -> (u64, Arc<Database>, Applied) {
        (self.number, self.database, self.applied)
    }
}

impl fmt::Debug for StagedState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StagedState")
            .field("number", &self.number)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for FinishedState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FinishedState")
            .field("number", &self.number)
            .field("applied", &self.applied.index)
            .finish_non_exhaustive()
    }
}
