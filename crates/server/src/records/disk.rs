//! The files, as far as the writer needs them: what can fail, and be made to fail.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::Arc,
};

use super::format::{segment_number, segment_path};

/// A segment that is being written.
pub(super) trait SegmentFile: Send + Sync {
    /// Writes at `offset`, perhaps less than all. The same again does no harm.
    ///
    /// # Errors
    /// What the system says.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize>;

    /// Has what was written survive the loss of power.
    ///
    /// # Errors
    /// What the system says; then nothing is known of what was written.
    fn sync(&self) -> io::Result<()>;
}

/// A directory of segments.
pub(super) trait Disk: Send {
    /// Makes the file of a segment that begins with `beginning`, or none at all.
    /// What a former try left is replaced.
    ///
    /// # Errors
    /// What the system says.
    fn create(&self, segment: u64, beginning: &[u8]) -> io::Result<Arc<dyn SegmentFile>>;

    /// Deletes a segment. That there is none is no error.
    ///
    /// # Errors
    /// What the system says.
    fn remove(&self, segment: u64) -> io::Result<()>;
}

/// A segment that ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ended {
    pub(super) segment: u64,
    pub(super) bytes: u64,
    /// For how long the node had kept records then, milliseconds; see the header.
    pub(super) kept_ms: u64,
}

/// A directory of the file system, private to its owner: names of agents are
/// nobody else's business.
#[derive(Debug)]
pub(super) struct Directory(PathBuf);

impl Directory {
    /// # Errors
    /// What the system says.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(path)?;
        // Its own name has to survive the loss of power, too.
        let above = path.parent().filter(|above| !above.as_os_str().is_empty());
        File::open(above.unwrap_or(Path::new(".")))?.sync_all()?;
        Ok(Self(path.to_owned()))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    /// The segments that are there, in order. When they ended is not known from outside.
    ///
    /// # Errors
    /// What the system says.
    pub(super) fn segments(&self) -> io::Result<Vec<Ended>> {
        let mut ended = Vec::new();
        for entry in fs::read_dir(&self.0)? {
            let entry = entry?;
            let name = entry.file_name();
            let Some(segment) = name.to_str().and_then(segment_number) else {
                continue;
            };
            let metadata = entry.metadata()?;
            ended.push(Ended {
                segment,
                bytes: metadata.len(),
                kept_ms: 0,
            });
        }
        ended.sort_unstable_by_key(|ended| ended.segment);
        Ok(ended)
    }

    fn sync(&self) -> io::Result<()> {
        File::open(&self.0)?.sync_all()
    }
}

impl Disk for Directory {
    fn create(&self, segment: u64, beginning: &[u8]) -> io::Result<Arc<dyn SegmentFile>> {
        let staged = self.0.join("next.tmp");
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&staged)?;
        file.write_all(beginning)?;
        file.sync_all()?;
        fs::rename(&staged, segment_path(&self.0, segment))?;
        self.sync()?;
        Ok(Arc::new(file))
    }

    fn remove(&self, segment: u64) -> io::Result<()> {
        match fs::remove_file(segment_path(&self.0, segment)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed,
        }
    }
}

impl SegmentFile for File {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        FileExt::write_at(self, bytes, offset)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }
}
