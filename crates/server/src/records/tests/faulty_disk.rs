//! A disk that is full, or forgets.

use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::FileExt,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use super::super::disk::{Directory, Disk, SegmentFile};

/// What is wrong with it, to be changed while it is used.
#[derive(Debug)]
pub(super) struct Faults {
    /// Bytes that still fit.
    pub(super) room: AtomicU64,
    /// Writes that found no room at all.
    pub(super) refused: AtomicU64,
    /// Syncs fail.
    pub(super) unsynced: AtomicBool,
    /// Syncs fail, and what was written since the last good one is forgotten, as
    /// Linux forgets pages that it could not write.
    pub(super) forgets: AtomicBool,
    /// How often it forgot.
    pub(super) forgot: AtomicU64,
    /// What is written behind all that was written before is refused once, and taken
    /// when it is tried again.
    pub(super) reluctant: AtomicBool,
}

pub(super) struct FaultyDisk {
    pub(super) directory: Directory,
    pub(super) faults: Arc<Faults>,
}

struct FaultyFile {
    file: Arc<dyn SegmentFile>,
    raw: File,
    synced: AtomicU64,
    /// Where a write was refused last.
    refused_at: AtomicU64,
    faults: Arc<Faults>,
}

impl Faults {
    pub(super) fn none() -> Arc<Self> {
        Arc::new(Self {
            room: AtomicU64::new(u64::MAX),
            refused: AtomicU64::new(0),
            unsynced: AtomicBool::new(false),
            forgets: AtomicBool::new(false),
            forgot: AtomicU64::new(0),
            reluctant: AtomicBool::new(false),
        })
    }

    /// Room for so many bytes, at most.
    fn take(&self, wanted: u64) -> io::Result<u64> {
        let mut given = 0;
        let take = |room: u64| {
            given = room.min(wanted);
            Some(room - given)
        };
        let _ = self
            .room
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, take);
        if given == 0 && wanted > 0 {
            self.refused.fetch_add(1, Ordering::SeqCst);
            return Err(io::ErrorKind::StorageFull.into());
        }
        Ok(given)
    }
}

impl Disk for FaultyDisk {
    fn create(&self, segment: u64, beginning: &[u8]) -> io::Result<Arc<dyn SegmentFile>> {
        let wanted = beginning.len() as u64;
        if self.faults.take(wanted)? < wanted {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let file = self.directory.create(segment, beginning)?;
        let path = super::segment_path(self.directory.path(), segment);
        Ok(Arc::new(FaultyFile {
            file,
            raw: OpenOptions::new().write(true).open(path)?,
            synced: AtomicU64::new(wanted),
            refused_at: AtomicU64::new(0),
            faults: self.faults.clone(),
        }))
    }

    fn remove(&self, segment: u64) -> io::Result<()> {
        self.directory.remove(segment)
    }
}

impl SegmentFile for FaultyFile {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        let reluctant = self.faults.reluctant.load(Ordering::SeqCst);
        if reluctant && self.refused_at.swap(offset, Ordering::SeqCst) != offset {
            return Err(io::Error::other("the disk is not ready"));
        }
        let given = usize::try_from(self.faults.take(bytes.len() as u64)?).unwrap();
        self.file.write_at(&bytes[..given], offset)
    }

    fn sync(&self) -> io::Result<()> {
        let length = self.raw.metadata()?.len();
        if self.faults.forgets.load(Ordering::SeqCst) {
            let synced = self.synced.load(Ordering::SeqCst);
            let lost = vec![0; usize::try_from(length - synced).unwrap()];
            self.raw.write_all_at(&lost, synced)?;
            self.faults.forgot.fetch_add(1, Ordering::SeqCst);
            return Err(io::Error::other("the disk failed"));
        }
        if self.faults.unsynced.load(Ordering::SeqCst) {
            return Err(io::Error::other("the disk does not answer"));
        }
        self.file.sync()?;
        self.synced.store(length, Ordering::SeqCst);
        Ok(())
    }
}
