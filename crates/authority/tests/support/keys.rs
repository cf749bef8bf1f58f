//! Keys that are the same in every run.

use chancery_credential::{KeyThumbprint, PeerSigningKey, SigningKey};

/// The thumbprint of a client key.
pub fn key(name: &str) -> KeyThumbprint {
    KeyThumbprint::of_spki(name.as_bytes())
}

/// A signing key of an issuer.
pub fn signing_key(number: u64) -> SigningKey {
    let mut seed = [0x5a; 32];
    seed[..8].copy_from_slice(&number.to_be_bytes());
    SigningKey::from_seed(&seed)
}

/// The peer key that a node has once it was readmitted so many times.
pub fn later_peer_key(number: u64, times: u64) -> PeerSigningKey {
    peer_key(number + 100 * times)
}

/// A node's first peer key: its number is the scalar.
pub fn peer_key(number: u64) -> PeerSigningKey {
    // PrivateKeyInfo (RFC 5958) of a P-256 key around an ECPrivateKey (RFC 5915)
    // that has only the scalar.
    let mut der = vec![
        0x30, 0x41, 0x02, 0x01, 0x00, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02,
        0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x04, 0x27, 0x30, 0x25,
        0x02, 0x01, 0x01, 0x04, 0x20,
    ];
    der.extend([0; 24]);
    der.extend((number + 1).to_be_bytes());
    PeerSigningKey::from_pkcs8_der(&der).unwrap()
}
