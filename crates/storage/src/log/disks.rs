//! Stories of slow and of failing disks under the log.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
    mpsc,
};

use bytes::Bytes;
use futures::executor::block_on;
use tempfile::TempDir;

use super::{LogStore, commit::Sink, completion, ledger::Ledger};
use crate::{DataDirectory, Error, Marker, database::Database};

const MARKER: Marker = Marker {
    cluster: [1; 16],
    node: 1,
    incarnation: 1,
};

fn log_over(sink: Sink) -> (TempDir, DataDirectory, LogStore) {
    let home = TempDir::new().unwrap();
    let directory = DataDirectory::create(home.path(), &MARKER).unwrap();
    let path = home.path().join(super::DIRECTORY);
    let database = Arc::new(Database::open(&path, directory.cache(), &MARKER).unwrap());
    let log = LogStore::start(directory.clone(), database, Ledger::of(0, 0, None), sink).unwrap();
    (home, directory, log)
}

fn disk_error() -> Error {
    Error::corrupt("disk".as_ref(), "no space left on device")
}

#[test]
fn a_failed_sync_fails_what_waited_for_it_and_everything_after_for_good() {
    let written = Arc::new(AtomicUsize::new(0));
    let (go, gone) = mpsc::channel::<()>();
    let sink = Box::new({
        let written = written.clone();
        move |_, _| match written.fetch_add(1, Ordering::SeqCst) {
            0 => Ok(()),
            _ => {
                gone.recv().unwrap();
                Err(disk_error())
            }
        }
    });
    let (_home, directory, log) = log_over(sink);
    // Dropped before the log, which waits for its disk.
    let go = go;
    let append = |index: u64| {
        let (on_flushed, flushed) = completion();
        log.append(vec![(index, Bytes::new())], on_flushed).unwrap();
        flushed
    };
    block_on(append(0)).unwrap();
    // One is being written when the disk fails, the other waits behind it.
    let (lost, behind) = (append(1), append(2));
    go.send(()).unwrap();
    for waiting in [lost, behind] {
        let error = block_on(waiting).unwrap_err();
        assert!(error.to_string().contains("no space left"), "{error}");
    }
    assert_eq!(log.flushed().get(), Some(0));
    assert!(block_on(log.flushed().reach(1)).is_err());
    let (on_flushed, flushed) = completion();
    assert!(matches!(
        log.save_vote(Bytes::new(), on_flushed),
        Err(Error::Failed(_))
    ));
    assert!(block_on(flushed).is_err());
    assert!(matches!(directory.failure().get(), Some(Error::Failed(_))));
    assert!(matches!(
        block_on(directory.failure().occurred()),
        Error::Failed(_)
    ));
    assert_eq!(
        written.load(Ordering::SeqCst),
        2,
        "a failed disk is not tried again"
    );
}

#[test]
fn a_truncation_asked_for_during_a_write_holds_against_what_is_being_written() {
    let (begin, begun) = mpsc::channel();
    let (go, gone) = mpsc::channel::<()>();
    let (_home, _directory, log) = log_over(Box::new(move |_, _| {
        begin.send(()).unwrap();
        gone.recv().unwrap();
        Ok(())
    }));
    let go = go;
    let entries = |range: std::ops::Range<u64>| range.map(|index| (index, Bytes::new())).collect();
    let (on_flushed, flushed) = completion();
    log.append(entries(0..5), on_flushed).unwrap();
    begun.recv().unwrap();
    let (on_truncated, truncated) = completion();
    let (on_replaced, replaced) = completion();
    log.truncate_from(2, on_truncated).unwrap();
    log.append(entries(2..4), on_replaced).unwrap();
    go.send(()).unwrap();
    block_on(flushed).unwrap();
    assert_eq!(
        log.flushed().get(),
        Some(1),
        "2 to 4 are on the disk, but not those that count"
    );
    go.send(()).unwrap();
    block_on(truncated).unwrap();
    block_on(replaced).unwrap();
    assert_eq!(log.flushed().get(), Some(3));
}

#[test]
fn a_callback_that_panics_fails_storage_and_leaves_nobody_waiting() {
    let (go, gone) = mpsc::channel::<()>();
    let sink = Box::new(move |_, _| {
        gone.recv().unwrap();
        Ok(())
    });
    let (_home, directory, log) = log_over(sink);
    // Dropped before the log, which waits for its disk.
    let go = go;
    let broken = Box::new(|_| panic!("a callback that breaks its promise"));
    log.append(vec![(0, Bytes::new())], Box::new(|_| {}))
        .unwrap();
    // Both wait behind the first write, and share the second.
    log.append(vec![(1, Bytes::new())], broken).unwrap();
    let (on_flushed, flushed) = completion();
    log.append(vec![(2, Bytes::new())], on_flushed).unwrap();
    let (on_late, late) = completion();
    go.send(()).unwrap();
    go.send(()).unwrap();
    block_on(flushed).unwrap();
    assert!(log.append(vec![(3, Bytes::new())], on_late).is_err());
    assert!(block_on(late).is_err());
    assert!(directory.failure().get().is_some());
}

#[test]
fn a_write_that_panics_fails_what_waited_for_it() {
    let (_home, directory, log) = log_over(Box::new(|_, _| panic!("a bug")));
    let (on_flushed, flushed) = completion();
    log.append(vec![(0, Bytes::new())], on_flushed).unwrap();
    assert!(block_on(flushed).is_err());
    assert!(directory.failure().get().is_some());
}
