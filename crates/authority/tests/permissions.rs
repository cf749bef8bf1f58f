//! Who may do what: each command sent by each sort of actor, judged by the table
//! and again by `apply`; and what an actor loses between the edge and the log.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use std::collections::BTreeSet;

use chancery_authority::{
    Actor, Command, KeyChange, OperatorChange, Reason, Role, Roles, Seat, ServiceChange,
    SettingsChange, permission,
};
use chancery_credential::{EpochNumber, IssuerNumber, NodeNumber, Revision, Subject, TokenId};
use support::{
    World, agent, agent_id, agent_spec, key, node_spec, operator_spec, principal, service_spec,
    set, signing_key,
};

const ACTORS: [&str; 8] = [
    "root",
    "rita",
    "rob",
    "ada",
    "service:s",
    "agent:a",
    "agent:b",
    "node:1",
];

/// Node 1 with issuer 1 and node 2, agents a and b, service s.
fn world() -> World {
    let mut world = World::furnished();
    for name in ["a", "b"] {
        world.must("rita", Command::RegisterAgent(agent_spec(name)));
    }
    world.must("rita", Command::AddService(service_spec("s")));
    world.must("root", Command::AdmitNode(node_spec(2)));
    world.open_issuer(1, 100);
    world
}

fn seat(number: u64, seat: Seat) -> Command {
    Command::SeatNode {
        node: NodeNumber(number),
        seat,
    }
}

fn readmit(number: u64) -> Command {
    Command::ReadmitNode {
        node: NodeNumber(number),
        peer_key: support::later_peer_key(number, 1).public().clone(),
    }
}

/// One of each command, and who of [`ACTORS`] may send it.
fn table(world: &World) -> Vec<(Command, &'static [&'static str])> {
    let keepers: &[&str] = &["root"];
    let registrars: &[&str] = &["rita"];
    let responders: &[&str] = &["rob"];
    let nodes: &[&str] = &["node:1"];
    let token = TokenId::new(IssuerNumber(1), [1; 12]);
    let update = |spec| Command::UpdateAgent {
        spec,
        keep_held: false,
        changed_at: None,
    };
    let add_owner = Command::AddOwner {
        name: "carol".parse().unwrap(),
        description: String::new(),
    };
    let put_set = Command::PutGrantSet {
        name: set("other"),
        grants: vec![],
        keep_held: false,
    };
    let revoke_token = |agent| Command::RevokeToken { token, agent };
    let open = |node| Command::OpenIssuer(world.open_request(node, 200, &signing_key(900)));
    let floor = Command::RaiseFloor(world.state.view_revision());
    vec![
        (Command::Birth(support::birth()), &[]),
        (Command::Tick, nodes),
        (Command::RegisterAgent(agent_spec("c")), registrars),
        (update(agent_spec("a")), registrars),
        (Command::RemoveAgent(agent_id("a")), registrars),
        (Command::Suspend(Subject::Everything), responders),
        (Command::Resume(agent("a")), responders),
        (Command::RevokeHeld(agent("a")), responders),
        (revoke_token(None), responders),
        (
            revoke_token(Some(agent_id("a"))),
            &["rita", "rob", "agent:a"],
        ),
        (add_owner, registrars),
        (put_set, registrars),
        (Command::RemoveGrantSet(set("other")), registrars),
        (
            Command::AddOperator(operator_spec("olga", &[Role::Auditor])),
            keepers,
        ),
        (
            Command::UpdateOperator(OperatorChange {
                name: principal("olga"),
                roles: None,
                keys: KeyChange::default(),
                expires_at: None,
            }),
            keepers,
        ),
        (
            Command::UpdateService(ServiceChange {
                name: principal("s"),
                audiences: None,
                keys: KeyChange::default(),
            }),
            registrars,
        ),
        (Command::AddService(service_spec("t")), registrars),
        (Command::RemoveOperator(principal("ada")), keepers),
        (Command::RemoveService(principal("s")), registrars),
        (Command::OpenEpoch { emergency: true }, keepers),
        (Command::OpenEpoch { emergency: false }, &["root", "node:1"]),
        (open(1), nodes),
        (open(2), &[]),
        (Command::RetireIssuer(IssuerNumber(1)), nodes),
        (Command::ExpireIssuer(IssuerNumber(1)), nodes),
        (Command::RevokeIssuer(IssuerNumber(1)), keepers),
        (Command::RevokeEpoch(EpochNumber(1)), keepers),
        (Command::RevokeNode(NodeNumber(1)), keepers),
        (Command::AdmitNode(node_spec(3)), keepers),
        (Command::RetireNode(NodeNumber(1)), keepers),
        (readmit(1), keepers),
        (seat(1, Seat::Voter), keepers),
        (
            Command::RemoveNode {
                node: NodeNumber(1),
                key: key("root"),
            },
            keepers,
        ),
        (floor, nodes),
        (Command::ForgetFormer(Revision(1)), nodes),
        (Command::SetSettings(SettingsChange::default()), keepers),
        (Command::ExpireRegistrations, nodes),
        (
            Command::CompareState {
                at: world.state.revision(),
                digest: [0; 32],
            },
            nodes,
        ),
    ]
}

fn is_about_permission(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::RoleMissing | Reason::NotYourToken | Reason::NotYourNode | Reason::AlreadyBorn
    )
}

#[test]
fn the_names_are_those_of_all_commands() {
    let named: BTreeSet<_> = table(&world())
        .iter()
        .map(|(command, _)| command.name())
        .collect();
    let all: BTreeSet<_> = Command::NAMES.into_iter().collect();
    assert_eq!(named, all);
}

#[test]
fn each_command_by_each_actor() {
    for (command, allowed) in table(&world()) {
        for name in ACTORS {
            let may = allowed.contains(&name);
            let (actor, _) = World::actor(name);
            let roles = match name {
                "root" => Roles::of(&[Role::Keeper]),
                "rita" => Roles::of(&[Role::Registrar]),
                "rob" => Roles::of(&[Role::Responder]),
                "ada" => Roles::of(&[Role::Auditor]),
                _ => Roles::NONE,
            };
            let judged = permission(&command).judge(&actor, roles);
            assert_eq!(judged.is_ok(), may, "{name}: {command:?}");
            match world().by(name, command.clone()) {
                Ok(_) => assert!(may, "{name}: {command:?}"),
                Err(rejection) if may => {
                    let reason = rejection.reason();
                    assert!(
                        !is_about_permission(reason),
                        "{name}: {command:?}: {reason:?}"
                    );
                }
                Err(rejection) => {
                    let reason = rejection.reason();
                    assert!(
                        is_about_permission(reason),
                        "{name}: {command:?}: {reason:?}"
                    );
                }
            }
        }
    }
}

#[test]
fn roles_do_not_add_up_to_more_than_their_own() {
    let auditor = Roles::of(&[Role::Auditor]);
    let all = Roles::of(&Role::ALL);
    for (command, allowed) in table(&world()) {
        let actor = Actor::Operator(principal("x"));
        let permission = permission(&command);
        assert!(permission.judge(&actor, auditor).is_err(), "{command:?}");
        assert!(
            permission.judge(&actor, Roles::NONE).is_err(),
            "{command:?}"
        );
        let by_operators = allowed.iter().any(|name| !name.contains(':'));
        let judged = permission.judge(&actor, all);
        assert_eq!(judged.is_ok(), by_operators, "{command:?}");
    }
}

/// Authorised at the edge, and no longer when it is applied.
fn lost(lose: impl FnOnce(&mut World), actor: &str) -> Reason {
    let mut world = world();
    let token = TokenId::new(IssuerNumber(1), [1; 12]);
    let command = match actor {
        "agent:a" => Command::RevokeToken {
            token,
            agent: Some(agent_id("a")),
        },
        _ => Command::Suspend(agent("b")),
    };
    let (by, proved) = World::actor(actor);
    let stamped = world.stamped(by, proved, command);
    lose(&mut world);
    let mut stamped = stamped;
    stamped.stamp.time_ms = world.now_ms;
    stamped.meta.request.time_ms = world.now_ms;
    world.apply(stamped).unwrap_err().reason()
}

#[test]
fn standing_lost_on_the_way_counts() {
    let remove_rob = |world: &mut World| {
        world.must("root", Command::RemoveOperator(principal("rob")));
    };
    assert_eq!(lost(remove_rob, "rob"), Reason::ActorUnknown);
    let rob_comes_back = |world: &mut World| {
        world.must("root", Command::RemoveOperator(principal("rob")));
        let mut spec = operator_spec("rob", &[Role::Responder]);
        spec.keys = vec![key("another")];
        world.must("root", Command::AddOperator(spec));
    };
    assert_eq!(lost(rob_comes_back, "rob"), Reason::ActorKeyNotTheirs);
    let rob_is_demoted = |world: &mut World| {
        world.must("root", Command::RemoveOperator(principal("rob")));
        let spec = operator_spec("rob", &[Role::Auditor]);
        world.must("root", Command::AddOperator(spec));
    };
    assert_eq!(lost(rob_is_demoted, "rob"), Reason::RoleMissing);
    let rob_expires = |world: &mut World| {
        world.must("root", Command::RemoveOperator(principal("rob")));
        let mut spec = operator_spec("rob", &[Role::Responder]);
        spec.expires_at = world.now_ms / 1_000 + 30;
        world.must("root", Command::AddOperator(spec));
        world.pass_ms(30_000);
    };
    assert_eq!(lost(rob_expires, "rob"), Reason::ActorExpired);

    let suspend = |world: &mut World| {
        world.must("rob", Command::Suspend(agent("a")));
    };
    assert_eq!(lost(suspend, "agent:a"), Reason::ActorSuspended);
    let suspend_owner = |world: &mut World| {
        world.must(
            "rob",
            Command::Suspend(Subject::Owner(support::owner("alice"))),
        );
    };
    assert_eq!(lost(suspend_owner, "agent:a"), Reason::ActorSuspended);
    let other_key = |world: &mut World| {
        let mut spec = agent_spec("a");
        spec.keys = vec![key("a-2")];
        let keep_held = false;
        world.must(
            "rita",
            Command::UpdateAgent {
                spec,
                keep_held,
                changed_at: None,
            },
        );
    };
    assert_eq!(lost(other_key, "agent:a"), Reason::ActorKeyNotTheirs);
    let remove = |world: &mut World| {
        world.must("rita", Command::RemoveAgent(agent_id("a")));
    };
    assert_eq!(lost(remove, "agent:a"), Reason::ActorUnknown);
}

#[test]
fn what_travels_with_a_command_is_judged_too() {
    let mut world = world();
    let mut refused = |change: &dyn Fn(&mut chancery_authority::Meta)| {
        let (actor, proved) = World::actor("rob");
        let mut stamped = world.stamped(actor, proved, Command::Suspend(agent("a")));
        change(&mut stamped.meta);
        world.apply(stamped).unwrap_err().reason()
    };
    assert_eq!(refused(&|meta| meta.key = None), Reason::ActorKeyNotTheirs);
    assert_eq!(
        refused(&|meta| meta.key = Some(key("rita"))),
        Reason::ActorKeyNotTheirs
    );
    assert_eq!(
        refused(&|meta| meta.via = NodeNumber(9)),
        Reason::ViaUnknown
    );
    let ahead = |meta: &mut chancery_authority::Meta| meta.authorised_at = Revision(u64::MAX);
    assert_eq!(refused(&ahead), Reason::AuthorisedAhead);
    assert_eq!(
        refused(&|meta| meta.reason = "x".repeat(513)),
        Reason::ReasonTooLong
    );
    assert_eq!(
        refused(&|meta| meta.actor = Actor::Birth),
        Reason::ActorUnknown
    );
    assert_eq!(
        refused(&|meta| meta.actor = Actor::Node(NodeNumber(9))),
        Reason::ActorUnknown
    );
}

#[test]
fn a_node_that_proved_a_key_proved_its_own() {
    let mut world = world();
    let tick = |world: &mut World, proved| {
        let (actor, _) = World::actor("node:1");
        let stamped = world.stamped(actor, proved, Command::Tick);
        world
            .apply(stamped)
            .map(|_| ())
            .map_err(|rejection| rejection.reason())
    };
    let own = support::peer_key(1).public().thumbprint();
    let other = support::peer_key(2).public().thumbprint();
    assert_eq!(tick(&mut world, Some(own)), Ok(()));
    assert_eq!(
        tick(&mut world, None),
        Ok(()),
        "a leader proposes to itself"
    );
    assert_eq!(
        tick(&mut world, Some(other)),
        Err(Reason::ActorKeyNotTheirs)
    );
}

#[test]
fn a_barred_node_keeps_time_and_nothing_else() {
    let mut world = world();
    world.must("root", Command::RevokeNode(NodeNumber(1)));
    world.must("node:1", Command::Tick);
    world.pass_ms(3_600_000);
    for command in [
        Command::OpenEpoch { emergency: false },
        Command::OpenIssuer(world.open_request(1, 200, &signing_key(900))),
        Command::RetireIssuer(IssuerNumber(1)),
        Command::ExpireIssuer(IssuerNumber(1)),
        Command::RaiseFloor(world.state.view_revision()),
    ] {
        assert_eq!(world.refused("node:1", command), Reason::NodeBarred);
    }
    world.readmit(1);
    world.must("node:1", Command::ExpireIssuer(IssuerNumber(1)));
}

#[test]
fn nobody_is_heard_through_a_barred_node() {
    let mut world = world();
    let revoke = Command::RevokeToken {
        token: TokenId::new(IssuerNumber(1), [1; 12]),
        agent: Some(agent_id("a")),
    };
    let decided = world.through(2, "rob", Command::Suspend(agent("b")));
    let first = world.apply(decided.clone()).unwrap();
    // Forwarded while the node stood; it is barred before they are applied.
    let late = [
        world.through(2, "root", Command::RevokeNode(NodeNumber(1))),
        world.through(2, "rob", Command::Resume(agent("b"))),
        world.through(2, "agent:a", revoke),
    ];
    world.must("root", Command::RevokeNode(NodeNumber(2)));
    for stamped in &late {
        let rejection = world.apply(stamped.clone()).unwrap_err();
        assert_eq!(rejection.reason(), Reason::ViaBarred, "{stamped:?}");
    }
    let again = world.apply(decided).unwrap();
    assert_eq!(again.last(), first.last(), "it was done before the bar");
    for mut stamped in late.into_iter().skip(1) {
        stamped.meta.via = NodeNumber(1);
        let heard = world.apply(stamped);
        assert!(
            heard.is_ok(),
            "the same request, through another: {heard:?}"
        );
    }
}

#[test]
fn whoever_revokes_the_last_node_can_still_readmit_it() {
    let mut world = world();
    world.must("root", Command::AdmitNode(node_spec(3)));
    world.must("root", Command::RetireNode(NodeNumber(3)));
    world.must("root", Command::AdmitNode(node_spec(4)));
    for number in [2, 1] {
        world.must("root", Command::RevokeNode(NodeNumber(number)));
    }
    // Only a node that leaves and one that never came up are not barred, and they are
    // no way back.
    let suspend = world.through(2, "rob", Command::Suspend(agent("a")));
    world.apply(suspend).unwrap();
    let request = world.open_request(1, 200, &signing_key(900));
    let reason = world.refused("node:1", Command::OpenIssuer(request));
    assert_eq!(reason, Reason::NodeBarred, "nodes speak for themselves");
    let back = world.through(1, "root", readmit(1));
    world.apply(back).unwrap();

    let resume = world.through(2, "rob", Command::Resume(agent("a")));
    let rejection = world.apply(resume).unwrap_err();
    assert_eq!(rejection.reason(), Reason::ViaBarred);
}
