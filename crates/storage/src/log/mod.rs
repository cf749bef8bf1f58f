//! The Raft log and the vote: one database, one thread that writes it, one sync for all that waits.
//!
//! ```text
//!  append  save_vote  truncate  purge        read
//!     │        │          │       │           │
//!     ▼        ▼          ▼       ▼           ▼
//!  ┌ ledger: extent, tail of the log, vote ────────┐
//!  └ queue: changes in order ──────────────────────┘
//!                 │ all that waits                ▲ evict what is on the disk
//!                 ▼                               │
//!  group commit: one batch, one sync ──► mark ──► FlushedIndex ──► callbacks, in order
//! ```
//!
//! Votes and entries share the queue, the batch and the WAL, so a vote can never be durable before an entry, a
//! truncation or a purge that was asked for earlier. Each batch is atomic: no truncation or purge is half done.
//!
//! A purge leaves a range tombstone, and scans across it would be slow. Nothing scans across it: the extent of the
//! log is in memory, and every read seeks into it with both bounds. Compaction removes what lies beneath.

mod commit;
mod completion;
#[cfg(test)]
mod disks;
mod flushed;
pub(crate) mod form;
mod ledger;
mod mark;
mod queue;
mod read;
mod store;
#[cfg_attr(simulation, path = "../simulated/writer.rs")]
mod writer;

pub use completion::{Completion, OnFlushed, completion};
pub use flushed::FlushedIndex;
pub use ledger::Purged;
pub use store::{LogGauge, LogStatistics, LogStore};

use std::path::Path;

use crate::{DataDirectory, Result, database::Database};

/// The database, in the data directory.
pub(crate) const DIRECTORY: &str = "log";
/// The number of the last synced batch, beside it.
pub(crate) const SYNCED: &str = "log.synced";

/// Makes the empty log of a new member.
pub(crate) fn create(directory: &DataDirectory) -> Result<()> {
    let path = directory.path().join(DIRECTORY);
    Database::create(&path, directory.cache(), directory.marker())?;
    mark::SyncedMark::open(&directory.path().join(SYNCED))?.record(0)
}

/// Refuses a member without its log.
pub(crate) fn must_exist(directory: &Path) -> Result<()> {
    Database::must_exist(&directory.join(DIRECTORY))
}
