//! Whose directory it is, that nobody else has it open, and that nothing of it is missing.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod fixture;

use std::{
    fs,
    io::{BufRead, BufReader},
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Command, Stdio},
};

use chancery_storage::{DataDirectory, Error, LogStore, Marker, StateStore};
use fixture::{flip_bit, marker, member, open};
use tempfile::TempDir;

const CHILD: &str = "CHANCERY_STORAGE_CHILD";

fn refusal(path: &Path, marker: &Marker) -> Error {
    DataDirectory::open(path, marker).unwrap_err()
}

#[test]
fn a_member_directory_is_its_owners_alone() {
    let home = TempDir::new().unwrap();
    let path = home.path().join("new").join("node");
    DataDirectory::create(&path, &marker()).unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&path), 0o700);
    assert_eq!(mode(&path.join("MARKER")), 0o600);
    assert_eq!(DataDirectory::marker_at(&path).unwrap(), Some(marker()));
}

#[test]
fn a_directory_of_another_cluster_node_or_later_incarnation_is_refused_and_says_so() {
    let home = member();
    let cluster = Marker {
        cluster: [8; 16],
        ..marker()
    };
    let node = Marker {
        node: 4,
        ..marker()
    };
    let earlier = Marker {
        incarnation: 4,
        ..marker()
    };
    assert!(matches!(
        refusal(home.path(), &cluster),
        Error::AnotherCluster { .. }
    ));
    assert!(matches!(
        refusal(home.path(), &node),
        Error::AnotherNode {
            found: 3,
            expected: 4,
            ..
        }
    ));
    let error = refusal(home.path(), &earlier);
    assert!(matches!(
        error,
        Error::LaterIncarnation {
            found: 5,
            expected: 4,
            ..
        }
    ));
    assert!(error.to_string().contains("use the latest"), "{error}");
    assert!(
        refusal(home.path(), &cluster)
            .to_string()
            .contains("0707070707"),
        "names the cluster"
    );
}

#[test]
fn once_opened_in_a_later_incarnation_the_earlier_one_is_refused() {
    let home = member();
    let later = Marker {
        incarnation: 6,
        ..marker()
    };
    drop(DataDirectory::open(home.path(), &later).unwrap());
    assert!(matches!(
        refusal(home.path(), &marker()),
        Error::LaterIncarnation {
            found: 6,
            expected: 5,
            ..
        }
    ));
}

#[test]
fn a_directory_is_open_once_and_as_long_as_a_store_on_it_lives() {
    let home = member();
    let directory = open(home.path());
    assert!(matches!(
        refusal(home.path(), &marker()),
        Error::InUse { .. }
    ));
    let (log, state) = directory.open_stores().unwrap();
    drop((directory, log));
    assert!(matches!(
        refusal(home.path(), &marker()),
        Error::InUse { .. }
    ));
    drop(state);
    open(home.path());
}

#[test]
fn another_process_keeps_the_directory_until_it_dies() {
    if let Ok(path) = std::env::var(CHILD) {
        let _directory = open(Path::new(&path));
        eprintln!("open");
        std::io::stdin().lines().next();
        return;
    }
    let home = member();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "another_process_keeps_the_directory_until_it_dies",
            "--nocapture",
        ])
        .env(CHILD, home.path())
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let mut said = BufReader::new(child.stderr.take().unwrap()).lines();
    assert!(said.any(|line| line.unwrap() == "open"));
    assert!(matches!(
        refusal(home.path(), &marker()),
        Error::InUse { .. }
    ));
    child.kill().unwrap();
    child.wait().unwrap();
    open(home.path());
}

#[test]
fn a_member_whose_disk_is_empty_does_not_start() {
    let home = TempDir::new().unwrap();
    let error = refusal(home.path(), &marker());
    assert!(matches!(error, Error::NotAMember { .. }));
    assert!(error.to_string().contains("under a new number"), "{error}");
    assert!(matches!(
        refusal(&home.path().join("nothing"), &marker()),
        Error::NotAMember { .. }
    ));
    assert_eq!(DataDirectory::marker_at(home.path()).unwrap(), None);
}

#[test]
fn a_member_without_one_of_its_databases_does_not_start() {
    for lost in ["log", "state"] {
        let home = member();
        fs::remove_dir_all(home.path().join(lost)).unwrap();
        assert!(
            matches!(
                refusal(home.path(), &marker()),
                Error::DatabaseMissing { .. }
            ),
            "{lost}"
        );
    }
}

#[test]
fn databases_without_their_marker_are_neither_opened_nor_overwritten() {
    let home = member();
    fs::remove_file(home.path().join("MARKER")).unwrap();
    assert!(matches!(
        refusal(home.path(), &marker()),
        Error::MarkerMissing { .. }
    ));
    let error = DataDirectory::create(home.path(), &marker()).unwrap_err();
    assert!(matches!(error, Error::MarkerMissing { .. }));
}

#[test]
fn a_node_is_not_created_over_another() {
    let home = member();
    let error = DataDirectory::create(
        home.path(),
        &Marker {
            node: 9,
            ..marker()
        },
    )
    .unwrap_err();
    assert!(matches!(error, Error::AlreadyAMember { node: 3, .. }));
}

#[test]
fn a_marker_that_the_disk_changed_is_refused() {
    let home = member();
    flip_bit(&home.path().join("MARKER"), 8 * 20);
    assert!(matches!(
        refusal(home.path(), &marker()),
        Error::Damaged { .. }
    ));
    assert!(DataDirectory::marker_at(home.path()).is_err());
}

#[test]
fn a_database_of_another_node_is_refused_in_the_right_directory() {
    let (ours, theirs) = (member(), TempDir::new().unwrap());
    DataDirectory::create(
        theirs.path(),
        &Marker {
            node: 4,
            ..marker()
        },
    )
    .unwrap();
    for database in ["log", "state"] {
        fs::remove_dir_all(ours.path().join(database)).unwrap();
        fixture::crash_image(&theirs.path().join(database), &ours.path().join(database));
    }
    let directory = open(ours.path());
    let is_refused = |error| {
        matches!(
            error,
            Error::AnotherNode {
                found: 4,
                expected: 3,
                ..
            }
        )
    };
    assert!(is_refused(LogStore::open(&directory).unwrap_err()));
    assert!(is_refused(StateStore::open(&directory).unwrap_err()));
}
