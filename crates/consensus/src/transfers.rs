//! How far the snapshots have come that are under way, for those who wait for them.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use chancery_credential::NodeNumber;
use parking_lot::Mutex;

/// A line in the log each time that so many bytes have moved.
const TOLD_BYTES: u64 = 64 << 20;

/// A snapshot on its way from one node to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SnapshotProgress {
    /// Rows that were handed over so far.
    pub rows: u64,
    /// Their keys and values, bytes.
    pub bytes: u64,
    /// About how many rows there are in all: those that the sender held when it began.
    pub of_rows: u64,
}

/// All that are under way at this node: one that comes, and one to each peer.
#[derive(Default)]
pub(crate) struct Transfers {
    under_way: Mutex<BTreeMap<Direction, Arc<Moved>>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Direction {
    From(NodeNumber),
    To(NodeNumber),
}

struct Moved {
    rows: AtomicU64,
    bytes: AtomicU64,
    of_rows: u64,
}

/// One of them, which is under way as long as this lives.
pub(crate) struct Transfer {
    transfers: Arc<Transfers>,
    direction: Direction,
    moved: Arc<Moved>,
}

impl Transfers {
    pub(crate) fn receive(self: &Arc<Self>, from: NodeNumber, of_rows: u64) -> Transfer {
        self.begin(Direction::From(from), of_rows)
    }

    pub(crate) fn send(self: &Arc<Self>, to: NodeNumber, of_rows: u64) -> Transfer {
        self.begin(Direction::To(to), of_rows)
    }

    /// What is being received.
    pub(crate) fn receiving(&self) -> Option<SnapshotProgress> {
        let under_way = self.under_way.lock();
        let mut coming = under_way
            .iter()
            .filter(|(direction, _)| matches!(direction, Direction::From(_)))
            .map(|(_, moved)| moved.progress());
        coming.next()
    }

    /// What is being sent to this peer.
    pub(crate) fn sending(&self, to: NodeNumber) -> Option<SnapshotProgress> {
        let under_way = self.under_way.lock();
        under_way
            .get(&Direction::To(to))
            .map(|moved| moved.progress())
    }

    fn begin(self: &Arc<Self>, direction: Direction, of_rows: u64) -> Transfer {
        tracing::info!(?direction, of_rows, "a snapshot is under way");
        let moved = Arc::new(Moved {
            rows: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            of_rows,
        });
        // A former one between the same two has been given up.
        self.under_way.lock().insert(direction, moved.clone());
        Transfer {
            transfers: self.clone(),
            direction,
            moved,
        }
    }
}

impl Transfer {
    /// So much more was handed over.
    pub(crate) fn add(&self, rows: u64, bytes: u64) {
        self.moved.rows.fetch_add(rows, Ordering::Relaxed);
        let before = self.moved.bytes.fetch_add(bytes, Ordering::Relaxed);
        if before / TOLD_BYTES != before.saturating_add(bytes) / TOLD_BYTES {
            let SnapshotProgress {
                rows,
                bytes,
                of_rows,
            } = self.moved.progress();
            let direction = self.direction;
            tracing::info!(?direction, rows, of_rows, bytes, "a snapshot is under way");
        }
    }
}

impl Drop for Transfer {
    fn drop(&mut self) {
        let mut under_way = self.transfers.under_way.lock();
        let own = under_way
            .get(&self.direction)
            .is_some_and(|moved| Arc::ptr_eq(moved, &self.moved));
        if own {
            under_way.remove(&self.direction);
        }
    }
}

impl Moved {
    fn progress(&self) -> SnapshotProgress {
        SnapshotProgress {
            rows: self.rows.load(Ordering::Relaxed),
            bytes: self.bytes.load(Ordering::Relaxed),
            of_rows: self.of_rows,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(progress: Option<SnapshotProgress>) -> Option<u64> {
        progress.map(|progress| progress.rows)
    }

    #[test]
    fn a_transfer_is_seen_while_it_lasts() {
        let transfers = Arc::new(Transfers::default());
        let coming = transfers.receive(NodeNumber(1), 10);
        let going = transfers.send(NodeNumber(2), 20);
        coming.add(3, 300);
        coming.add(4, 400);
        going.add(1, 100);
        let received = SnapshotProgress {
            rows: 7,
            bytes: 700,
            of_rows: 10,
        };
        assert_eq!(transfers.receiving(), Some(received));
        assert_eq!(rows(transfers.sending(NodeNumber(2))), Some(1));
        assert_eq!(transfers.sending(NodeNumber(3)), None);
        drop(coming);
        assert_eq!(transfers.receiving(), None);
    }

    #[test]
    fn one_that_was_given_up_does_not_hide_the_next() {
        let transfers = Arc::new(Transfers::default());
        let given_up = transfers.send(NodeNumber(2), 20);
        let next = transfers.send(NodeNumber(2), 20);
        next.add(5, 50);
        drop(given_up);
        assert_eq!(rows(transfers.sending(NodeNumber(2))), Some(5));
    }
}
