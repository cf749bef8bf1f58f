//! What can go wrong, whose fault it is, and what to do about it.

use std::{
    fmt, io,
    path::{Path, PathBuf},
    sync::Arc,
};

/// A result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why storage refused or failed.
///
/// `Clone`, because one failed write is told to everybody who waited for it.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// Another process, or another handle of this one, holds the directory.
    #[error(
        "{path}: in use by another process; one process a data directory: stop the other node, or give this one its own directory"
    )]
    InUse {
        /// The data directory.
        path: PathBuf,
    },
    /// No node was ever created here.
    #[error(
        "{path}: holds no node; if this node was a member, its disk is empty or not mounted: mount the right one, or remove the node from the cluster and add it again under a new number; a new node is created by its admission file"
    )]
    NotAMember {
        /// The data directory.
        path: PathBuf,
    },
    /// A node was created here before.
    #[error(
        "{path}: already holds node {node}; start that node, or give the new one an empty directory"
    )]
    AlreadyAMember {
        /// The data directory.
        path: PathBuf,
        /// The node that lives there.
        node: u64,
    },
    /// Creating the node stopped half way; nothing was stored yet.
    #[error(
        "{path}: creating the node was interrupted before anything was stored; create it again"
    )]
    CreationInterrupted {
        /// The data directory.
        path: PathBuf,
    },
    /// Databases stand there, but nothing says whose they are.
    #[error(
        "{path}: holds databases but no marker that says whose they are; somebody removed MARKER: restore it, or move the databases away and create the node anew"
    )]
    MarkerMissing {
        /// The data directory.
        path: PathBuf,
    },
    /// One of our own small files does not have the form it was written in.
    #[error(
        "{path}: {why}; the disk changed it or somebody edited it: the directory is not to be trusted, remove the node from the cluster and add it again under a new number"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// Written by a later version of this program.
    #[error(
        "{path}: written in format {found}, this program knows up to {known}; run the newer program"
    )]
    LaterFormat {
        /// The file.
        path: PathBuf,
        /// The format it is in.
        found: u16,
        /// The latest that is known here.
        known: u16,
    },
    /// The directory is another cluster's.
    #[error(
        "{path}: belongs to cluster {found}, this node is of {expected}; the configuration names the wrong directory or the wrong cluster"
    )]
    AnotherCluster {
        /// The data directory.
        path: PathBuf,
        /// Its cluster.
        found: ClusterName,
        /// Ours.
        expected: ClusterName,
    },
    /// The directory is another node's.
    #[error(
        "{path}: belongs to node {found}, this is node {expected}; the configuration names the wrong directory or the wrong node"
    )]
    AnotherNode {
        /// The data directory, or the database in it.
        path: PathBuf,
        /// Its node.
        found: u64,
        /// Ours.
        expected: u64,
    },
    /// The directory has lived on since what this process was configured with.
    #[error(
        "{path}: is in incarnation {found}, this process was given {expected}; its admission file is an old one: use the latest"
    )]
    LaterIncarnation {
        /// The data directory.
        path: PathBuf,
        /// The directory's incarnation.
        found: u64,
        /// Ours.
        expected: u64,
    },
    /// A member's database is gone.
    #[error(
        "{path}: missing, although this node is a member; a member with an empty disk could vote twice, so it does not start: mount the right disk, or remove the node from the cluster and add it again under a new number"
    )]
    DatabaseMissing {
        /// The database.
        path: PathBuf,
    },
    /// The log does not reach what was synced before.
    #[error(
        "{path}: synced writes are lost (batch {synced} was synced, the log ends at {found}); the disk lost or changed data, or an old copy was put back: remove the node from the cluster and add it again under a new number"
    )]
    SyncedWritesLost {
        /// The log's database.
        path: PathBuf,
        /// The last batch known to have been synced.
        synced: u64,
        /// The last batch that the log holds.
        found: u64,
    },
    /// The state ends before the log begins.
    #[error(
        "{path}: the state reaches {applied} but the log begins after {purged}; the state lost synced writes, or an old copy was put back: remove the node from the cluster and add it again under a new number"
    )]
    StateBehindLog {
        /// The data directory.
        path: PathBuf,
        /// The index through which the state stands (0 when there is none).
        applied: u64,
        /// The index through which the log was purged.
        purged: u64,
    },
    /// A database holds what was never written to it.
    #[error(
        "{path}: corrupt: {why}; the disk changed data: remove the node from the cluster and add it again under a new number"
    )]
    Corrupt {
        /// The database.
        path: PathBuf,
        /// What was found.
        why: String,
    },
    /// The operating system refused.
    #[error("{path}: cannot {doing}: {source}")]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What was tried.
        doing: &'static str,
        /// Its answer.
        source: Arc<io::Error>,
    },
    /// RocksDB refused.
    #[error("{path}: cannot {doing}: {why}")]
    Database {
        /// The database.
        path: PathBuf,
        /// What was tried.
        doing: &'static str,
        /// Its answer.
        why: String,
    },
    /// An earlier write failed; what is on the disk is unknown from there on.
    #[error("storage has failed and the process must end: {0}")]
    Failed(Arc<str>),
    /// The caller left a hole in the log, or wrote over it.
    #[error("entry {found} cannot follow: the log goes on at {expected}; the caller's fault")]
    NotConsecutive {
        /// The index that comes next.
        expected: u64,
        /// The index given.
        found: u64,
    },
    /// The caller would take the state back.
    #[error("the state stands at {applied}, it cannot go back to {given}; the caller's fault")]
    WouldGoBack {
        /// Where the state stands.
        applied: u64,
        /// Where it was to go.
        given: u64,
    },
    /// There is nothing to take an image of.
    #[error("nothing has been applied yet: there is no state to take an image of")]
    NothingApplied,
    /// What arrived is not what was sent.
    #[error(
        "the state received is not the one sent ({found} rows of {expected}, or different ones); ask for it again"
    )]
    Incomplete {
        /// Rows sent.
        expected: u64,
        /// Rows received.
        found: u64,
    },
}

/// A cluster's sixteen bytes, printed as hexadecimal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClusterName(pub [u8; 16]);

impl fmt::Display for ClusterName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl Error {
    pub(crate) fn io(path: &Path, doing: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io {
            path: path.to_owned(),
            doing,
            source: Arc::new(source),
        }
    }

    #[cfg(not(simulation))]
    pub(crate) fn rocksdb(path: &Path, doing: &'static str) -> impl FnOnce(rocksdb::Error) -> Self {
        move |error| match error.kind() {
            rocksdb::ErrorKind::Corruption => Self::Corrupt {
                path: path.to_owned(),
                why: error.into_string(),
            },
            _ => Self::Database {
                path: path.to_owned(),
                doing,
                why: error.into_string(),
            },
        }
    }

    pub(crate) fn corrupt(path: &Path, why: impl Into<String>) -> Self {
        Self::Corrupt {
            path: path.to_owned(),
            why: why.into(),
        }
    }
}

impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        let kind = match &error {
            Error::Io { source, .. } => source.kind(),
            Error::Damaged { .. }
            | Error::Corrupt { .. }
            | Error::Incomplete { .. }
            | Error::SyncedWritesLost { .. } => io::ErrorKind::InvalidData,
            Error::NotConsecutive { .. } | Error::WouldGoBack { .. } => io::ErrorKind::InvalidInput,
            Error::DatabaseMissing { .. } | Error::NotAMember { .. } => io::ErrorKind::NotFound,
            _ => io::ErrorKind::Other,
        };
        Self::new(kind, error)
    }
}
