//! The log and the vote: order, group commit, truncation, purge.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod fixture;

use std::{
    sync::{Arc, Mutex, mpsc},
    time::Duration,
};

use bytes::Bytes;
use chancery_storage::{Error, LogStore, completion};
use fixture::{
    BusyDisk, append, entries, entry, member, open, open_log, purge, read_all, truncate, vote, wait,
};

#[test]
fn entries_are_readable_before_they_are_on_the_disk() {
    let home = member();
    let log = open_log(home.path());
    let disk = BusyDisk::of(&log);
    let (on_flushed, flushed) = completion();
    log.append(entries(0..3, 1), on_flushed).unwrap();
    assert_eq!(read_all(&log), entries(0..3, 1));
    assert_eq!((log.first_index(), log.last_index()), (Some(0), Some(2)));
    assert_eq!(log.flushed().get(), None, "and do not count as flushed");
    drop(disk);
    wait(flushed).unwrap();
    assert_eq!(log.flushed().get(), Some(2));
}

#[test]
fn a_hundred_appends_and_a_vote_that_wait_share_one_sync_and_are_called_back_in_order() {
    let home = member();
    let log = open_log(home.path());
    let disk = BusyDisk::of(&log);
    let before = log.statistics();
    let order = Arc::new(Mutex::new(Vec::new()));
    let note = |what: String| {
        let order = order.clone();
        Box::new(move |result: std::io::Result<()>| {
            result.unwrap();
            order.lock().unwrap().push(what);
        })
    };
    let mut asked = Vec::new();
    for index in 0..100 {
        if index == 50 {
            log.save_vote(Bytes::from_static(b"vote"), note("vote".into()))
                .unwrap();
            asked.push("vote".to_owned());
        }
        log.append(entries(index..index + 1, 1), note(index.to_string()))
            .unwrap();
        asked.push(index.to_string());
    }
    drop(disk);
    futures::executor::block_on(log.flushed().reach(99)).unwrap();
    let (on_flushed, flushed) = completion();
    let seen = log.statistics();
    log.save_vote(Bytes::from_static(b"vote"), on_flushed)
        .unwrap();
    wait(flushed).unwrap();
    assert_eq!(seen.syncs - before.syncs, 1);
    assert_eq!(
        (seen.entries - before.entries, seen.votes - before.votes),
        (100, 1)
    );
    assert_eq!(*order.lock().unwrap(), asked);
}

#[test]
fn what_was_called_back_is_there_after_a_restart() {
    let home = member();
    let log = open_log(home.path());
    vote(&log, "term 4");
    append(&log, 0..10, 1);
    log.save_committed(Bytes::from_static(b"committed 7"))
        .unwrap();
    drop(log);
    let log = open_log(home.path());
    assert_eq!(log.vote(), Some(Bytes::from_static(b"term 4")));
    assert_eq!(log.committed(), Some(Bytes::from_static(b"committed 7")));
    assert_eq!(read_all(&log), entries(0..10, 1));
    assert_eq!(log.flushed().get(), Some(9));
}

#[test]
fn the_last_handle_to_go_writes_what_still_waits() {
    let home = member();
    let log = open_log(home.path());
    let disk = BusyDisk::of(&log);
    let (on_flushed, flushed) = completion();
    log.append(entries(0..3, 1), on_flushed).unwrap();
    drop(disk);
    drop(log);
    wait(flushed).unwrap();
    assert_eq!(read_all(&open_log(home.path())), entries(0..3, 1));
}

#[test]
fn a_truncated_tail_stays_away_and_another_takes_its_place() {
    let home = member();
    let log = open_log(home.path());
    append(&log, 0..10, 1);
    truncate(&log, 6);
    assert_eq!(log.flushed().get(), Some(5));
    append(&log, 6..8, 2);
    let expected = [entries(0..6, 1), entries(6..8, 2)].concat();
    assert_eq!(read_all(&log), expected);
    drop(log);
    let log = open_log(home.path());
    assert_eq!(read_all(&log), expected);
    truncate(&log, 0);
    assert_eq!((log.last_index(), log.flushed().get()), (None, None));
    drop(log);
    let log = open_log(home.path());
    assert!(read_all(&log).is_empty());
    append(&log, 0..1, 3);
}

#[test]
fn an_entry_in_a_truncated_ones_place_does_not_count_as_flushed_before_it_is() {
    let home = member();
    let log = open_log(home.path());
    append(&log, 0..10, 1);
    let disk = BusyDisk::of(&log);
    let (on_truncated, truncated) = completion();
    let (on_flushed, flushed) = completion();
    log.truncate_from(6, on_truncated).unwrap();
    log.append(entries(6..10, 2), on_flushed).unwrap();
    assert_eq!(log.flushed().get(), Some(5), "at once");
    assert_eq!(log.read(6..7, 0).unwrap(), [(6, entry(6, 2))]);
    drop(disk);
    wait(truncated).unwrap();
    wait(flushed).unwrap();
    assert_eq!(log.flushed().get(), Some(9));
}

#[test]
fn what_was_purged_stays_away_and_its_log_id_is_remembered() {
    let home = member();
    let log = open_log(home.path());
    append(&log, 0..100, 1);
    purge(&log, 41);
    assert_eq!(read_all(&log), entries(42..100, 1));
    purge(&log, 12);
    assert_eq!(log.purged().unwrap().index, 41, "a purge does not go back");
    drop(log);
    let log = open_log(home.path());
    let purged = log.purged().unwrap();
    assert_eq!(
        (purged.index, purged.log_id),
        (41, Bytes::from_static(b"id 41"))
    );
    assert_eq!((log.first_index(), log.last_index()), (Some(42), Some(99)));
    assert_eq!(log.read(0..44, usize::MAX).unwrap(), entries(42..44, 1));
    truncate(&log, 7);
    assert_eq!(
        log.last_index(),
        None,
        "a truncation ends where the purge did"
    );
    append(&log, 42..43, 2);
}

#[test]
fn a_purge_beyond_the_end_makes_room_for_what_follows_an_installed_state() {
    let home = member();
    let log = open_log(home.path());
    append(&log, 0..5, 1);
    purge(&log, 1000);
    assert_eq!((log.last_index(), log.flushed().get()), (None, Some(1000)));
    drop(log);
    let log = open_log(home.path());
    assert_eq!((log.last_index(), log.flushed().get()), (None, Some(1000)));
    let (on_flushed, flushed) = completion();
    let error = log.append(entries(5..6, 1), on_flushed).unwrap_err();
    assert!(matches!(
        error,
        Error::NotConsecutive {
            expected: 1001,
            found: 5
        }
    ));
    assert!(
        wait(flushed).is_err(),
        "the callback is called all the same"
    );
    append(&log, 1001..1003, 1);
    assert_eq!(read_all(&log), entries(1001..1003, 1));
}

#[test]
fn a_long_log_is_read_from_disk_and_memory_in_bounded_pieces() {
    let home = member();
    let log = open_log(home.path());
    append(&log, 0..20_000, 1);
    append(&log, 20_000..40_000, 1);
    drop(log);
    let log = open_log(home.path());
    append(&log, 40_000..40_100, 2);
    purge(&log, 9);
    let (mut next, mut pieces) = (0, 0);
    loop {
        let piece = log.read(next..u64::MAX, 64 * 1024).unwrap();
        let Some((last, _)) = piece.last() else { break };
        let bytes: usize = piece.iter().map(|(_, entry)| entry.len()).sum();
        assert!(bytes <= 64 * 1024);
        let first = next.max(10);
        for (expected, (index, found)) in (first..).zip(&piece) {
            assert_eq!(*index, expected);
            assert_eq!(
                *found,
                entry(expected, if expected < 40_000 { 1 } else { 2 })
            );
        }
        next = last + 1;
        pieces += 1;
    }
    assert_eq!(next, 40_100);
    assert!(pieces > 10);
    assert_eq!(
        log.read(39_999..40_001, usize::MAX).unwrap().len(),
        2,
        "across the border"
    );
}

#[test]
fn an_append_waits_while_too_much_waits_for_the_disk_but_a_vote_does_not() {
    const MIB: usize = 1 << 20;
    let home = member();
    let log = open_log(home.path());
    let disk = BusyDisk::of(&log);
    let (appended, seen) = mpsc::channel();
    let appender = std::thread::spawn({
        let log = log.clone();
        move || {
            let large = Bytes::from(vec![1; MIB]);
            for index in 0..60 {
                log.append(vec![(index, large.clone())], Box::new(|_| {}))
                    .unwrap();
                appended.send(index).unwrap();
            }
        }
    });
    for _ in 0..=32 {
        seen.recv().unwrap();
    }
    // A 33rd MiB is taken, a 34th is not. Were it, this might pass by chance; it never fails by chance.
    assert_eq!(
        seen.recv_timeout(Duration::from_millis(50)),
        Err(mpsc::RecvTimeoutError::Timeout)
    );
    let (on_flushed, flushed) = completion();
    log.save_vote(Bytes::from_static(b"vote"), on_flushed)
        .unwrap();
    drop(disk);
    wait(flushed).unwrap();
    appender.join().unwrap();
    futures::executor::block_on(log.flushed().reach(59)).unwrap();
}

#[test]
fn who_waits_for_an_index_is_woken_when_it_is_flushed_or_when_storage_fails() {
    let home = member();
    let directory = open(home.path());
    let log = LogStore::open(&directory).unwrap();
    let waiter = |index| {
        let flushed = log.flushed().clone();
        std::thread::spawn(move || futures::executor::block_on(flushed.reach(index)))
    };
    let (reached, never) = (waiter(4), waiter(1000));
    append(&log, 0..5, 1);
    reached.join().unwrap().unwrap();
    directory.failure().declare("the state digest differs");
    assert!(matches!(never.join().unwrap(), Err(Error::Failed(_))));
    let (on_flushed, flushed) = completion();
    let error = log.append(entries(5..6, 1), on_flushed).unwrap_err();
    assert!(
        error.to_string().contains("the state digest differs"),
        "{error}"
    );
    assert!(wait(flushed).is_err());
    assert!(log.read(0..5, usize::MAX).is_err());
    assert!(log.save_committed(Bytes::new()).is_err());
}
