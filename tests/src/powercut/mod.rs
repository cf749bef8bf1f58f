//! The loss of power: a process is killed, and its directory is given back as a disk
//! could have it that kept only what was synced.
//!
//! ```text
//! preload/disk.c, in the process ──► journal ──► Disk ──► a directory
//! ```

pub mod disk;
pub mod journal;
pub mod round;

pub use disk::{Disk, Lost};
