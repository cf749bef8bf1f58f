//! Snapshots: an image of the rows on this disk, or a state that was received and
//! stands ready beside the present one. Never the whole state in one buffer.

use std::io;

use chancery_credential::Lineage;
use chancery_storage::{Applied, Checkpoint, FinishedState, StateStore};

use super::{
    StateMachine,
    load::{Loaded, Unfit, load},
};
use crate::{
    codec::{AppliedRecord, Undecodable, decode_applied, encode_applied},
    peers::limits::MAX_CHUNK_BYTES,
    published::Position,
    raft::{Snapshot, SnapshotMeta},
};

/// What openraft hands around as a snapshot: where the rows are.
pub(crate) enum SnapshotSource {
    /// An image on this disk, read in chunks by whoever sends it, and whose it is.
    Image(Checkpoint, StateMachine),
    /// Received, checked, and durable beside the present state.
    Received(Box<Received>),
    /// Nothing was ever applied.
    Nothing,
}

/// A state that stands ready on disk, and what was read of it. There is no way to
/// install one that was not read: what does not hold together is found out while
/// the state that is in force is untouched.
pub(crate) struct Received {
    finished: FinishedState,
    loaded: Loaded,
}

impl Received {
    /// Reads what was received.
    ///
    /// # Errors
    /// It is no state of this cluster, or not the one that was announced.
    pub(crate) fn read(
        finished: FinishedState,
        announced: &SnapshotMeta,
        lineage: Lineage,
    ) -> Result<Self, Unfit> {
        let loaded = load(finished.rows(), Some(finished.applied().clone()), lineage)?;
        let Position {
            last, membership, ..
        } = &loaded.position;
        if (last, membership) != (&announced.last_log_id, &announced.last_membership) {
            return Err(Unfit::Incoherent("it is not the one announced".into()));
        }
        Ok(Self { finished, loaded })
    }
}

/// What is written beside the rows.
pub(crate) fn applied_of(record: &AppliedRecord) -> Applied {
    Applied {
        index: record.last.map_or(0, |last| last.index),
        meta: encode_applied(record),
    }
}

impl StateMachine {
    /// A snapshot of what stands in an image: the record in it says how far it is.
    pub(super) fn snapshot_of(&self, image: Checkpoint) -> Result<Snapshot, Undecodable> {
        let record = decode_applied(image.applied().meta.clone())?;
        let meta = SnapshotMeta {
            last_log_id: record.last,
            last_membership: record.membership,
        };
        Ok(Snapshot {
            meta,
            snapshot: SnapshotSource::Image(image, self.clone()),
        })
    }

    /// Takes an image of the state as it is now. It may be further than what Raft
    /// has heard of; what it is an image of stands in it.
    pub(super) fn build(&self) -> io::Result<Snapshot> {
        if self.store.applied().is_none() {
            let meta = SnapshotMeta::default();
            return Ok(Snapshot {
                meta,
                snapshot: SnapshotSource::Nothing,
            });
        }
        let checkpoint = self.store.checkpoint()?;
        let mut current = self.current.lock();
        // Two may be made at once, and end in either order.
        let newer = current
            .take()
            .filter(|known| known.index() > checkpoint.index());
        let newest = current.insert(newer.unwrap_or(checkpoint)).clone();
        drop(current);
        Ok(self.snapshot_of(newest)?)
    }

    /// How many rows an image of the present state has, the history's among them.
    pub(crate) fn rows_now(&self) -> u64 {
        let state = self.published.state.read().row_count() as u64;
        state.saturating_add(self.history.row_count())
    }

    /// An image that the disk has damaged is replaced by one of the present state.
    pub(crate) fn replace_image(&self, damaged: &Checkpoint) -> io::Result<()> {
        self.store.discard_checkpoint(damaged)?;
        self.build().map(drop)
    }

    /// Replaces the state, on disk first, then for readers.
    pub(super) fn install(&self, meta: &SnapshotMeta, snapshot: SnapshotSource) -> io::Result<()> {
        let received = match snapshot {
            SnapshotSource::Received(received) => *received,
            SnapshotSource::Image(image, _) => {
                Received::read(copy(&self.store, &image)?, meta, self.lineage)?
            }
            SnapshotSource::Nothing => return Ok(()),
        };
        let Received { finished, loaded } = received;
        self.store.install(finished)?;
        self.history.reload()?;
        self.published
            .replace(loaded.state, loaded.position)
            .map_err(io::Error::other)?;
        self.build().map(drop)
    }
}

/// An image of another store as a state of this one.
fn copy(store: &StateStore, checkpoint: &Checkpoint) -> io::Result<FinishedState> {
    let mut staged = store.stage()?;
    let mut rows = checkpoint.rows()?;
    loop {
        let chunk = next_chunk(&mut rows)?;
        if chunk.is_empty() {
            break;
        }
        staged.push(chunk)?;
    }
    Ok(staged.finish(checkpoint.applied().clone(), &rows.tally())?)
}

/// Rows of about [`MAX_CHUNK_BYTES`] together; none at the end.
pub(crate) fn next_chunk(
    rows: &mut chancery_storage::Rows,
) -> io::Result<Vec<chancery_storage::Row>> {
    let mut chunk = Vec::new();
    let mut bytes = 0;
    while bytes < MAX_CHUNK_BYTES {
        let Some(row) = rows.next().transpose()? else {
            break;
        };
        bytes += row.key.len() + row.value.len();
        chunk.push(row);
    }
    Ok(chunk)
}
