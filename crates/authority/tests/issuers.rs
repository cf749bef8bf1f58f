//! The life of issuers and epochs: who opens one, what ends it, what it takes along.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use chancery_authority::{
    Answer, Command, Event, IssuerStanding, MAX_LIVE_EPOCHS, MAX_NODE_ISSUERS, Reason,
};
use chancery_credential::{EpochNumber, IssuerNumber, NodeNumber, Revision, TokenId};
use chancery_revocation::Change;
use support::{World, node_spec, signing_key};

fn standing(world: &World, number: u32) -> Option<IssuerStanding> {
    world
        .state
        .issuer(IssuerNumber(number))
        .map(|issuer| issuer.standing)
}

fn is_open(world: &World, number: u32) -> bool {
    standing(world, number) == Some(IssuerStanding::Open)
}

fn is_retired(world: &World, number: u32) -> bool {
    matches!(standing(world, number), Some(IssuerStanding::Retired(_)))
}

fn is_revoked(world: &World, number: u32) -> bool {
    matches!(standing(world, number), Some(IssuerStanding::Revoked(_)))
}

#[test]
fn a_restart_retires_what_the_dead_process_left_open() {
    let mut world = World::born();
    world.open_issuer(1, 100);
    world.must("root", Command::OpenEpoch { emergency: false });
    world.open_issuer(1, 100);
    assert!(
        is_open(&world, 1) && is_open(&world, 2),
        "one process, in a rotation"
    );

    let restart = world.open_issuer(1, 200);
    assert_eq!(restart, IssuerNumber(3));
    assert!(
        is_retired(&world, 1) && is_retired(&world, 2),
        "its keys died with it"
    );
    assert!(is_open(&world, 3));
}

#[test]
fn one_process_has_one_open_issuer_an_epoch() {
    let mut world = World::born();
    world.open_issuer(1, 100);
    world.open_issuer(1, 100);
    assert!(is_retired(&world, 1) && is_open(&world, 2));
}

#[test]
fn a_late_request_of_a_dead_process_comes_to_nothing() {
    let mut world = World::born();
    let late = world.open_request(1, 100, &signing_key(1));
    world.open_issuer(1, 200);
    let reason = world.refused("node:1", Command::OpenIssuer(late));
    assert_eq!(reason, Reason::FormerNotNewest);

    // And the other way round: it comes first, the living process follows it.
    let mut world = World::born();
    let late = world.open_request(1, 100, &signing_key(1));
    let living = world.open_request(1, 200, &signing_key(2));
    world.must("node:1", Command::OpenIssuer(late));
    let reason = world.refused("node:1", Command::OpenIssuer(living));
    assert_eq!(reason, Reason::FormerNotNewest);
    let again = world.open_request(1, 200, &signing_key(2));
    world.must("node:1", Command::OpenIssuer(again));
    assert!(is_retired(&world, 1) && is_open(&world, 2));
}

#[test]
fn the_former_is_known_even_after_it_expired() {
    let mut world = World::born();
    let number = world.open_issuer(1, 100);
    world.must("node:1", Command::RetireIssuer(number));
    world.must("node:1", Command::ExpireIssuer(number));
    let node = NodeNumber(1);
    let key = signing_key(77);
    let forgetful = World::proved(node, EpochNumber(1), 200, None, &key);
    let reason = world.refused("node:1", Command::OpenIssuer(forgetful));
    assert_eq!(reason, Reason::FormerNotNewest);
    let next = world.open_issuer(1, 200);
    assert_eq!(next, IssuerNumber(2), "no number comes twice");
}

#[test]
fn every_part_of_a_request_is_proved() {
    let mut world = World::born();
    let signing = signing_key(1);
    let proved = world.open_request(1, 100, &signing);
    let refused = |world: &mut World, change: &dyn Fn(&mut chancery_authority::OpenIssuer)| {
        let mut request = proved.clone();
        change(&mut request);
        world.refused("node:1", Command::OpenIssuer(request))
    };
    let other = signing_key(2).public();
    let wrong = [
        refused(&mut world, &|request| request.process += 1),
        refused(&mut world, &|request| request.peer_signature = vec![]),
        refused(&mut world, &|request| request.peer_signature[8] ^= 1),
        refused(&mut world, &|request| request.keys = vec![other]),
    ];
    assert_eq!(wrong, [Reason::PeerProofWrong; 4]);
    let wrong = [
        refused(&mut world, &|request| request.key_signatures[0][0] ^= 1),
        refused(&mut world, &|request| request.key_signatures[0].push(0)),
    ];
    assert_eq!(wrong, [Reason::KeyProofWrong; 2]);
    let wrong = [
        refused(&mut world, &|request| request.keys.clear()),
        refused(&mut world, &|request| request.keys.push(other)),
        refused(&mut world, &|request| request.key_signatures.clear()),
    ];
    assert_eq!(wrong, [Reason::IssuerKeysCount; 3]);
    let wrong = refused(&mut world, &|request| request.epoch = EpochNumber(2));
    assert_eq!(wrong, Reason::EpochNotNewest);
    let wrong = refused(&mut world, &|request| {
        request.former = Some(IssuerNumber(1))
    });
    assert_eq!(wrong, Reason::FormerNotNewest);
    world.must("node:1", Command::OpenIssuer(proved));
}

#[test]
fn a_node_asks_for_itself_only() {
    let mut world = World::born();
    world.must("root", Command::AdmitNode(node_spec(2)));
    let request = world.open_request(1, 100, &signing_key(1));
    let reason = world.refused("node:2", Command::OpenIssuer(request.clone()));
    assert_eq!(reason, Reason::NotYourNode);
    // In its own name, but through another node.
    let (actor, key) = World::actor("node:1");
    let mut forwarded = world.stamped(actor, key, Command::OpenIssuer(request));
    forwarded.meta.via = NodeNumber(2);
    let rejection = world.apply(forwarded).unwrap_err();
    assert_eq!(rejection.reason(), Reason::NotYourNode);
}

#[test]
fn who_may_not_open_one() {
    let mut world = World::born();
    let mut checker = node_spec(2);
    checker.check_only = true;
    world.must("root", Command::AdmitNode(checker));
    let request = world.open_request(2, 100, &signing_key(1));
    let reason = world.refused("node:2", Command::OpenIssuer(request));
    assert_eq!(reason, Reason::NodeCheckOnly);

    world.open_issuer(1, 100);
    world.must("root", Command::RetireNode(NodeNumber(1)));
    assert!(is_retired(&world, 1));
    let request = world.open_request(1, 100, &signing_key(2));
    let reason = world.refused("node:1", Command::OpenIssuer(request.clone()));
    assert_eq!(reason, Reason::NodeRetiring);
    world.must("root", Command::RevokeNode(NodeNumber(1)));
    assert!(is_revoked(&world, 1));
    let reason = world.refused("node:1", Command::OpenIssuer(request.clone()));
    assert_eq!(reason, Reason::NodeBarred);
    world.readmit(1);
    assert!(is_revoked(&world, 1), "readmitting raises no dead");
    world.open_issuer(1, 100);
}

#[test]
fn what_was_signed_before_the_bar_opens_nothing_after_it() {
    let mut world = World::born();
    world.open_issuer(1, 100);
    // A thief has had the node sign it, and keeps it back.
    let kept_back = world.open_request(1, 666, &signing_key(900));
    world.must("root", Command::RevokeNode(NodeNumber(1)));
    world.readmit(1);
    let reason = world.refused("node:1", Command::OpenIssuer(kept_back));
    assert_eq!(reason, Reason::PeerProofWrong);
    world.open_issuer(1, 200);
}

#[test]
fn a_key_serves_one_issuer() {
    let mut world = World::born();
    world.must("root", Command::AdmitNode(node_spec(2)));
    let shared = signing_key(1);
    let first = world.open_request(1, 100, &shared);
    world.must("node:1", Command::OpenIssuer(first));
    let second = world.open_request(2, 300, &shared);
    let reason = world.refused("node:2", Command::OpenIssuer(second));
    assert_eq!(reason, Reason::IssuerKeyInUse);
}

#[test]
fn a_node_that_restarts_for_ever_stops_at_32() {
    let mut world = World::born();
    for process in 0..MAX_NODE_ISSUERS as u64 {
        world.open_issuer(1, process);
    }
    let request = world.open_request(1, 99, &signing_key(1_000));
    let reason = world.refused("node:1", Command::OpenIssuer(request.clone()));
    assert_eq!(reason, Reason::IssuersFull);
    world.must("node:1", Command::ExpireIssuer(IssuerNumber(1)));
    world.must("node:1", Command::OpenIssuer(request));
}

#[test]
fn another_node_retires_what_is_superseded_only() {
    let mut world = World::born();
    world.must("root", Command::AdmitNode(node_spec(2)));
    let number = world.open_issuer(1, 100);
    let reason = world.refused("node:2", Command::RetireIssuer(number));
    assert_eq!(reason, Reason::IssuerInForce);
    world.must("root", Command::OpenEpoch { emergency: true });
    world.must("node:2", Command::RetireIssuer(number));
    let retired = standing(&world, 1);
    world.must("node:2", Command::RetireIssuer(number));
    assert_eq!(
        standing(&world, 1),
        retired,
        "a second time changes nothing"
    );
}

#[test]
fn only_what_has_ended_expires_and_it_takes_its_revoked_ids_along() {
    let mut world = World::born();
    let number = world.open_issuer(1, 100);
    let token = TokenId::new(number, [1; 12]);
    let revoke = Command::RevokeToken { token, agent: None };
    world.must("rob", revoke.clone());
    assert!(world.state.is_revoked(&token));
    let reason = world.refused("node:1", Command::ExpireIssuer(number));
    assert_eq!(reason, Reason::IssuerStillOpen);
    world.must("node:1", Command::RetireIssuer(number));
    world.must("node:1", Command::ExpireIssuer(number));
    assert!(!world.state.is_revoked(&token));
    world.must("node:1", Command::Tick);
    assert_eq!(world.state.revoked_tokens(number), 0, "swept out");
    assert_eq!(world.refused("rob", revoke), Reason::IssuerUnknown);
    let reason = world.refused("node:1", Command::ExpireIssuer(number));
    assert_eq!(reason, Reason::IssuerUnknown);
}

#[test]
fn revoking_is_absolute_and_final() {
    let mut world = World::born();
    let number = world.open_issuer(1, 100);
    let answer = world.must("root", Command::RevokeIssuer(number));
    assert_eq!(answer, Answer::Issuers(vec![number]));
    let since = standing(&world, 1);
    let answer = world.must("root", Command::RevokeIssuer(number));
    assert_eq!(
        answer,
        Answer::Issuers(vec![]),
        "a second time changes nothing"
    );
    world.must("node:1", Command::RetireIssuer(number));
    assert_eq!(standing(&world, 1), since, "nor does retiring it");
    world.open_issuer(1, 100);
    assert_eq!(standing(&world, 1), since);
    world.must("node:1", Command::ExpireIssuer(number));
    assert_eq!(standing(&world, 1), None);
}

#[test]
fn revoking_the_newest_epoch_opens_its_successor() {
    let mut world = World::born();
    world.must("root", Command::AdmitNode(node_spec(2)));
    let first = world.open_issuer(1, 100);
    world.must("root", Command::OpenEpoch { emergency: false });
    let second = world.open_issuer(2, 300);
    let third = world.open_issuer(1, 100);

    let events = world
        .by("root", Command::RevokeEpoch(EpochNumber(2)))
        .unwrap();
    assert!(events.contains(&Event::EpochOpened {
        epoch: EpochNumber(3),
        emergency: true
    }));
    let answer = support::answer(&events);
    assert_eq!(answer, Answer::Issuers(vec![second, third]));
    assert!(
        is_open(&world, first.0),
        "another epoch's are not disturbed"
    );

    let events = world
        .by("root", Command::RevokeEpoch(EpochNumber(1)))
        .unwrap();
    let opened = |event: &Event| matches!(event, Event::EpochOpened { .. });
    assert!(!events.iter().any(opened), "it is not the newest");
    assert!(is_revoked(&world, first.0));
    for unknown in [0, 4, u64::MAX] {
        let reason = world.refused("root", Command::RevokeEpoch(EpochNumber(unknown)));
        assert_eq!(reason, Reason::EpochUnknown);
    }
}

#[test]
fn revoking_a_node_leaves_the_others_alone() {
    let mut world = World::born();
    world.must("root", Command::AdmitNode(node_spec(2)));
    let first = world.open_issuer(1, 100);
    let second = world.open_issuer(2, 300);
    let third = world.open_issuer(1, 101);
    let answer = world.must("root", Command::RevokeNode(NodeNumber(1)));
    assert_eq!(answer, Answer::Issuers(vec![first, third]));
    assert!(is_open(&world, second.0));
    assert!(world.state.node(NodeNumber(1)).unwrap().barred);
}

#[test]
fn the_keeper_opens_an_epoch_when_it_is_due_and_one_only() {
    let mut world = World::born();
    let planned = Command::OpenEpoch { emergency: false };
    assert_eq!(
        world.refused("node:1", planned.clone()),
        Reason::EpochNotDue
    );
    world.pass_ms(3_600_000);
    let answer = world.must("node:1", planned.clone());
    assert_eq!(answer, Answer::Epoch(EpochNumber(2)));
    // The keeper that led before had the same thought.
    assert_eq!(world.refused("node:1", planned), Reason::EpochNotDue);
    let reason = world.refused("node:1", Command::OpenEpoch { emergency: true });
    assert_eq!(
        reason,
        Reason::RoleMissing,
        "an emergency is for people to see"
    );
}

#[test]
fn impatience_does_not_use_up_the_issuers() {
    let mut world = World::born();
    for _ in 1..MAX_LIVE_EPOCHS {
        world.open_issuer(1, 100);
        world.must("root", Command::OpenEpoch { emergency: true });
    }
    let reason = world.refused("root", Command::OpenEpoch { emergency: true });
    assert_eq!(reason, Reason::EpochsFull);
    world.must("root", Command::RevokeEpoch(EpochNumber(1)));
    world.must("node:1", Command::ExpireIssuer(IssuerNumber(1)));
    world.must("root", Command::OpenEpoch { emergency: true });
}

#[test]
fn the_floor_rises_to_changes_of_the_view_only() {
    let mut world = World::furnished();
    world.open_issuer(1, 100);
    let opened = world.state.revision();
    world.must("rita", Command::RegisterAgent(support::agent_spec("a")));
    let registered = world.state.revision();
    world.must("rob", Command::RevokeHeld(support::agent("a")));
    let killed = world.state.revision();
    world.must("node:1", Command::Tick);

    let raise = |floor| Command::RaiseFloor(floor);
    for quiet in [registered, world.state.revision(), Revision(u64::MAX)] {
        let reason = world.refused("node:1", raise(quiet));
        assert_eq!(reason, Reason::FloorNotAChange, "{quiet}");
    }
    assert_eq!(world.state.floor_candidate(registered), Some(opened));
    world.must("node:1", raise(opened));
    assert_eq!(
        world.refused("node:1", raise(opened)),
        Reason::FloorNotRaised
    );
    assert_eq!(world.state.watermark(&support::agent("a")), Some(killed));

    let events = world.by("node:1", raise(killed)).unwrap();
    assert!(events.contains(&Event::View(Change::Floor(killed))));
    assert_eq!(
        world.state.watermark(&support::agent("a")),
        None,
        "the floor refuses as much"
    );
    world.must("node:1", Command::Tick);
    let key = chancery_authority::RowKey::Watermark(support::agent("a"));
    assert_eq!(world.state.row(&key), None, "swept out");
    assert_eq!(world.state.floor_candidate(world.state.revision()), None);
}
