//! What waits for the disk, in the order in which it was asked for.

use std::collections::VecDeque;

use bytes::Bytes;

use super::{completion::OnFlushed, ledger::Ledger};

/// Entries waiting: beyond this an append waits for the disk.
pub(super) const QUEUE_BYTES: usize = 32 << 20;
/// Entries in one batch, unless one change is larger.
const BATCH_BYTES: usize = 4 << 20;

/// One change of the log.
pub(super) enum Change {
    Append {
        first: u64,
        entries: Vec<Bytes>,
    },
    Vote(Bytes),
    /// Entries `[from, to)`, and there are none after them.
    Truncate {
        from: u64,
        to: u64,
    },
    /// Entries `[first, through]`, and there are none before them.
    Purge {
        first: u64,
        through: u64,
        log_id: Bytes,
    },
}

impl Change {
    fn bytes(&self) -> usize {
        match self {
            Self::Append { entries, .. } => entries.iter().map(Bytes::len).sum(),
            Self::Vote(bytes) | Self::Purge { log_id: bytes, .. } => bytes.len(),
            Self::Truncate { .. } => 0,
        }
    }
}

/// A change, and who waits for it.
pub(super) struct Waiting {
    pub(super) change: Change,
    pub(super) on_flushed: OnFlushed,
}

/// What one sync is for.
pub(super) struct Drained {
    pub(super) waiting: Vec<Waiting>,
    /// The committed log id, if it moved since it was last written. Waits for nothing.
    pub(super) committed: Option<Bytes>,
}

/// The ledger and the queue: one lock, so that both see the same order.
pub(super) struct Book {
    pub(super) ledger: Ledger,
    waiting: VecDeque<Waiting>,
    bytes: usize,
    committed_moved: bool,
    /// Where the truncations cut that are not on the disk yet: what they cut away no longer counts as flushed.
    cuts: VecDeque<u64>,
    /// No handle is left: what waits is written, then the thread ends.
    pub(super) closed: bool,
}

impl Book {
    pub(super) fn of(ledger: Ledger) -> Self {
        Self {
            ledger,
            waiting: VecDeque::new(),
            bytes: 0,
            committed_moved: false,
            cuts: VecDeque::new(),
            closed: false,
        }
    }

    pub(super) fn is_full(&self) -> bool {
        self.bytes > QUEUE_BYTES
    }

    pub(super) fn is_idle(&self) -> bool {
        self.waiting.is_empty() && !self.committed_moved
    }

    pub(super) fn enqueue(&mut self, change: Change, on_flushed: OnFlushed) {
        self.bytes += change.bytes();
        if let Change::Truncate { from, .. } = change {
            self.cuts.push_back(from);
        }
        self.waiting.push_back(Waiting { change, on_flushed });
    }

    pub(super) fn set_committed(&mut self, committed: Bytes) {
        self.ledger.committed = Some(committed);
        self.committed_moved = true;
    }

    /// Takes what one batch holds, in order.
    pub(super) fn drain(&mut self) -> Drained {
        let mut waiting = Vec::with_capacity(self.waiting.len().min(1024));
        let mut taken = 0;
        while taken < BATCH_BYTES {
            let Some(next) = self.waiting.pop_front() else {
                break;
            };
            taken += next.change.bytes();
            waiting.push(next);
        }
        self.bytes -= taken;
        // What is committed may wait still: on the disk it must never be ahead of its
        // entries, or a restart would look for entries that never were there.
        let committed = if self.waiting.is_empty() && self.committed_moved {
            self.committed_moved = false;
            self.ledger.committed.clone()
        } else {
            None
        };
        Drained { waiting, committed }
    }

    /// Through where the log is flushed, once these changes are, starting from `flushed`.
    pub(super) fn settle(&mut self, drained: &Drained, mut flushed: Option<u64>) -> Option<u64> {
        for waiting in &drained.waiting {
            flushed = match &waiting.change {
                Change::Append { entries, .. } if entries.is_empty() => flushed,
                Change::Append { first, entries } => {
                    first.saturating_add(entries.len() as u64).checked_sub(1)
                }
                Change::Truncate { from, .. } => {
                    self.cuts.pop_front();
                    flushed.min(from.checked_sub(1))
                }
                Change::Purge { through, .. } => flushed.max(Some(*through)),
                Change::Vote(_) => flushed,
            };
        }
        let lowest = self.cuts.iter().min();
        let flushed = lowest.map_or(flushed, |cut| flushed.min(cut.checked_sub(1)));
        self.ledger.evict(flushed);
        flushed
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_is_committed_never_reaches_the_disk_before_its_entries() {
        let mut book = Book::of(Ledger::of(0, 0, None));
        for first in 0..3 {
            let entries = vec![Bytes::from(vec![0; BATCH_BYTES])];
            book.enqueue(Change::Append { first, entries }, Box::new(|_| {}));
        }
        book.set_committed(Bytes::from_static(b"2"));
        for _ in 0..2 {
            let drained = book.drain();
            assert_eq!(drained.waiting.len(), 1, "one such entry is a batch");
            assert_eq!(drained.committed, None, "entry 2 waits still");
            assert!(!book.is_idle());
        }
        let last = book.drain();
        assert_eq!(last.waiting.len(), 1);
        assert_eq!(last.committed.unwrap(), "2");
        assert!(book.is_idle());
    }
}
