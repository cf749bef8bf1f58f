//! How the log stands in its database.

use bytes::Bytes;

use super::{ledger::Purged, queue::Change};
use crate::{
    Error, Result,
    database::{BEYOND, Database, KEPT, OWN, WriteBatch},
};

/// The number of the batch, in every synced batch.
pub(super) const NUMBER: &[u8] = &[OWN, b'n'];
const VOTE: &[u8] = &[OWN, b'v'];
const COMMITTED: &[u8] = &[OWN, b'c'];
/// Index, big-endian, then the log id as its owner wrote it.
const PURGED: &[u8] = &[OWN, b'p'];

/// An entry's key sorts as its index.
pub(crate) fn entry_key(index: u64) -> Vec<u8> {
    let mut key = vec![KEPT];
    key.extend_from_slice(&index.to_be_bytes());
    key
}

/// The key after every entry's.
pub(super) fn beyond_entries() -> Vec<u8> {
    vec![BEYOND]
}

/// The index of an entry's key.
pub(super) fn entry_index(database: &Database, key: &[u8]) -> Result<u64> {
    parse_entry_key(key).ok_or_else(|| Error::corrupt(database.path(), "an entry's key is not one"))
}

pub(crate) fn parse_entry_key(key: &[u8]) -> Option<u64> {
    key.strip_prefix(&[KEPT])
        .and_then(|index| index.try_into().ok())
        .map(u64::from_be_bytes)
}

/// Adds a change to a batch. The order of changes is kept: RocksDB numbers the operations of a batch in theirs.
pub(super) fn put_change(batch: &mut WriteBatch, change: &Change) {
    match change {
        Change::Append { first, entries } => {
            for (index, entry) in (*first..).zip(entries) {
                batch.put(entry_key(index), entry);
            }
        }
        Change::Vote(vote) => batch.put(VOTE, vote),
        Change::Truncate { from, to } => delete(batch, *from, *to),
        Change::Purge {
            first,
            through,
            log_id,
        } => {
            let mut purged = through.to_be_bytes().to_vec();
            purged.extend_from_slice(log_id);
            batch.put(PURGED, purged);
            // Only what no earlier purge has covered: tombstones that overlap cost every read of them.
            delete(batch, *first, through.saturating_add(1));
        }
    }
}

/// RocksDB refuses a range that ends before it begins.
fn delete(batch: &mut WriteBatch, from: u64, to: u64) {
    if from < to {
        batch.delete_range(entry_key(from), entry_key(to));
    }
}

/// Adds the committed log id to a batch.
pub(super) fn put_committed(batch: &mut WriteBatch, committed: &Bytes) {
    batch.put(COMMITTED, committed);
}

/// What a log remembers beside its entries.
pub(super) struct Remembered {
    pub(super) vote: Option<Bytes>,
    pub(super) committed: Option<Bytes>,
    pub(super) purged: Option<Purged>,
}

pub(super) fn read_remembered(database: &Database) -> Result<Remembered> {
    let purged = match database.get(PURGED)? {
        None => None,
        Some(value) => {
            let (index, log_id) = value
                .split_first_chunk::<8>()
                .ok_or_else(|| Error::corrupt(database.path(), "the purged log id is not one"))?;
            let log_id = Bytes::copy_from_slice(log_id);
            Some(Purged {
                index: u64::from_be_bytes(*index),
                log_id,
            })
        }
    };
    Ok(Remembered {
        vote: database.get(VOTE)?.map(Bytes::from),
        committed: database.get(COMMITTED)?.map(Bytes::from),
        purged,
    })
}

/// First index, and the one after the last; equal when there is no entry.
pub(super) fn read_extent(database: &Database, purged: Option<&Purged>) -> Result<(u64, u64)> {
    let start = purged.map_or(0, |purged| purged.index.saturating_add(1));
    let first = database
        .range(entry_key(start), beyond_entries())
        .next()
        .transpose()?;
    let last = database.last_key(entry_key(start), beyond_entries())?;
    match (first, last) {
        (Some((first, _)), Some(last)) => {
            let first = entry_index(database, &first)?;
            let next = entry_index(database, &last)?.saturating_add(1);
            Ok((first, next))
        }
        _ => Ok((start, start)),
    }
}
