//! Files that are either the old one or the new one, whenever the power goes.

use std::{
    fs::{self, DirBuilder, OpenOptions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, FileExt as _, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use fs4::{FileExt, TryLockError};

use crate::{Error, Result};

/// Owner only.
const DIRECTORY_MODE: u32 = 0o700;
const FILE_MODE: u32 = 0o600;

/// Makes a directory (and what leads to it) that only its owner enters; an existing one is kept and closed to others.
pub(crate) fn make_directory(path: &Path) -> Result<()> {
    // Each name that is new stands in a parent of its own.
    let new = path.ancestors().take_while(|ancestor| !ancestor.exists());
    let parents: Vec<&Path> = new.filter_map(Path::parent).collect();
    DirBuilder::new()
        .recursive(true)
        .mode(DIRECTORY_MODE)
        .create(path)
        .and_then(|()| fs::set_permissions(path, fs::Permissions::from_mode(DIRECTORY_MODE)))
        .map_err(Error::io(path, "make the directory"))?;
    for parent in parents {
        sync_directory(parent)?;
    }
    sync_directory(path.parent().unwrap_or(path))
}

/// An open file.
pub(crate) struct File(fs::File);

impl File {
    /// Writes over its beginning, and does not sync it.
    pub(crate) fn overwrite(&self, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all_at(bytes, 0)
    }

    /// Whether it is this handle's alone from here on; `path` stands in the errors.
    pub(crate) fn lock(&self, path: &Path) -> Result<bool> {
        match FileExt::try_lock(&self.0) {
            Ok(()) => Ok(true),
            Err(TryLockError::WouldBlock) => Ok(false),
            Err(TryLockError::Error(error)) => Err(Error::io(path, "lock")(error)),
        }
    }
}

pub(crate) fn is_directory(path: &Path) -> bool {
    path.is_dir()
}

pub(crate) fn exists(path: &Path) -> bool {
    path.exists()
}

/// Replaces a file by `content`: temporary file, sync, rename, sync of the directory.
pub(crate) fn replace_file(path: &Path, content: &[u8]) -> Result<()> {
    let temporary = path.with_extension("new");
    let written = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(FILE_MODE)
        .open(&temporary)
        .and_then(|mut file| {
            file.write_all(content)?;
            file.sync_all()
        });
    written.map_err(Error::io(&temporary, "write"))?;
    fs::rename(&temporary, path).map_err(Error::io(path, "put in place"))?;
    sync_directory(path.parent().unwrap_or(path))
}

/// A small file's content, or `None` where there is none.
pub(crate) fn read_file(path: &Path) -> Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Ok(content) => Ok(Some(content)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::io(path, "read")(error)),
    }
}

/// Opens a file for reading and writing, made owner-only where there is none.
pub(crate) fn open_file(path: &Path) -> Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(FILE_MODE)
        .open(path)
        .map(File)
        .map_err(Error::io(path, "open"))
}

/// Makes renames, creations and removals in a directory durable.
pub(crate) fn sync_directory(path: &Path) -> Result<()> {
    // The parent of a relative path of one component is the empty path.
    let path = if path.as_os_str().is_empty() {
        Path::new(".")
    } else {
        path
    };
    fs::File::open(path)
        .and_then(|directory| directory.sync_all())
        .map_err(Error::io(path, "sync"))
}

/// Makes every file directly in a directory durable, then the directory.
pub(crate) fn sync_content(path: &Path) -> Result<()> {
    for child in children(path)? {
        fs::File::open(&child)
            .and_then(|file| file.sync_all())
            .map_err(Error::io(&child, "sync"))?;
    }
    sync_directory(path)
}

/// What stands directly in a directory, in the order of names; nothing where there is none.
pub(crate) fn children(path: &Path) -> Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Error::io(path, "list")(error)),
    };
    let mut paths = entries
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<io::Result<Vec<_>>>()
        .map_err(Error::io(path, "list"))?;
    paths.sort();
    Ok(paths)
}

/// Gives a file or a directory another name, where nothing stands.
pub(crate) fn rename(from: &Path, to: &Path) -> Result<()> {
    fs::rename(from, to).map_err(Error::io(to, "put in place"))
}

/// Removes a file or a directory with all it holds; nothing there is as good.
pub(crate) fn remove(path: &Path) -> Result<()> {
    let removed = match fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(Error::io(path, "remove")(error))
        }
        _ => Ok(()),
    }
}
