//! The thread of the group commit.

use std::{
    path::Path,
    sync::Arc,
    thread::{self, JoinHandle},
};

use parking_lot::Mutex;

use super::commit::{self, Desk, Sink};
use crate::{Error, Result};

/// Writes what waits, until its desk is closed.
pub(super) struct Writer(Mutex<Option<JoinHandle<()>>>);

impl Writer {
    pub(super) fn start(desk: Arc<Desk>, sink: Sink, path: &Path) -> Result<Self> {
        let thread = thread::Builder::new()
            .name("log-commit".into())
            .spawn(move || commit::run(&desk, sink))
            .map_err(Error::io(path, "start the group-commit thread"))?;
        Ok(Self(Mutex::new(Some(thread))))
    }

    /// Waits until all that waited is written; its desk is closed.
    pub(super) fn end(&self) {
        let Some(thread) = self.0.lock().take() else {
            return;
        };
        // A callback may hold the last handle: the thread cannot wait for itself.
        if thread.thread().id() != thread::current().id() && thread.join().is_err() {
            tracing::error!("the group-commit thread panicked");
        }
    }
}
