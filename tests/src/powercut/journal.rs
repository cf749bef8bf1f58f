//! What `tests/preload/disk.c` tells of a process's files.

use std::{ffi::OsStr, os::unix::ffi::OsStrExt, path::PathBuf};

/// One call that succeeded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Call {
    /// A file was made.
    Created {
        /// Its inode.
        ino: u64,
        /// Its permissions.
        mode: u32,
        /// Its name.
        path: PathBuf,
    },
    /// Bytes were written.
    Written {
        /// Of which file.
        ino: u64,
        /// Where.
        offset: usize,
        /// What.
        bytes: Vec<u8>,
    },
    /// A file was cut off, or made longer with zeros.
    Sized {
        /// Which.
        ino: u64,
        /// Its size now.
        size: usize,
    },
    /// A sync began.
    Syncing {
        /// Of which file or directory.
        ino: u64,
        /// Which sync.
        number: u64,
    },
    /// It returned.
    Synced {
        /// Of which file or directory.
        ino: u64,
        /// Which sync.
        number: u64,
    },
    /// A name was changed.
    Renamed {
        /// From.
        from: PathBuf,
        /// To.
        to: PathBuf,
    },
    /// A name was taken away.
    Unlinked(PathBuf),
    /// A file was given another name.
    Linked {
        /// The one it had.
        from: PathBuf,
        /// The other.
        to: PathBuf,
    },
    /// A directory was made.
    Made {
        /// Its inode.
        ino: u64,
        /// Its permissions.
        mode: u32,
        /// Its name.
        path: PathBuf,
    },
    /// A directory was removed.
    Removed(PathBuf),
}

const HEAD: usize = 24;

/// The calls of a journal. Its last record may be cut short.
///
/// # Panics
/// When the process did what the journal cannot follow.
#[must_use]
pub fn parse(mut journal: &[u8]) -> Vec<Call> {
    let mut calls = Vec::new();
    while let Some((call, rest)) = next(journal) {
        calls.push(call);
        journal = rest;
    }
    calls
}

fn next(journal: &[u8]) -> Option<(Call, &[u8])> {
    let (head, rest) = journal.split_at_checked(HEAD)?;
    let four = |at: usize| u32::from_ne_bytes(head[at..at + 4].try_into().unwrap());
    let eight = |at: usize| u64::from_ne_bytes(head[at..at + 8].try_into().unwrap());
    let (bytes, rest) = rest.split_at_checked(usize::try_from(four(4)).unwrap())?;
    let (ino, number) = (eight(8), eight(16));
    let path = |bytes: &[u8]| PathBuf::from(OsStr::from_bytes(bytes));
    let two = || {
        let end = bytes.iter().position(|byte| *byte == 0).unwrap();
        (path(&bytes[..end]), path(&bytes[end + 1..]))
    };
    let mode = u32::try_from(number & 0o7777).unwrap();
    let place = || usize::try_from(number).unwrap();
    let call = match four(0) {
        1 => Call::Created {
            ino,
            mode,
            path: path(bytes),
        },
        2 => Call::Written {
            ino,
            offset: place(),
            bytes: bytes.to_vec(),
        },
        3 => Call::Sized { ino, size: place() },
        4 => Call::Syncing { ino, number },
        5 => Call::Synced { ino, number },
        6 => {
            let (from, to) = two();
            Call::Renamed { from, to }
        }
        7 => Call::Unlinked(path(bytes)),
        8 => {
            let (from, to) = two();
            Call::Linked { from, to }
        }
        9 => Call::Made {
            ino,
            mode,
            path: path(bytes),
        },
        10 => Call::Removed(path(bytes)),
        other => panic!(
            "the journal cannot follow what was done: {other}, {}",
            String::from_utf8_lossy(bytes)
        ),
    };
    Some((call, rest))
}
