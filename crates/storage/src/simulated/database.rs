//! A database that loses what was not synced.

use std::{
    collections::BTreeMap,
    ops::Bound,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use parking_lot::Mutex;

use super::{Crash, durable, with};
use crate::{Error, Footprint, Marker, Result};

/// As the real database has them.
pub(crate) const OWN: u8 = 0;
pub(crate) const KEPT: u8 = 1;
pub(crate) const BEYOND: u8 = 2;

/// What a write waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Durability {
    /// The disk.
    Synced,
    /// The kernel: survives the process, not the machine.
    Written,
    /// Nothing: [`Database::flush`] comes later.
    Memory,
}

/// The real databases of a directory share one.
pub(crate) struct Cache;

pub(crate) const fn block_cache() -> Cache {
    Cache
}

#[derive(Clone)]
enum Operation {
    Put(Vec<u8>, Bytes),
    Delete(Vec<u8>),
    DeleteRange(Vec<u8>, Vec<u8>),
}

/// Changes that are made together or not at all.
#[derive(Clone, Default)]
pub(crate) struct WriteBatch {
    operations: Vec<Operation>,
    bytes: usize,
}

impl WriteBatch {
    pub(crate) fn put(&mut self, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) {
        let (key, value) = (key.as_ref().to_vec(), value.as_ref());
        self.bytes += key.len() + value.len();
        let value = Bytes::copy_from_slice(value);
        self.operations.push(Operation::Put(key, value));
    }

    pub(crate) fn delete(&mut self, key: impl AsRef<[u8]>) {
        let key = key.as_ref().to_vec();
        self.operations.push(Operation::Delete(key));
    }

    pub(crate) fn delete_range(&mut self, from: Vec<u8>, to: Vec<u8>) {
        self.operations.push(Operation::DeleteRange(from, to));
    }

    pub(crate) const fn size_in_bytes(&self) -> usize {
        self.bytes
    }
}

type Table = BTreeMap<Vec<u8>, Bytes>;

fn make(table: &mut Table, batch: &WriteBatch) {
    for operation in &batch.operations {
        match operation {
            Operation::Put(key, value) => {
                table.insert(key.clone(), value.clone());
            }
            Operation::Delete(key) => {
                table.remove(key);
            }
            Operation::DeleteRange(from, to) => {
                let gone: Vec<_> = table
                    .range(from.clone()..to.clone())
                    .map(|(key, _)| key.clone())
                    .collect();
                for key in gone {
                    table.remove(&key);
                }
            }
        }
    }
}

/// What stands in a database.
#[derive(Default)]
pub(crate) struct Content {
    /// What a process reads.
    now: Table,
    /// What the disk holds.
    synced: Table,
    /// What it does not, in order, and whether the kernel has it.
    pending: Vec<(WriteBatch, bool)>,
    /// Whether the directory itself, with its tables, is on the disk.
    is_there: bool,
    /// How many of those that are pending somebody was told of.
    promised: usize,
    /// How many were pending before the crash, and survived it.
    pub(super) survived: usize,
}

impl Content {
    /// Whoever waited was told.
    pub(super) fn promise(&mut self) {
        self.promised = self.pending.len();
    }

    pub(super) const fn promised(&self) -> usize {
        self.promised
    }

    fn write(&mut self, batch: WriteBatch, durability: Durability) {
        make(&mut self.now, &batch);
        self.pending.push((batch, durability != Durability::Memory));
        if durability == Durability::Synced {
            self.sync();
        }
    }

    fn sync(&mut self) {
        for (batch, _) in self.pending.drain(..) {
            make(&mut self.synced, &batch);
        }
        self.promised = 0;
    }

    pub(super) fn tables_are_synced(&mut self) {
        self.is_there = true;
    }

    /// What a crash leaves, if anything: of what was not synced a beginning, in whole
    /// batches.
    pub(super) fn after(&self, crash: Crash, random: &mut fastrand::Rng) -> Option<Self> {
        let written = self.pending.iter().take_while(|(_, written)| *written);
        let written = written.count();
        let kept = match crash {
            Crash::Process => written,
            Crash::Power if !self.is_there => return None,
            Crash::Power => random.usize(0..=written),
        };
        let mut synced = self.synced.clone();
        for (batch, _) in self.pending.iter().take(kept) {
            make(&mut synced, batch);
        }
        // What was found after a crash is on the disk when the database is open again.
        Some(Self {
            now: synced.clone(),
            synced,
            is_there: self.is_there,
            survived: kept,
            ..Self::default()
        })
    }
}

/// An open database.
pub(crate) struct Database {
    content: Arc<Mutex<Content>>,
    path: PathBuf,
    condemned: AtomicBool,
    syncs: AtomicU64,
    life: u64,
    _holds: Option<Box<dyn std::any::Any + Send + Sync>>,
}

impl Drop for Database {
    fn drop(&mut self) {
        let is_alive = with(|disks| disks.life_of(&self.path)) == self.life;
        if self.condemned.load(Ordering::Acquire) && is_alive {
            // It cannot fail here.
            let _ = durable::remove(&self.path);
        }
    }
}

impl Database {
    pub(crate) fn create(path: &Path, _: &Cache, _: &Marker) -> Result<Self> {
        let content = Content {
            is_there: true,
            ..Content::default()
        };
        let content = Arc::new(Mutex::new(content));
        with(|disks| disks.databases.insert(path.to_owned(), content.clone()));
        Ok(Self::of(content, path, None))
    }

    pub(crate) fn open(path: &Path, _: &Cache, _: &Marker) -> Result<Self> {
        Ok(Self::of(Self::found(path)?, path, None))
    }

    pub(crate) fn open_read_only(
        path: &Path,
        _: &Cache,
        _: &Marker,
        holds: Option<Box<dyn std::any::Any + Send + Sync>>,
    ) -> Result<Self> {
        Ok(Self::of(Self::found(path)?, path, holds))
    }

    fn found(path: &Path) -> Result<Arc<Mutex<Content>>> {
        let found = with(|disks| disks.databases.get(path).cloned());
        found.ok_or_else(|| Error::DatabaseMissing {
            path: path.to_owned(),
        })
    }

    fn of(
        content: Arc<Mutex<Content>>,
        path: &Path,
        holds: Option<Box<dyn std::any::Any + Send + Sync>>,
    ) -> Self {
        Self {
            content,
            path: path.to_owned(),
            condemned: AtomicBool::new(false),
            syncs: AtomicU64::new(0),
            life: with(|disks| disks.life_of(path)),
            _holds: holds,
        }
    }

    pub(crate) fn must_exist(path: &Path) -> Result<()> {
        Self::found(path).map(drop)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        Ok(self.content.lock().now.get(key).map(|value| value.to_vec()))
    }

    pub(crate) fn get_number(&self, key: &[u8]) -> Result<Option<u64>> {
        let Some(value) = self.get(key)? else {
            return Ok(None);
        };
        let bytes: [u8; 8] = value
            .try_into()
            .map_err(|_| Error::corrupt(self.path(), "a number is not one"))?;
        Ok(Some(u64::from_be_bytes(bytes)))
    }

    pub(crate) fn write(&self, batch: WriteBatch, durability: Durability) -> Result<()> {
        self.content.lock().write(batch, durability);
        if durability == Durability::Synced {
            self.syncs.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }

    pub(crate) fn sync(&self) -> Result<()> {
        self.content.lock().sync();
        self.syncs.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    pub(crate) fn syncs(&self) -> u64 {
        self.syncs.load(Ordering::Relaxed)
    }

    pub(crate) fn flush(&self) -> Result<()> {
        self.content.lock().sync();
        Ok(())
    }

    /// Each pair as it stands when it is asked for: nothing else runs meanwhile.
    pub(crate) fn range(&self, from: Vec<u8>, to: Vec<u8>) -> impl Iterator<Item = Result<Pair>> {
        let mut next = Bound::Included(from);
        std::iter::from_fn(move || {
            let content = self.content.lock();
            let bounds = (next.clone(), Bound::Excluded(to.clone()));
            if !is_ordered(&bounds) {
                return None;
            }
            let (key, value) = content.now.range(bounds).next()?;
            next = Bound::Excluded(key.clone());
            Some(Ok(pair(key, value)))
        })
    }

    pub(crate) fn range_backwards(
        &self,
        from: Vec<u8>,
        to: Vec<u8>,
    ) -> impl Iterator<Item = Result<Pair>> {
        let mut end = to;
        std::iter::from_fn(move || {
            let content = self.content.lock();
            if from >= end {
                return None;
            }
            let (key, value) = content.now.range(from.clone()..end.clone()).next_back()?;
            end = key.clone();
            Some(Ok(pair(key, value)))
        })
    }

    pub(crate) fn last_key(&self, from: Vec<u8>, to: Vec<u8>) -> Result<Option<Box<[u8]>>> {
        let mut backwards = self.range_backwards(from, to);
        backwards
            .next()
            .transpose()
            .map(|pair| pair.map(|(key, _)| key))
    }

    pub(crate) fn footprint(&self) -> Footprint {
        let content = self.content.lock();
        let bytes: usize = content.now.values().map(Bytes::len).sum();
        Footprint {
            tables: bytes as u64,
            ..Footprint::default()
        }
    }

    /// On the disk once its directory is synced.
    pub(crate) fn image(&self, path: &Path) -> Result<()> {
        let now = self.content.lock().now.clone();
        let content = Content {
            synced: now.clone(),
            now,
            ..Content::default()
        };
        let content = Arc::new(Mutex::new(content));
        with(|disks| disks.databases.insert(path.to_owned(), content));
        Ok(())
    }

    pub(crate) fn condemn(&self, condemned: bool) {
        self.condemned.store(condemned, Ordering::Release);
    }
}

/// `BTreeMap::range` panics otherwise.
fn is_ordered((from, to): &(Bound<Vec<u8>>, Bound<Vec<u8>>)) -> bool {
    match (from, to) {
        (Bound::Included(from) | Bound::Excluded(from), Bound::Excluded(to)) => from < to,
        _ => false,
    }
}

fn pair(key: &[u8], value: &Bytes) -> Pair {
    (Box::from(key), Box::from(value.as_ref()))
}

/// A key and its value.
pub(crate) type Pair = (Box<[u8]>, Box<[u8]>);
