//! The parts of the history: by who asked, and whether it was done.

use chancery_authority::Actor;
use chancery_credential::Revision;

use super::HistoryEntry;

/// One part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Part(u8);

impl Part {
    pub(super) const ALL: [Self; 6] = [Self(0), Self(1), Self(2), Self(3), Self(4), Self(5)];

    pub(super) fn of(entry: &HistoryEntry) -> Self {
        let who = match entry.meta.actor {
            Actor::Operator(_) | Actor::Birth => 0,
            Actor::Node(_) => 2,
            Actor::Agent(_) | Actor::Service(_) => 4,
        };
        Self(who + u8::from(entry.verdict.is_err()))
    }

    /// Where it says how much it holds. Before its entries.
    pub(super) fn amount_key(self) -> Vec<u8> {
        vec![self.0]
    }

    pub(super) fn key(self, revision: Revision) -> Vec<u8> {
        let mut key = vec![self.0];
        key.extend_from_slice(&revision.0.to_be_bytes());
        key
    }

    /// The least key of an entry.
    pub(super) fn begin(self) -> Vec<u8> {
        self.key(Revision(0))
    }

    /// Beyond all its entries.
    pub(super) fn end(self) -> Vec<u8> {
        vec![self.0 + 1]
    }
}
