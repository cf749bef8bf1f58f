//! What stands behind the frames that hold together: what a loss of power left, or
//! what somebody changed.

use std::{
    fs::File,
    io::{self, BufReader, Read, Seek},
    path::Path,
};

use super::format::{MARK_BYTES, Mark, segment_path};

/// Read at once.
const CHUNK: usize = 1 << 16;

/// What a disk writes whole or not at all, bytes; or a multiple of that.
const SECTOR: u64 = 512;
/// So many zeros at a sector's end, or at the file's, are no chance.
const TELLING_ZEROS: usize = 4;

/// Whether a sector behind `from` is empty, or what is behind it of the sector in which
/// it lies: so a volume leaves what it did not come to write. Nothing that the node
/// writes has as many zeros; who changes a byte leaves none.
///
/// # Errors
/// When the file cannot be read.
pub(super) fn empty_sector_behind(directory: &Path, segment: u64, from: u64) -> io::Result<bool> {
    let mut file = BufReader::new(File::open(segment_path(directory, segment))?);
    file.seek(io::SeekFrom::Start(from))?;
    let mut left = SECTOR - from % SECTOR;
    let mut sector = Vec::new();
    loop {
        sector.clear();
        if file.by_ref().take(left).read_to_end(&mut sector)? == 0 {
            return Ok(false);
        }
        if sector.len() >= TELLING_ZEROS && sector.iter().all(|byte| *byte == 0) {
            return Ok(true);
        }
        left = SECTOR;
    }
}

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
