//! How a node is known to its peers.

use std::fmt;

use chancery_credential::KeyThumbprint;

use crate::never_serialised::never_serialised;

/// A node as its peers know it. Stands in the Raft membership, and counts from
/// when it is *appended* there, not from when it commits.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct PeerRecord {
    /// For people; decides nothing.
    pub name: String,
    /// `host:port` of the node's listener for peers.
    pub peer_address: String,
    /// `host:port` of the node's public API.
    pub api_address: String,
    /// The pinned key: SubjectPublicKeyInfo (RFC 5280 §4.1), DER, P-256.
    pub peer_public_key: Vec<u8>,
}

never_serialised!(PeerRecord);

impl PeerRecord {
    /// SHA-256 of the pinned key, as operators see it.
    pub fn thumbprint(&self) -> KeyThumbprint {
        KeyThumbprint::of_spki(&self.peer_public_key)
    }
}

impl fmt::Debug for PeerRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}@{} key {}",
            self.name,
            self.peer_address,
            self.thumbprint()
        )
    }
}
