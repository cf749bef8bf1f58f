//! Ed25519 public keys (RFC 8032), by which tokens are verified.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;

use crate::base64url::{self, EncodingError};
use crate::jwk;
use crate::statement;

/// Why some bytes are no public key.
#[derive(Copy, Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// An Ed25519 key has 32 bytes.
    #[error("an Ed25519 public key has 32 bytes")]
    Length,
    /// Not a point, or not its canonical encoding (RFC 8032 §5.1.3).
    #[error("these bytes encode no point of the curve")]
    Point,
    /// A point of small order: signatures under it prove nothing.
    #[error("this point has a small order, and is nobody's key")]
    Weak,
    /// Not the DER SubjectPublicKeyInfo of an uncompressed P-256 point.
    #[error("not the SubjectPublicKeyInfo (DER) of a P-256 key with an uncompressed point")]
    Spki,
    /// Not a PKCS #8 P-256 private key.
    #[error("not the PKCS #8 (DER) form of a P-256 private key")]
    Pkcs8,
}

/// A signature that proves nothing.
#[derive(Copy, Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadSignature {
    /// The token names another key than the one it was to be verified with.
    #[error("the token is signed with another key than this one")]
    OtherKey,
    /// The signature is not that key's over these bytes.
    #[error("the signature does not verify")]
    Invalid,
}

/// A key's id, `kid`: its JWK thumbprint (RFC 7638) with SHA-256. Text: 43
/// characters of base64url.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId([u8; 32]);

impl KeyId {
    /// A thumbprint that was computed before.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&base64url::encode(&self.0))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyId({self})")
    }
}

impl FromStr for KeyId {
    type Err = EncodingError;

    fn from_str(text: &str) -> Result<Self, EncodingError> {
        base64url::parse_array(text).map(Self)
    }
}

/// A public key, decompressed once, with its id. Never of small order, always
/// canonically encoded.
#[derive(Copy, Clone)]
pub struct Ed25519PublicKey {
    key: ed25519_dalek::VerifyingKey,
    id: KeyId,
}

impl Ed25519PublicKey {
    /// Reads the 32 bytes of RFC 8032 §5.1.5.
    ///
    /// # Errors
    ///
    /// [`KeyError::Length`], [`KeyError::Point`], [`KeyError::Weak`].
    pub fn parse(bytes: &[u8]) -> Result<Self, KeyError> {
        let bytes: &[u8; 32] = bytes.try_into().map_err(|_| KeyError::Length)?;
        if !is_canonical(bytes) {
            return Err(KeyError::Point);
        }
        let key = ed25519_dalek::VerifyingKey::from_bytes(bytes).map_err(|_| KeyError::Point)?;
        if key.is_weak() {
            return Err(KeyError::Weak);
        }
        Ok(Self::of(key))
    }

    pub(crate) fn of(key: ed25519_dalek::VerifyingKey) -> Self {
        let id = KeyId(jwk::thumbprint(key.as_bytes()));
        Self { key, id }
    }

    pub(crate) fn verifying_key(&self) -> &ed25519_dalek::VerifyingKey {
        &self.key
    }

    /// The 32 bytes of RFC 8032 §5.1.5.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        self.key.as_bytes()
    }

    /// The RFC 7638 thumbprint.
    #[must_use]
    pub fn key_id(&self) -> KeyId {
        self.id
    }

    /// Whether `signature` was made by
    /// [`SigningKey::sign`](crate::SigningKey::sign) over the statement
    /// `message`.
    #[must_use]
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        <&[u8; 64]>::try_from(signature)
            .is_ok_and(|signature| self.verify_bytes(&statement::signed_bytes(message), signature))
    }

    /// The strict check of RFC 8032 §5.1.7: canonical `S`, no small order.
    pub(crate) fn verify_bytes(&self, message: &[u8], signature: &[u8; 64]) -> bool {
        let signature = ed25519_dalek::Signature::from_bytes(signature);
        self.key.verify_strict(message, &signature).is_ok()
    }
}

/// Whether the encoded coordinate is below the field's prime 2^255 − 19.
fn is_canonical(bytes: &[u8; 32]) -> bool {
    let [low, middle @ .., high] = bytes;
    high & 0x7f != 0x7f || middle.iter().any(|byte| *byte != 0xff) || *low < 0xed
}

impl TryFrom<&[u8]> for Ed25519PublicKey {
    type Error = KeyError;

    fn try_from(bytes: &[u8]) -> Result<Self, KeyError> {
        Self::parse(bytes)
    }
}

impl PartialEq for Ed25519PublicKey {
    fn eq(&self, other: &Self) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl Eq for Ed25519PublicKey {}

impl PartialOrd for Ed25519PublicKey {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Ed25519PublicKey {
    fn cmp(&self, other: &Self) -> Ordering {
        self.as_bytes().cmp(other.as_bytes())
    }
}

impl Hash for Ed25519PublicKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_bytes().hash(state);
    }
}

impl fmt::Debug for Ed25519PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ed25519PublicKey({})", hex::encode(self.as_bytes()))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;

    #[test]
    fn nobodys_keys_are_refused() {
        let mut weak = vec![
            "0100000000000000000000000000000000000000000000000000000000000000".to_owned(),
            "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f".to_owned(),
        ];
        for half in [
            "00000000000000000000000000000000000000000000000000000000000000",
            "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc",
            "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03",
        ] {
            let last: &[&str] = match &half[..2] {
                "00" => &["00", "80"],
                "26" => &["05", "85"],
                _ => &["7a", "fa"],
            };
            weak.extend(last.iter().map(|last| format!("{half}{last}")));
        }
        assert_eq!(weak.len(), 8, "the whole subgroup");
        for key in weak {
            let bytes = hex::decode(&key).unwrap();
            assert_eq!(
                Ed25519PublicKey::parse(&bytes),
                Err(KeyError::Weak),
                "{key}"
            );
        }
        for low in 0xed..=0xff_u8 {
            for high in [0x7f, 0xff] {
                let mut bytes = [0xff; 32];
                bytes[0] = low;
                bytes[31] = high;
                assert_eq!(Ed25519PublicKey::parse(&bytes), Err(KeyError::Point));
            }
        }
        let mut off_the_curve = [0; 32];
        off_the_curve[0] = 2;
        assert_eq!(
            Ed25519PublicKey::parse(&off_the_curve),
            Err(KeyError::Point)
        );
        for length in [0, 31, 33] {
            let error = Err(KeyError::Length);
            assert_eq!(Ed25519PublicKey::parse(&vec![1; length]), error);
        }
    }
}
