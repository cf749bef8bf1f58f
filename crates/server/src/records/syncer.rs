//! Syncs apart from the writer: a slow one does not keep records from the file.

use std::{
    io,
    sync::{
        Arc,
        mpsc::{Receiver, SyncSender, TryRecvError, sync_channel},
    },
    thread,
};

use super::disk::SegmentFile;

/// What is to be synced.
struct Job {
    file: Arc<dyn SegmentFile>,
    up_to: u64,
}

/// How that went: up to where the file is safe.
type Done = io::Result<u64>;

/// A thread that syncs one file at a time.
pub(super) struct Syncer {
    jobs: SyncSender<Job>,
    done: Receiver<Done>,
    busy: bool,
}

impl Syncer {
    /// # Errors
    /// When the system gives no thread.
    pub(super) fn start() -> io::Result<Self> {
        let (jobs, to_do) = sync_channel::<Job>(1);
        let (say, done) = sync_channel(1);
        thread::Builder::new()
            .name("records-sync".to_owned())
            .spawn(move || {
                for Job { file, up_to } in to_do {
                    if say.send(file.sync().map(|()| up_to)).is_err() {
                        return;
                    }
                }
            })?;
        Ok(Self {
            jobs,
            done,
            busy: false,
        })
    }

    pub(super) const fn is_busy(&self) -> bool {
        self.busy
    }

    /// Begins to sync what stands in `file` now. Nothing while it is busy.
    pub(super) fn begin(&mut self, file: &Arc<dyn SegmentFile>, up_to: u64) {
        if !self.busy {
            let file = file.clone();
            self.busy = self.jobs.try_send(Job { file, up_to }).is_ok();
        }
    }

    /// What has become of it, if that is known.
    pub(super) fn poll(&mut self) -> Option<Done> {
        let done = match self.done.try_recv() {
            Ok(done) => done,
            Err(TryRecvError::Empty) => return None,
            Err(TryRecvError::Disconnected) => gone(),
        };
        self.busy = false;
        Some(done)
    }

    /// Waits for it; `None` when nothing was begun.
    pub(super) fn wait(&mut self) -> Option<Done> {
        if !self.busy {
            return None;
        }
        self.busy = false;
        Some(self.done.recv().unwrap_or_else(|_| gone()))
    }
}

fn gone() -> Done {
    Err(io::Error::other("the thread that syncs records has ended"))
}
