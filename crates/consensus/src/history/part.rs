//! The parts of the history: by who asked and whether it was done, and within that by
//! the node through which it came.

use chancery_authority::Actor;
use chancery_credential::{NodeNumber, Revision};
use chancery_storage::StateStore;

use super::{HistoryEntry, TABLE};

/// Who asked, and whether it was done: what one class holds pushes nothing out of
/// another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Class(u8);

impl Class {
    pub(super) const ALL: [Self; 6] = [Self(0), Self(1), Self(2), Self(3), Self(4), Self(5)];

    fn of(entry: &HistoryEntry) -> Self {
        let who = match entry.meta.actor {
            Actor::Operator(_) | Actor::Birth => 0,
            Actor::Node(_) => 2,
            Actor::Agent(_) | Actor::Service(_) => 4,
        };
        Self(who + u8::from(entry.verdict.is_err()))
    }
}

/// What came through one node of one class. Whom a command names is that node's word;
/// that it came through it is the leader's own finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Part {
    pub(super) class: Class,
    pub(super) via: NodeNumber,
}

impl Part {
    pub(super) fn of(entry: &HistoryEntry) -> Self {
        Self {
            class: Class::of(entry),
            via: entry.meta.via,
        }
    }

    /// All that hold something, in order.
    ///
    /// # Errors
    /// The disk's.
    pub(super) fn all(store: &StateStore) -> std::io::Result<Vec<Self>> {
        let mut parts = Vec::new();
        let mut from = Vec::new();
        let end = [Class::ALL.len() as u8];
        while let Some(row) = store.first(TABLE, &from, &end, 1)?.pop() {
            let Some(part) = Self::at(&row.key) else {
                let why = "a row of the history has a key that none has";
                return Err(std::io::Error::new(std::io::ErrorKind::InvalidData, why));
            };
            parts.push(part);
            from = part.end();
        }
        Ok(parts)
    }

    fn at(key: &[u8]) -> Option<Self> {
        let (class, rest) = key.split_first()?;
        let (via, _) = rest.split_first_chunk::<8>()?;
        Some(Self {
            class: Class(*class),
            via: NodeNumber(u64::from_be_bytes(*via)),
        })
    }

    /// Where it says how much it holds. Before its entries.
    pub(super) fn amount_key(self) -> Vec<u8> {
        let mut key = vec![self.class.0];
        key.extend_from_slice(&self.via.0.to_be_bytes());
        key
    }

    pub(super) fn key(self, revision: Revision) -> Vec<u8> {
        let mut key = self.amount_key();
        key.extend_from_slice(&revision.0.to_be_bytes());
        key
    }

    /// Where the entry stands whose key this is.
    pub(super) fn revision(key: &[u8]) -> Revision {
        let number = key.iter().skip(9);
        Revision(number.fold(0, |number, byte| (number << 8) | u64::from(*byte)))
    }

    /// The least key of an entry.
    pub(super) fn begin(self) -> Vec<u8> {
        self.key(Revision(0))
    }

    /// Beyond all its entries.
    pub(super) fn end(self) -> Vec<u8> {
        match self.via.0.checked_add(1) {
            Some(next) => Self {
                via: NodeNumber(next),
                ..self
            }
            .amount_key(),
            None => vec![self.class.0 + 1],
        }
    }
}
