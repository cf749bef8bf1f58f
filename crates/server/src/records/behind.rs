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

/// Up to where a segment was safe, as the marks say that `process` wrote into it from
/// `from` on. The frames there follow from nothing any more, but a mark can be told by
/// itself.
///
/// # Errors
/// When the file cannot be read.
pub(super) fn synced_by_marks_behind(
    directory: &Path,
    segment: u64,
    process: u64,
    from: u64,
) -> io::Result<u64> {
    let mut file = File::open(segment_path(directory, segment))?;
    file.seek(io::SeekFrom::Start(from))?;
    let mut synced = 0;
    let is_own = |mark: &Mark| (mark.segment, mark.process) == (segment, process);
    // What was read last, and before it what a mark that ends there can begin with.
    let mut window = Vec::with_capacity(CHUNK + MARK_BYTES);
    loop {
        let read = file.by_ref().take(CHUNK as u64).read_to_end(&mut window)?;
        if read == 0 {
            return Ok(synced);
        }
        let marks = window.windows(MARK_BYTES).filter_map(Mark::at);
        let latest = marks.filter(is_own).map(|mark| mark.synced).max();
        synced = synced.max(latest.unwrap_or_default());
        window.drain(..window.len().saturating_sub(MARK_BYTES - 1));
    }
}
