//! The group commit as a task of the simulation's one thread: what waits reaches the
//! disk after a moment, and who waits hears of it after another.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Weak},
};

use parking_lot::Mutex;

use super::{
    commit::{Desk, Sink},
    queue::{Change, Drained},
};
use crate::{
    Result,
    simulated::{self, Moment},
};

/// Writes what waits, until its desk is closed.
pub(super) struct Writer {
    desk: Arc<Desk>,
    disk: Arc<Mutex<Disk>>,
}

/// The database, and what is on its way there.
struct Disk {
    sink: Sink,
    writing: Option<Drained>,
}

impl Writer {
    #[allow(clippy::unnecessary_wraps, reason = "a thread may not be had")]
    pub(super) fn start(desk: Arc<Desk>, sink: Sink, path: &Path) -> Result<Self> {
        let writing = None;
        let disk = Arc::new(Mutex::new(Disk { sink, writing }));
        tokio::spawn(write(Arc::downgrade(&desk), disk.clone(), path.to_owned()));
        Ok(Self { desk, disk })
    }

    /// Writes all that waits, now.
    pub(super) fn end(&self) {
        let mut disk = self.disk.lock();
        while let Some(drained) = disk.writing.take().or_else(|| self.desk.take_now()) {
            let outcome = self.desk.written(&mut disk.sink, &drained);
            self.desk.tell(drained, &outcome);
        }
    }
}

async fn write(desk: Weak<Desk>, disk: Arc<Mutex<Disk>>, path: PathBuf) {
    let root = path;
    loop {
        let Some(desk) = desk.upgrade() else {
            return;
        };
        let called = desk.called.clone();
        if let Some(drained) = desk.take_now() {
            disk.lock().writing = Some(drained);
            tokio::time::sleep(simulated::moment(&root)).await;
            let Some((drained, outcome)) = written(&desk, &disk) else {
                return;
            };
            // On the disk, and nobody knows.
            tokio::time::sleep(simulated::moment(&root) / 4).await;
            if !drained.waiting.is_empty() {
                simulated::promise(&root.join(super::DIRECTORY));
            }
            for waiting in &drained.waiting {
                match waiting.change {
                    Change::Vote(_) => simulated::has_come(&root, Moment::Vote),
                    Change::Purge { .. } => simulated::has_come(&root, Moment::Purge),
                    Change::Append { .. } | Change::Truncate { .. } => {}
                }
            }
            desk.tell(drained, &outcome);
            continue;
        }
        if desk.is_closed() {
            return;
        }
        drop(desk);
        called.notified().await;
    }
}

/// What was on its way is on the disk; nothing, if somebody else has brought it there.
fn written(desk: &Desk, disk: &Mutex<Disk>) -> Option<(Drained, Result<()>)> {
    let mut disk = disk.lock();
    let drained = disk.writing.take()?;
    let outcome = desk.written(&mut disk.sink, &drained);
    Some((drained, outcome))
}
