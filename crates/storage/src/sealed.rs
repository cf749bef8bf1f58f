//! The form of our own small files: magic, kind, version, content, SHA-256 of all before it.

use std::path::Path;

use sha2::{Digest, Sha256};

use crate::{Error, Result};

const MAGIC: &[u8; 8] = b"CHANCERY";
const HEADER: usize = MAGIC.len() + 4 + 2;
const CHECKSUM: usize = 32;

/// One kind of file: four letters, and the version in which it is written.
pub(crate) struct Kind {
    pub(crate) name: &'static [u8; 4],
    pub(crate) version: u16,
}

impl Kind {
    /// The bytes to write.
    pub(crate) fn seal(&self, content: &[u8]) -> Vec<u8> {
        let mut sealed = Vec::with_capacity(HEADER + content.len() + CHECKSUM);
        sealed.extend_from_slice(MAGIC);
        sealed.extend_from_slice(self.name);
        sealed.extend_from_slice(&self.version.to_be_bytes());
        sealed.extend_from_slice(content);
        let checksum = Sha256::digest(&sealed);
        sealed.extend_from_slice(&checksum);
        sealed
    }

    /// The content of bytes read from `path`, which stands in the errors.
    ///
    /// The version is judged after the checksum, so that a flipped bit is not taken for a newer program.
    pub(crate) fn unseal<'a>(&self, path: &Path, sealed: &'a [u8]) -> Result<&'a [u8]> {
        let damaged = |why: &str| Error::Damaged {
            path: path.to_owned(),
            why: why.into(),
        };
        let (body, checksum) = sealed
            .split_last_chunk::<CHECKSUM>()
            .ok_or_else(|| damaged("is cut short"))?;
        if Sha256::digest(body).as_slice() != checksum {
            return Err(damaged("its checksum does not fit"));
        }
        let rest = body
            .strip_prefix(MAGIC)
            .ok_or_else(|| damaged("is not a file of Chancery"))?;
        let rest = rest
            .strip_prefix(self.name)
            .ok_or_else(|| damaged("is a file of another kind"))?;
        let (version, content) = rest
            .split_first_chunk::<2>()
            .ok_or_else(|| damaged("is cut short"))?;
        let version = u16::from_be_bytes(*version);
        if version != self.version {
            return Err(Error::LaterFormat {
                path: path.to_owned(),
                found: version,
                known: self.version,
            });
        }
        Ok(content)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KIND: Kind = Kind {
        name: b"TEST",
        version: 1,
    };

    #[test]
    fn every_flipped_bit_is_noticed() {
        let sealed = KIND.seal(b"content");
        let path = Path::new("file");
        assert!(matches!(KIND.unseal(path, &sealed), Ok(b"content")));
        for bit in 0..sealed.len() * 8 {
            let mut flipped = sealed.clone();
            if let Some(byte) = flipped.get_mut(bit / 8) {
                *byte ^= 1 << (bit % 8);
            }
            assert!(
                matches!(KIND.unseal(path, &flipped), Err(Error::Damaged { .. })),
                "bit {bit}"
            );
        }
    }

    #[test]
    fn a_later_program_is_named_and_another_kind_refused() {
        let path = Path::new("file");
        let later = Kind {
            name: b"TEST",
            version: 2,
        }
        .seal(b"content");
        assert!(matches!(
            KIND.unseal(path, &later),
            Err(Error::LaterFormat {
                found: 2,
                known: 1,
                ..
            })
        ));
        let other = Kind {
            name: b"REST",
            version: 1,
        }
        .seal(b"content");
        assert!(matches!(
            KIND.unseal(path, &other),
            Err(Error::Damaged { .. })
        ));
    }
}
