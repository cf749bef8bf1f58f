//! Frames: each carries the hash of all before it in its segment.

use std::io::{self, Read};

use sha2::{Digest, Sha256};

/// SHA-256 of a chain up to a frame.
pub(in crate::records) type Hash = [u8; 32];

/// What a frame holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::records) enum Kind {
    /// First in every segment, and only there.
    Header = 1,
    /// Names that records of this segment refer to by number.
    Names = 2,
    /// Records.
    Records = 3,
    /// How far the writer has come.
    Mark = 4,
    /// Records that are missing.
    Gap = 5,
    /// Segments that were let go for their age or size.
    Deleted = 6,
    /// Last in a segment that was not cut short.
    Close = 7,
}

impl Kind {
    const ALL: [Self; 7] = [
        Self::Header,
        Self::Names,
        Self::Records,
        Self::Mark,
        Self::Gap,
        Self::Deleted,
        Self::Close,
    ];

    pub(in crate::records) fn of(byte: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| *kind as u8 == byte)
    }
}

/// Bytes of a frame before its payload.
const HEAD_BYTES: usize = 8;
/// Longest payload, bytes.
const MAX_PAYLOAD: usize = 0xff_ffff;

/// A chain, and where it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::records) struct Chain(Hash);

/// What comes next in a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::records) enum Piece {
    /// A whole frame, which follows from all before it.
    Frame(Kind),
    /// Nothing: the segment ends after a frame.
    End,
    /// The beginning of a frame, and then the end.
    Torn,
    /// What does not follow from what is before it, and why.
    Broken(&'static str),
}

impl Chain {
    /// Before the first frame of a segment.
    pub(in crate::records) const START: Self = Self([0; 32]);

    /// The hash of the last frame.
    pub(in crate::records) const fn hash(&self) -> Hash {
        self.0
    }

    /// Appends a frame to `out`. Payloads have at most 16 MiB less one byte.
    pub(in crate::records) fn append(&mut self, kind: Kind, payload: &[u8], out: &mut Vec<u8>) {
        debug_assert!(payload.len() <= MAX_PAYLOAD, "{kind:?} has no place");
        let length = u32::try_from(payload.len()).unwrap_or(u32::MAX);
        let [_, a, b, c] = length.to_be_bytes();
        let head = self.head([kind as u8, a, b, c]);
        self.0 = self.seal(head, payload);
        out.extend_from_slice(&head);
        out.extend_from_slice(payload);
        out.extend_from_slice(&self.0);
    }

    /// Reads the next frame, its payload into `payload`. The chain moves on by
    /// whole frames only.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub(in crate::records) fn read(
        &mut self,
        input: &mut impl Read,
        payload: &mut Vec<u8>,
    ) -> io::Result<Piece> {
        let mut head = [0; HEAD_BYTES];
        match fill(input, &mut head)? {
            0 => return Ok(Piece::End),
            HEAD_BYTES => {}
            _ => return Ok(Piece::Torn),
        }
        let [kind, a, b, c, ..] = head;
        if self.head([kind, a, b, c]) != head {
            return Ok(Piece::Broken("the head of a frame is not what was written"));
        }
        let Some(kind) = Kind::of(kind) else {
            return Ok(Piece::Broken(
                "a frame is of a kind that this build does not know",
            ));
        };
        payload.resize(u32::from_be_bytes([0, a, b, c]) as usize, 0);
        let mut hash = [0; 32];
        if fill(input, payload)? < payload.len() || fill(input, &mut hash)? < hash.len() {
            return Ok(Piece::Torn);
        }
        if self.seal(head, payload) != hash {
            return Ok(Piece::Broken(
                "a frame does not have the hash that was written",
            ));
        }
        self.0 = hash;
        Ok(Piece::Frame(kind))
    }

    fn head(&self, word: [u8; 4]) -> [u8; HEAD_BYTES] {
        let check: Hash = Sha256::new()
            .chain_update(self.0)
            .chain_update(word)
            .finalize()
            .into();
        let ([a, b, c, d], [e, f, g, h, ..]) = (word, check);
        [a, b, c, d, e, f, g, h]
    }

    fn seal(&self, head: [u8; HEAD_BYTES], payload: &[u8]) -> Hash {
        let hash = Sha256::new().chain_update(self.0).chain_update(head);
        hash.chain_update(payload).finalize().into()
    }
}

/// The bytes of a frame with a payload of this length.
pub(in crate::records) const fn frame_bytes(payload: usize) -> u64 {
    (HEAD_BYTES + payload + 32) as u64
}

/// Reads until `room` is full or the input ends. Gives how much was read.
fn fill(input: &mut impl Read, room: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while let Some(rest) = room.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match input.read(rest) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}
