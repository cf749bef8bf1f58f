//! Small files that are either the old one or the new one, whenever the power goes.
//! What is renamed or removed is so for good at once: the code above syncs the
//! directory before it counts on it.

use std::{
    collections::VecDeque,
    path::{Path, PathBuf},
    sync::Arc,
};

use parking_lot::Mutex;

use super::{Crash, with};
use crate::Result;

/// Writes of one file that a power cut may still take back.
const UNSYNCED: usize = 16;

/// What stands in a file.
#[derive(Default)]
pub(crate) struct FileContent {
    /// Since it was synced last, that first; the last is what a process reads.
    versions: VecDeque<Vec<u8>>,
    locked: bool,
}

impl FileContent {
    pub(super) fn after(&self, crash: Crash, random: &mut fastrand::Rng) -> Self {
        let last = self.versions.len().saturating_sub(1);
        let kept = match crash {
            Crash::Process => last,
            Crash::Power => random.usize(0..=last),
        };
        Self {
            versions: self.versions.get(kept).cloned().into_iter().collect(),
            locked: false,
        }
    }
}

/// An open file.
pub(crate) struct File {
    content: Arc<Mutex<FileContent>>,
    holds_lock: Mutex<bool>,
}

impl File {
    /// Overwrites the whole file, and does not sync it.
    pub(crate) fn overwrite(&self, bytes: &[u8]) -> std::io::Result<()> {
        let mut content = self.content.lock();
        content.versions.push_back(bytes.to_vec());
        while content.versions.len() > UNSYNCED {
            content.versions.pop_front();
        }
        Ok(())
    }

    /// Whether it is this handle's alone from here on.
    pub(crate) fn lock(&self, _: &Path) -> Result<bool> {
        let taken = !std::mem::replace(&mut self.content.lock().locked, true);
        *self.holds_lock.lock() |= taken;
        Ok(taken)
    }
}

impl Drop for File {
    fn drop(&mut self) {
        if *self.holds_lock.lock() {
            self.content.lock().locked = false;
        }
    }
}

pub(crate) fn make_directory(path: &Path) -> Result<()> {
    with(|disks| {
        let new = path.ancestors().map(Path::to_owned);
        disks.directories.extend(new);
    });
    Ok(())
}

pub(crate) fn is_directory(path: &Path) -> bool {
    with(|disks| disks.directories.contains(path))
}

pub(crate) fn exists(path: &Path) -> bool {
    with(|disks| {
        disks.directories.contains(path)
            || disks.files.contains_key(path)
            || disks.databases.contains_key(path)
    })
}

pub(crate) fn replace_file(path: &Path, content: &[u8]) -> Result<()> {
    let content = FileContent {
        versions: VecDeque::from([content.to_vec()]),
        locked: false,
    };
    with(|disks| {
        let content = Arc::new(Mutex::new(content));
        disks.files.insert(path.to_owned(), content)
    });
    Ok(())
}

pub(crate) fn read_file(path: &Path) -> Result<Option<Vec<u8>>> {
    let file = with(|disks| disks.files.get(path).cloned());
    Ok(file.map(|file| file.lock().versions.back().cloned().unwrap_or_default()))
}

pub(crate) fn open_file(path: &Path) -> Result<File> {
    let content = with(|disks| disks.files.entry(path.to_owned()).or_default().clone());
    Ok(File {
        content,
        holds_lock: Mutex::new(false),
    })
}

pub(crate) fn sync_directory(_: &Path) -> Result<()> {
    Ok(())
}

/// Of a database's directory: its tables.
pub(crate) fn sync_content(path: &Path) -> Result<()> {
    let database = with(|disks| disks.databases.get(path).cloned());
    if let Some(database) = database {
        database.lock().tables_are_synced();
    }
    Ok(())
}

pub(crate) fn children(path: &Path) -> Result<Vec<PathBuf>> {
    with(|disks| {
        let directories = disks.directories.iter();
        let all = directories
            .chain(disks.files.keys())
            .chain(disks.databases.keys());
        let mut children: Vec<PathBuf> = all
            .filter(|child| child.parent() == Some(path))
            .cloned()
            .collect();
        children.sort();
        children.dedup();
        Ok(children)
    })
}

pub(crate) fn rename(from: &Path, to: &Path) -> Result<()> {
    with(|disks| {
        if let Some(database) = disks.databases.remove(from) {
            disks.databases.insert(to.to_owned(), database);
        }
        if let Some(file) = disks.files.remove(from) {
            disks.files.insert(to.to_owned(), file);
        }
    });
    Ok(())
}

pub(crate) fn remove(path: &Path) -> Result<()> {
    with(|disks| {
        disks.directories.retain(|found| !found.starts_with(path));
        disks.files.retain(|found, _| !found.starts_with(path));
        disks.databases.retain(|found, _| !found.starts_with(path));
    });
    Ok(())
}
