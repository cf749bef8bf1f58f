//! Retries, time, and what is swept out.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use std::sync::Arc;

use chancery_authority::{
    Actor, Answer, Command, Event, MAX_REQUESTS, MAX_REVOKED_TOKENS, RESERVED_REQUESTS,
    RESERVED_REVOKED_TOKENS, Reason, RequestId, RequestKey, RequestRecord, Row, SWEPT_ROWS,
    Stamped,
};
use chancery_credential::{IssuerNumber, NodeNumber, Revision, Subject, TokenId};
use chancery_revocation::Change;
use support::{DAWN_MS, World, agent, agent_id, agent_spec, grant, node_spec, signing_key};

fn request(world: &mut World, name: &str, command: Command) -> Stamped {
    let (actor, key) = World::actor(name);
    world.stamped(actor, key, command)
}

#[test]
fn a_retry_is_answered_and_not_carried_out_again() {
    let mut world = World::born();
    let admit = request(&mut world, "root", Command::AdmitNode(node_spec(2)));
    let first = world.apply(admit.clone()).unwrap();
    let decided = world.state.revision();
    world.must("root", Command::AdmitNode(node_spec(3)));

    let mut retry = admit;
    retry.stamp.time_ms += 10;
    retry.meta.via = NodeNumber(2);
    let digest = world.state.registry_digest();
    let again = world.apply(retry).unwrap();
    assert_eq!(first.last(), again.last());
    let expected = Event::Answer {
        revision: decided,
        answer: Answer::Node(NodeNumber(2)),
    };
    assert_eq!(
        again,
        [expected],
        "the first time's revision, and nothing else"
    );
    assert_eq!(world.state.registry_digest(), digest);
}

#[test]
fn a_refusal_is_remembered_too() {
    let mut world = World::furnished();
    let removal = request(&mut world, "rita", Command::RemoveAgent(agent_id("a")));
    let refused = world.apply(removal.clone()).unwrap_err();
    assert_eq!(refused.reason(), Reason::AgentUnknown);
    world.must("rita", Command::RegisterAgent(agent_spec("a")));
    assert_eq!(world.apply(removal).unwrap_err(), refused, "it was decided");
    assert!(world.state.agent(&agent_id("a")).is_some());
}

/// The same command, on its way for so long.
fn held_up(world: &mut World, name: &str, command: Command, ms: u64) -> Stamped {
    let mut stamped = request(world, name, command);
    stamped.meta.request.time_ms -= ms;
    stamped
}

fn alice() -> Subject {
    Subject::Owner("alice".parse().unwrap())
}

#[test]
fn a_resumption_that_was_held_up_does_not_lift_a_later_suspension() {
    let mut world = World::furnished();
    world.pass_ms(30_000);
    world.must("rob", Command::Suspend(alice()));
    let held_up = |world: &mut World, ms| held_up(world, "rob", Command::Resume(alice()), ms);
    // Made before the suspension, and nobody decided it before it came.
    let late = held_up(&mut world, 1);
    assert_eq!(world.apply(late).unwrap_err().reason(), Reason::AskedBefore);
    assert!(world.state.is_suspended(&alice()));
    // Who suspends again means it again.
    world.pass_ms(10);
    world.must("rob", Command::Suspend(alice()));
    let late = held_up(&mut world, 5);
    assert_eq!(world.apply(late).unwrap_err().reason(), Reason::AskedBefore);
    let late = held_up(&mut world, 0);
    world.apply(late).unwrap();
    assert!(!world.state.is_suspended(&alice()));
}

#[test]
fn a_suspension_by_a_clock_that_is_behind_holds_too() {
    let mut world = World::furnished();
    world.pass_ms(50_000);
    // By that clock it was made long ago.
    let suspension = held_up(&mut world, "rob", Command::Suspend(alice()), 40_000);
    world.apply(suspension).unwrap();
    let resume = Command::Resume(alice());
    let late = held_up(&mut world, "rob", resume.clone(), 2_001);
    assert_eq!(world.apply(late).unwrap_err().reason(), Reason::AskedBefore);
    // A clock that is no further off than those of nodes is heard.
    let soon = held_up(&mut world, "rob", resume, 2_000);
    world.apply(soon).unwrap();
}

#[test]
fn a_grant_set_does_not_become_what_was_asked_before() {
    let mut world = World::furnished();
    world.pass_ms(30_000);
    let put = |scope| Command::PutGrantSet {
        name: "base".parse().unwrap(),
        grants: vec![grant(scope)],
        keep_held: false,
    };
    let wide = held_up(&mut world, "rita", put("mail:*"), 5);
    world.must("rita", put("mail:list"));
    assert_eq!(world.apply(wide).unwrap_err().reason(), Reason::AskedBefore);
    let stands = world.state.grant_set(&"base".parse().unwrap()).unwrap();
    assert_eq!(stands.grants.to_vec(), [grant("mail:list")]);
    world.must("rita", put("mail:*"));
}

#[test]
fn an_id_names_one_command_of_one_actor() {
    let mut world = World::furnished();
    let first = request(&mut world, "rob", Command::RevokeHeld(support::agent("x")));
    world.apply(first.clone()).unwrap_err();
    let mut other = request(&mut world, "rob", Command::Suspend(agent("x")));
    other.meta.request = first.meta.request;
    let rejection = world.apply(other.clone()).unwrap_err();
    assert_eq!(rejection.reason(), Reason::RequestReused);
    // Somebody else who happens to draw the same id is not disturbed.
    let (actor, key) = World::actor("rita");
    other.meta.actor = actor;
    other.meta.key = key;
    let rejection = world.apply(other).unwrap_err();
    assert_eq!(rejection.reason(), Reason::RoleMissing);
}

#[test]
fn only_what_is_below_the_floor_is_forgotten_and_refused() {
    let mut world = World::furnished();
    let old = request(&mut world, "rita", Command::RegisterAgent(agent_spec("a")));
    world.apply(old.clone()).unwrap();

    world.pass_ms(60_000);
    let mut retry = old.clone();
    retry.stamp.time_ms = world.now_ms;
    assert!(world.apply(retry).is_ok(), "exactly a minute old");

    world.pass_ms(1);
    let mut retry = old;
    retry.stamp.time_ms = world.now_ms;
    let rejection = world.apply(retry).unwrap_err();
    assert_eq!(rejection.reason(), Reason::RequestTooOld);
    let floor = world.state.request_floor_ms();
    let below = |row: Row| matches!(row, Row::Request(key, _) if key.id.time_ms < floor);
    assert!(!world.state.rows().any(below));

    let mut hasty = request(&mut world, "rita", Command::RegisterAgent(agent_spec("b")));
    hasty.meta.request.time_ms = world.now_ms + 60_001;
    let rejection = world.apply(hasty).unwrap_err();
    assert_eq!(rejection.reason(), Reason::RequestAhead);
}

#[test]
fn log_time_is_the_greatest_stamp() {
    let mut world = World::born();
    let told = |events: Vec<Event>| -> Vec<u64> {
        let time = |event| match event {
            Event::View(Change::Time(seconds)) => Some(seconds),
            _ => None,
        };
        events.into_iter().filter_map(time).collect()
    };
    world.pass_ms(999);
    let events = world.by("node:1", Command::Tick).unwrap();
    assert!(told(events).is_empty(), "the same second");
    world.pass_ms(1);
    let events = world.by("node:1", Command::Tick).unwrap();
    assert_eq!(told(events), [DAWN_MS / 1_000 + 1]);

    // A new leader whose clock is behind.
    world.now_ms -= 1_500;
    let events = world.by("node:1", Command::Tick).unwrap();
    assert!(told(events).is_empty());
    assert_eq!(world.state.log_time_ms(), DAWN_MS + 1_000);
    // A refusal moves it too, and the next success tells.
    world.now_ms = DAWN_MS + 9_000;
    world.refused("ada", Command::Tick);
    assert_eq!(world.state.log_time_ms(), DAWN_MS + 9_000);
    let events = world.by("node:1", Command::Tick).unwrap();
    assert_eq!(told(events), [DAWN_MS / 1_000 + 9]);
}

#[test]
fn entries_are_applied_once_and_in_order() {
    let mut world = World::born();
    let stamped = request(&mut world, "root", Command::AdmitNode(node_spec(2)));
    let before = world.state.clone();
    let rejection = world
        .state
        .apply(world.state.revision(), &stamped)
        .unwrap_err();
    assert_eq!(rejection.reason(), Reason::RevisionNotNew);
    assert!(world.state == before);
    world.state.advance(Revision(1));
    assert!(world.state == before, "nor does it go back");
}

/// Fills the table of requests up to `count`, as of now.
fn fill_requests(world: &mut World, count: usize) {
    let present = world
        .state
        .rows()
        .filter(|row| matches!(row, Row::Request(..)))
        .count();
    for number in present..count {
        let mut random = [0xff; 16];
        random[..8].copy_from_slice(&(number as u64).to_be_bytes());
        let key = RequestKey {
            id: RequestId {
                time_ms: world.now_ms,
                random,
            },
            actor: Actor::Node(NodeNumber(1)),
        };
        let record = RequestRecord {
            digest: [0; 32],
            revision: Revision(1),
            outcome: Ok(Answer::Nothing),
        };
        world.state.load_row(Row::Request(key, Arc::new(record)));
    }
}

#[test]
fn a_full_table_refuses_and_empties_itself() {
    let mut world = World::furnished();
    world.must("rita", Command::RegisterAgent(agent_spec("a")));
    let issuer = world.open_issuer(1, 100);
    fill_requests(&mut world, MAX_REQUESTS - RESERVED_REQUESTS);
    // The state is large now: apply without the checks of every step.
    let apply = |world: &mut World, name: &str, command: Command| {
        let stamped = request(world, name, command);
        let revision = Revision(world.state.revision().0 + 1);
        let outcome = world.state.apply(revision, &stamped);
        outcome.map(|_| ()).map_err(|rejection| rejection.reason())
    };
    let revoke = Command::RevokeToken {
        token: TokenId::new(issuer, [1; 12]),
        agent: Some(agent_id("a")),
    };
    let full = Err(Reason::RequestsFull);
    assert_eq!(apply(&mut world, "agent:a", revoke.clone()), full);
    assert_eq!(
        apply(&mut world, "rob", Command::Suspend(agent("a"))),
        Ok(())
    );
    assert_eq!(
        apply(&mut world, "rob", Command::Resume(agent("a"))),
        Ok(())
    );
    fill_requests(&mut world, MAX_REQUESTS);
    assert_eq!(apply(&mut world, "rob", Command::Suspend(agent("a"))), full);
    assert_eq!(
        apply(&mut world, "node:1", Command::Tick),
        Ok(()),
        "or nothing would make room"
    );

    world.pass_ms(60_001);
    let mut ticks = 0;
    while apply(&mut world, "agent:a", revoke.clone()) == full {
        ticks += 1;
    }
    assert!(ticks <= RESERVED_REQUESTS / SWEPT_ROWS + 1, "{ticks}");
}

#[test]
fn revoked_ids_are_capped_and_go_bit_by_bit() {
    let mut world = World::furnished();
    world.must("rita", Command::RegisterAgent(agent_spec("a")));
    let issuer = world.open_issuer(1, 100);
    let token = |number: u64| {
        let mut random = [0; 12];
        random[..8].copy_from_slice(&number.to_be_bytes());
        TokenId::new(issuer, random)
    };
    let fill = |world: &mut World, numbers: std::ops::Range<usize>| {
        let rows = numbers.map(|number| Row::RevokedToken(token(number as u64)));
        rows.for_each(|row| world.state.load_row(row));
    };
    let unreserved = MAX_REVOKED_TOKENS - RESERVED_REVOKED_TOKENS;
    fill(&mut world, 0..unreserved);
    let apply = |world: &mut World, name: &str, command: Command| {
        let stamped = request(world, name, command);
        let revision = Revision(world.state.revision().0 + 1);
        let outcome = world.state.apply(revision, &stamped);
        outcome.map(|_| ()).map_err(|rejection| rejection.reason())
    };
    let revoke = |number| Command::RevokeToken {
        token: token(number),
        agent: None,
    };
    let own = Command::RevokeToken {
        token: token(u64::MAX),
        agent: Some(agent_id("a")),
    };
    let full = Err(Reason::RevokedTokensFull);
    assert_eq!(apply(&mut world, "agent:a", own), full);
    assert_eq!(
        apply(&mut world, "rob", revoke(unreserved as u64)),
        Ok(()),
        "a responder is not kept out"
    );
    fill(&mut world, unreserved..MAX_REVOKED_TOKENS);
    assert_eq!(apply(&mut world, "rob", revoke(u64::MAX)), full);
    assert_eq!(
        apply(&mut world, "rob", revoke(0)),
        Ok(()),
        "it is dead already"
    );

    assert_eq!(
        apply(&mut world, "node:1", Command::RetireIssuer(issuer)),
        Ok(())
    );
    world.state.take_changed_rows();
    assert_eq!(
        apply(&mut world, "node:1", Command::ExpireIssuer(issuer)),
        Ok(())
    );
    assert!(
        world.state.take_changed_rows().len() < 10,
        "the command itself drops none"
    );
    assert!(!world.state.is_revoked(&token(0)));
    for _ in 0..3 {
        apply(&mut world, "node:1", Command::Tick).unwrap();
        let dropped = world.state.take_changed_rows().len();
        assert!(
            (SWEPT_ROWS..SWEPT_ROWS + 10).contains(&dropped),
            "{dropped}"
        );
    }
    assert_eq!(
        world.state.revoked_tokens(issuer),
        MAX_REVOKED_TOKENS - 3 * SWEPT_ROWS
    );
    assert_eq!(
        world.state.view().unwrap().changes.len(),
        3,
        "time, floor, the expired issuer"
    );
}

#[test]
fn a_bare_id_needs_an_issuer_that_has_not_expired() {
    let mut world = World::born();
    let revoke = |issuer| Command::RevokeToken {
        token: TokenId::new(IssuerNumber(issuer), [1; 12]),
        agent: None,
    };
    assert_eq!(world.refused("rob", revoke(1)), Reason::IssuerUnknown);
    let request = world.open_request(1, 100, &signing_key(1));
    world.must("node:1", Command::OpenIssuer(request));
    world.must("rob", revoke(1));
    world.must("root", Command::RevokeIssuer(IssuerNumber(1)));
    let events = world.by("rob", revoke(1)).unwrap();
    assert_eq!(events.len(), 1, "dead already: nothing but the answer");
}
