//! What a disk can hold after the power went.
//!
//! It certainly holds what was synced: of a file its bytes, of a directory its names.
//! Of what was done later it holds what it will: of each directory the first so many
//! changes, of each file the first so many writes, the next perhaps in part, and zeros
//! where a page or its size reached the disk and its neighbour did not. Sectors are
//! not torn.

use std::{
    collections::{BTreeMap, HashMap},
    ffi::{OsStr, OsString},
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
};

use super::journal::Call;
use crate::dice::Dice;

const SECTOR: usize = 512;
const PAGE: usize = 4096;

/// A file or a directory, whatever became of its inode's number.
type Id = usize;

/// What happened to a file.
#[derive(Debug, Clone)]
enum Change {
    Write { offset: usize, bytes: Vec<u8> },
    Size(usize),
}

impl Change {
    fn apply(&self, content: &mut Vec<u8>) {
        match self {
            Self::Write { offset, bytes } => put(content, *offset, bytes),
            Self::Size(size) => content.resize(*size, 0),
        }
    }
}

fn put(content: &mut Vec<u8>, offset: usize, bytes: &[u8]) {
    let end = offset + bytes.len();
    if content.len() < end {
        content.resize(end, 0);
    }
    content[offset..end].copy_from_slice(bytes);
}

/// What happened to the names of a directory.
#[derive(Debug, Clone)]
enum Naming {
    Add(OsString, Id),
    Drop(OsString),
    Rename(OsString, OsString, Id),
}

type Names = BTreeMap<OsString, Id>;

impl Naming {
    fn apply(&self, names: &mut Names) {
        match self {
            Self::Add(name, id) => {
                names.insert(name.clone(), *id);
            }
            Self::Drop(name) => {
                names.remove(name);
            }
            Self::Rename(from, to, id) => {
                names.remove(from);
                names.insert(to.clone(), *id);
            }
        }
    }
}

/// What is durable, and what came later.
#[derive(Debug)]
struct Later<S, C> {
    durable: S,
    pending: Vec<C>,
    /// How many changes went into `durable` before those that are pending.
    gone: usize,
}

impl<S, C> Later<S, C> {
    const fn of(durable: S) -> Self {
        Self {
            durable,
            pending: Vec::new(),
            gone: 0,
        }
    }

    const fn so_far(&self) -> usize {
        self.gone + self.pending.len()
    }

    fn sync(&mut self, through: usize, apply: impl Fn(&C, &mut S)) {
        let count = through.saturating_sub(self.gone).min(self.pending.len());
        for change in self.pending.drain(..count) {
            apply(&change, &mut self.durable);
        }
        self.gone += count;
    }
}

#[derive(Debug)]
enum Node {
    File(Later<Vec<u8>, Change>),
    Directory {
        names: Later<Names, Naming>,
        now: Names,
    },
}

/// The files below a directory: what is durable, and what came later.
#[derive(Debug)]
pub struct Disk {
    path: PathBuf,
    root: Id,
    nodes: Vec<Node>,
    modes: Vec<u32>,
    by_inode: HashMap<u64, Id>,
    syncing: HashMap<u64, (Id, usize)>,
}

/// What a cut took away.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Lost {
    /// Changes of names.
    pub names: usize,
    /// Files that lost something.
    pub files: usize,
    /// Writes, those in part included.
    pub writes: usize,
    /// Pages that are zeros though later ones are there.
    pub holes: usize,
}

impl Lost {
    /// Adds another's.
    pub const fn add(&mut self, other: &Self) {
        self.names += other.names;
        self.files += other.files;
        self.writes += other.writes;
        self.holes += other.holes;
    }
}

impl Disk {
    /// All that is below `path` now, as if it had been synced.
    #[must_use]
    pub fn synced(path: &Path) -> Self {
        let mut disk = Self {
            path: path.to_owned(),
            root: 0,
            nodes: Vec::new(),
            modes: Vec::new(),
            by_inode: HashMap::new(),
            syncing: HashMap::new(),
        };
        disk.root = disk.load(path);
        disk
    }

    fn load(&mut self, path: &Path) -> Id {
        let found = fs::symlink_metadata(path).unwrap();
        if let Some(id) = self.by_inode.get(&found.ino()) {
            return *id;
        }
        let mode = found.mode() & 0o7777;
        if !found.is_dir() {
            let file = Later::of(fs::read(path).unwrap());
            return self.add(found.ino(), mode, Node::File(file));
        }
        let id = self.make(found.ino(), mode);
        let mut names = Names::new();
        for entry in fs::read_dir(path).unwrap() {
            let entry = entry.unwrap();
            names.insert(entry.file_name(), self.load(&entry.path()));
        }
        self.nodes[id] = Node::Directory {
            now: names.clone(),
            names: Later::of(names),
        };
        id
    }

    fn add(&mut self, ino: u64, mode: u32, node: Node) -> Id {
        self.nodes.push(node);
        self.modes.push(mode);
        self.by_inode.insert(ino, self.nodes.len() - 1);
        self.nodes.len() - 1
    }

    fn make(&mut self, ino: u64, mode: u32) -> Id {
        let directory = Node::Directory {
            names: Later::of(Names::new()),
            now: Names::new(),
        };
        self.add(ino, mode, directory)
    }

    /// Takes note of what a process did.
    pub fn follow(&mut self, call: Call) {
        match call {
            Call::Created { ino, mode, path } => {
                let id = self.add(ino, mode, Node::File(Later::of(Vec::new())));
                self.name(&path, |name| Naming::Add(name, id));
            }
            Call::Made { ino, mode, path } => {
                let id = self.make(ino, mode);
                self.name(&path, |name| Naming::Add(name, id));
            }
            Call::Written { ino, offset, bytes } => {
                self.change(ino, Change::Write { offset, bytes });
            }
            Call::Sized { ino, size } => self.change(ino, Change::Size(size)),
            Call::Unlinked(path) | Call::Removed(path) => self.name(&path, Naming::Drop),
            Call::Linked { from, to } => {
                if let Some(id) = self.find(&from) {
                    self.name(&to, |name| Naming::Add(name, id));
                }
            }
            Call::Renamed { from, to } => self.rename(&from, &to),
            Call::Syncing { ino, number } => self.begin_sync(ino, number),
            Call::Synced { number, .. } => self.end_sync(number),
        }
    }

    fn change(&mut self, ino: u64, change: Change) {
        let id = self.by_inode.get(&ino);
        // Another file: the process's log, or what it wrote through stdio.
        if let Some(Node::File(file)) = id.map(|id| &mut self.nodes[*id]) {
            file.pending.push(change);
        }
    }

    fn rename(&mut self, from: &Path, to: &Path) {
        let Some(id) = self.find(from) else { return };
        if from.parent() == to.parent() {
            let new = to.file_name().unwrap().to_owned();
            self.name(from, |old| Naming::Rename(old, new, id));
        } else {
            self.name(to, |name| Naming::Add(name, id));
            self.name(from, Naming::Drop);
        }
    }

    fn name(&mut self, path: &Path, naming: impl FnOnce(OsString) -> Naming) {
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return;
        };
        let Some(id) = self.find(parent) else { return };
        if let Node::Directory { names, now } = &mut self.nodes[id] {
            let naming = naming(name.to_owned());
            naming.apply(now);
            names.pending.push(naming);
        }
    }

    /// What has that name now.
    fn find(&self, path: &Path) -> Option<Id> {
        let below = path.strip_prefix(&self.path).ok()?;
        below
            .iter()
            .try_fold(self.root, |id, name: &OsStr| match &self.nodes[id] {
                Node::Directory { now, .. } => now.get(name).copied(),
                Node::File(_) => None,
            })
    }

    fn begin_sync(&mut self, ino: u64, number: u64) {
        let Some(id) = self.by_inode.get(&ino).copied() else {
            return;
        };
        let so_far = match &self.nodes[id] {
            Node::File(file) => file.so_far(),
            Node::Directory { names, .. } => names.so_far(),
        };
        self.syncing.insert(number, (id, so_far));
    }

    fn end_sync(&mut self, number: u64) {
        let Some((id, through)) = self.syncing.remove(&number) else {
            return;
        };
        match &mut self.nodes[id] {
            Node::File(file) => file.sync(through, Change::apply),
            Node::Directory { names, .. } => names.sync(through, Naming::apply),
        }
    }

    /// Writes to `target`, which is not there yet, what the disk could hold if the
    /// power went now.
    pub fn cut(&self, target: &Path, dice: &mut Dice) -> Lost {
        let mut lost = Lost::default();
        let mut files = HashMap::new();
        self.cut_directory(self.root, target, dice, &mut files, &mut lost);
        lost
    }

    fn cut_directory(
        &self,
        id: Id,
        target: &Path,
        dice: &mut Dice,
        files: &mut HashMap<Id, PathBuf>,
        lost: &mut Lost,
    ) {
        let Node::Directory { names, .. } = &self.nodes[id] else {
            unreachable!("only directories have names");
        };
        fs::create_dir(target).unwrap();
        let kept = dice.position(names.pending.len() + 1);
        lost.names += names.pending.len() - kept;
        let mut left = names.durable.clone();
        for naming in &names.pending[..kept] {
            naming.apply(&mut left);
        }
        for (name, id) in left {
            let path = target.join(name);
            match &self.nodes[id] {
                Node::Directory { .. } => self.cut_directory(id, &path, dice, files, lost),
                Node::File(file) => match files.get(&id) {
                    Some(other) => fs::hard_link(other, &path).unwrap(),
                    None => {
                        fs::write(&path, cut_file(file, dice, lost)).unwrap();
                        self.set_mode(id, &path);
                        files.insert(id, path);
                    }
                },
            }
        }
        self.set_mode(id, target);
    }

    fn set_mode(&self, id: Id, path: &Path) {
        fs::set_permissions(path, fs::Permissions::from_mode(self.modes[id])).unwrap();
    }
}

/// All, nothing, or some of what was not synced.
fn cut_file(file: &Later<Vec<u8>, Change>, dice: &mut Dice, lost: &mut Lost) -> Vec<u8> {
    let mut content = file.durable.clone();
    let pending = &file.pending;
    let kept = match dice.below(4) {
        0 => 0,
        1 => pending.len(),
        _ => dice.position(pending.len() + 1),
    };
    for change in &pending[..kept] {
        change.apply(&mut content);
    }
    if kept < pending.len() {
        lost.files += 1;
        lost.writes += pending.len() - kept;
        tear(&pending[kept], &mut content, dice);
        if dice.chance(30) {
            extend(&pending[kept..], &mut content, dice);
        }
    }
    if dice.chance(30) {
        punch(&file.durable, &mut content, dice, lost);
    }
    content
}

/// Some sectors of a write, from its beginning.
fn tear(change: &Change, content: &mut Vec<u8>, dice: &mut Dice) {
    let Change::Write { offset, bytes } = change else {
        return;
    };
    let end = offset + dice.position(bytes.len() + 1);
    let end = end / SECTOR * SECTOR;
    if end > *offset {
        put(content, *offset, &bytes[..end - offset]);
    }
}

/// The size was written, and the bytes were not.
fn extend(missing: &[Change], content: &mut Vec<u8>, dice: &mut Dice) {
    let sizes = missing.iter().map(|change| match change {
        Change::Write { offset, bytes } => offset + bytes.len(),
        Change::Size(size) => *size,
    });
    let most = sizes.max().unwrap_or(0);
    if most > content.len() {
        let size = content.len() + dice.position(most - content.len() + 1);
        content.resize(size, 0);
    }
}

/// Pages that were never written, among those that were.
fn punch(durable: &[u8], content: &mut [u8], dice: &mut Dice, lost: &mut Lost) {
    let first = durable.len().div_ceil(PAGE);
    for page in first..content.len() / PAGE {
        if dice.chance(15) {
            content[page * PAGE..(page + 1) * PAGE].fill(0);
            lost.holes += 1;
        }
    }
}
