//! Where in the replicated log an answer stands.

use std::fmt;
use std::str::FromStr;

use crate::base64url::{self, EncodingError};
use crate::number::number;

number! {
    /// An applied Raft log index. Means something only within its [`Lineage`].
    Revision(u64)
}

/// One life of a cluster's log: begun at birth, and again by every restore.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lineage {
    /// Counts births and restores, from 1.
    pub generation: u64,
    /// Tells two restores of the same backup apart.
    pub random: u64,
}

impl fmt::Display for Lineage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{:016x}", self.generation, self.random)
    }
}

/// A revision with its lineage, opaque to clients: 24 bytes big-endian
/// (generation, random, revision), in base64url.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub struct ConsistencyToken {
    /// Which log.
    pub lineage: Lineage,
    /// How far.
    pub revision: Revision,
}

impl ConsistencyToken {
    /// The binary form.
    #[must_use]
    pub fn to_bytes(self) -> [u8; 24] {
        let mut bytes = [0; 24];
        let words = [
            self.lineage.generation,
            self.lineage.random,
            self.revision.0,
        ];
        for (room, word) in bytes.chunks_exact_mut(8).zip(words) {
            room.copy_from_slice(&word.to_be_bytes());
        }
        bytes
    }

    /// Reads the binary form.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 24]) -> Self {
        let mut words = bytes.chunks_exact(8).map(|word| {
            word.iter()
                .fold(0_u64, |number, byte| number << 8 | u64::from(*byte))
        });
        let mut next = || words.next().unwrap_or_default();
        Self {
            lineage: Lineage {
                generation: next(),
                random: next(),
            },
            revision: Revision(next()),
        }
    }
}

impl fmt::Display for ConsistencyToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&base64url::encode(&self.to_bytes()))
    }
}

impl FromStr for ConsistencyToken {
    type Err = EncodingError;

    fn from_str(text: &str) -> Result<Self, EncodingError> {
        base64url::parse_array(text).map(Self::from_bytes)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_consistency_token_is_24_bytes_big_endian() {
        let token = ConsistencyToken {
            lineage: Lineage {
                generation: 1,
                random: 0x0203_0405_0607_0809,
            },
            revision: Revision(0xfffe),
        };
        assert_eq!(
            hex::encode(token.to_bytes()),
            "0000000000000001\
             0203040506070809\
             000000000000fffe"
        );
        let text = token.to_string();
        assert_eq!(text.len(), 32);
        assert_eq!(text.parse::<ConsistencyToken>().unwrap(), token);
        assert!(text.get(1..).unwrap().parse::<ConsistencyToken>().is_err());
    }
}
