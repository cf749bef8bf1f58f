//! From many threads into the file: what was taken is there, nothing else is.

use std::{collections::BTreeSet, sync::Barrier, thread};

use super::*;
use crate::records::Standing;

/// A million, from four threads, in many segments; every one of one agent's.
#[test]
fn a_million_mints_are_all_in_the_chain_and_an_agents_are_all_found() {
    const EACH: u64 = 250_000;
    const AGENTS: u64 = 100;
    let desk = Desk::with(RecordLimits {
        segment_bytes: 16 << 20,
        ..RecordLimits::default()
    });
    let records = desk.start(1, 4);
    let recorder = records.recorder().clone();
    let sought = thread::scope(|scope| {
        let minters: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    let mut sought = Vec::new();
                    for _ in 0..EACH / AGENTS / 10 {
                        for agent in 0..AGENTS {
                            let ids = mint(&recorder, agent, 10);
                            if agent == 42 {
                                sought.extend(ids);
                            }
                        }
                    }
                    sought
                })
            })
            .collect();
        let sought = minters
            .into_iter()
            .flat_map(|minter| minter.join().unwrap());
        sought.collect::<BTreeSet<_>>()
    });
    close(records);

    let report = desk.verify();
    assert_eq!((report.records, report.damage.len()), (4 * EACH, 0));
    assert_eq!(report.gaps, []);
    assert!(report.segments.len() > 5, "{}", report.segments.len());
    let found = desk.find(&Filter {
        agent: Some("spiffe://example.org/agent/42".to_owned()),
        ..Filter::default()
    });
    assert_eq!(found.len() as u64, 4 * EACH / AGENTS);
    let found: BTreeSet<_> = found.into_iter().map(|found| found.id).collect();
    assert_eq!(found, sought);
}

/// A node stops while threads mint: a record that was taken is in the file, and one
/// that was refused is not.
#[test]
fn at_a_stop_the_file_has_exactly_what_was_taken() {
    for _ in 0..10 {
        let desk = Desk::new();
        let records = desk.start(1, 3);
        let recorder = records.recorder().clone();
        let begin = Barrier::new(4);
        let taken: BTreeSet<TokenId> = thread::scope(|scope| {
            let minters: Vec<_> = (0..3)
                .map(|agent| {
                    let (begin, recorder) = (&begin, &recorder);
                    scope.spawn(move || {
                        begin.wait();
                        let mut taken = Vec::new();
                        loop {
                            let record = issued(agent, 1_000);
                            let id = record.id;
                            match recorder.record(record, WhenBehind::Refuse) {
                                Ok(()) => taken.push(id),
                                Err(Unrecorded::Full) => thread::yield_now(),
                                Err(Unrecorded::Closed) => return taken,
                            }
                        }
                    })
                })
                .collect();
            begin.wait();
            until("something was minted", || recorder.waiting() > 0);
            close(records);
            let taken = minters
                .into_iter()
                .flat_map(|minter| minter.join().unwrap());
            taken.collect()
        });
        let found = desk.find(&Filter::default());
        let found: BTreeSet<_> = found.into_iter().map(|found| found.id).collect();
        assert_eq!(found, taken);
        let report = desk.verify();
        assert_eq!(report.records, taken.len() as u64);
        assert_eq!((report.gaps, report.damage), (Vec::new(), Vec::new()));
    }
}

/// Nobody waits for a stop, or for the next record, to have the last one written.
#[test]
fn a_record_is_in_the_file_while_the_node_runs() {
    let desk = Desk::new();
    let records = desk.start(1, 1);
    let ids = mint(records.recorder(), 4, 3);
    until("the file had them", || {
        fs::exists(desk.segment(1)).unwrap() && desk.verify().records == 3
    });
    assert!(
        !records
            .recorder()
            .is_behind(crate::clock::SystemClock::boot())
    );
    let report = desk.verify();
    assert!(matches!(report.segments[0].standing, Standing::Open { .. }));
    let found = desk.find(&Filter::default());
    assert_eq!(found.iter().map(|found| found.id).collect::<Vec<_>>(), ids);
    close(records);
}

/// A mint that was within its hand-over when the node stopped is waited for.
#[test]
fn a_stop_waits_for_who_is_handing_over() {
    let desk = Desk::new();
    let records = desk.start(1, 1);
    let recorder = records.recorder().clone();
    let lane = &recorder.lanes()[0];
    until("a segment was begun", || {
        fs::exists(desk.segment(1)).unwrap()
    });
    let giving = lane.enter();
    recorder.close();
    let closed_ms = crate::clock::SystemClock::wall_ms();
    until("the writer had looked since", || {
        let segment = desk.verify().segments[0].clone();
        segment.standing == Standing::Closed || segment.as_of_ms > closed_ms
    });
    lane.push(issued(1, 1_000)).unwrap();
    drop(giving);
    close(records);
    let report = desk.verify();
    assert_eq!((report.records, report.gaps.len()), (1, 0));
    assert_eq!(report.segments[0].standing, Standing::Closed);
}
