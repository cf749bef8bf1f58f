//! What stands in a segment file, version 1. Both sides are here: the node that
//! writes it and whoever reads it.
//!
//! ```text
//! segment  = frame*                       header first, close last
//! frame    = kind (1) length (3) check (4) payload (length) hash (32)
//! hash     = SHA-256(hash of the frame before ‖ kind ‖ length ‖ check ‖ payload)
//! check    = SHA-256(hash of the frame before ‖ kind ‖ length), its first 4 bytes
//! ```
//!
//! The first frame of a segment follows 32 zero bytes, so that a segment can be
//! read alone; its payload holds the hash in which the former segment ended.
//! All numbers are big-endian.

mod close;
mod frame;
mod gap;
mod header;
mod mark;
mod names;
mod record;

use std::path::{Path, PathBuf};

pub(super) use close::{Close, Ending};
pub(super) use frame::{Chain, Hash, Kind, Piece, frame_bytes};
pub use gap::{Cause, Gap};
pub(super) use header::{Former, IssuedWithin, SegmentHeader};
pub(super) use mark::{MARK_BYTES, Mark};
pub(super) use names::{NameKind, NameTable, Names};
pub(super) use record::{RECORD_BYTES, Record};

/// What a payload of a known kind cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unreadable {
    /// Shorter or longer than its kind is.
    #[error("{0} does not have the length of one")]
    Length(&'static str),
    /// A value that nothing has.
    #[error("{0} holds a value that none has")]
    Value(&'static str),
    /// No segment at all.
    #[error("it does not begin as a segment of records does")]
    Magic,
    /// Written by another release.
    #[error("it has version {0}, and this build reads version 1: use a newer chancery")]
    Version(u32),
}

const SUFFIX: &str = ".seg";
const DIGITS: usize = 20;

/// The file of a segment.
pub(super) fn segment_path(directory: &Path, segment: u64) -> PathBuf {
    directory.join(format!("{segment:0DIGITS$}{SUFFIX}"))
}

/// The number in the name of a segment's file; `None` for any other file.
pub(super) fn segment_number(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(SUFFIX)?;
    let plain = digits.len() == DIGITS && digits.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| digits.parse().ok()).flatten()
}
