//! Token ids (`jti`, RFC 7519 §4.1.7).

use std::fmt;
use std::str::FromStr;

use crate::base64url::{self, EncodingError};
use crate::number::IssuerNumber;

/// 128 bits: the issuer's number (32, big-endian), then 96 random bits. It says
/// by itself under which issuer its revocation is kept. Text: 22 characters of
/// base64url.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TokenId([u8; 16]);

impl TokenId {
    /// `random` has to come from a secure source: two tokens with one id would
    /// be revoked together.
    #[must_use]
    pub fn new(issuer: IssuerNumber, random: [u8; 12]) -> Self {
        let mut bytes = [0; 16];
        let parts = issuer.0.to_be_bytes().into_iter().chain(random);
        for (room, byte) in bytes.iter_mut().zip(parts) {
            *room = byte;
        }
        Self(bytes)
    }

    /// Any 16 bytes are a token id.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The 16 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// Who signed it, if the token that bears it verifies.
    #[must_use]
    pub fn issuer(&self) -> IssuerNumber {
        let [a, b, c, d, ..] = self.0;
        IssuerNumber(u32::from_be_bytes([a, b, c, d]))
    }
}

impl fmt::Display for TokenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&base64url::encode(&self.0))
    }
}

impl fmt::Debug for TokenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TokenId({self})")
    }
}

impl FromStr for TokenId {
    type Err = EncodingError;

    fn from_str(text: &str) -> Result<Self, EncodingError> {
        base64url::parse_array(text).map(Self)
    }
}

impl TryFrom<&[u8]> for TokenId {
    type Error = EncodingError;

    fn try_from(bytes: &[u8]) -> Result<Self, EncodingError> {
        let wrong = |_| EncodingError {
            encoding: "binary form",
            bytes: 16,
        };
        bytes.try_into().map(Self).map_err(wrong)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_issuer_comes_first() {
        let id = TokenId::new(IssuerNumber(0x0102_0304), [9; 12]);
        assert_eq!(
            hex::encode(id.as_bytes()),
            "01020304090909090909090909090909"
        );
        assert_eq!(id.issuer(), IssuerNumber(0x0102_0304));
        let text = id.to_string();
        assert_eq!(text.len(), 22);
        assert_eq!(text.parse::<TokenId>().unwrap(), id);
        assert_eq!(TokenId::try_from(id.as_bytes().as_slice()).unwrap(), id);
        assert!(TokenId::try_from([0_u8; 15].as_slice()).is_err());
    }

    #[test]
    fn the_last_character_has_no_second_spelling() {
        // 22 characters carry 132 bits; the last four have to be zero.
        assert!("AAAAAAAAAAAAAAAAAAAAAA".parse::<TokenId>().is_ok());
        assert!("AAAAAAAAAAAAAAAAAAAAAB".parse::<TokenId>().is_err());
    }
}
