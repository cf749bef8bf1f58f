//! The same log gives the same state, whole or from a snapshot on.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use std::collections::BTreeSet;

use chancery_authority::{Command, Row, Stamped, State, Table, ViewPlace};
use chancery_credential::{IssuerNumber, Revision, Subject, TokenId};
use chancery_revocation::{Change, View};
use proptest::prelude::*;
use support::histories::{furniture, history};
use support::{LINEAGE, World, agent, agent_id, agent_spec, owner, service_spec};

type Log = Vec<(Revision, Stamped)>;

/// Applies the log, and remembers every outcome.
fn replay(state: &mut State, log: &[(Revision, Stamped)]) -> Vec<String> {
    let outcomes = log.iter().map(|(revision, stamped)| {
        let outcome = state.apply(*revision, stamped);
        let changed = state.take_changed_rows();
        format!("{outcome:?} {changed:?} {:?}", state.digest())
    });
    outcomes.collect()
}

/// A state from its rows, in an order that they were not listed in.
fn reloaded(state: &State) -> State {
    let mut copy = State::default();
    let mut rows: Vec<Row> = state.rows().collect();
    rows.reverse();
    rows.into_iter().for_each(|row| copy.load_row(row));
    copy
}

/// From every point of the log: the rows there and the rest of the log lead to the
/// same outcomes and the same state as the whole log. Gives the tables that had
/// rows at such a point.
fn check_snapshots(log: &Log) -> BTreeSet<Table> {
    let mut whole = State::default();
    let outcomes = replay(&mut whole, log);
    assert_eq!(
        outcomes,
        replay(&mut State::default(), log),
        "replay equals replay"
    );
    let mut seen = BTreeSet::new();
    let mut walking = State::default();
    for at in 0..log.len() {
        seen.extend(walking.rows().map(|row| row.key().table()));
        let mut from_here = reloaded(&walking);
        assert!(from_here == walking);
        assert_eq!(from_here.digest(), walking.digest());
        let tail = replay(&mut from_here, &log[at..]);
        assert_eq!(tail, outcomes[at..], "from entry {at} on");
        assert!(from_here == whole);
        replay(&mut walking, &log[at..=at]);
    }
    seen
}

/// A life in which every table has rows.
fn full_life() -> World {
    let mut world = World::furnished();
    for name in ["a", "b"] {
        world.must("rita", Command::RegisterAgent(agent_spec(name)));
    }
    world.must("rita", Command::AddService(service_spec("s")));
    let issuer = world.open_issuer(1, 100);
    let token = TokenId::new(issuer, [1; 12]);
    world.must("rob", Command::RevokeToken { token, agent: None });
    world.must("rob", Command::Suspend(agent("a")));
    world.must("rob", Command::Suspend(Subject::Everything));
    world.refused("ada", Command::Resume(Subject::Everything));
    world.must("rob", Command::Resume(Subject::Everything));
    world.must("root", Command::OpenEpoch { emergency: true });
    world.open_issuer(1, 100);
    world.must("node:1", Command::RetireIssuer(issuer));
    world.pass_ms(61_000);
    world.must("rita", Command::RemoveAgent(agent_id("a")));
    let killed = world.state.floor_candidate(world.state.revision()).unwrap();
    world.must("node:1", Command::RaiseFloor(killed));
    world.must("node:1", Command::ExpireIssuer(issuer));
    world.must("node:1", Command::Tick);
    world
}

#[test]
fn snapshot_and_tail_equal_the_full_log_for_every_table() {
    let world = full_life();
    let seen = check_snapshots(&world.log);
    assert_eq!(seen, BTreeSet::from(Table::ALL));
}

#[test]
fn blank_entries_move_the_revision_only() {
    let mut world = full_life();
    let before = world.state.registry_digest();
    let whole = world.state.digest();
    world.state.take_changed_rows();
    let next = Revision(world.state.revision().0 + 1);
    world.state.advance(next);
    assert_eq!(world.state.revision(), next);
    assert_eq!(world.state.registry_digest(), before);
    assert_ne!(world.state.digest(), whole);
    assert_eq!(world.state.take_changed_rows().len(), 1, "the clock");
    world.state.validate().unwrap();
}

#[test]
fn a_view_from_the_state_is_the_view_from_the_events() {
    let world = full_life();
    check_view(&world);
}

/// Both views, as the snapshots that they give of themselves.
fn check_view(world: &World) {
    let installed = View::new(LINEAGE);
    installed.install(&world.state.view().unwrap()).unwrap();
    // Entries without events moved the state only.
    world
        .consumers
        .view
        .publish_revision(world.state.revision());
    assert_eq!(installed.snapshot(), world.consumers.view.snapshot());
    assert_eq!(installed.view_revision(), world.state.view_revision());
}

#[test]
fn a_row_that_was_tampered_with_shows() {
    let world = full_life();
    let digest = world.state.digest();
    for row in world.state.rows() {
        let mut without = State::default();
        let others = world.state.rows().filter(|other| other.key() != row.key());
        others.for_each(|other| without.load_row(other));
        assert_ne!(without.digest(), digest, "{row:?}");
    }
}

#[test]
fn what_no_log_leads_to_is_found_broken() {
    let world = full_life();
    let broken = |change: &dyn Fn(&mut State)| {
        let mut state = world.state.clone();
        change(&mut state);
        state.validate().unwrap_err().to_string()
    };
    let mut thief = (**world.state.agent(&agent_id("b")).unwrap()).clone();
    thief.id = agent_id("thief");
    let text = broken(&|state| state.load_row(Row::Agent(thief.clone().into())));
    assert!(text.contains("somebody else's"), "{text}");

    let issuer = world.state.issuers().next().unwrap();
    let mut later = (**issuer).clone();
    later.number = IssuerNumber(99);
    let text = broken(&|state| state.load_row(Row::Issuer(later.clone().into())));
    assert!(text.contains("an issuer after its newest"), "{text}");

    let root = world
        .state
        .operators()
        .find(|one| one.name.as_str() == "root")
        .unwrap();
    let mut leaving = (**root).clone();
    leaving.expires_at = u64::MAX;
    let text = broken(&|state| state.load_row(Row::Operator(leaving.clone().into())));
    assert!(text.contains("no keeper lasts"), "{text}");

    let ahead = Revision(10_000);
    let text = broken(&|state| state.load_row(Row::Watermark(agent("b"), ahead)));
    assert!(text.contains("watermark"), "{text}");
}

proptest! {
    #![proptest_config(support::histories::config(24))]

    #[test]
    fn any_history_from_any_point(history in history(30)) {
        let mut world = World::born();
        for step in furniture().iter().chain(&history) {
            let stamped = step.resolve(&mut world);
            let _ = world.apply(stamped);
        }
        check_snapshots(&world.log);
        check_view(&world);
    }
}

/// The changes that rebuild the view, `size` at a time.
fn in_parts(state: &State, size: usize) -> Vec<Change> {
    let mut place: Option<ViewPlace> = None;
    let mut all = Vec::new();
    loop {
        let part: Vec<_> = state.view_after(place.as_ref()).take(size).collect();
        let Some((last, _)) = part.last() else {
            // An issuer whose two changes were parted begins twice.
            all.dedup();
            return all;
        };
        place = Some(last.clone());
        all.extend(part.into_iter().map(|(_, change)| change));
    }
}

#[test]
fn the_view_reads_the_same_whole_and_in_parts() {
    let mut world = full_life();
    world.open_issuer(1, 200);
    for name in ["alice", "bob"] {
        world.must("rob", Command::RevokeHeld(Subject::Owner(owner(name))));
    }
    let newest = world.open_issuer(1, 300);
    for number in 0..5 {
        let token = TokenId::new(newest, [number; 12]);
        world.must("rob", Command::RevokeToken { token, agent: None });
    }
    world.must("root", Command::RevokeIssuer(newest));
    let whole = world.state.view().unwrap().changes;
    assert!(whole.len() > 12, "{whole:?}");
    for size in 2..whole.len() + 2 {
        assert_eq!(in_parts(&world.state, size), whole, "{size} at a time");
    }
}
