//! What stands behind the frames that hold together: what a loss of power left, or
//! what somebody changed.

use std::{
    fs::File,
    io::{self, Read, Seek},
    path::Path,
};

use super::format::{MARK_BYTES, Mark, segment_path};

/// Read at once.
const CHUNK: usize = 1 << 16;

/// The bytes of a segment from an offset on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Behind {
    /// Nothing but zeros, as a disk leaves what it did not come to write.
    pub(super) is_zeros: bool,
    /// The segment was safe through here, as marks among them say.
    pub(super) synced: u64,
}

/// Looks at what `process` wrote into a segment from `from` on. The frames there follow
/// from nothing any more, but a mark can be told by itself.
///
/// # Errors
/// When the file cannot be read.
pub(super) fn look_behind(
    directory: &Path,
    segment: u64,
    process: u64,
    from: u64,
) -> io::Result<Behind> {
    let mut file = File::open(segment_path(directory, segment))?;
    file.seek(io::SeekFrom::Start(from))?;
    let mut behind = Behind {
        is_zeros: true,
        synced: 0,
    };
    let is_own = |mark: &Mark| (mark.segment, mark.process) == (segment, process);
    // What was read last, and before it what a mark that ends there can begin with.
    let mut window = Vec::with_capacity(CHUNK + MARK_BYTES);
    loop {
        let read = file.by_ref().take(CHUNK as u64).read_to_end(&mut window)?;
        if read == 0 {
            return Ok(behind);
        }
        behind.is_zeros &= window.iter().all(|byte| *byte == 0);
        let marks = window.windows(MARK_BYTES).filter_map(Mark::at);
        let synced = marks.filter(is_own).map(|mark| mark.synced).max();
        behind.synced = behind.synced.max(synced.unwrap_or_default());
        window.drain(..window.len().saturating_sub(MARK_BYTES - 1));
    }
}
