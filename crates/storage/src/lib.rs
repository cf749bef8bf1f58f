//! Chancery's storage: the Raft log, the vote and the state tables of one node, in RocksDB, such that what was
//! acknowledged survives a crash and what a crash or the disk took away is noticed.
//!
//! It never knows what it stores: entries, votes, log ids and rows are bytes to it, their meaning is their owner's.
//!
//! ```text
//! DataDirectory ── marker, lock
//!   ├── LogStore ──── log/          entries, vote: one thread, one sync for all that waits
//!   └── StateStore ── state/        rows with the index that they stand for
//!           └─ Checkpoint ── checkpoints/   images, for joining nodes
//! ```
//!
//! - `directory`, `marker`, `starts`: whose directory it is, that nobody else has it open, and how often it was
//! - `log`: entries, vote, purged and committed log ids; group commit; [`FlushedIndex`]
//! - `state`, `row`: tables, checkpoints, the staged state of a joining node
//! - `failure`: after the first failed write nothing is written again
//! - `database`, `options`: RocksDB, and what its recovery is trusted with
//! - `durable`, `sealed`: small files that are whole or not there
//! - `simulated` (under `--cfg simulation` only): in the place of `database` and
//!   `durable`, disks in memory that lose what was not synced

#![forbid(unsafe_code)]

#[cfg(not(simulation))]
mod database;
mod directory;
#[cfg(not(simulation))]
mod durable;
mod error;
mod failure;
mod footprint;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
#[allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]
pub mod fuzz_targets;
mod log;
mod marker;
#[cfg(not(simulation))]
mod options;
mod row;
mod sealed;
#[cfg(simulation)]
#[allow(missing_docs, clippy::indexing_slicing)]
pub mod simulated;
mod starts;
mod state;

#[cfg(simulation)]
use simulated::{database, durable};

pub use directory::DataDirectory;
pub use error::{ClusterName, Error, Result};
pub use failure::Failure;
pub use footprint::Footprint;
pub use log::{
    Completion, FlushedIndex, LogGauge, LogStatistics, LogStore, OnFlushed, Purged, completion,
};
pub use marker::Marker;
pub use row::{Row, RowWrite, Rows, Tally};
pub use state::{Applied, Checkpoint, FinishedState, StagedState, StateStore};
