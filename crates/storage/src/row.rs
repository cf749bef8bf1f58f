//! Rows: what the state is made of.

use std::{collections::VecDeque, sync::Arc};

use bytes::Bytes;
use sha2::{Digest, Sha256};

use crate::{
    DataDirectory, Error, Result,
    database::{BEYOND, Database, KEPT},
};

/// Rows read at once; whichever bound is reached first.
const CHUNK_ROWS: usize = 1024;
const CHUNK_BYTES: usize = 1 << 20;

/// One row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Which table.
    pub table: u8,
    /// Unique in its table.
    pub key: Bytes,
    /// What stands there.
    pub value: Bytes,
}

/// One change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowWrite {
    /// Which table.
    pub table: u8,
    /// Which row.
    pub key: Bytes,
    /// What shall stand there; `None` removes the row.
    pub value: Option<Bytes>,
}

/// Number and SHA-256 of rows in their order: what was sent and what arrived are the same, or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tally {
    /// How many.
    pub rows: u64,
    /// Over each row's table, lengths, key and value.
    pub digest: [u8; 32],
}

/// A tally under way.
#[derive(Clone, Default)]
pub(crate) struct Count {
    rows: u64,
    digest: Sha256,
}

impl Count {
    pub(crate) fn add(&mut self, row: &Row) {
        self.rows += 1;
        self.digest.update([row.table]);
        self.digest.update((row.key.len() as u64).to_be_bytes());
        self.digest.update((row.value.len() as u64).to_be_bytes());
        self.digest.update(&row.key);
        self.digest.update(&row.value);
    }

    pub(crate) fn tally(&self) -> Tally {
        Tally {
            rows: self.rows,
            digest: self.digest.clone().finalize().into(),
        }
    }
}

/// The key under which a row is kept.
pub(crate) fn database_key(table: u8, key: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(key.len() + 2);
    bytes.extend_from_slice(&[KEPT, table]);
    bytes.extend_from_slice(key);
    bytes
}

/// Rows in the order of (table, key), read in bounded chunks; blocks on the disk.
///
/// Of a checkpoint: exactly the checkpoint. Of the present state: each chunk as it stands when it is read, so the
/// whole is a state only if nothing writes meanwhile (a start). After an error there are no more.
pub struct Rows {
    database: Arc<Database>,
    from: Vec<u8>,
    to: Vec<u8>,
    chunk: VecDeque<Row>,
    ended: bool,
    count: Count,
    // Dropped last: the lock is let go when nothing is open any more.
    _directory: DataDirectory,
}

impl Rows {
    pub(crate) fn of(
        database: Arc<Database>,
        table: Option<u8>,
        directory: &DataDirectory,
    ) -> Self {
        let from = table.map_or_else(|| vec![KEPT], |table| vec![KEPT, table]);
        let to = table
            .and_then(|table| table.checked_add(1))
            .map_or_else(|| vec![BEYOND], |next| vec![KEPT, next]);
        Self {
            database,
            from,
            to,
            chunk: VecDeque::new(),
            ended: false,
            count: Count::default(),
            _directory: directory.clone(),
        }
    }

    /// The tally of the rows given out so far.
    pub fn tally(&self) -> Tally {
        self.count.tally()
    }

    fn read_chunk(&mut self) -> Result<()> {
        let database = self.database.clone();
        let mut bytes = 0;
        for pair in database.range(self.from.clone(), self.to.clone()) {
            let (key, value) = pair?;
            bytes += key.len() + value.len();
            let row = parse(&database, &key, value)?;
            self.chunk.push_back(row);
            if self.chunk.len() >= CHUNK_ROWS || bytes >= CHUNK_BYTES {
                // The least key after this one.
                self.from = key.into_vec();
                self.from.push(0);
                return Ok(());
            }
        }
        self.ended = true;
        Ok(())
    }
}

pub(crate) fn parse(database: &Database, key: &[u8], value: Box<[u8]>) -> Result<Row> {
    let (table, key) =
        parse_key(key).ok_or_else(|| Error::corrupt(database.path(), "a row's key is not one"))?;
    Ok(Row {
        table,
        key: Bytes::copy_from_slice(key),
        value: Bytes::from(value),
    })
}

/// The table and the key within it.
pub(crate) fn parse_key(key: &[u8]) -> Option<(u8, &[u8])> {
    match key {
        [KEPT, table, key @ ..] => Some((*table, key)),
        _ => None,
    }
}

impl Iterator for Rows {
    type Item = Result<Row>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.chunk.is_empty()
            && !self.ended
            && let Err(error) = self.read_chunk()
        {
            self.ended = true;
            self.chunk.clear();
            return Some(Err(error));
        }
        let row = self.chunk.pop_front()?;
        self.count.add(&row);
        Some(Ok(row))
    }
}
