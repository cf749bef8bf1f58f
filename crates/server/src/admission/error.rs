//! What can go wrong between a node's disk and the operator's, and whose move it
//! is then.

use std::{io, path::Path};

use chancery_consensus::StartError;
use thiserror::Error;

/// Why a key, a request or an admission was not made, read or accepted.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum AdmissionError {
    /// A file cannot be read.
    #[error("`{path}` cannot be read ({why}): check that it is there and that you may read it")]
    Read {
        /// Which file.
        path: String,
        /// What the system said.
        why: String,
    },
    /// A file cannot be written.
    #[error("`{path}` cannot be written ({why}): check the directory, its owner and the disk")]
    Write {
        /// Which file.
        path: String,
        /// What the system said.
        why: String,
    },
    /// Something stands where a new file was to be made.
    #[error(
        "`{path}` is there already and is never overwritten, for something may depend on it: \
         choose another place, or move it away if you know that nothing does"
    )]
    Exists {
        /// Which file.
        path: String,
    },
    /// A private key that others may read.
    #[error(
        "the private key `{path}` is open to others (mode {mode:03o}): run `chmod 600 {path}`, and \
         make a new key if anybody else uses this machine"
    )]
    Exposed {
        /// Which file.
        path: String,
        /// Its permission bits.
        mode: u32,
    },
    /// A file that is not what it should be.
    #[error("`{path}` is no usable {expected} ({why}): have it made and sent again")]
    Malformed {
        /// Which file.
        path: String,
        /// What it should be.
        expected: &'static str,
        /// What is wrong with it.
        why: String,
    },
    /// A file of another version of the format.
    #[error(
        "`{path}` is a {expected} of version {found}, and this chancery reads version {known}: use \
         the same release of chancery on the node and where the operator is"
    )]
    Version {
        /// Which file.
        path: String,
        /// What it should be.
        expected: &'static str,
        /// The version that it names.
        found: u64,
        /// The version that is understood.
        known: u64,
    },
    /// The signatures of a request do not fit what it says.
    #[error(
        "the node request was altered after it was made (the proof of its {0} key does not fit): \
         have the node make and send it again, and compare the thumbprints that both sides print"
    )]
    BadProof(&'static str),
    /// The admission belongs to another node.
    #[error(
        "the admission is for other keys than this node's ({0} key): take the admission that was \
         made from the request file in this directory"
    )]
    OtherKeys(&'static str),
    /// The directory already belongs to a node.
    #[error(
        "this directory has joined already, as node {node} of lineage {lineage}: start it with \
         `chancery serve`; a node joins once, and one that lost its disk comes back under a new \
         number, from an empty directory"
    )]
    AlreadyJoined {
        /// Its number.
        node: u64,
        /// Its lineage.
        lineage: String,
    },
    /// No admission was installed.
    #[error(
        "`{0}` is no node's directory yet: make a request with `chancery node request`, have the \
         operator turn it into an admission, and install that with `chancery join`"
    )]
    NotJoined(String),
    /// The node joined, and its data is not there.
    #[error(
        "node {node} has joined, and `{path}` does not hold its data: mount the disk that it is on; \
         if it is lost, with it are the votes that the node gave, and node {node} never starts \
         again: make a new node in a new directory and under a new name with `chancery node \
         request`, have the operator admit it with `chancery node add`, and install that with \
         `chancery join`"
    )]
    DataGone {
        /// Where its data should be.
        path: String,
        /// Its number.
        node: u64,
    },
    /// The data beside the admission is another node's, or of another lineage.
    #[error(
        "`{path}` is the data of node {found} and the admission beside it is that of node \
         {expected}: one of the two was copied from elsewhere; put back the data, or the admission, \
         that belongs here"
    )]
    OtherData {
        /// The data directory.
        path: String,
        /// Its node and lineage.
        found: String,
        /// The admission's.
        expected: String,
    },
    /// The server certificate would not be trusted.
    #[error(
        "the server certificate in the admission would not be trusted ({0}): check this machine's \
         clock, then have the operator make the admission again"
    )]
    Untrusted(String),
    /// A name that cannot stand in a certificate.
    #[error(
        "`{0}` cannot stand in a certificate: give a DNS name or an IP address, without a port"
    )]
    Name(String),
    /// No name certifies the address that clients are told.
    #[error(
        "none of the names is `{0}`, the host of the node's API address, so clients that go there \
         would not trust it: add `--san {0}`"
    )]
    AddressNotNamed(String),
    /// An address that is not `host:port`.
    #[error("`{0}` is no address: give `host:port`")]
    Address(String),
    /// The settings break an inequality that safety rests on.
    #[error("the settings do not fit together: {0}")]
    Settings(String),
    /// A key or certificate could not be made.
    #[error("a key or certificate could not be made on this machine: {0}")]
    Crypto(String),
    /// A former admission that another root signed.
    #[error(
        "this admission was not made with this root ({0}): give the root directory of its cluster"
    )]
    OtherRoot(String),
    /// The data directory could not be made, or its owner not be read.
    #[error("the data directory of this node could not be prepared: {0}")]
    Storage(#[from] StartError),
}

impl AdmissionError {
    pub(crate) fn read(path: &Path, error: &io::Error) -> Self {
        Self::Read {
            path: path.display().to_string(),
            why: error.to_string(),
        }
    }

    pub(crate) fn write(path: &Path, error: &io::Error) -> Self {
        let path = path.display().to_string();
        match error.kind() {
            io::ErrorKind::AlreadyExists => Self::Exists { path },
            _ => Self::Write {
                path,
                why: error.to_string(),
            },
        }
    }

    pub(crate) fn malformed(path: &str, expected: &'static str, why: impl ToString) -> Self {
        Self::Malformed {
            path: path.to_owned(),
            expected,
            why: why.to_string(),
        }
    }
}
