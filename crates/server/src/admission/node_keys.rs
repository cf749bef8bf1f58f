//! The two private keys of a node, made where they stay.
//!
//! The peer key is the node: other nodes pin it. The server key answers clients
//! under the certificate that the operator's root gives it. Both are P-256, each
//! in a 0600 file of the node's directory and nowhere else.

use std::{fmt, path::Path};

use chancery_credential::{PeerPublicKey, PeerSigningKey};
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256};
use zeroize::Zeroizing;

use super::{
    error::AdmissionError,
    files::{create_private_directory, read_private, write_new_private},
};

/// The file of the key that is proved to peers.
pub const PEER_KEY_FILE: &str = "peer.key";
/// The file of the key that is proved to clients.
pub const SERVER_KEY_FILE: &str = "server.key";

/// A node's keys, read into memory.
pub struct NodeKeys {
    peer: Key,
    server: Key,
}

impl NodeKeys {
    /// Makes both keys in a directory, which it creates when it has to.
    ///
    /// # Errors
    /// [`AdmissionError::Exists`] when there are keys already.
    pub fn generate_in(directory: &Path) -> Result<Self, AdmissionError> {
        create_private_directory(directory)?;
        let keys = Self {
            peer: Key::generate()?,
            server: Key::generate()?,
        };
        keys.peer.write_new(&directory.join(PEER_KEY_FILE))?;
        keys.server.write_new(&directory.join(SERVER_KEY_FILE))?;
        Ok(keys)
    }

    /// Reads both keys.
    ///
    /// # Errors
    /// When one is missing, malformed, or open to others.
    pub fn load(directory: &Path) -> Result<Self, AdmissionError> {
        Ok(Self {
            peer: Key::load(&directory.join(PEER_KEY_FILE))?,
            server: Key::load(&directory.join(SERVER_KEY_FILE))?,
        })
    }

    /// Signs what this node says to its peers and to the cluster.
    #[must_use]
    pub fn peer(&self) -> &PeerSigningKey {
        &self.peer.signing
    }

    /// The peer key, PKCS #8 (RFC 5958) in DER, for TLS on the peer listener. A
    /// secret.
    #[must_use]
    pub fn peer_pkcs8(&self) -> &[u8] {
        &self.peer.pkcs8
    }

    /// The server key, PKCS #8 in DER, for TLS on the API listener. A secret.
    #[must_use]
    pub fn server_pkcs8(&self) -> &[u8] {
        &self.server.pkcs8
    }

    /// What peers pin.
    #[must_use]
    pub fn peer_public(&self) -> &PeerPublicKey {
        self.peer.signing.public()
    }

    /// What the server certificate certifies.
    #[must_use]
    pub fn server_public(&self) -> &PeerPublicKey {
        self.server.signing.public()
    }

    pub(super) fn server(&self) -> &PeerSigningKey {
        &self.server.signing
    }
}

impl fmt::Debug for NodeKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NodeKeys")
            .field("peer", &self.peer_public().thumbprint())
            .field("server", &self.server_public().thumbprint())
            .finish()
    }
}

struct Key {
    pkcs8: Zeroizing<Vec<u8>>,
    signing: PeerSigningKey,
}

impl Key {
    fn generate() -> Result<Self, AdmissionError> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)
            .map(Zeroizing::new)
            .map_err(|error| AdmissionError::Crypto(error.to_string()))?;
        Self::from_pkcs8(Zeroizing::new(key.serialize_der())).map_err(AdmissionError::Crypto)
    }

    fn from_pkcs8(pkcs8: Zeroizing<Vec<u8>>) -> Result<Self, String> {
        let signing = PeerSigningKey::from_pkcs8_der(&pkcs8).map_err(|error| error.to_string())?;
        Ok(Self { pkcs8, signing })
    }

    fn load(path: &Path) -> Result<Self, AdmissionError> {
        let malformed = |why: String| {
            AdmissionError::malformed(&path.display().to_string(), "P-256 private key", why)
        };
        let text = read_private(path)?;
        let block = pem::parse(text.as_bytes()).map_err(|error| malformed(error.to_string()))?;
        if block.tag() != "PRIVATE KEY" {
            return Err(malformed(format!("it holds a {}", block.tag())));
        }
        Self::from_pkcs8(Zeroizing::new(block.into_contents())).map_err(malformed)
    }

    fn write_new(&self, path: &Path) -> Result<(), AdmissionError> {
        write_new_private(path, private_key_pem(&self.pkcs8).as_bytes())
    }
}

/// A private key, PKCS #8 in DER, as its file holds it (RFC 7468 §10).
pub(super) fn private_key_pem(pkcs8: &[u8]) -> Zeroizing<String> {
    let block = pem::Pem::new("PRIVATE KEY", pkcs8);
    let text = Zeroizing::new(pem::encode(&block));
    drop(Zeroizing::new(block.into_contents()));
    text
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use super::*;

    #[test]
    fn a_nodes_keys_stand_in_two_files_of_its_own_and_come_back_the_same() {
        let directory = tempfile::tempdir().unwrap();
        let node = directory.path().join("node");
        let made = NodeKeys::generate_in(&node).unwrap();
        let read = NodeKeys::load(&node).unwrap();
        assert_eq!(made.peer_public().spki(), read.peer_public().spki());
        assert_eq!(made.server_public().spki(), read.server_public().spki());
        assert_ne!(made.peer_public().spki(), made.server_public().spki());

        let mut files: Vec<_> = fs::read_dir(&node)
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        files.sort();
        assert_eq!(files, [PEER_KEY_FILE, SERVER_KEY_FILE]);
        for file in files {
            let mode = fs::metadata(node.join(file)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
    }

    #[test]
    fn keys_are_made_once() {
        let directory = tempfile::tempdir().unwrap();
        let first = NodeKeys::generate_in(directory.path()).unwrap();
        let again = NodeKeys::generate_in(directory.path());
        assert!(
            matches!(again, Err(AdmissionError::Exists { .. })),
            "{again:?}"
        );
        let kept = NodeKeys::load(directory.path()).unwrap();
        assert_eq!(first.peer_public().spki(), kept.peer_public().spki());
    }

    #[test]
    fn keys_never_print() {
        let directory = tempfile::tempdir().unwrap();
        let keys = NodeKeys::generate_in(directory.path()).unwrap();
        let printed = format!("{keys:?}");
        assert!(
            !printed.contains("pkcs8") && printed.len() < 300,
            "{printed}"
        );
    }
}
