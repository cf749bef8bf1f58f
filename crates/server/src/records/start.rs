//! Starting and stopping what keeps a node's records.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
    thread,
};

use chancery_credential::{IssuerNumber, Lineage, NodeNumber};
use thiserror::Error;
use tokio::sync::oneshot;
use tracing::{error, warn};

use super::{
    Cause, RecordLimits, Recorder,
    boot::BootId,
    disk::{Directory, Disk, Ended},
    recover::{Next, date, recover},
    writer::{WallClock, Writer},
};
use crate::clock::SystemClock;

/// Why there are no records, and so no node.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RecordsError {
    /// What is there cannot be read.
    #[error(
        "the records of mints in `{}` cannot be read: {source}; make the directory readable and \
         writable for this process, or mend the disk", path.display()
    )]
    Directory {
        /// Where.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The system gave no thread.
    #[error("the system gave no thread to write records of mints: {0}")]
    Threads(io::Error),
}

/// Who writes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Author {
    pub(crate) node: NodeNumber,
    pub(crate) lineage: Lineage,
    /// Tells this process from every other of the node.
    pub(crate) process: u64,
    /// The start of the machine that it runs in.
    pub(crate) boot: BootId,
}

/// Records that are being kept.
#[derive(Debug)]
pub(crate) struct Records {
    recorder: Arc<Recorder>,
    ended: oneshot::Receiver<()>,
}

impl Records {
    pub(crate) fn recorder(&self) -> &Arc<Recorder> {
        &self.recorder
    }

    /// Takes no more, and waits until everything is written: not for ever, for the
    /// disk may be full.
    pub(crate) async fn close(mut self) {
        self.recorder.close();
        let _ = (&mut self.ended).await;
    }
}

impl Drop for Records {
    fn drop(&mut self) {
        self.recorder.close();
    }
}

/// Goes on with the chain of a directory, on a thread of its own. A lane for each of
/// `threads` that mint. `issuers_of` gives the issuers that a former process of this
/// node opened, or all of them. `post` is dropped when the thread ends, however it comes about.
///
/// # Errors
/// [`RecordsError`]. That nothing can be *written* is none: the node says that it is
/// behind, and tries on.
pub(crate) fn start(
    path: &Path,
    limits: &RecordLimits,
    threads: usize,
    author: Author,
    issuers_of: &dyn Fn(Option<u64>) -> Vec<IssuerNumber>,
    post: impl Send + 'static,
) -> Result<Records, RecordsError> {
    let wall = Arc::new(SystemClock::wall_ms);
    start_by(path, limits, threads, author, issuers_of, wall, post)
}

/// The same, by another wall clock.
pub(super) fn start_by(
    path: &Path,
    limits: &RecordLimits,
    threads: usize,
    author: Author,
    issuers_of: &dyn Fn(Option<u64>) -> Vec<IssuerNumber>,
    wall: WallClock,
    post: impl Send + 'static,
) -> Result<Records, RecordsError> {
    let unreadable = |source| RecordsError::Directory {
        path: path.to_owned(),
        source,
    };
    let directory = Directory::open(path).map_err(unreadable)?;
    let mut kept = directory.segments().map_err(unreadable)?;
    let now_ms = wall();
    let next = recover(&directory, &kept, now_ms, author.boot, issuers_of).map_err(unreadable)?;
    date(&directory, &mut kept, &next);
    say_gap(&next);
    write_to(directory, limits, threads, author, (next, kept), wall, post)
        .map_err(RecordsError::Threads)
}

/// The same, to any disk.
pub(super) fn write_to<D: Disk + 'static>(
    disk: D,
    limits: &RecordLimits,
    threads: usize,
    author: Author,
    found: (Next, Vec<Ended>),
    wall: WallClock,
    post: impl Send + 'static,
) -> io::Result<Records> {
    let waiting = usize::try_from(limits.waiting).unwrap_or(usize::MAX);
    let recorder = Arc::new(Recorder::new(threads, waiting, SystemClock::boot()));
    let writer = Writer::new(recorder.clone(), disk, limits.clone(), author, found, wall)?;
    let (end, ended) = oneshot::channel();
    let thread = thread::Builder::new()
        .name("records".to_owned())
        .spawn(move || {
            let _post = post;
            writer.run();
            let _ = end.send(());
        })?;
    recorder.written_by(thread.thread().clone());
    Ok(Records { recorder, ended })
}

fn say_gap(next: &Next) {
    let Some(gap) = &next.gap else {
        return;
    };
    let issuers: Vec<String> = gap.issuers.iter().map(ToString::to_string).collect();
    let issuers = issuers.join(", ");
    let (from_ms, to_ms, torn_bytes) = (gap.from_ms, gap.to_ms, gap.torn_bytes);
    if gap.cause == Cause::Damage {
        error!(
            segment = next.number - 1, from_ms, to_ms, %issuers, torn_bytes,
            "the newest records of mints are damaged: keep the file, and see `chancery records verify`"
        );
    } else if gap.cause == Cause::Absent {
        warn!(
            %issuers,
            "there are no records of mints, though this node had issuers before: a gap is \
             recorded; where the former ones are kept, `chancery records find` reads them too"
        );
    } else {
        warn!(
            from_ms, to_ms, %issuers, torn_bytes, at_most = gap.records,
            cause = gap.cause.as_str(),
            "the node ended without closing its records of mints: a gap is recorded"
        );
    }
}
