//! The replicated state behind openraft's trait: entries become rows on disk and
//! news for readers, in that order; snapshots are images of the rows.
//!
//! ```text
//!            ┌ decode ─ State::apply ─ changed rows ┐
//!  entries ──┤  (only entries that this disk holds) ├─► one batch on disk ─► published ─► answered
//!            └ advance (blank, membership) ─────────┘   {rows, applied}
//! ```

mod apply;
mod load;
mod snapshot;

use std::{io, sync::Arc};

use chancery_credential::Lineage;
use chancery_storage::{Checkpoint, FlushedIndex, StateStore};
use futures::{Stream, TryStreamExt};
use openraft::{
    OptionalSend, RaftSnapshotBuilder,
    entry::RaftEntry as _,
    storage::{EntryResponder, RaftStateMachine},
};
use parking_lot::Mutex;

use crate::{
    clock::{Clocks as _, SystemClocks},
    disk_work::on_a_thread,
    history::{self, HistoryBounds},
    published::Published,
    raft::{LogId, Snapshot, SnapshotMeta, StoredMembership, Types},
    release::Hold,
};

pub(crate) use load::{Loaded, Unfit, load};
pub(crate) use snapshot::{Received, SnapshotSource, applied_of, next_chunk};

/// Entries that go to disk in one batch, at most: enough to share the write,
/// few enough to be published soon.
const MAX_BATCH: usize = 256;

/// Cheap to clone: Raft's worker, its snapshot builders and the receiver of
/// snapshots share one state.
#[derive(Clone)]
pub(crate) struct StateMachine {
    published: Arc<Published>,
    store: StateStore,
    /// An entry is applied only once this disk holds it: a state that was served
    /// is then never older after a restart.
    flushed: Option<Arc<FlushedIndex>>,
    lineage: Lineage,
    history: Arc<history::Writer>,
    current: Arc<Mutex<Option<Checkpoint>>>,
    _hold: Hold,
}

impl StateMachine {
    /// Over a state that [`load`] has read. An image from before `not_before` is
    /// none: the log has forgotten what follows it, so it would bring nobody up.
    /// A crash between the installation of a snapshot and the making of an image of
    /// it leaves one, and Raft makes another for it.
    ///
    /// Without `flushed` entries are applied although no log holds them, which only
    /// openraft's own storage tests do.
    pub(crate) fn new(
        published: Arc<Published>,
        store: StateStore,
        flushed: Option<Arc<FlushedIndex>>,
        lineage: Lineage,
        not_before: u64,
        bounds: HistoryBounds,
        hold: Hold,
    ) -> io::Result<Self> {
        let history = Arc::new(history::Writer::new(store.clone(), bounds)?);
        let newest = store.newest_checkpoint()?;
        let current = newest.filter(|image| image.index() >= not_before);
        let current = Arc::new(Mutex::new(current));
        Ok(Self {
            published,
            store,
            flushed,
            lineage,
            history,
            current,
            _hold: hold,
        })
    }
}

impl RaftStateMachine<Types> for StateMachine {
    type SnapshotData = SnapshotSource;
    type SnapshotBuilder = Self;

    async fn applied_state(&mut self) -> io::Result<(Option<LogId>, StoredMembership)> {
        let position = self.published.position.read();
        Ok((position.last, position.membership.clone()))
    }

    async fn apply<Strm>(&mut self, mut entries: Strm) -> io::Result<()>
    where
        Strm: Stream<Item = io::Result<EntryResponder<Types>>> + Unpin + OptionalSend,
    {
        let mut batch = Vec::new();
        loop {
            let next = entries.try_next().await?;
            let ended = next.is_none();
            batch.extend(next);
            if batch.len() < MAX_BATCH && !ended {
                continue;
            }
            if let Some((last, _)) = batch.last() {
                if let Some(flushed) = &self.flushed {
                    flushed.reach(last.index()).await?;
                }
                let began = SystemClocks.boot();
                self.apply_batch(std::mem::take(&mut batch))?;
                // For whoever watches; nothing is decided by it.
                if let Some(took) = SystemClocks.boot().since(began) {
                    metrics::histogram!("chancery_apply_seconds").record(took);
                }
            }
            if ended {
                return Ok(());
            }
        }
    }

    async fn get_snapshot_builder(&mut self) -> Self {
        self.clone()
    }

    async fn install_snapshot(
        &mut self,
        meta: &SnapshotMeta,
        snapshot: SnapshotSource,
    ) -> io::Result<()> {
        let (this, meta) = (self.clone(), meta.clone());
        blocking(move || this.install(&meta, snapshot)).await
    }

    async fn get_current_snapshot(&mut self) -> io::Result<Option<Snapshot>> {
        let current = self.current.lock().clone();
        Ok(current.map(|image| self.snapshot_of(image)).transpose()?)
    }
}

impl RaftSnapshotBuilder<Types> for StateMachine {
    type SnapshotData = SnapshotSource;

    async fn build_snapshot(&mut self) -> io::Result<Snapshot> {
        let this = self.clone();
        blocking(move || this.build()).await
    }
}

/// Runs what waits for the disk where it holds nobody up.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    on_a_thread(work).await?
}
