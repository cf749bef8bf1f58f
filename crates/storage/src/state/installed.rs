//! Which of the numbered databases is the state.

use std::path::{Path, PathBuf};

use crate::{Error, Result, durable, sealed::Kind};

const FILE: &str = "INSTALLED";
const KIND: Kind = Kind {
    name: b"INST",
    version: 1,
};

/// The database of a number.
pub(crate) fn path(root: &Path, number: u64) -> PathBuf {
    root.join(format!("{number:020}"))
}

/// The number in a database's name, if it has that form.
pub(crate) fn number(path: &Path) -> Option<u64> {
    let name = path.file_name()?.to_str()?;
    let plain = name.len() == 20 && name.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| name.parse().ok()).flatten()
}

/// The number of the database that is the state.
pub(super) fn read(root: &Path) -> Result<u64> {
    let path = root.join(FILE);
    let sealed =
        durable::read_file(&path)?.ok_or_else(|| Error::DatabaseMissing { path: path.clone() })?;
    let number = KIND.unseal(&path, &sealed)?.try_into();
    let number = number.map_err(|_| Error::Damaged {
        path,
        why: "is not a number".into(),
    })?;
    Ok(u64::from_be_bytes(number))
}

/// Makes another database the state: from here on, also after a crash.
pub(super) fn write(root: &Path, number: u64) -> Result<()> {
    durable::replace_file(&root.join(FILE), &KIND.seal(&number.to_be_bytes()))
}

/// Removes databases that are not the state: replaced ones, and those that were never finished.
pub(super) fn remove_others(root: &Path, installed: u64) -> Result<()> {
    let (state, pointer) = (path(root, installed), root.join(FILE));
    for child in durable::children(root)? {
        if child != state && child != pointer {
            durable::remove(&child)?;
        }
    }
    durable::sync_directory(root)
}
