//! Disks of a simulation: in memory, of one thread, and deterministic. What runs on
//! them is the product's own log, state and checkpoints; only the database and the
//! small files beneath are these.
//!
//! ```text
//!  write ──► what a process reads ──sync──► what a power cut leaves
//!                                  └ what was not synced: a part of it, from the beginning
//! ```

pub(crate) mod database;
pub(crate) mod durable;

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use parking_lot::Mutex;

use database::Content;
use durable::FileContent;

/// How a machine stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crash {
    /// The process dies; the kernel still writes what it was given.
    Process,
    /// The machine dies: what was not synced may be lost, from some write on.
    Power,
}

static DISKS: Mutex<Option<Disks>> = Mutex::new(None);

/// Every disk there is, by path.
pub(crate) struct Disks {
    random: fastrand::Rng,
    pub(crate) directories: BTreeSet<PathBuf>,
    pub(crate) files: BTreeMap<PathBuf, Arc<Mutex<FileContent>>>,
    pub(crate) databases: BTreeMap<PathBuf, Arc<Mutex<Content>>>,
    machines: BTreeMap<PathBuf, Machine>,
    broken: Vec<String>,
}

#[derive(Clone)]
struct Machine {
    flush_us: Range<u64>,
    /// Raised by each crash: who was there before has nothing to say any more.
    life: u64,
    moments: [u64; 3],
}

impl Default for Machine {
    fn default() -> Self {
        Self {
            flush_us: 50..500,
            life: 0,
            moments: [0; 3],
        }
    }
}

/// Empty disks, whose chances are drawn from `seed`.
pub fn format(seed: u64) {
    *DISKS.lock() = Some(Disks::of(seed));
}

/// How long a sync of the disk at `root` takes, in microseconds.
pub fn set_flush(root: &Path, flush_us: Range<u64>) {
    with(|disks| disks.machine(root).flush_us = flush_us);
}

/// Whoever has the directory at `root` open loses it, and what it does to it from here
/// on is done to nothing. What the crash leaves is there for the next one.
pub fn crash(root: &Path, crash: Crash) {
    with(|disks| disks.crash(root, crash));
}

/// Whoever waited for what stands in the database at `path` was told that it is on the
/// disk.
pub(crate) fn promise(path: &Path) {
    let database = with(|disks| disks.databases.get(path).cloned());
    if let Some(database) = database {
        database.lock().promise();
    }
}

/// What disks have lost that was said to be on them, since this was asked last.
pub fn broken_promises() -> Vec<String> {
    with(|disks| std::mem::take(&mut disks.broken))
}

/// What a crash at that very moment is most dangerous to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// A vote was called saved.
    Vote,
    /// The log has forgotten entries.
    Purge,
    /// Another state was put in place.
    Install,
}

/// How often that has come on the disk at `root`.
pub fn moments(root: &Path, moment: Moment) -> u64 {
    with(|disks| disks.machine(root).moments[moment as usize])
}

pub(crate) fn has_come(path: &Path, moment: Moment) {
    with(|disks| {
        let mut machines = disks.machines.iter_mut();
        if let Some((_, machine)) = machines.find(|(root, _)| path.starts_with(root)) {
            machine.moments[moment as usize] += 1;
        }
    });
}

/// A moment of the disk's, for work that waits for it.
pub fn moment(root: &Path) -> Duration {
    with(|disks| {
        let range = disks.machine(root).flush_us.clone();
        Duration::from_micros(disks.random.u64(range))
    })
}

pub(crate) fn with<T>(work: impl FnOnce(&mut Disks) -> T) -> T {
    work(DISKS.lock().get_or_insert_with(|| Disks::of(0)))
}

impl Disks {
    fn of(seed: u64) -> Self {
        Self {
            random: fastrand::Rng::with_seed(seed),
            directories: BTreeSet::new(),
            files: BTreeMap::new(),
            databases: BTreeMap::new(),
            machines: BTreeMap::new(),
            broken: Vec::new(),
        }
    }

    fn machine(&mut self, root: &Path) -> &mut Machine {
        let root = root.to_owned();
        self.machines.entry(root).or_default()
    }

    /// Which life the machine lives that a path belongs to.
    pub(crate) fn life_of(&self, path: &Path) -> u64 {
        let machine = self
            .machines
            .iter()
            .find(|(root, _)| path.starts_with(root));
        machine.map_or(0, |(_, machine)| machine.life)
    }

    fn crash(&mut self, root: &Path, crash: Crash) {
        self.machine(root).life += 1;
        let random = &mut self.random;
        for (path, file) in &mut self.files {
            if path.starts_with(root) {
                let left = file.lock().after(crash, random);
                *file = Arc::new(Mutex::new(left));
            }
        }
        self.databases.retain(|path, database| {
            if !path.starts_with(root) {
                return true;
            }
            let left = database.lock().after(crash, random);
            let promised = database.lock().promised();
            if left.as_ref().is_some_and(|left| left.survived < promised) {
                let what = "was said to be on the disk, and a power cut took it";
                self.broken
                    .push(format!("{}: a write {what}", path.display()));
            }
            let is_left = left.is_some();
            *database = Arc::new(Mutex::new(left.unwrap_or_default()));
            is_left
        });
    }
}
