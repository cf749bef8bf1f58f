//! Marks: how far the writer has come, while nothing else says so.

use bytes::{Buf, BufMut, TryGetError};
use sha2::{Digest, Sha256};

use super::Unreadable;

const MAGIC: [u8; 8] = *b"CHANCMRK";
/// The size of every mark.
pub(in crate::records) const MARK_BYTES: usize = 64;
/// Of these the last are a check over the others.
const CHECKED: usize = MARK_BYTES - 8;

/// How far the writer has come. It can be told from other bytes by itself, where the
/// frames before it are lost: what it says was safe was safe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::records) struct Mark {
    /// The segment that it stands in.
    pub(in crate::records) segment: u64,
    /// Who wrote it.
    pub(in crate::records) process: u64,
    /// What was handed over before this is in the segment up to here, milliseconds
    /// since the Unix epoch by the clock as it stood: less than in a mark before when
    /// that was set back.
    pub(in crate::records) as_of_ms: u64,
    /// For how long the node has kept records by now; see the header.
    pub(in crate::records) kept_ms: u64,
    /// Records that may be dropped from here on before the file counts them.
    pub(in crate::records) uncounted_at_most: u64,
    /// So many bytes of the segment survive the loss of power.
    pub(in crate::records) synced: u64,
}

impl Mark {
    pub(in crate::records) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(MARK_BYTES);
        out.put_slice(&MAGIC);
        out.put_u64(self.segment);
        out.put_u64(self.process);
        out.put_u64(self.as_of_ms);
        out.put_u64(self.kept_ms);
        out.put_u64(self.uncounted_at_most);
        out.put_u64(self.synced);
        let check = check(&out);
        out.put_slice(&check);
        out
    }

    /// # Errors
    /// [`Unreadable`].
    pub(in crate::records) fn decode(payload: &[u8]) -> Result<Self, Unreadable> {
        if payload.len() != MARK_BYTES {
            return Err(Unreadable::Length("a mark"));
        }
        Self::at(payload).ok_or(Unreadable::Value("a mark"))
    }

    /// The mark that `bytes` begin with, if it is one.
    pub(in crate::records) fn at(bytes: &[u8]) -> Option<Self> {
        if !bytes.starts_with(&MAGIC) {
            return None;
        }
        let (content, rest) = bytes.split_at_checked(CHECKED)?;
        if !rest.starts_with(&check(content)) {
            return None;
        }
        Self::read(content.get(MAGIC.len()..)?).ok()
    }

    fn read(mut input: &[u8]) -> Result<Self, TryGetError> {
        Ok(Self {
            segment: input.try_get_u64()?,
            process: input.try_get_u64()?,
            as_of_ms: input.try_get_u64()?,
            kept_ms: input.try_get_u64()?,
            uncounted_at_most: input.try_get_u64()?,
            synced: input.try_get_u64()?,
        })
    }
}

fn check(content: &[u8]) -> [u8; MARK_BYTES - CHECKED] {
    let hash: [u8; 32] = Sha256::digest(content).into();
    let [a, b, c, d, e, f, g, h, ..] = hash;
    [a, b, c, d, e, f, g, h]
}
