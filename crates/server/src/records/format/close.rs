//! The last frame of a segment that was not cut short.

use bytes::{Buf, BufMut};

use super::Unreadable;

/// Why a segment ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::records) enum Ending {
    /// Another follows.
    Rotated = 1,
    /// The node stopped, and nothing was left to be written.
    Stopped = 2,
}

/// What a segment ends with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::records) struct Close {
    pub(in crate::records) ending: Ending,
    /// Milliseconds since the Unix epoch.
    pub(in crate::records) at_ms: u64,
    /// Records in this segment.
    pub(in crate::records) records: u64,
}

impl Close {
    pub(in crate::records) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(17);
        out.put_u8(self.ending as u8);
        out.put_u64(self.at_ms);
        out.put_u64(self.records);
        out
    }

    /// # Errors
    /// [`Unreadable`].
    pub(in crate::records) fn decode(mut payload: &[u8]) -> Result<Self, Unreadable> {
        let length = || Unreadable::Length("a close");
        if payload.len() != 17 {
            return Err(length());
        }
        let ending = match payload.try_get_u8().map_err(|_| length())? {
            1 => Ending::Rotated,
            2 => Ending::Stopped,
            _ => return Err(Unreadable::Value("a close")),
        };
        Ok(Self {
            ending,
            at_ms: payload.try_get_u64().map_err(|_| length())?,
            records: payload.try_get_u64().map_err(|_| length())?,
        })
    }
}
