//! The end of a segment that is not known to survive the loss of power.

use std::io;

use super::disk::SegmentFile;

/// Most bytes that are kept for writing them again. Beyond them nothing is taken
/// from the lanes until a sync has succeeded.
pub(super) const MAX_UNSYNCED: usize = 16 << 20;

/// Bytes from the last sync on. A sync that fails says nothing about what was
/// written before it (Linux drops such pages, and the next sync succeeds), so they
/// are kept until one has succeeded, and written again when one has failed.
#[derive(Debug)]
pub(super) struct Tail {
    /// Where it begins in the file.
    base: u64,
    bytes: Vec<u8>,
    written: usize,
}

impl Tail {
    /// Of a segment whose first `synced` bytes are safe.
    pub(super) const fn after(synced: u64) -> Self {
        Self {
            base: synced,
            bytes: Vec::new(),
            written: 0,
        }
    }

    /// Where frames are appended.
    pub(super) const fn end(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// The length of the segment.
    pub(super) const fn length(&self) -> u64 {
        self.base + self.bytes.len() as u64
    }

    /// How much of it is in the file.
    pub(super) const fn written(&self) -> u64 {
        self.base + self.written as u64
    }

    /// How much of it survives the loss of power.
    pub(super) const fn safe(&self) -> u64 {
        self.base
    }

    /// Whether something is in the file that is not synced.
    pub(super) const fn is_unsynced(&self) -> bool {
        self.written > 0
    }

    pub(super) const fn is_full(&self) -> bool {
        self.bytes.len() >= MAX_UNSYNCED
    }

    /// Writes what is not in the file. After an error the rest is written by the
    /// next call, to where it belongs.
    ///
    /// # Errors
    /// What the system says.
    pub(super) fn write(&mut self, file: &dyn SegmentFile) -> io::Result<()> {
        while let Some(rest) = self
            .bytes
            .get(self.written..)
            .filter(|rest| !rest.is_empty())
        {
            match file.write_at(rest, self.base + self.written as u64) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => self.written += count.min(rest.len()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// The first `up_to` bytes of the segment are safe.
    pub(super) fn synced(&mut self, up_to: u64) {
        let count = usize::try_from(up_to.saturating_sub(self.base)).unwrap_or(usize::MAX);
        let count = count.min(self.written);
        self.bytes.drain(..count);
        self.base += count as u64;
        self.written -= count;
    }

    /// All of it has to be written again.
    pub(super) const fn begin_again(&mut self) {
        self.written = 0;
    }
}
