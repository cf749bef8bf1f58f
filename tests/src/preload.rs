//! Libraries that are put before a process's own (ld.so(8), `LD_PRELOAD`), made of the
//! C beside the tests.

use std::{
    ffi::OsString,
    fs::{self, File},
    io::Write,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use crate::node::Place;

/// Compiles `tests/preload/<name>.c` to a library in `directory`.
///
/// # Panics
/// Without a C compiler, which `make setup` installs.
#[must_use]
pub fn compile(name: &str, directory: &Path) -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("preload")
        .join(name)
        .with_extension("c");
    let library = directory.join(name).with_extension("so");
    let output = Command::new("cc")
        .args(["-shared", "-fPIC", "-O2", "-Wall", "-Wextra", "-o"])
        .arg(&library)
        .arg(source)
        .arg("-ldl")
        .output()
        .expect("a C compiler: `make setup` installs one");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    library
}

/// The wall clock of a node's processes, which can be stepped.
#[derive(Debug)]
pub struct WallClock(File);

impl WallClock {
    /// Gives a node's next processes a wall clock of their own.
    #[must_use]
    pub fn of(place: &mut Place, library: &Path, file: &Path) -> Self {
        let mut clock = File::options()
            .create(true)
            .truncate(true)
            .read(true)
            .write(true)
            .open(file)
            .unwrap();
        clock.write_all(&0_i64.to_ne_bytes()).unwrap();
        let environment = &mut place.environment;
        environment.insert("LD_PRELOAD", library.into());
        environment.insert("CHANCERY_TEST_CLOCK", file.into());
        Self(clock)
    }

    /// From now on it is off by so much.
    pub fn set(&self, off: Duration, ahead: bool) {
        let nanoseconds = i64::try_from(off.as_nanos()).unwrap();
        let nanoseconds = if ahead { nanoseconds } else { -nanoseconds };
        self.0.write_all_at(&nanoseconds.to_ne_bytes(), 0).unwrap();
    }
}

/// Has what a node's next processes do to its directory written down in `journal`.
pub fn follow_disk(place: &mut Place, library: &Path, directory: &Path, journal: &Path) {
    let _ = fs::remove_file(journal);
    let environment = &mut place.environment;
    environment.insert("LD_PRELOAD", library.into());
    environment.insert("CHANCERY_TEST_ROOT", OsString::from(directory));
    environment.insert("CHANCERY_TEST_JOURNAL", OsString::from(journal));
}

/// What was followed is followed no more.
pub fn leave(place: &mut Place) {
    place.environment.clear();
}
