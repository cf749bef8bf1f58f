//! A node's directory once it has joined, and how it gets there.
//!
//! ```text
//! peer.key, server.key   made here, 0600
//! request.json           what the operator was asked
//! admission.json         what came back; written last, so that what has it has all
//! server.pem             the server certificate in it, as TLS reads it
//! data/                  the replicated log and state, made once, by joining
//! ```

use std::{
    io,
    path::{Path, PathBuf},
    time::SystemTime,
};

use chancery_consensus::DirectoryIdentity;
use chancery_credential::PeerSigningKey;

use super::{
    admitted::Admission,
    error::AdmissionError,
    files::replace_public,
    node_keys::{NodeKeys, SERVER_KEY_FILE},
};
use crate::tls::IdentityFiles;

/// The admission, in a node's directory.
pub const ADMISSION_FILE: &str = "admission.json";
/// The server certificate, beside it.
pub const SERVER_CERTIFICATE_FILE: &str = "server.pem";
/// The replicated log and state, beside it.
const DATA_DIRECTORY: &str = "data";

/// A node that lost its disk comes back under a new number, so that each number
/// has one life.
const INCARNATION: u64 = 1;

/// What installing an admission did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Installed {
    /// The node is a new one, with an empty disk.
    Joined,
    /// The node had joined before; it has a fresh certificate now.
    Renewed,
}

impl Admission {
    /// Installs the admission in the directory of the node with these keys. The
    /// first one makes the data directory, once; nothing else ever does. A later
    /// one of the same node takes the place of the former.
    ///
    /// Interrupted, it can be done again.
    ///
    /// # Errors
    /// When the admission is for other keys, the directory belongs to another
    /// node, or this node's data is gone.
    pub fn install(
        &self,
        directory: &Path,
        keys: &NodeKeys,
        now: SystemTime,
    ) -> Result<Installed, AdmissionError> {
        self.check(keys, now)?;
        let former = match Self::load(directory) {
            Ok(former) => Some(former),
            Err(_) if !exists(&directory.join(ADMISSION_FILE))? => None,
            Err(error) => return Err(error),
        };
        let installed = match &former {
            Some(former) if former.is_same_node(self) => Installed::Renewed,
            Some(former) => return Err(former.already_joined()),
            None => Installed::Joined,
        };
        self.claim_data(directory, installed)?;
        let certificate = directory.join(SERVER_CERTIFICATE_FILE);
        replace_public(&certificate, self.server_certificate_chain.as_bytes())?;
        self.replace(&directory.join(ADMISSION_FILE))?;
        Ok(installed)
    }

    /// Reads the admission that was installed in a node's directory.
    ///
    /// # Errors
    /// When the node has not joined.
    pub fn load(directory: &Path) -> Result<Self, AdmissionError> {
        Self::read(&directory.join(ADMISSION_FILE))
    }

    /// Whose the node's data directory is.
    #[must_use]
    pub const fn identity(&self) -> DirectoryIdentity {
        DirectoryIdentity {
            lineage: self.lineage,
            node: self.node,
            incarnation: INCARNATION,
        }
    }

    /// Sees that the data directory is this node's, and makes it when the node
    /// is new. One that vanished from a node that had joined is not made again:
    /// with it went the votes that the node gave.
    fn claim_data(&self, directory: &Path, installed: Installed) -> Result<(), AdmissionError> {
        let data = directory.join(DATA_DIRECTORY);
        match (DirectoryIdentity::of_directory(&data)?, installed) {
            (Some(found), _) if found == self.identity() => Ok(()),
            (Some(found), _) => Err(AdmissionError::AlreadyJoined {
                node: found.node.0,
                lineage: found.lineage.to_string(),
            }),
            (None, Installed::Joined) if self.readmitted => Err(self.data_gone(&data)),
            (None, Installed::Joined) => Ok(self.identity().create_directory(&data)?),
            (None, Installed::Renewed) => Err(self.data_gone(&data)),
        }
    }

    /// Sees that the data of a node that has joined is there, and is its own.
    fn check_data(&self, data: &Path) -> Result<(), AdmissionError> {
        let name = |identity: DirectoryIdentity| {
            format!("{} of lineage {}", identity.node.0, identity.lineage)
        };
        match DirectoryIdentity::of_directory(data)? {
            Some(found) if found == self.identity() => Ok(()),
            Some(found) => Err(AdmissionError::OtherData {
                path: data.display().to_string(),
                found: name(found),
                expected: name(self.identity()),
            }),
            None => Err(self.data_gone(data)),
        }
    }

    fn data_gone(&self, data: &Path) -> AdmissionError {
        AdmissionError::DataGone {
            path: data.display().to_string(),
            node: self.node.0,
        }
    }

    fn already_joined(&self) -> AdmissionError {
        AdmissionError::AlreadyJoined {
            node: self.node.0,
            lineage: self.lineage.to_string(),
        }
    }
}

fn exists(path: &Path) -> Result<bool, AdmissionError> {
    match path.symlink_metadata() {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(AdmissionError::read(path, &error)),
    }
}

/// A node that has joined, as it starts.
#[derive(Debug)]
pub struct InstalledNode {
    directory: PathBuf,
    keys: NodeKeys,
    admission: Admission,
}

impl InstalledNode {
    /// Reads keys and admission from a node's directory, and checks that they and
    /// the data beside them belong together.
    ///
    /// The dates of the server certificate are not judged: a node whose
    /// certificate ran out still votes.
    ///
    /// # Errors
    /// [`AdmissionError::NotJoined`], [`AdmissionError::DataGone`],
    /// [`AdmissionError::OtherData`], or that a file is not in order.
    pub fn load(directory: &Path) -> Result<Self, AdmissionError> {
        if !exists(&directory.join(ADMISSION_FILE))? {
            return Err(AdmissionError::NotJoined(directory.display().to_string()));
        }
        let keys = NodeKeys::load(directory)?;
        let admission = Admission::load(directory)?;
        admission.check_keys(&keys)?;
        admission.check_data(&directory.join(DATA_DIRECTORY))?;
        Ok(Self {
            directory: directory.to_owned(),
            keys,
            admission,
        })
    }

    /// What the operator admitted.
    #[must_use]
    pub const fn admission(&self) -> &Admission {
        &self.admission
    }

    /// Both private keys.
    #[must_use]
    pub const fn keys(&self) -> &NodeKeys {
        &self.keys
    }

    /// Where the replicated log and state stand.
    #[must_use]
    pub fn data_directory(&self) -> PathBuf {
        self.directory.join(DATA_DIRECTORY)
    }

    /// Where the server certificate and its key stand.
    #[must_use]
    pub fn server_identity_files(&self) -> IdentityFiles {
        IdentityFiles {
            certificate: self.directory.join(SERVER_CERTIFICATE_FILE),
            key: self.directory.join(SERVER_KEY_FILE),
        }
    }

    /// The peer key once more, for who signs with it all the node's life.
    ///
    /// # Errors
    /// [`AdmissionError::Crypto`], which loading has excluded.
    pub fn peer_signing_key(&self) -> Result<PeerSigningKey, AdmissionError> {
        PeerSigningKey::from_pkcs8_der(self.keys.peer_pkcs8())
            .map_err(|error| AdmissionError::Crypto(error.to_string()))
    }
}
