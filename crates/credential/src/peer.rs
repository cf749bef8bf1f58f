//! The P-256 keys by which nodes know each other (FIPS 186-5, RFC 5480).

use std::fmt;

use p256::ecdsa::signature::{Signer as _, Verifier as _};
use p256::ecdsa::{DerSignature, SigningKey, VerifyingKey};
use p256::pkcs8::{DecodePrivateKey as _, DecodePublicKey as _, EncodePublicKey as _};

use crate::public_key::KeyError;
use crate::statement;
use crate::thumbprint::KeyThumbprint;

/// DER SubjectPublicKeyInfo of an uncompressed P-256 point.
const SPKI_BYTES: usize = 91;

/// A node's pinned key: a P-256 SubjectPublicKeyInfo, in the one encoding that
/// certificates carry, so that one key has one thumbprint.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerPublicKey([u8; SPKI_BYTES]);

impl PeerPublicKey {
    /// Reads a DER SubjectPublicKeyInfo.
    ///
    /// # Errors
    ///
    /// [`KeyError::Spki`] for any other algorithm or curve, a compressed point, one
    /// off the curve, trailing bytes, and DER that is not canonical.
    pub fn from_spki(spki: &[u8]) -> Result<Self, KeyError> {
        let bytes: [u8; SPKI_BYTES] = spki.try_into().map_err(|_| KeyError::Spki)?;
        let key = VerifyingKey::from_public_key_der(spki).map_err(|_| KeyError::Spki)?;
        let canonical = Self::of(&key)?;
        if canonical.0 != bytes {
            return Err(KeyError::Spki);
        }
        Ok(canonical)
    }

    fn of(key: &VerifyingKey) -> Result<Self, KeyError> {
        let document = key.to_public_key_der().map_err(|_| KeyError::Spki)?;
        let bytes = document.as_bytes().try_into();
        bytes.map(Self).map_err(|_| KeyError::Spki)
    }

    /// The SubjectPublicKeyInfo, DER.
    #[must_use]
    pub fn spki(&self) -> &[u8] {
        &self.0
    }

    /// What a handshake is matched by.
    #[must_use]
    pub fn thumbprint(&self) -> KeyThumbprint {
        KeyThumbprint::of_spki(&self.0)
    }

    /// Whether `signature` (ECDSA with SHA-256, ASN.1 DER) was made by
    /// [`PeerSigningKey::sign`] over the statement `message`.
    #[must_use]
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        self.verify_bytes(&statement::signed_bytes(message), signature)
    }

    fn verify_bytes(&self, bytes: &[u8], signature: &[u8]) -> bool {
        let Ok(key) = VerifyingKey::from_public_key_der(&self.0) else {
            return false;
        };
        DerSignature::from_bytes(signature)
            .is_ok_and(|signature| key.verify(bytes, &signature).is_ok())
    }
}

impl fmt::Debug for PeerPublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PeerPublicKey({})", self.thumbprint())
    }
}

/// A node's private key, for statements. Wiped when dropped, never printed.
pub struct PeerSigningKey {
    /// Boxed, so that moving the owner leaves no copy behind.
    key: Box<SigningKey>,
    public: PeerPublicKey,
}

impl PeerSigningKey {
    /// Reads a PKCS #8 private key (RFC 5958, DER).
    ///
    /// # Errors
    ///
    /// [`KeyError::Pkcs8`] for anything but a P-256 key.
    pub fn from_pkcs8_der(der: &[u8]) -> Result<Self, KeyError> {
        let key = Box::new(SigningKey::from_pkcs8_der(der).map_err(|_| KeyError::Pkcs8)?);
        let public = PeerPublicKey::of(key.verifying_key())?;
        Ok(Self { key, public })
    }

    /// The public half.
    #[must_use]
    pub fn public(&self) -> &PeerPublicKey {
        &self.public
    }

    /// Signs a statement: deterministic ECDSA (RFC 6979) with SHA-256, ASN.1 DER,
    /// at most 72 bytes.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.sign_bytes(&statement::signed_bytes(message))
    }

    fn sign_bytes(&self, bytes: &[u8]) -> Vec<u8> {
        let signature: DerSignature = self.key.sign(bytes);
        signature.as_bytes().to_vec()
    }
}

impl fmt::Debug for PeerSigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PeerSigningKey(..)")
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use p256::pkcs8::EncodePrivateKey as _;

    use super::*;

    /// RFC 6979 appendix A.2.5.
    const PRIVATE: &str = "c9afa9d845ba75166b5c215767b1d6934e50c3db36e89b127b8a622b120f6721";
    const PUBLIC: &str = "60fed4ba255a9d31c961eb74c6356d68c049b8923b61fa6ce669622e60f29fb6\
                          7903fe1008b8bc99a41ae9e95628bc64f2f1b20c2d7e9f5177a3c294d4462299";
    const SPKI_PREFIX: &str = "3059301306072a8648ce3d020106082a8648ce3d03010703420004";

    fn rfc_key() -> PeerSigningKey {
        let secret = p256::SecretKey::from_slice(&hex::decode(PRIVATE).unwrap()).unwrap();
        PeerSigningKey::from_pkcs8_der(secret.to_pkcs8_der().unwrap().as_bytes()).unwrap()
    }

    fn spki() -> Vec<u8> {
        hex::decode(format!("{SPKI_PREFIX}{PUBLIC}")).unwrap()
    }

    #[test]
    fn rfc_6979_appendix_a_2_5() {
        let key = rfc_key();
        assert_eq!(key.public().spki(), spki());
        assert_eq!(
            hex::encode(key.sign_bytes(b"sample")),
            "3046\
             022100efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716\
             022100f7cb1c942d657c41d436c7a1b6e29f65f3e900dbb9aff4064dc4ab2f843acda8"
        );
    }

    #[test]
    fn a_statement_is_verified_as_a_statement_only() {
        let key = rfc_key();
        let public = PeerPublicKey::from_spki(&spki()).unwrap();
        let signature = key.sign(b"open issuer 7");
        assert!(public.verify(b"open issuer 7", &signature));
        assert!(!public.verify(b"open issuer 8", &signature));
        assert!(!public.verify_bytes(b"open issuer 7", &signature));
        assert!(!public.verify(b"open issuer 7", &key.sign_bytes(b"open issuer 7")));
        assert!(!public.verify(b"open issuer 7", &[]));
        let longer = [signature.as_slice(), &[0]].concat();
        assert!(!public.verify(b"open issuer 7", &longer));
    }

    #[test]
    fn one_key_has_one_encoding() {
        let good = spki();
        assert!(PeerPublicKey::from_spki(&good).is_ok());
        let compressed = format!(
            "3039301306072a8648ce3d020106082a8648ce3d03010703220003{}",
            &PUBLIC[..64]
        );
        let mut off_the_curve = good.clone();
        *off_the_curve.last_mut().unwrap() ^= 1;
        let mut secp256k1 = good.clone();
        secp256k1[22] ^= 1;
        let ed25519 = "302a300506032b6570032100\
                       d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
        for (name, bytes) in [
            ("empty", vec![]),
            ("compressed", hex::decode(compressed).unwrap()),
            ("off the curve", off_the_curve),
            ("another curve", secp256k1),
            ("another algorithm", hex::decode(ed25519).unwrap()),
            ("trailing", [good.as_slice(), &[0]].concat()),
            ("cut", good[..90].to_vec()),
        ] {
            assert_eq!(
                PeerPublicKey::from_spki(&bytes),
                Err(KeyError::Spki),
                "{name}"
            );
        }
    }

    #[test]
    fn the_private_key_is_not_shown() {
        assert_eq!(format!("{:?}", rfc_key()), "PeerSigningKey(..)");
        let wrong = PeerSigningKey::from_pkcs8_der(b"-----BEGIN PRIVATE KEY-----");
        assert_eq!(wrong.err(), Some(KeyError::Pkcs8));
    }
}
