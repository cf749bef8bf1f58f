//! Through where the log is on this node's disk.

use std::{
    fmt,
    future::{Future, poll_fn},
    pin::pin,
    task::Poll,
};

use tokio::sync::watch;

use crate::{Failure, Result};

/// The index through which entries are on this disk.
///
/// An entry may be committed by others before it is flushed here; a node that applied it then would forget it in a
/// crash, and serve an older state after the restart. So only what is flushed is applied.
///
/// Raised before the callbacks of a sync are called. Lowered as soon as a truncation is asked for, so that an entry
/// that takes the place of a flushed one does not count before it is flushed itself. What was purged counts.
pub struct FlushedIndex {
    index: watch::Sender<Option<u64>>,
    failure: Failure,
}

impl FlushedIndex {
    pub(super) fn of(index: Option<u64>, failure: Failure) -> Self {
        Self {
            index: watch::Sender::new(index),
            failure,
        }
    }

    /// The index, `None` before the first entry.
    pub fn get(&self) -> Option<u64> {
        *self.index.borrow()
    }

    /// Waits until entries through `index` are on this disk.
    ///
    /// # Errors
    /// Storage has failed: they may never be.
    pub async fn reach(&self, index: u64) -> Result<()> {
        let mut flushed = self.index.subscribe();
        let mut reached = pin!(flushed.wait_for(|flushed| *flushed >= Some(index)));
        let mut failed = pin!(self.failure.occurred());
        poll_fn(|context| match failed.as_mut().poll(context) {
            Poll::Ready(error) => Poll::Ready(Err(error)),
            Poll::Pending => reached.as_mut().poll(context).map(|_| Ok(())),
        })
        .await
    }

    pub(super) fn set(&self, index: Option<u64>) {
        self.index
            .send_if_modified(|flushed| std::mem::replace(flushed, index) != index);
    }

    pub(super) fn lower(&self, cut: u64) {
        self.set(self.get().min(cut.checked_sub(1)));
    }
}

impl fmt::Debug for FlushedIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("FlushedIndex").field(&self.get()).finish()
    }
}
