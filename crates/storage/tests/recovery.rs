//! What a crash takes away and what it must not: every byte at which the power may go, every bit that may flip.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod fixture;

use std::{
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use bytes::Bytes;
use chancery_storage::{DataDirectory, Error, LogStore, completion};
use fixture::{
    append, applied, crash_image, entries, entry, files, flip_bit, member, open, open_log, purge,
    read_all, row, truncate, vote, wait, wal,
};
use tempfile::TempDir;

const CHILD: &str = "CHANCERY_STORAGE_CHILD";

/// A log's files at the end of a run, and how far they were synced on the way.
struct Recording {
    home: TempDir,
    /// Length of the write-ahead log and content of `log.synced` after each step.
    steps: Vec<(u64, Vec<u8>)>,
}

impl Recording {
    fn of(steps: &[&dyn Fn(&LogStore)]) -> Self {
        let live = member();
        let home = TempDir::new().unwrap();
        let log = open_log(live.path());
        let now = || {
            let length = fs::metadata(wal(&live.path().join("log"))).unwrap().len();
            (length, fs::read(live.path().join("log.synced")).unwrap())
        };
        let mut recorded = vec![now()];
        for step in steps {
            step(&log);
            recorded.push(now());
        }
        crash_image(live.path(), home.path());
        Self {
            home,
            steps: recorded,
        }
    }

    /// The power goes when the disk holds the first `length` bytes of the write-ahead log; then `torn` is what stands
    /// where the next write was to. Answers how many steps were synced, and the directory.
    fn power_loss(&self, length: u64, torn: Torn) -> (usize, TempDir) {
        let image = TempDir::new().unwrap();
        crash_image(self.home.path(), image.path());
        let wal = wal(&image.path().join("log"));
        let mut bytes = fs::read(&wal).unwrap();
        let rest = bytes.split_off(usize::try_from(length).unwrap());
        match torn {
            Torn::Cut => {}
            Torn::Zeros => bytes.resize(bytes.len() + rest.len(), 0),
            Torn::Garbage => bytes.extend(rest.iter().map(|byte| byte ^ 0x5a)),
        }
        fs::write(&wal, bytes).unwrap();
        let synced = self
            .steps
            .iter()
            .filter(|(reached, _)| *reached <= length)
            .count()
            - 1;
        let (_, mark) = self.steps.get(synced).unwrap();
        fs::write(image.path().join("log.synced"), mark).unwrap();
        (synced, image)
    }

    fn lengths(&self) -> impl Iterator<Item = u64> {
        let last = self.steps.last().unwrap().0;
        (0..=last)
            .step_by(11)
            .chain(self.steps.iter().map(|(length, _)| *length))
    }
}

#[derive(Clone, Copy, Debug)]
enum Torn {
    Cut,
    Zeros,
    Garbage,
}

/// What the log says of itself.
type Image = (Option<Bytes>, Option<u64>, Vec<(u64, Bytes)>);

fn image(path: &Path) -> Image {
    let log = open_log(path);
    (
        log.vote(),
        log.purged().map(|purged| purged.index),
        read_all(&log),
    )
}

#[test]
fn wherever_the_power_goes_a_whole_number_of_steps_remains_and_all_that_were_synced() {
    let steps: [&dyn Fn(&LogStore); 7] = [
        &|log| vote(log, "term 1"),
        &|log| append(log, 0..6, 1),
        &|log| purge(log, 1),
        &|log| truncate(log, 4),
        &|log| vote(log, "term 2"),
        &|log| append(log, 4..6, 2),
        &|log| append(log, 6..7, 2),
    ];
    let recording = Recording::of(&steps);
    let tail = |entries: Vec<(u64, Bytes)>| entries;
    let (one, two) = (
        Some(Bytes::from_static(b"term 1")),
        Some(Bytes::from_static(b"term 2")),
    );
    let replaced = [entries(2..4, 1), entries(4..6, 2)].concat();
    let expected: Vec<Image> = vec![
        (None, None, tail(vec![])),
        (one.clone(), None, tail(vec![])),
        (one.clone(), None, tail(entries(0..6, 1))),
        (one.clone(), Some(1), tail(entries(2..6, 1))),
        (one, Some(1), tail(entries(2..4, 1))),
        (two.clone(), Some(1), tail(entries(2..4, 1))),
        (two.clone(), Some(1), tail(replaced.clone())),
        (two, Some(1), tail([replaced, entries(6..7, 2)].concat())),
    ];
    for (number, length) in recording.lengths().enumerate() {
        let torn = [Torn::Cut, Torn::Zeros, Torn::Garbage]
            .into_iter()
            .cycle()
            .nth(number)
            .unwrap();
        let (synced, home) = recording.power_loss(length, torn);
        assert_eq!(
            image(home.path()),
            *expected.get(synced).unwrap(),
            "{synced} steps were synced, {length} bytes remain, then {torn:?}"
        );
    }
}

#[test]
fn a_node_that_lost_an_unsynced_tail_goes_on_and_can_crash_again() {
    let recording = Recording::of(&[&|log| append(log, 0..3, 1), &|log| append(log, 3..6, 1)]);
    let (length, _) = recording.steps.get(1).unwrap();
    let (_, home) = recording.power_loss(length + 20, Torn::Garbage);
    let log = open_log(home.path());
    assert_eq!(read_all(&log), entries(0..3, 1));
    append(&log, 3..5, 2);
    let again = TempDir::new().unwrap();
    crash_image(home.path(), again.path());
    assert_eq!(
        read_all(&open_log(again.path())),
        [entries(0..3, 1), entries(3..5, 2)].concat()
    );
}

#[test]
fn a_flipped_bit_in_what_was_synced_is_refused_and_what_remains_is_left_alone() {
    let recording = Recording::of(&[
        &|log| append(log, 0..4, 1),
        &|log| vote(log, "term 2"),
        &|log| append(log, 4..6, 2),
    ]);
    let path = recording.home.path();
    let wal = wal(&path.join("log"));
    let bits = usize::try_from(recording.steps.last().unwrap().0).unwrap() * 8;
    let untouched = fs::read(&wal).unwrap();
    for bit in (0..bits).step_by(37) {
        flip_bit(&wal, bit);
        let refused = LogStore::open(&open(path)).unwrap_err();
        assert!(
            matches!(
                refused,
                Error::SyncedWritesLost { .. } | Error::Corrupt { .. }
            ),
            "bit {bit}: {refused}"
        );
        flip_bit(&wal, bit);
    }
    assert_eq!(fs::read(&wal).unwrap(), untouched);
    let (vote, _, found) = image(path);
    assert_eq!(vote, Some(Bytes::from_static(b"term 2")));
    assert_eq!(found, [entries(0..4, 1), entries(4..6, 2)].concat());
}

#[test]
fn a_flipped_bit_in_a_table_is_refused_and_never_served() {
    let home = member();
    append(&open_log(home.path()), 0..50, 1);
    // Recovery puts what was in the write-ahead log into a table.
    assert_eq!(read_all(&open_log(home.path())).len(), 50);
    let log = home.path().join("log");
    let tables: Vec<PathBuf> = files(&log, "sst");
    let mut noticed = 0;
    for table in &tables {
        let bits = usize::try_from(fs::metadata(table).unwrap().len()).unwrap() * 8;
        for bit in (0..bits).step_by(1201) {
            let image = TempDir::new().unwrap();
            crash_image(home.path(), image.path());
            flip_bit(
                &image.path().join("log").join(table.file_name().unwrap()),
                bit,
            );
            let read =
                LogStore::open(&open(image.path())).and_then(|log| log.read(0..50, usize::MAX));
            match read {
                Ok(found) => assert_eq!(found, entries(0..50, 1), "bit {bit} of {table:?}"),
                Err(_) => noticed += 1,
            }
        }
    }
    assert!(noticed > 0);
}

#[test]
fn a_lost_or_an_old_log_is_refused_even_when_it_is_whole() {
    let home = member();
    append(&open_log(home.path()), 0..3, 1);
    let old = TempDir::new().unwrap();
    crash_image(&home.path().join("log"), old.path());
    append(&open_log(home.path()), 3..6, 1);

    let lost = TempDir::new().unwrap();
    let log = open_log(home.path());
    append(&log, 6..7, 1);
    crash_image(home.path(), lost.path());
    drop(log);
    fs::remove_file(wal(&lost.path().join("log"))).unwrap();
    let error = LogStore::open(&open(lost.path())).unwrap_err();
    assert!(
        matches!(
            error,
            Error::SyncedWritesLost {
                synced: 3,
                found: 2,
                ..
            }
        ),
        "{error}"
    );

    fs::remove_dir_all(home.path().join("log")).unwrap();
    crash_image(old.path(), &home.path().join("log"));
    let error = LogStore::open(&open(home.path())).unwrap_err();
    assert!(
        matches!(
            error,
            Error::SyncedWritesLost {
                synced: 3,
                found: 1,
                ..
            }
        ),
        "{error}"
    );
    assert!(error.to_string().contains("under a new number"), "{error}");
}

#[test]
fn a_state_that_ends_before_the_log_begins_is_refused() {
    let home = member();
    let (log, state) = open(home.path()).open_stores().unwrap();
    state.write(vec![row(1, "a", "1")], applied(3)).unwrap();
    let image = TempDir::new().unwrap();
    crash_image(&home.path().join("state"), image.path());
    state.write(vec![row(1, "a", "2")], applied(8)).unwrap();
    assert_eq!(state.sync().unwrap(), Some(8));
    append(&log, 0..10, 1);
    purge(&log, 8);
    drop((log, state));
    open(home.path()).open_stores().unwrap();
    fs::remove_dir_all(home.path().join("state")).unwrap();
    crash_image(image.path(), &home.path().join("state"));
    let error = open(home.path()).open_stores().unwrap_err();
    assert!(
        matches!(
            error,
            Error::StateBehindLog {
                applied: 3,
                purged: 8,
                ..
            }
        ),
        "{error}"
    );
}

#[test]
fn what_was_called_back_survives_kill_9() {
    if let Ok(path) = std::env::var(CHILD) {
        append_for_ever(Path::new(&path));
    }
    let home = member();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "what_was_called_back_survives_kill_9",
            "--nocapture",
        ])
        .env(CHILD, home.path())
        .stderr(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let said = BufReader::new(child.stderr.take().unwrap());
    let mut flushed = said
        .lines()
        .filter_map(|line| line.unwrap().parse::<u64>().ok());
    assert!(flushed.by_ref().any(|index| index >= 200));
    child.kill().unwrap();
    let last = flushed.max();
    child.wait().unwrap();
    let log = open_log(home.path());
    let (found, last) = (read_all(&log), last.unwrap_or(200));
    assert!(log.last_index() >= Some(last));
    for (index, found) in found {
        assert_eq!(found, entry(index, 1));
    }
}

fn append_for_ever(path: &Path) -> ! {
    let log = open_log(path);
    for index in 0.. {
        let (on_flushed, flushed) = completion();
        let said = Box::new(move |result: std::io::Result<()>| {
            if result.is_ok() {
                eprintln!("{index}");
            }
            on_flushed(result);
        });
        log.append(entries(index..index + 1, 1), said).unwrap();
        if index % 7 == 0 {
            wait(flushed).unwrap();
        }
    }
    unreachable!()
}

#[test]
fn creating_a_node_can_be_interrupted_and_done_again() {
    let home = member();
    // As it is before the marker is completed.
    let whole = fs::read(home.path().join("MARKER")).unwrap();
    let interrupted = interrupted_marker(&whole);
    fs::write(home.path().join("MARKER"), interrupted).unwrap();
    fs::remove_dir_all(home.path().join("state")).unwrap();
    let error = DataDirectory::open(home.path(), &fixture::marker()).unwrap_err();
    assert!(
        matches!(error, Error::CreationInterrupted { .. }),
        "{error}"
    );
    assert_eq!(DataDirectory::marker_at(home.path()).unwrap(), None);
    DataDirectory::create(home.path(), &fixture::marker()).unwrap();
    append(&open_log(home.path()), 0..1, 1);
}

/// The marker with its phase, the byte after the header, taken back, and sealed again.
fn interrupted_marker(whole: &[u8]) -> Vec<u8> {
    use sha2::{Digest, Sha256};
    let (body, _) = whole.split_last_chunk::<32>().unwrap();
    let mut body = body.to_vec();
    *body.get_mut(14).unwrap() = 0;
    let checksum = Sha256::digest(&body);
    body.extend_from_slice(&checksum);
    body
}
