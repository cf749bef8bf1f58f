//! Snapshots: an image of the rows on this disk, or a state that was received and
//! stands ready beside the present one. Never the whole state in one buffer.

use std::io;

use chancery_storage::{Applied, Checkpoint, FinishedState, StateStore};

use super::{StateMachine, load::load};
use crate::{
    codec::{Undecodable, decode_applied, encode_applied},
    peers::limits::MAX_CHUNK_BYTES,
    raft::{Snapshot, SnapshotMeta},
};

/// What openraft hands around as a snapshot: where the rows are.
pub(crate) enum SnapshotSource {
    /// An image on this disk, read in chunks by whoever sends it, and whose it is.
    Image(Checkpoint, StateMachine),
    /// Received, checked, and durable beside the present state.
    Received(Box<FinishedState>),
    /// Nothing was ever applied.
    Nothing,
}

/// What is written beside the rows of a snapshot.
pub(crate) fn applied_of(meta: &SnapshotMeta) -> Applied {
    Applied {
        index: meta.last_log_id.map_or(0, |id| id.index),
        meta: encode_applied(meta.last_log_id.as_ref(), &meta.last_membership),
    }
}

impl StateMachine {
    /// A snapshot of what stands in an image: the record in it says how far it is.
    pub(super) fn snapshot_of(&self, image: Checkpoint) -> Result<Snapshot, Undecodable> {
        let (last_log_id, last_membership) = decode_applied(image.applied().meta.clone())?;
        let meta = SnapshotMeta {
            last_log_id,
            last_membership,
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
        *self.current.lock() = Some(checkpoint.clone());
        Ok(self.snapshot_of(checkpoint)?)
    }

    /// An image that the disk has damaged is replaced by one of the present state.
    pub(crate) fn replace_image(&self, damaged: &Checkpoint) -> io::Result<()> {
        self.store.discard_checkpoint(damaged)?;
        self.build().map(drop)
    }

    /// Replaces the state, on disk first, then for readers.
    pub(super) fn install(&self, meta: &SnapshotMeta, snapshot: SnapshotSource) -> io::Result<()> {
        let finished = match snapshot {
            SnapshotSource::Received(finished) => *finished,
            SnapshotSource::Image(image, _) => copy(&self.store, &image, meta)?,
            SnapshotSource::Nothing => return Ok(()),
        };
        self.store.install(finished)?;
        let (state, position) = load(&self.store, self.lineage)?;
        if position.last != meta.last_log_id {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "the snapshot that was installed is not the one that was announced",
            ));
        }
        self.published
            .replace(state, position)
            .map_err(io::Error::other)?;
        self.build().map(drop)
    }
}

/// An image of another store as a state of this one.
fn copy(
    store: &StateStore,
    checkpoint: &Checkpoint,
    meta: &SnapshotMeta,
) -> io::Result<FinishedState> {
    let mut staged = store.stage()?;
    let mut rows = checkpoint.rows()?;
    loop {
        let chunk = next_chunk(&mut rows)?;
        if chunk.is_empty() {
            break;
        }
        staged.push(chunk)?;
    }
    Ok(staged.finish(applied_of(meta), &rows.tally())?)
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
