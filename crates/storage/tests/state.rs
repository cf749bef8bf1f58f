//! The state tables: atomic writes, images while writing goes on, and a state that arrives from elsewhere.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod fixture;

use std::{
    fs,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use bytes::Bytes;
use chancery_storage::{Error, Row, RowWrite, StateStore, Tally};
use fixture::{applied, crash_image, files, flip_bit, member, open, row};
use tempfile::TempDir;

fn open_state(path: &Path) -> StateStore {
    StateStore::open(&open(path)).unwrap()
}

fn rows(rows: chancery_storage::Rows) -> Vec<(u8, String, String)> {
    let text = |bytes: &Bytes| String::from_utf8(bytes.to_vec()).unwrap();
    rows.map(|row| row.unwrap())
        .map(|row| (row.table, text(&row.key), text(&row.value)))
        .collect()
}

fn expected(rows: &[(u8, &str, &str)]) -> Vec<(u8, String, String)> {
    rows.iter()
        .map(|(table, key, value)| (*table, (*key).into(), (*value).into()))
        .collect()
}

/// Numbered directories under `path`.
fn numbers(path: &Path) -> Vec<u64> {
    let mut numbers: Vec<u64> = fs::read_dir(path)
        .unwrap()
        .filter_map(|child| child.unwrap().file_name().to_str().unwrap().parse().ok())
        .collect();
    numbers.sort_unstable();
    numbers
}

#[test]
fn rows_and_how_far_they_bring_the_state_are_written_together() {
    let home = member();
    let state = open_state(home.path());
    assert_eq!((state.applied(), state.sync().unwrap()), (None, None));
    let first = vec![
        row(0, "a", "1"),
        row(0, "b", "2"),
        row(255, "", "3"),
        row(1, "a", "4"),
    ];
    state.write(first, applied(7)).unwrap();
    let removed = RowWrite {
        table: 0,
        key: "a".into(),
        value: None,
    };
    state
        .write(vec![removed, row(1, "a", "5")], applied(8))
        .unwrap();
    drop(state);
    let state = open_state(home.path());
    assert_eq!(state.applied(), Some(applied(8)));
    assert_eq!(rows(state.scan(0)), expected(&[(0, "b", "2")]));
    assert_eq!(rows(state.scan(2)), expected(&[]));
    assert_eq!(rows(state.scan(255)), expected(&[(255, "", "3")]));
    assert_eq!(
        rows(state.rows()),
        expected(&[(0, "b", "2"), (1, "a", "5"), (255, "", "3")])
    );
    assert_eq!(state.get(1, b"a").unwrap(), Some(Bytes::from_static(b"5")));
    assert_eq!(state.get(0, b"a").unwrap(), None);
    assert_eq!(state.sync().unwrap(), Some(8));
    assert!(matches!(
        state.write(Vec::new(), applied(7)),
        Err(Error::WouldGoBack {
            applied: 8,
            given: 7
        })
    ));
}

#[test]
fn a_crash_leaves_the_state_of_some_index_never_half_of_one() {
    let home = member();
    let state = open_state(home.path());
    for index in 1..=8 {
        let both = vec![
            row(1, "left", &index.to_string()),
            row(2, "right", &index.to_string()),
        ];
        state.write(both, applied(index)).unwrap();
    }
    let image = TempDir::new().unwrap();
    crash_image(home.path(), image.path());
    let wal = fixture::wal(&image.path().join("state").join(format!("{:020}", 0)));
    let mut length = fs::metadata(&wal).unwrap().len();
    let mut seen = Vec::new();
    while length > 0 {
        length = length.saturating_sub(41);
        let cut = TempDir::new().unwrap();
        crash_image(image.path(), cut.path());
        let wal = cut.path().join(wal.strip_prefix(image.path()).unwrap());
        fs::OpenOptions::new()
            .write(true)
            .open(wal)
            .unwrap()
            .set_len(length)
            .unwrap();
        let state = open_state(cut.path());
        let index = state.applied().map_or(0, |applied| applied.index);
        let text = index.to_string();
        let both = [(1, "left", text.as_str()), (2, "right", text.as_str())];
        let whole = if index == 0 {
            expected(&[])
        } else {
            expected(&both)
        };
        assert_eq!(rows(state.rows()), whole);
        seen.push(index);
    }
    assert!(
        seen.is_sorted_by(|later, earlier| later >= earlier) && seen.len() > 8,
        "{seen:?}"
    );
}

#[test]
fn a_large_table_is_scanned_whole_and_in_order() {
    let home = member();
    let state = open_state(home.path());
    for batch in 0..5_u64 {
        let numbers = (0..1000).map(|number| format!("{:06}", batch * 1000 + number));
        let some = numbers.map(|number| row(4, &number, &number)).collect();
        state.write(some, applied(batch)).unwrap();
    }
    state
        .write(vec![row(3, "z", ""), row(5, "", "")], applied(9))
        .unwrap();
    let found = rows(state.scan(4));
    assert_eq!(found.len(), 5000);
    assert!(
        found
            .iter()
            .enumerate()
            .all(|(at, (_, key, _))| *key == format!("{at:06}"))
    );
}

#[test]
fn an_image_made_while_writing_goes_on_is_the_state_at_its_index() {
    let home = member();
    let state = open_state(home.path());
    state.write(vec![row(1, "count", "0")], applied(0)).unwrap();
    let done = Arc::new(AtomicBool::new(false));
    let writer = std::thread::spawn({
        let (state, done) = (state.clone(), done.clone());
        move || {
            let mut index = 0;
            while !done.load(Ordering::Acquire) {
                index += 1;
                let of_this = row(2, &format!("{index:08}"), "");
                state
                    .write(
                        vec![row(1, "count", &index.to_string()), of_this],
                        applied(index),
                    )
                    .unwrap();
            }
        }
    });
    for _ in 0..6 {
        let image = state.checkpoint().unwrap();
        let found = rows(image.rows().unwrap());
        let index = image.index();
        assert_eq!(image.applied(), &applied(index));
        assert_eq!(found.first().unwrap().2, index.to_string());
        assert_eq!(
            found.len() as u64,
            index + 1,
            "one row more with every index"
        );
    }
    done.store(true, Ordering::Release);
    writer.join().unwrap();
}

#[test]
fn the_newest_two_images_are_kept_and_the_newest_is_by_number() {
    let home = member();
    let state = open_state(home.path());
    assert!(matches!(state.checkpoint(), Err(Error::NothingApplied)));
    assert!(state.newest_checkpoint().unwrap().is_none());
    for index in [9, 10, 101] {
        state
            .write(vec![row(1, "at", &index.to_string())], applied(index))
            .unwrap();
        assert_eq!(state.checkpoint().unwrap().index(), index);
    }
    assert_eq!(
        state.checkpoint().unwrap().index(),
        101,
        "once more is the same"
    );
    assert_eq!(numbers(&home.path().join("checkpoints")), [10, 101]);
    drop(state);
    fs::create_dir(home.path().join("checkpoints").join("making")).unwrap();
    let state = open_state(home.path());
    let newest = state.newest_checkpoint().unwrap().unwrap();
    assert_eq!((newest.index(), newest.applied()), (101, &applied(101)));
    assert_eq!(rows(newest.rows().unwrap()), expected(&[(1, "at", "101")]));
    assert!(!home.path().join("checkpoints").join("making").exists());
}

#[test]
fn an_image_that_is_being_read_stays_until_it_is_read() {
    let home = member();
    let state = open_state(home.path());
    let mut reading = None;
    for index in 1..=4 {
        state
            .write(vec![row(1, "at", &index.to_string())], applied(index))
            .unwrap();
        let image = state.checkpoint().unwrap();
        if index == 1 {
            reading = Some(image.rows().unwrap());
        }
    }
    assert_eq!(numbers(&home.path().join("checkpoints")), [1, 3, 4]);
    assert_eq!(rows(reading.unwrap()), expected(&[(1, "at", "1")]));
    state.write(Vec::new(), applied(5)).unwrap();
    state.checkpoint().unwrap();
    assert_eq!(numbers(&home.path().join("checkpoints")), [4, 5]);
}

#[test]
fn a_corrupt_newest_image_is_passed_over_and_made_again() {
    let home = member();
    let state = open_state(home.path());
    for index in [1, 2] {
        state
            .write(vec![row(1, "at", &index.to_string())], applied(index))
            .unwrap();
        state.checkpoint().unwrap();
    }
    drop(state);
    let newest = home.path().join("checkpoints").join(format!("{:020}", 2));
    let manifest = fs::read_dir(&newest)
        .unwrap()
        .map(|child| child.unwrap().path())
        .find(|path| {
            path.file_name()
                .unwrap()
                .to_str()
                .unwrap()
                .starts_with("MANIFEST")
        })
        .unwrap();
    fs::write(&manifest, b"not a manifest").unwrap();
    let state = open_state(home.path());
    assert_eq!(state.newest_checkpoint().unwrap().unwrap().index(), 1);
    assert_eq!(state.checkpoint().unwrap().index(), 2);
    assert_eq!(state.newest_checkpoint().unwrap().unwrap().index(), 2);
}

#[test]
fn a_row_that_the_disk_changed_is_an_error_in_the_midst_of_an_image_and_never_a_row() {
    let home = member();
    let state = open_state(home.path());
    let many = (0..2000)
        .map(|at| row(1, &format!("{at:08}"), &format!("value {at}")))
        .collect();
    state.write(many, applied(1)).unwrap();
    let image = state.checkpoint().unwrap();
    let whole = rows(image.rows().unwrap());
    let path = home.path().join("checkpoints").join(format!("{:020}", 1));
    // The checkpoint shares its tables with the state.
    let table = files(&path, "sst").pop().unwrap();
    // Past the first block, in which the applied index stands: the image opens.
    let third = usize::try_from(fs::metadata(&table).unwrap().len() / 3).unwrap();
    flip_bit(&table, 8 * third);
    drop((state, image));
    let state = open_state(home.path());
    let image = state.newest_checkpoint().unwrap().unwrap();
    let found: Vec<_> = image.rows().unwrap().collect();
    assert!(
        matches!(found.last(), Some(Err(Error::Corrupt { .. }))),
        "{:?}",
        found.last()
    );
    assert!(found.len() < whole.len());
    state.discard_checkpoint(&image).unwrap();
    assert!(state.newest_checkpoint().unwrap().is_none());
}

/// Sends an image to another node's directory.
fn transfer(from: &StateStore, to: &StateStore) -> Tally {
    let image = from.checkpoint().unwrap();
    let mut staged = to.stage().unwrap();
    let mut sending = image.rows().unwrap();
    for row in sending.by_ref() {
        staged.push(vec![row.unwrap()]).unwrap();
    }
    let finished = staged
        .finish(image.applied().clone(), &sending.tally())
        .unwrap();
    to.install(finished).unwrap();
    sending.tally()
}

#[test]
fn a_state_from_another_node_replaces_the_old_one_whole() {
    let (old, new) = (member(), member());
    let sender = open_state(old.path());
    sender
        .write(vec![row(1, "a", "1"), row(2, "b", "2")], applied(50))
        .unwrap();
    let state = open_state(new.path());
    state.write(vec![row(1, "gone", "x")], applied(3)).unwrap();
    let before = state.scan(1);
    let tally = transfer(&sender, &state);
    assert_eq!(tally.rows, 2);
    assert_eq!(
        rows(before),
        expected(&[(1, "gone", "x")]),
        "a scan goes on in the old one"
    );
    assert_eq!(state.applied(), Some(applied(50)));
    assert_eq!(
        rows(state.rows()),
        expected(&[(1, "a", "1"), (2, "b", "2")])
    );
    assert_eq!(
        numbers(&new.path().join("state")),
        [1],
        "the old one goes with its last reader"
    );

    state.write(vec![row(1, "a", "3")], applied(51)).unwrap();
    let image = TempDir::new().unwrap();
    crash_image(new.path(), image.path());
    let state = open_state(image.path());
    assert_eq!(state.applied(), Some(applied(51)));
    assert_eq!(
        rows(state.rows()),
        expected(&[(1, "a", "3"), (2, "b", "2")])
    );
}

#[test]
fn a_transfer_that_lost_rows_is_never_installed() {
    let home = member();
    let state = open_state(home.path());
    state.write(vec![row(1, "a", "1")], applied(1)).unwrap();
    let one = |key: &str| Row {
        table: 1,
        key: key.to_owned().into(),
        value: Bytes::new(),
    };
    let tally = |rows: Vec<Row>| {
        let mut staged = state.stage().unwrap();
        staged.push(rows).unwrap();
        staged.tally()
    };
    let sent = tally(vec![one("a"), one("b")]);
    for received in [
        vec![one("a")],
        vec![one("a"), one("c")],
        vec![one("b"), one("a")],
    ] {
        let mut staged = state.stage().unwrap();
        staged.push(received).unwrap();
        let error = staged.finish(applied(9), &sent).unwrap_err();
        assert!(
            matches!(error, Error::Incomplete { expected: 2, .. }),
            "{error}"
        );
    }
    assert_eq!(
        numbers(&home.path().join("state")),
        [0],
        "nothing is left of them"
    );
    assert_eq!(state.applied(), Some(applied(1)));
}

#[test]
fn what_a_crash_left_of_a_transfer_is_removed_and_the_old_state_stands() {
    let home = member();
    let state = open_state(home.path());
    state.write(vec![row(1, "a", "1")], applied(1)).unwrap();
    let mut staged = state.stage().unwrap();
    let one = Row {
        table: 1,
        key: "b".into(),
        value: Bytes::new(),
    };
    staged.push(vec![one]).unwrap();
    let (half, whole) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    crash_image(home.path(), half.path());
    let sent = staged.tally();
    let finished = staged.finish(applied(9), &sent).unwrap();
    crash_image(home.path(), whole.path());
    state.install(finished).unwrap();
    assert_eq!(state.applied(), Some(applied(9)));
    for crashed in [half, whole] {
        assert_eq!(numbers(&crashed.path().join("state")), [0, 1]);
        let state = open_state(crashed.path());
        assert_eq!(state.applied(), Some(applied(1)));
        assert_eq!(numbers(&crashed.path().join("state")), [0]);
        // The number is free again.
        drop(state.stage().unwrap());
        assert_eq!(rows(state.rows()), expected(&[(1, "a", "1")]));
    }
}

#[test]
fn an_older_state_is_not_installed_over_a_newer_one() {
    let home = member();
    let state = open_state(home.path());
    state.write(vec![row(1, "a", "1")], applied(10)).unwrap();
    let staged = state.stage().unwrap();
    let nothing = staged.tally();
    let finished = staged.finish(applied(9), &nothing).unwrap();
    assert!(matches!(
        state.install(finished),
        Err(Error::WouldGoBack {
            applied: 10,
            given: 9
        })
    ));
    assert_eq!(numbers(&home.path().join("state")), [0]);
}
