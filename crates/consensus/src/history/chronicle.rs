//! A history on a disk of its own, without a log, for tests: what is applied is written
//! as [`Writer`] says, and nothing else.

#![allow(clippy::unwrap_used)]

use std::cell::Cell;

use chancery_authority::{Actor, Answer, Command, Meta, Rejection, RequestId};
use chancery_credential::{Lineage, NodeNumber, Revision};
use chancery_storage::{Applied, DataDirectory, RowWrite, StateStore};
use tempfile::TempDir;

use super::{HistoryBounds, HistoryEntry, TABLE, Writer};
use crate::options::DirectoryIdentity;

pub(crate) struct Chronicle {
    pub(crate) store: StateStore,
    pub(crate) writer: Writer,
    applied: Cell<u64>,
    _directory: DataDirectory,
    _home: TempDir,
}

impl Chronicle {
    pub(crate) fn within(bounds: HistoryBounds) -> Self {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("data");
        let identity = DirectoryIdentity {
            lineage: Lineage {
                generation: 1,
                random: 7,
            },
            node: NodeNumber(1),
            incarnation: 1,
        };
        identity.create_directory(&path).unwrap();
        let directory = DataDirectory::open(&path, &identity.marker()).unwrap();
        let (_, store) = directory.open_stores().unwrap();
        Self {
            writer: Writer::new(store.clone(), bounds).unwrap(),
            store,
            applied: Cell::new(0),
            _directory: directory,
            _home: home,
        }
    }

    /// The node is started again, with other bounds.
    pub(crate) fn bind(&mut self, bounds: HistoryBounds) {
        self.writer = Writer::new(self.store.clone(), bounds).unwrap();
    }

    /// The revision of the last entry.
    pub(crate) fn applied(&self) -> Revision {
        Revision(self.applied.get())
    }

    /// Where the next entry stands.
    pub(crate) fn next(&self) -> Revision {
        self.applied.set(self.applied.get() + 1);
        self.applied()
    }

    /// The next entry: an owner whose description has so many bytes, through a node.
    pub(crate) fn entry(&self, actor: Actor, via: u64, bytes: usize) -> HistoryEntry {
        HistoryEntry {
            revision: self.next(),
            log_time_ms: 1_000,
            command: Command::AddOwner {
                name: "o".parse().unwrap(),
                description: "x".repeat(bytes),
            },
            named: Vec::new(),
            meta: Meta {
                actor,
                key: None,
                via: NodeNumber(via),
                authorised_at: Revision(0),
                reason: String::new(),
                request: RequestId {
                    time_ms: 0,
                    random: [0; 16],
                },
                digest: [0; 32],
            },
            verdict: Ok(Answer::Nothing),
            decided_at: self.applied(),
        }
    }

    /// An operator's.
    pub(crate) fn by_root(&self, via: u64, bytes: usize) -> HistoryEntry {
        let root = Actor::Operator("r".parse().unwrap());
        self.entry(root, via, bytes)
    }

    pub(crate) fn refused(entry: HistoryEntry, why: Rejection) -> HistoryEntry {
        HistoryEntry {
            verdict: Err(why),
            ..entry
        }
    }

    /// Writes a batch. Gives the bytes of its rows, keys and values together.
    pub(crate) fn apply(&self, entries: &[HistoryEntry]) -> usize {
        let rows = self.writer.rows(entries, 1_000).unwrap();
        let bytes = rows.iter().map(size_of).sum();
        let applied = Applied {
            index: self.applied.get(),
            meta: bytes::Bytes::new(),
        };
        self.store.write(rows, applied).unwrap();
        bytes
    }

    /// Bytes of the entries that are on the disk.
    pub(crate) fn bytes(&self) -> u64 {
        let rows = self.store.scan(TABLE).map(Result::unwrap);
        // A part says how much it holds in a row with a shorter key.
        let entries = rows.filter(|row| row.key.len() > 9);
        entries.map(|row| row.value.len() as u64).sum()
    }
}

fn size_of(row: &RowWrite) -> usize {
    row.key.len() + row.value.as_ref().map_or(0, bytes::Bytes::len)
}
