//! Files that outlive a crash: written whole, synced with their directory, and
//! never over another.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    mem,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use zeroize::{Zeroize, Zeroizing};

use super::error::AdmissionError;

/// No file that is read here is larger; a larger one was not made by chancery.
const MAX_FILE_BYTES: u64 = 4 << 20;
/// Longest file of a key or a certificate, bytes.
pub(crate) const MAX_KEY_FILE: usize = 64 << 10;
const PRIVATE: u32 = 0o600;
const PUBLIC: u32 = 0o644;

/// Makes a directory that only its owner can enter, with its parents. One that
/// is there already keeps its mode.
///
/// # Errors
/// [`AdmissionError::Write`].
pub fn create_private_directory(path: &Path) -> Result<(), AdmissionError> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(|error| AdmissionError::write(path, &error))
}

/// Writes a secret to a new file that only its owner can read (0600).
///
/// # Errors
/// [`AdmissionError::Exists`] when something stands there, and
/// [`AdmissionError::Write`].
pub fn write_new_private(path: &Path, bytes: &[u8]) -> Result<(), AdmissionError> {
    write_new(path, bytes, PRIVATE)
}

/// Writes a new file that everybody may read (0644).
///
/// # Errors
/// As [`write_new_private`].
pub fn write_new_public(path: &Path, bytes: &[u8]) -> Result<(), AdmissionError> {
    write_new(path, bytes, PUBLIC)
}

/// Replaces a public file in one step: a reader sees the old one or the new one.
///
/// # Errors
/// [`AdmissionError::Write`].
pub fn replace_public(path: &Path, bytes: &[u8]) -> Result<(), AdmissionError> {
    let staged = staged_beside(path);
    let written = (|| {
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(PUBLIC)
            .open(&staged)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&staged, path)?;
        sync_directory_of(path)
    })();
    written.map_err(|error| AdmissionError::write(path, &error))
}

/// Reads a private key, unless others may read it too.
///
/// # Errors
/// [`AdmissionError::Exposed`] and [`AdmissionError::Read`].
pub fn read_private(path: &Path) -> Result<Zeroizing<String>, AdmissionError> {
    let failed = |kind, why| AdmissionError::read(path, &io::Error::new(kind, why));
    let mut bytes = read_wiped(path, Readers::OwnerOnly).map_err(|unread| match unread {
        Unread::Failed(error) => AdmissionError::read(path, &error),
        Unread::TooLong => failed(io::ErrorKind::FileTooLarge, "larger than 64 KiB"),
        Unread::Exposed(mode) => AdmissionError::Exposed {
            path: path.display().to_string(),
            mode,
        },
    })?;
    String::from_utf8(mem::take(&mut *bytes))
        .map(Zeroizing::new)
        .map_err(|error| {
            error.into_bytes().zeroize();
            failed(io::ErrorKind::InvalidData, "it is no text")
        })
}

/// Who may be able to read a file.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Readers {
    Anyone,
    OwnerOnly,
}

/// Why a file of a key or a certificate was not read.
#[derive(Debug)]
pub(crate) enum Unread {
    /// What the system said.
    Failed(io::Error),
    /// Others than its owner can read it: its permission bits.
    Exposed(u32),
    /// It is longer than [`MAX_KEY_FILE`].
    TooLong,
}

/// The bytes of a file that may be a key, wiped when dropped. The file is opened
/// once: what was judged is what is read.
pub(crate) fn read_wiped(path: &Path, readers: Readers) -> Result<Zeroizing<Vec<u8>>, Unread> {
    let file = File::open(path).map_err(Unread::Failed)?;
    let metadata = file.metadata().map_err(Unread::Failed)?;
    let mode = metadata.permissions().mode() & 0o777;
    if readers == Readers::OwnerOnly && mode & 0o077 != 0 {
        return Err(Unread::Exposed(mode));
    }
    // Room for all of it and for the byte too many, so that growing leaves no
    // unwiped copy behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_KEY_FILE + 1));
    file.take(MAX_KEY_FILE as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(Unread::Failed)?;
    if bytes.len() > MAX_KEY_FILE {
        return Err(Unread::TooLong);
    }
    Ok(bytes)
}

/// Reads a public file.
///
/// # Errors
/// [`AdmissionError::Read`].
pub fn read(path: &Path) -> Result<String, AdmissionError> {
    let mut text = String::new();
    File::open(path)
        .and_then(|file| file.take(MAX_FILE_BYTES + 1).read_to_string(&mut text))
        .map_err(|error| AdmissionError::read(path, &error))?;
    if text.len() as u64 > MAX_FILE_BYTES {
        let error = io::Error::new(io::ErrorKind::FileTooLarge, "larger than 4 MiB");
        return Err(AdmissionError::read(path, &error));
    }
    Ok(text)
}

fn write_new(path: &Path, bytes: &[u8], mode: u32) -> Result<(), AdmissionError> {
    let written = (|| {
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(mode)
            .open(path)?;
        let whole = file.write_all(bytes).and_then(|()| file.sync_all());
        if whole.is_err() {
            // Made here a moment ago, and nobody can depend on half of it.
            let _ = fs::remove_file(path);
        }
        whole?;
        sync_directory_of(path)
    })();
    written.map_err(|error| AdmissionError::write(path, &error))
}

fn staged_beside(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    path.with_file_name(name)
}

/// Without this the name of a new file may be lost with the power.
fn sync_directory_of(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => File::open(".")?.sync_all(),
        Some(parent) => File::open(parent)?.sync_all(),
        None => Ok(()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_for_its_owner_alone_and_is_never_overwritten() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("peer.key");
        write_new_private(&path, b"first").unwrap();
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );

        let again = write_new_private(&path, b"second");
        assert!(
            matches!(again, Err(AdmissionError::Exists { .. })),
            "{again:?}"
        );
        assert_eq!(read_private(&path).unwrap().as_str(), "first");
    }

    #[test]
    fn a_key_that_others_can_read_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("server.key");
        write_new_private(&path, b"secret").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let refused = read_private(&path).unwrap_err();
        assert!(
            matches!(refused, AdmissionError::Exposed { mode: 0o640, .. }),
            "{refused}"
        );
        assert!(refused.to_string().contains("chmod 600"), "{refused}");
    }

    #[test]
    fn the_longest_key_is_read_without_a_copy_and_a_longer_one_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("server.key");
        write_new_private(&path, &[b'k'; MAX_KEY_FILE]).unwrap();
        let bytes = read_wiped(&path, Readers::OwnerOnly).unwrap();
        assert_eq!(bytes.len(), MAX_KEY_FILE);
        assert_eq!(bytes.capacity(), MAX_KEY_FILE + 1, "the buffer grew");

        let longer = directory.path().join("longer.key");
        write_new_private(&longer, &[b'k'; MAX_KEY_FILE + 1]).unwrap();
        let refused = read_private(&longer).unwrap_err();
        assert!(refused.to_string().contains("64 KiB"), "{refused}");
    }

    #[test]
    fn a_replaced_file_is_whole_and_leaves_nothing_beside_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("admission.json");
        write_new_public(&path, b"old").unwrap();
        replace_public(&path, b"new").unwrap();
        assert_eq!(read(&path).unwrap(), "new");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }
}
