//! The disk that loses what was not synced: what it certainly keeps, and what it may
//! lose.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use std::{collections::BTreeSet, fs, path::Path};

use chancery_tests::{
    dice::Dice,
    powercut::{Disk, Lost, journal::Call},
};
use tempfile::TempDir;

const SEEDS: u64 = 300;

/// A story told twice: what is done, and what may be there afterwards.
struct Rig {
    home: TempDir,
    disk: Disk,
    syncs: u64,
}

impl Rig {
    fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        fs::create_dir(home.path().join("root")).unwrap();
        fs::write(home.path().join("root/old"), b"old").unwrap();
        let disk = Disk::synced(&home.path().join("root"));
        Self {
            home,
            disk,
            syncs: 0,
        }
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.home.path().join("root").join(name)
    }

    fn create(&mut self, ino: u64, name: &str) {
        let path = self.path(name);
        self.disk.follow(Call::Created {
            ino,
            mode: 0o600,
            path,
        });
    }

    fn write(&mut self, ino: u64, offset: usize, bytes: &[u8]) {
        self.disk.follow(Call::Written {
            ino,
            offset,
            bytes: bytes.to_vec(),
        });
    }

    fn sync(&mut self, ino: u64) {
        self.syncs += 1;
        let number = self.syncs;
        self.disk.follow(Call::Syncing { ino, number });
        self.disk.follow(Call::Synced { ino, number });
    }

    fn sync_root(&mut self) {
        use std::os::unix::fs::MetadataExt;
        self.sync(fs::metadata(self.path("")).unwrap().ino());
    }

    fn rename(&mut self, from: &str, to: &str) {
        let (from, to) = (self.path(from), self.path(to));
        self.disk.follow(Call::Renamed { from, to });
    }

    /// What `look` sees of each of many cuts.
    fn cuts<T: Ord>(&self, look: impl Fn(&Path, Lost) -> T) -> BTreeSet<T> {
        let mut seen = BTreeSet::new();
        for seed in 0..SEEDS {
            let target = self.home.path().join(format!("cut-{seed}"));
            let lost = self.disk.cut(&target, &mut Dice::of(seed));
            seen.insert(look(&target, lost));
            fs::remove_dir_all(&target).unwrap();
        }
        seen
    }

    fn contents(&self, name: &str) -> BTreeSet<Option<Vec<u8>>> {
        self.cuts(|root, _| fs::read(root.join(name)).ok())
    }
}

fn some(bytes: &[u8]) -> Option<Vec<u8>> {
    Some(bytes.to_vec())
}

#[test]
fn what_was_there_before_and_what_was_synced_with_its_name_is_there() {
    let mut rig = Rig::new();
    rig.create(1_000_001, "new");
    rig.write(1_000_001, 0, b"kept");
    rig.sync(1_000_001);
    rig.sync_root();
    assert_eq!(rig.contents("new"), BTreeSet::from([some(b"kept")]));
    assert_eq!(rig.contents("old"), BTreeSet::from([some(b"old")]));
}

#[test]
fn a_name_that_was_not_synced_may_be_gone_with_the_file() {
    let mut rig = Rig::new();
    rig.create(1_000_001, "new");
    rig.write(1_000_001, 0, b"kept");
    rig.sync(1_000_001);
    assert_eq!(rig.contents("new"), BTreeSet::from([None, some(b"kept")]));
}

#[test]
fn a_tail_that_was_not_synced_is_there_gone_or_zeros() {
    let mut rig = Rig::new();
    rig.create(1_000_001, "new");
    rig.sync_root();
    rig.write(1_000_001, 0, b"kept");
    rig.sync(1_000_001);
    rig.write(1_000_001, 4, b"A");
    rig.write(1_000_001, 5, b"B");
    let seen = rig.contents("new");
    for may in ["kept", "keptA", "keptAB", "kept\0", "keptA\0"] {
        assert!(seen.contains(&some(may.as_bytes())), "{may:?}: {seen:?}");
    }
    assert!(
        seen.iter()
            .all(|it| it.as_ref().unwrap().starts_with(b"kept"))
    );
    assert!(
        !seen.contains(&some(b"kept\0B")),
        "within a sector nothing is torn"
    );
}

#[test]
fn a_long_write_is_torn_between_sectors_and_loses_pages() {
    let mut rig = Rig::new();
    rig.create(1_000_001, "new");
    rig.sync_root();
    rig.write(1_000_001, 0, &[7; 40_000]);
    let torn = rig.cuts(|root, lost| {
        let content = fs::read(root.join("new")).unwrap();
        let sevens = content.iter().take_while(|byte| **byte == 7).count();
        (
            sevens == 40_000 || sevens % 512 == 0,
            sevens > 0 && sevens < 40_000,
            lost.holes > 0,
        )
    });
    assert!(torn.iter().all(|(whole_sectors, ..)| *whole_sectors));
    assert!(torn.iter().any(|(_, torn, _)| *torn));
    assert!(torn.iter().any(|(.., holes)| *holes));
}

#[test]
fn what_is_written_while_a_sync_is_under_way_is_not_covered_by_it() {
    let mut rig = Rig::new();
    rig.create(1_000_001, "new");
    rig.sync_root();
    rig.write(1_000_001, 0, b"kept");
    rig.disk.follow(Call::Syncing {
        ino: 1_000_001,
        number: 9,
    });
    rig.write(1_000_001, 4, b"A");
    assert!(
        rig.contents("new").contains(&some(b"")),
        "it has not returned"
    );
    rig.disk.follow(Call::Synced {
        ino: 1_000_001,
        number: 9,
    });
    let seen = rig.contents("new");
    assert!(seen.contains(&some(b"kept")) && seen.contains(&some(b"keptA")));
    assert!(
        seen.iter()
            .all(|it| it.as_ref().unwrap().starts_with(b"kept"))
    );
}

#[test]
fn a_file_is_replaced_or_not_and_never_half() {
    let mut rig = Rig::new();
    rig.create(1_000_001, "tmp");
    rig.write(1_000_001, 0, b"new");
    rig.sync(1_000_001);
    rig.rename("tmp", "old");
    assert_eq!(
        rig.contents("old"),
        BTreeSet::from([some(b"old"), some(b"new")])
    );
    rig.sync_root();
    assert_eq!(rig.contents("old"), BTreeSet::from([some(b"new")]));
}

#[test]
fn without_a_sync_of_the_file_a_replacement_may_be_empty() {
    let mut rig = Rig::new();
    rig.create(1_000_001, "tmp");
    rig.write(1_000_001, 0, b"new");
    rig.rename("tmp", "old");
    rig.sync_root();
    assert!(rig.contents("old").contains(&some(b"")));
}

#[test]
fn two_names_of_a_file_have_one_content() {
    let mut rig = Rig::new();
    rig.create(1_000_001, "one");
    let (from, to) = (rig.path("one"), rig.path("two"));
    rig.disk.follow(Call::Linked { from, to });
    rig.sync_root();
    rig.write(1_000_001, 0, b"some");
    let equal = rig
        .cuts(|root, _| fs::read(root.join("one")).unwrap() == fs::read(root.join("two")).unwrap());
    assert_eq!(equal, BTreeSet::from([true]));
}

#[test]
fn a_number_of_an_inode_that_is_given_again_is_another_file() {
    let mut rig = Rig::new();
    rig.create(1_000_001, "one");
    rig.write(1_000_001, 0, b"one");
    rig.sync(1_000_001);
    rig.sync_root();
    rig.disk.follow(Call::Unlinked(rig.path("one")));
    rig.create(1_000_001, "two");
    assert_eq!(rig.contents("two"), BTreeSet::from([None, some(b"")]));
    assert!(
        rig.contents("one").contains(&some(b"one")),
        "its removal may be undone"
    );
}
