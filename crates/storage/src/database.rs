//! One RocksDB in its own directory, and the errors of its calls.

use std::{
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
};

pub(crate) use rocksdb::{Cache, WriteBatch};
use rocksdb::{DB, IteratorMode, Options, WriteOptions, checkpoint, statistics::Ticker};

pub(crate) use crate::options::block_cache;
use crate::{Error, Footprint, Marker, Result, durable, options};

/// The first byte of a key: what the database knows about itself, or what it was given to keep.
pub(crate) const OWN: u8 = 0;
pub(crate) const KEPT: u8 = 1;
/// The first byte after every key that was given.
pub(crate) const BEYOND: u8 = 2;

/// Whose database it is: one of another node in the right directory is refused.
const IDENTITY: &[u8] = &[OWN, b'i'];

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

/// An open database.
pub(crate) struct Database {
    // Dropped in this order: closed before its files go.
    raw: DB,
    options: Options,
    remains: Remains,
    /// What must live as long as the database is read.
    _holds: Option<Box<dyn std::any::Any + Send + Sync>>,
}

/// The database's directory, removed with it when condemned.
struct Remains {
    path: PathBuf,
    condemned: AtomicBool,
}

impl Drop for Remains {
    fn drop(&mut self) {
        if !self.condemned.load(Ordering::Acquire) {
            return;
        }
        if let Err(error) = durable::remove(&self.path) {
            // The next opening of the directory removes it.
            tracing::warn!(%error, "cannot remove a replaced database");
        }
    }
}

impl Database {
    /// Makes an empty database that belongs to the marker's node.
    pub(crate) fn create(path: &Path, cache: &Cache, marker: &Marker) -> Result<Self> {
        durable::make_directory(path)?;
        let mut options = options::database(cache);
        options.create_if_missing(true);
        options.set_error_if_exists(true);
        let raw = DB::open(&options, path).map_err(Error::rocksdb(path, "create the database"))?;
        let database = Self::of(raw, options, path);
        let mut batch = WriteBatch::default();
        batch.put(IDENTITY, identity(marker));
        database.write(batch, Durability::Synced)?;
        Ok(database)
    }

    /// Opens the marker's node's database.
    pub(crate) fn open(path: &Path, cache: &Cache, marker: &Marker) -> Result<Self> {
        Self::must_exist(path)?;
        let options = options::database(cache);
        let raw = DB::open(&options, path).map_err(Error::rocksdb(path, "open the database"))?;
        let database = Self::of(raw, options, path);
        database.must_belong_to(marker)?;
        Ok(database)
    }

    /// Opens a database without changing a byte of what it holds. `holds` is dropped after it.
    pub(crate) fn open_read_only(
        path: &Path,
        cache: &Cache,
        marker: &Marker,
        holds: Option<Box<dyn std::any::Any + Send + Sync>>,
    ) -> Result<Self> {
        Self::must_exist(path)?;
        let options = options::database(cache);
        let raw = DB::open_for_read_only(&options, path, false)
            .map_err(Error::rocksdb(path, "open the database for reading"))?;
        let database = Self {
            _holds: holds,
            ..Self::of(raw, options, path)
        };
        database.must_belong_to(marker)?;
        Ok(database)
    }

    fn of(raw: DB, options: Options, path: &Path) -> Self {
        let remains = Remains {
            path: path.to_owned(),
            condemned: AtomicBool::new(false),
        };
        Self {
            raw,
            options,
            remains,
            _holds: None,
        }
    }

    /// RocksDB names its manifest in `CURRENT`: without it there is no database.
    pub(crate) fn must_exist(path: &Path) -> Result<()> {
        if path.join("CURRENT").is_file() {
            Ok(())
        } else {
            Err(Error::DatabaseMissing {
                path: path.to_owned(),
            })
        }
    }

    fn must_belong_to(&self, marker: &Marker) -> Result<()> {
        let found = self
            .get(IDENTITY)?
            .ok_or_else(|| Error::corrupt(self.path(), "does not say whose it is"))?;
        if found == identity(marker) {
            return Ok(());
        }
        let (cluster, node) = found
            .split_first_chunk::<16>()
            .and_then(|(cluster, node)| Some((cluster, node.try_into().ok()?)))
            .ok_or_else(|| Error::corrupt(self.path(), "does not say whose it is"))?;
        let found = Marker {
            cluster: *cluster,
            node: u64::from_be_bytes(node),
            incarnation: 0,
        };
        marker.admit(self.path(), &found)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.remains.path
    }

    pub(crate) fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        self.raw
            .get(key)
            .map_err(Error::rocksdb(self.path(), "read"))
    }

    /// A number that the database keeps about itself.
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
        let mut options = WriteOptions::default();
        options.set_sync(durability == Durability::Synced);
        options.disable_wal(durability == Durability::Memory);
        self.raw
            .write_opt(batch, &options)
            .map_err(Error::rocksdb(self.path(), "write"))
    }

    /// Makes all that was [`Durability::Written`] survive the machine.
    pub(crate) fn sync(&self) -> Result<()> {
        self.raw
            .flush_wal(true)
            .map_err(Error::rocksdb(self.path(), "sync"))
    }

    /// How often RocksDB has synced the WAL since the database was opened.
    pub(crate) fn syncs(&self) -> u64 {
        self.options.get_ticker_count(Ticker::WalFileSynced)
    }

    /// Turns what is in memory into synced tables.
    pub(crate) fn flush(&self) -> Result<()> {
        self.raw
            .flush()
            .map_err(Error::rocksdb(self.path(), "flush"))
    }

    /// Keys and values of `[from, to)`, in order.
    pub(crate) fn range(&self, from: Vec<u8>, to: Vec<u8>) -> impl Iterator<Item = Result<Pair>> {
        self.raw
            .iterator_opt(IteratorMode::Start, options::range(from, to))
            .map(|pair| pair.map_err(Error::rocksdb(self.path(), "read")))
    }

    /// Keys and values of `[from, to)`, from the last to the first.
    pub(crate) fn range_backwards(
        &self,
        from: Vec<u8>,
        to: Vec<u8>,
    ) -> impl Iterator<Item = Result<Pair>> {
        self.raw
            .iterator_opt(IteratorMode::End, options::range(from, to))
            .map(|pair| pair.map_err(Error::rocksdb(self.path(), "read")))
    }

    /// The last key of `[from, to)`.
    pub(crate) fn last_key(&self, from: Vec<u8>, to: Vec<u8>) -> Result<Option<Box<[u8]>>> {
        self.raw
            .iterator_opt(IteratorMode::End, options::range(from, to))
            .next()
            .transpose()
            .map(|pair| pair.map(|(key, _)| key))
            .map_err(Error::rocksdb(self.path(), "read"))
    }

    /// What it takes of the disk and of the memory.
    pub(crate) fn footprint(&self) -> Footprint {
        let read = |name| self.raw.property_int_value(name).ok().flatten();
        Footprint {
            tables: read("rocksdb.total-sst-files-size").unwrap_or(0),
            memtables: read("rocksdb.size-all-mem-tables").unwrap_or(0),
            block_cache: read("rocksdb.block-cache-usage").unwrap_or(0),
        }
    }

    /// Makes an image of the whole database, as it is at one moment, in a directory that does not exist yet.
    pub(crate) fn image(&self, path: &Path) -> Result<()> {
        checkpoint::Checkpoint::new(&self.raw)
            .and_then(|image| image.create_checkpoint(path))
            .map_err(Error::rocksdb(self.path(), "make a checkpoint"))
    }

    /// Whether the files go when the last user of the database does.
    pub(crate) fn condemn(&self, condemned: bool) {
        self.remains.condemned.store(condemned, Ordering::Release);
    }
}

/// A key and its value.
pub(crate) type Pair = (Box<[u8]>, Box<[u8]>);

fn identity(marker: &Marker) -> Vec<u8> {
    let mut identity = marker.cluster.to_vec();
    identity.extend_from_slice(&marker.node.to_be_bytes());
    identity
}
