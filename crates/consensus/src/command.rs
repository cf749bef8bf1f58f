//! What an entry of the Raft log carries: a stamped command, encoded.

use std::fmt;

use bytes::Bytes;

use crate::never_serialised::never_serialised;

/// The bytes of one `chancery.log.v1.StampedCommand`.
///
/// Raft moves them without looking inside; `Display` and `Debug` tell their
/// length and nothing of their content.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct EncodedCommand(pub(crate) Bytes);

never_serialised!(EncodedCommand);

impl fmt::Display for EncodedCommand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "command of {} bytes", self.0.len())
    }
}

impl fmt::Debug for EncodedCommand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
