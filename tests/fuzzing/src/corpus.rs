//! The inputs that are kept for a target.

use std::{fs, path::PathBuf};

/// One input.
pub(crate) struct Entry {
    pub(crate) path: PathBuf,
    pub(crate) bytes: Vec<u8>,
    /// Whether the target has to understand it.
    pub(crate) is_ok: bool,
}

/// Of the tree in which the tests run, which need not be the one in which this was
/// compiled.
fn folder(target: &str) -> PathBuf {
    let here = std::env::current_dir().unwrap();
    let mut above = here.ancestors().map(|folder| folder.join("fuzz/corpus"));
    let corpus = above.find(|folder| folder.is_dir());
    corpus
        .unwrap_or_else(|| panic!("no fuzz/corpus above {}", here.display()))
        .join(target)
}

/// Holds that a target's corpus has an input of this name, whose content may be what
/// a former build wrote. With `REWRITE=1` it is written when it is missing.
///
/// # Panics
/// When it is missing.
pub fn keep(target: &str, name: &str, bytes: &[u8]) {
    let path = folder(target).join(name);
    if !path.exists() && std::env::var_os("REWRITE").is_some() {
        fs::create_dir_all(folder(target)).unwrap();
        fs::write(&path, bytes).unwrap();
    }
    assert!(
        path.exists(),
        "{} is missing: REWRITE=1 writes it",
        path.display()
    );
}

/// All inputs of a target, in the order of their names.
pub(crate) fn read(target: &str) -> Vec<Entry> {
    let folder = folder(target);
    let files =
        fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<PathBuf> = files.map(|file| file.unwrap().path()).collect();
    paths.sort();
    paths.into_iter().map(entry).collect()
}

fn entry(path: PathBuf) -> Entry {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap();
    let is_ok = name.starts_with("ok-");
    assert!(
        is_ok || name.starts_with("bad-"),
        "{}: its name says neither `ok-` nor `bad-`",
        path.display()
    );
    Entry {
        bytes: fs::read(&path).unwrap(),
        is_ok,
        path,
    }
}
