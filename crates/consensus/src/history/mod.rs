//! The history: every command that was applied, with who asked, through whom, why,
//! and what became of it. It is written in the batch that holds the command's
//! effects, travels with snapshots, and is no part of the state: nothing is decided
//! by it, and no digest counts it.
//!
//! ```text
//! history/<class><via>            how much came through a node, of a class
//! history/<class><via><revision>  an entry
//! ```
//!
//! It is bounded by size and age, class by class: what one sort of caller floods does
//! not push out what the others did, refusals push out refusals only, and what comes
//! through one node pushes out its own before it pushes out another's.

#[cfg(test)]
pub(crate) mod chronicle;
mod named;
mod part;
mod read;
mod readers;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
mod write;

use std::time::Duration;

use bytes::Bytes;
use chancery_authority::{Answer, Command, Meta, Rejection};
use chancery_credential::Revision;

pub(crate) use named::named;
pub(crate) use read::page;
pub use read::{HistoryPage, HistoryQuery};
pub(crate) use readers::{Readers, stopping};
pub(crate) use write::{Writer, is_worth_it};

/// The last table of the state's database: the last that there can be, so that no
/// table of a newer build lies beyond it unseen.
pub(crate) const TABLE: u8 = u8::MAX;

/// A command that was applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoryEntry {
    /// Where it stands in the log.
    pub revision: Revision,
    /// Log time after it, milliseconds since the Unix epoch. Never less than that of
    /// the entry before.
    pub log_time_ms: u64,
    /// What was asked.
    pub command: Command,
    /// What those were called at the time whom the command names by a number alone:
    /// `node:<name>`, `key:<thumbprint>`.
    pub named: Vec<String>,
    /// By whom, through whom, why, as which request.
    pub meta: Meta,
    /// What became of it.
    pub verdict: Result<Answer, Rejection>,
    /// Where it was decided: before `revision` when a request was sent again.
    pub decided_at: Revision,
}

/// How much of the history is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HistoryBounds {
    /// Of each class, in bytes. The oldest go first of what came through the node that
    /// has the most.
    pub bytes: u64,
    /// By log time.
    pub age: Duration,
}

impl Default for HistoryBounds {
    /// 256 MiB a class, and there are six; 90 days.
    fn default() -> Self {
        Self {
            bytes: 256 << 20,
            age: Duration::from_secs(90 * 86_400),
        }
    }
}

/// How much a part holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Amount {
    pub(crate) entries: u64,
    pub(crate) bytes: u64,
}

impl Amount {
    fn add(&mut self, value: &Bytes) {
        self.entries = self.entries.saturating_add(1);
        self.bytes = self.bytes.saturating_add(value.len() as u64);
    }

    fn take(&mut self, bytes: u64) {
        self.entries = self.entries.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(bytes);
    }
}
