//! The state: rows by table and key, written with the index that they stand for, in one batch.
//!
//! ```text
//! write {rows, applied} ──► state/000…1/ ◄── INSTALLED names it
//!                               │    ▲
//!             checkpoint (links)│    │ install: pointer replaced, then swapped in memory
//!                               ▼    │
//! checkpoints/<index>/ ── rows ──► a joining node: stage ─ push ─ finish ──► state/000…2/
//! ```
//!
//! A write is not synced: the log is, and brings the state up again. So before the log forgets an entry the state
//! must be synced through it: [`StateStore::sync`] answers through where it is.

mod checkpoint;
pub(crate) mod installed;
mod staged;
mod store;

pub use checkpoint::Checkpoint;
pub use staged::{FinishedState, StagedState};
pub use store::StateStore;

use std::path::Path;

use bytes::Bytes;

use crate::{
    DataDirectory, Error, Result,
    database::{Database, OWN},
    durable,
};

/// The databases, in the data directory.
pub(crate) const DIRECTORY: &str = "state";
/// The images, beside them.
pub(crate) const CHECKPOINTS: &str = "checkpoints";

/// Index, big-endian, then what its owner keeps with it.
const APPLIED: &[u8] = &[OWN, b'a'];

/// How far the state has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    /// The log index of the last entry applied.
    pub index: u64,
    /// What the owner keeps with it: log id, membership.
    pub meta: Bytes,
}

impl Applied {
    pub(crate) fn to_value(&self) -> Vec<u8> {
        let mut value = self.index.to_be_bytes().to_vec();
        value.extend_from_slice(&self.meta);
        value
    }

    fn read(database: &Database) -> Result<Option<Self>> {
        let Some(value) = database.get(APPLIED)? else {
            return Ok(None);
        };
        Self::parse(&value)
            .map(Some)
            .ok_or_else(|| Error::corrupt(database.path(), "the applied index is not one"))
    }

    pub(crate) fn parse(value: &[u8]) -> Option<Self> {
        let (index, meta) = value.split_first_chunk::<8>()?;
        Some(Self {
            index: u64::from_be_bytes(*index),
            meta: Bytes::copy_from_slice(meta),
        })
    }
}

/// Makes the empty state of a new member.
pub(crate) fn create(directory: &DataDirectory) -> Result<()> {
    let root = directory.path().join(DIRECTORY);
    durable::make_directory(&root)?;
    Database::create(
        &installed::path(&root, 0),
        directory.cache(),
        directory.marker(),
    )?;
    durable::sync_directory(&root)?;
    installed::write(&root, 0)
}

/// Refuses a member without its state.
pub(crate) fn must_exist(directory: &Path) -> Result<()> {
    let root = directory.join(DIRECTORY);
    Database::must_exist(&installed::path(&root, installed::read(&root)?))
}
