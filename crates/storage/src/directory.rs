//! The data directory: whose it is, that nobody else has it open, and that nothing of it is missing.

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::{
    Error, Failure, LogStore, Marker, Result, StateStore,
    database::{Cache, block_cache},
    durable,
    durable::File,
    log,
    marker::Phase,
    starts, state,
};

/// Held exclusively for life; never removed, or two processes could lock two files of the same name.
const LOCK: &str = "LOCK";

/// A node's directory, this process's alone while any clone of it lives, or a store, checkpoint or scan of it.
///
/// ```text
/// MARKER        whose directory this is
/// LOCK          held by the process that has it open
/// STARTS        how often it was opened
/// log/          RocksDB: entries, vote
/// log.synced    the number of the last synced batch of the log
/// state/        RocksDBs of the state, numbered; INSTALLED names the one in force
/// checkpoints/  images of the state, named by applied index
/// ```
///
/// Other files in it are nobody's business here.
#[derive(Clone)]
pub struct DataDirectory {
    inner: Arc<Inner>,
}

struct Inner {
    path: PathBuf,
    marker: Marker,
    /// Which opening of the directory this is; 0 while it is made.
    start: u64,
    failure: Failure,
    cache: Cache,
    _lock: File,
}

impl DataDirectory {
    /// Makes a member directory: owner-only, databases empty. A directory that holds a node is refused.
    ///
    /// The marker is completed last: a crash on the way leaves a directory that [`Self::open`] refuses and that
    /// can be created again.
    ///
    /// # Errors
    /// [`Error::AlreadyAMember`], [`Error::MarkerMissing`], [`Error::InUse`], or the disk's.
    pub fn create(path: impl AsRef<Path>, marker: &Marker) -> Result<Self> {
        let path = path.as_ref();
        durable::make_directory(path)?;
        let directory = Self::of(Self::locked(path, marker)?);
        let owned = [
            log::DIRECTORY,
            log::SYNCED,
            state::DIRECTORY,
            state::CHECKPOINTS,
        ];
        match Marker::read(path)? {
            Some((found, Phase::Member)) => {
                return Err(Error::AlreadyAMember {
                    path: path.to_owned(),
                    node: found.node,
                });
            }
            Some((_, Phase::Creating)) => {
                owned
                    .iter()
                    .try_for_each(|name| durable::remove(&path.join(name)))?;
            }
            None if owned.iter().any(|name| durable::exists(&path.join(name))) => {
                return Err(Error::MarkerMissing {
                    path: path.to_owned(),
                });
            }
            None => {}
        }
        marker.write(path, Phase::Creating)?;
        log::create(&directory)?;
        state::create(&directory)?;
        durable::sync_directory(path)?;
        marker.write(path, Phase::Member)?;
        Ok(directory)
    }

    /// Opens a member directory. A marker of an earlier incarnation is raised to this one.
    ///
    /// # Errors
    /// [`Error::InUse`], [`Error::NotAMember`], [`Error::CreationInterrupted`], [`Error::AnotherCluster`],
    /// [`Error::AnotherNode`], [`Error::LaterIncarnation`], [`Error::DatabaseMissing`], [`Error::MarkerMissing`],
    /// [`Error::Damaged`], or the disk's.
    pub fn open(path: impl AsRef<Path>, marker: &Marker) -> Result<Self> {
        let path = path.as_ref();
        if !durable::is_directory(path) {
            return Err(Error::NotAMember {
                path: path.to_owned(),
            });
        }
        let mut inner = Self::locked(path, marker)?;
        let found = match Marker::read(path)? {
            Some((found, Phase::Member)) => found,
            Some((_, Phase::Creating)) => {
                return Err(Error::CreationInterrupted {
                    path: path.to_owned(),
                });
            }
            None if durable::exists(&path.join(log::DIRECTORY))
                || durable::exists(&path.join(state::DIRECTORY)) =>
            {
                return Err(Error::MarkerMissing {
                    path: path.to_owned(),
                });
            }
            None => {
                return Err(Error::NotAMember {
                    path: path.to_owned(),
                });
            }
        };
        marker.admit(path, &found)?;
        log::must_exist(path)?;
        state::must_exist(path)?;
        if found.incarnation < marker.incarnation {
            marker.write(path, Phase::Member)?;
        }
        inner.start = starts::count(path)?;
        Ok(Self::of(inner))
    }

    /// Whose directory this is, without locking it; `None` where no node was created.
    ///
    /// # Errors
    /// [`Error::Damaged`], [`Error::LaterFormat`], or the disk's.
    pub fn marker_at(path: impl AsRef<Path>) -> Result<Option<Marker>> {
        let found = Marker::read(path.as_ref())?;
        Ok(found.and_then(|(marker, phase)| (phase == Phase::Member).then_some(marker)))
    }

    fn of(inner: Inner) -> Self {
        Self {
            inner: Arc::new(inner),
        }
    }

    fn locked(path: &Path, marker: &Marker) -> Result<Inner> {
        let lock = durable::open_file(&path.join(LOCK))?;
        if !lock.lock(path)? {
            return Err(Error::InUse {
                path: path.to_owned(),
            });
        }
        Ok(Inner {
            path: path.to_owned(),
            marker: *marker,
            start: 0,
            failure: Failure::none(),
            cache: block_cache(),
            _lock: lock,
        })
    }

    /// Opens both stores, and checks that the state reaches what the log has forgotten.
    ///
    /// # Errors
    /// Those of [`LogStore::open`] and [`StateStore::open`], and [`Error::StateBehindLog`].
    pub fn open_stores(&self) -> Result<(LogStore, StateStore)> {
        let log = LogStore::open(self)?;
        let state = StateStore::open(self)?;
        let applied = state.applied().map(|applied| applied.index);
        if let Some(purged) = log.purged().filter(|purged| applied < Some(purged.index)) {
            return Err(Error::StateBehindLog {
                path: self.path().to_owned(),
                applied: applied.unwrap_or(0),
                purged: purged.index,
            });
        }
        Ok((log, state))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.inner.path
    }

    /// Whose it is.
    pub fn marker(&self) -> &Marker {
        &self.inner.marker
    }

    /// Which start of the node on this directory it is open for: higher each time.
    pub fn start(&self) -> u64 {
        self.inner.start
    }

    /// The switch that both stores share: a failure of one is the end of both.
    pub fn failure(&self) -> &Failure {
        &self.inner.failure
    }

    pub(crate) fn cache(&self) -> &Cache {
        &self.inner.cache
    }
}

impl fmt::Debug for DataDirectory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DataDirectory")
            .field("path", &self.inner.path)
            .field("marker", &self.inner.marker)
            .finish_non_exhaustive()
    }
}
