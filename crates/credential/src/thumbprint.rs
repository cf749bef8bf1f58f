//! SHA-256 thumbprints of keys and of certificates.

use std::fmt;
use std::str::FromStr;

use sha2::{Digest as _, Sha256};

use crate::base64url::{self, EncodingError};

/// SHA-256 of a key's SubjectPublicKeyInfo (RFC 5280 §4.1.2.7, DER): what a
/// caller is looked up by. Text: 64 hexadecimal digits, lower case.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyThumbprint([u8; 32]);

impl KeyThumbprint {
    /// `spki` is hashed as it stands: whether it is a key at all is for whoever
    /// read it to say.
    #[must_use]
    pub fn of_spki(spki: &[u8]) -> Self {
        Self(Sha256::digest(spki).into())
    }

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

impl fmt::Display for KeyThumbprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&hex::encode(self.0))
    }
}

impl fmt::Debug for KeyThumbprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyThumbprint({self})")
    }
}

impl FromStr for KeyThumbprint {
    type Err = EncodingError;

    fn from_str(text: &str) -> Result<Self, EncodingError> {
        let wrong = EncodingError {
            encoding: "lower-case hexadecimal",
            bytes: 32,
        };
        if text.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return Err(wrong);
        }
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes).map_err(|_| wrong)?;
        Ok(Self(bytes))
    }
}

/// SHA-256 of an X.509 certificate (DER): the `x5t#S256` of RFC 8705 §3.1, which
/// binds a token to the certificate that its holder presents. Text: 43
/// characters of base64url.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CertificateThumbprint([u8; 32]);

impl CertificateThumbprint {
    /// Hashes the certificate as the handshake carried it.
    #[must_use]
    pub fn of_certificate(der: &[u8]) -> Self {
        Self(Sha256::digest(der).into())
    }

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

impl fmt::Display for CertificateThumbprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&base64url::encode(&self.0))
    }
}

impl fmt::Debug for CertificateThumbprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CertificateThumbprint({self})")
    }
}

impl FromStr for CertificateThumbprint {
    type Err = EncodingError;

    fn from_str(text: &str) -> Result<Self, EncodingError> {
        base64url::parse_array(text).map(Self)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// FIPS 180-4: SHA-256 of `abc`.
    const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    #[test]
    fn a_key_in_hexadecimal() {
        let thumbprint = KeyThumbprint::of_spki(b"abc");
        assert_eq!(thumbprint.to_string(), ABC);
        assert_eq!(ABC.parse::<KeyThumbprint>().unwrap(), thumbprint);
        assert!(ABC.to_uppercase().parse::<KeyThumbprint>().is_err());
        assert!(ABC[..62].parse::<KeyThumbprint>().is_err());
    }

    #[test]
    fn a_certificate_in_base64url() {
        let thumbprint = CertificateThumbprint::of_certificate(b"abc");
        let text = "ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0";
        assert_eq!(thumbprint.to_string(), text);
        assert_eq!(text.parse::<CertificateThumbprint>().unwrap(), thumbprint);
        assert!(ABC.parse::<CertificateThumbprint>().is_err());
    }
}
