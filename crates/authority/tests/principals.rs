//! Agents, operators, services, owners and nodes: bounds, keys, and the last
//! keeper.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use chancery_authority::{
    AgentSpec, Answer, Command, Event, Holder, MAX_FIRST_OPERATORS, MAX_NODES, Reason, Role, Roles,
    Seat,
};
use chancery_credential::{Grant, NodeNumber};
use support::{
    World, agent_id, agent_spec, grant, key, node_spec, operator_spec, owner, peer_key, principal,
    service_spec, set,
};

fn refused_agent(change: impl FnOnce(&mut AgentSpec)) -> Reason {
    let mut world = World::furnished();
    let mut spec = agent_spec("a");
    change(&mut spec);
    let reason = world.refused("rita", Command::RegisterAgent(spec.clone()));
    // The same bounds hold for an update.
    let mut world = World::furnished();
    let mut sound = agent_spec("a");
    sound.id = spec.id.clone();
    if world.by("rita", Command::RegisterAgent(sound)).is_ok() {
        let keep_held = true;
        let again = world.refused(
            "rita",
            Command::UpdateAgent {
                spec,
                keep_held,
                changed_at: None,
            },
        );
        assert_eq!(again, reason);
    }
    reason
}

#[test]
fn the_bounds_of_an_agent() {
    let many = |count: usize| -> Vec<String> { (0..count).map(|at| format!("n{at}")).collect() };
    let stranger = "spiffe://example.com/a".parse().unwrap();
    assert_eq!(
        refused_agent(|spec| spec.id = stranger),
        Reason::OutsideTrustDomain
    );
    assert_eq!(
        refused_agent(|spec| spec.owners.clear()),
        Reason::OwnersCount
    );
    let owners = many(9).iter().map(|name| owner(name)).collect();
    assert_eq!(
        refused_agent(|spec| spec.owners = owners),
        Reason::OwnersCount
    );
    assert_eq!(
        refused_agent(|spec| spec.owners = vec![owner("x")]),
        Reason::OwnerUnknown
    );
    assert_eq!(refused_agent(|spec| spec.keys.clear()), Reason::KeysCount);
    let keys = many(9).iter().map(|name| key(name)).collect();
    assert_eq!(refused_agent(|spec| spec.keys = keys), Reason::KeysCount);
    assert_eq!(
        refused_agent(|spec| spec.keys = vec![key("root")]),
        Reason::KeyInUse
    );
    let peer = peer_key(1).public().thumbprint();
    assert_eq!(refused_agent(|spec| spec.keys.push(peer)), Reason::KeyInUse);
    let sets = many(9).iter().map(|name| set(name)).collect();
    assert_eq!(
        refused_agent(|spec| spec.grant_sets = sets),
        Reason::GrantSetsCount
    );
    assert_eq!(
        refused_agent(|spec| spec.grant_sets = vec![set("x")]),
        Reason::GrantSetUnknown
    );
    let description = "x".repeat(257);
    assert_eq!(
        refused_agent(|spec| spec.description = description),
        Reason::DescriptionTooLong
    );
    let past = support::DAWN_MS / 1_000;
    assert_eq!(
        refused_agent(|spec| spec.expires_at = past),
        Reason::ExpiryPast
    );
}

#[test]
fn the_bounds_of_its_grants() {
    let grants = vec![grant("files:read"); 65];
    assert_eq!(
        refused_agent(|spec| spec.grants = grants),
        Reason::GrantsCount
    );
    let crowded = Grant {
        scopes: vec!["s".parse().unwrap(); 65],
        ..grant("files:read")
    };
    assert_eq!(
        refused_agent(|spec| spec.grants = vec![crowded]),
        Reason::ScopesCount
    );
    let large = Grant {
        scopes: vec!["s".repeat(128).parse().unwrap(); 64],
        ..grant("files:read")
    };
    assert_eq!(
        refused_agent(|spec| spec.grants = vec![large; 2]),
        Reason::GrantsTooLarge
    );
}

#[test]
fn a_full_agent_is_welcome() {
    let mut world = World::furnished();
    let mut spec = agent_spec("a");
    spec.keys = (0..8).map(|at| key(&format!("k{at}"))).collect();
    spec.owners = vec![owner("bob"), owner("alice"), owner("bob")];
    spec.grants = vec![grant("files:read"); 64];
    spec.description = "x".repeat(256);
    spec.expires_at = support::DAWN_MS / 1_000 + 1;
    world.must("rita", Command::RegisterAgent(spec));
    let record = world.state.agent(&agent_id("a")).unwrap();
    assert_eq!(
        *record.owners,
        [owner("alice"), owner("bob")],
        "sorted, each once"
    );
    assert_eq!(record.keys.len(), 8);
    let again = agent_spec("a");
    assert_eq!(
        world.refused("rita", Command::RegisterAgent(again)),
        Reason::AgentExists
    );
    let reason = world.refused("rita", Command::RemoveAgent(agent_id("b")));
    assert_eq!(reason, Reason::AgentUnknown);
}

#[test]
fn a_key_has_one_holder_and_is_free_when_let_go() {
    let mut world = World::furnished();
    world.must("rita", Command::RegisterAgent(agent_spec("a")));
    let holder = |world: &World| world.state.holder(&key("a")).cloned();
    assert_eq!(holder(&world), Some(Holder::Agent(agent_id("a"))));
    let mut thief = service_spec("s");
    thief.keys = vec![key("a")];
    let add = Command::AddService(thief);
    assert_eq!(world.refused("rita", add.clone()), Reason::KeyInUse);
    let mut thief = operator_spec("o", &[Role::Auditor]);
    thief.keys = vec![key("a")];
    assert_eq!(
        world.refused("root", Command::AddOperator(thief)),
        Reason::KeyInUse
    );
    let mut other = agent_spec("b");
    other.keys = vec![key("b"), key("a")];
    assert_eq!(
        world.refused("rita", Command::RegisterAgent(other)),
        Reason::KeyInUse
    );

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
    assert_eq!(holder(&world), None);
    world.must("rita", add);
    assert_eq!(holder(&world), Some(Holder::Service(principal("s"))));
    world.must("rita", Command::RemoveService(principal("s")));
    assert_eq!(holder(&world), None);
}

#[test]
fn the_last_keeper_that_lasts_stays() {
    let mut world = World::born();
    let remove = |name| Command::RemoveOperator(principal(name));
    assert_eq!(world.refused("root", remove("root")), Reason::LastKeeper);
    // Another keeper who expires does not count.
    let mut visitor = operator_spec("visitor", &[Role::Keeper]);
    visitor.expires_at = support::DAWN_MS / 1_000 + 60;
    world.must("root", Command::AddOperator(visitor));
    assert_eq!(world.refused("root", remove("root")), Reason::LastKeeper);
    assert_eq!(world.refused("visitor", remove("root")), Reason::LastKeeper);
    // Nor does one of another role.
    world.must(
        "root",
        Command::AddOperator(operator_spec("olga", &[Role::Responder])),
    );
    assert_eq!(world.refused("root", remove("root")), Reason::LastKeeper);
    let second = operator_spec("second", &[Role::Keeper, Role::Auditor]);
    world.must("root", Command::AddOperator(second));
    world.must("root", remove("root"));
    assert_eq!(
        world.refused("second", remove("second")),
        Reason::LastKeeper
    );
    world.must("second", remove("visitor"));
    assert_eq!(
        world.refused("second", remove("nobody")),
        Reason::OperatorUnknown
    );
}

#[test]
fn operators_and_services_are_bounded() {
    let mut world = World::born();
    let add = |change: &dyn Fn(&mut chancery_authority::OperatorSpec)| {
        let mut spec = operator_spec("olga", &[Role::Keeper]);
        change(&mut spec);
        Command::AddOperator(spec)
    };
    let reason = world.refused("root", add(&|spec| spec.roles = Roles::NONE));
    assert_eq!(reason, Reason::RolesEmpty);
    let reason = world.refused("root", add(&|spec| spec.keys.clear()));
    assert_eq!(reason, Reason::KeysCount);
    let reason = world.refused("root", add(&|spec| spec.name = principal("root")));
    assert_eq!(reason, Reason::OperatorExists);
    let reason = world.refused("root", add(&|spec| spec.expires_at = 1));
    assert_eq!(reason, Reason::ExpiryPast);

    let mut deaf = service_spec("s");
    deaf.audiences.clear();
    assert_eq!(
        world.refused("rita", Command::AddService(deaf)),
        Reason::AudiencesCount
    );
    world.must("rita", Command::AddService(service_spec("s")));
    let again = Command::AddService(service_spec("s"));
    assert_eq!(world.refused("rita", again), Reason::ServiceExists);
    let reason = world.refused("rita", Command::RemoveService(principal("t")));
    assert_eq!(reason, Reason::ServiceUnknown);
}

#[test]
fn nodes_are_numbered_in_order_and_known_by_one_key() {
    let mut world = World::born();
    let answer = world.must("root", Command::AdmitNode(node_spec(2)));
    assert_eq!(answer, Answer::Node(NodeNumber(2)));
    let mut refused = |change: &dyn Fn(&mut chancery_authority::NodeSpec)| {
        let mut spec = node_spec(3);
        change(&mut spec);
        world.refused("root", Command::AdmitNode(spec))
    };
    let taken = peer_key(2).public().clone();
    assert_eq!(
        refused(&|spec| spec.peer_key = taken.clone()),
        Reason::KeyInUse
    );
    assert_eq!(
        refused(&|spec| spec.name = "node-1".to_owned()),
        Reason::NodeExists
    );
    for name in ["", "a b", &"x".repeat(129)] {
        assert_eq!(
            refused(&|spec| spec.name = name.to_owned()),
            Reason::NodeNameInvalid
        );
    }
    for address in ["", "host", "host:", ":1", "host:0", "host:65536", "a b:1"] {
        let change =
            |spec: &mut chancery_authority::NodeSpec| spec.api_address = address.to_owned();
        assert_eq!(refused(&change), Reason::AddressInvalid, "{address}");
    }
    let long = format!("{}:1", "x".repeat(255));
    assert_eq!(
        refused(&|spec| spec.peer_address = long.clone()),
        Reason::AddressInvalid
    );
    for unknown in [0, 3] {
        let number = NodeNumber(unknown);
        for command in [
            Command::RevokeNode(number),
            Command::RetireNode(number),
            Command::RemoveNode(number),
            readmit(unknown, 9),
        ] {
            assert_eq!(world.refused("root", command), Reason::NodeUnknown);
        }
    }
    for number in 3..=MAX_NODES as u64 {
        world.must("root", Command::AdmitNode(node_spec(number)));
    }
    let one_too_many = || Command::AdmitNode(node_spec(999));
    assert_eq!(world.refused("root", one_too_many()), Reason::NodesFull);

    // Whoever is gone for the longest makes room, and gives no number back.
    for gone in [5, 4] {
        remove(&mut world, gone);
    }
    let next = NodeNumber(MAX_NODES as u64 + 1);
    assert_eq!(world.must("root", one_too_many()), Answer::Node(next));
    assert!(world.state.node(NodeNumber(5)).is_none());
    assert!(world.state.node(NodeNumber(4)).is_some());
}

fn remove(world: &mut World, number: u64) {
    world.must("root", Command::RetireNode(NodeNumber(number)));
    world.must("root", Command::RemoveNode(NodeNumber(number)));
}

#[test]
fn who_was_removed_never_comes_back_under_that_number() {
    let mut world = World::furnished();
    let number = NodeNumber(2);
    world.must("root", Command::AdmitNode(node_spec(2)));
    let remove = || Command::RemoveNode(number);
    assert_eq!(
        world.refused("root", remove()),
        Reason::NodeNotLeaving,
        "it stands"
    );
    world.must("root", Command::RetireNode(number));
    assert_eq!(
        world.refused("root", seat(2, Seat::Voter)),
        Reason::NodeLeaving
    );
    world.must("root", seat(2, Seat::Learner));
    world.must("root", remove());
    let removed_at = world.state.node(number).unwrap().removed_at;
    assert_eq!(removed_at, Some(world.state.revision()));
    world.must("root", remove());
    assert_eq!(world.state.node(number).unwrap().removed_at, removed_at);

    for command in [
        readmit(2, 102),
        seat(2, Seat::Learner),
        seat(2, Seat::Leader),
        Command::RetireNode(number),
    ] {
        assert_eq!(world.refused("root", command), Reason::NodeRemoved);
    }
    let tick = world.refused("node:2", Command::Tick);
    assert_eq!(tick, Reason::ActorUnknown, "it does not even keep time");
    let late = world.through(2, "root", Command::AdmitNode(node_spec(3)));
    assert_eq!(world.apply(late).unwrap_err().reason(), Reason::ViaUnknown);

    // What it signed can still be revoked. Its name is free, its key is not.
    world.must("root", Command::RevokeNode(number));
    let mut same = node_spec(2);
    let reason = world.refused("root", Command::AdmitNode(same.clone()));
    assert_eq!(reason, Reason::KeyInUse);
    same.peer_key = peer_key(102).public().clone();
    let answer = world.must("root", Command::AdmitNode(same));
    assert_eq!(answer, Answer::Node(NodeNumber(3)));
    world.state.validate().unwrap();
}

#[test]
fn a_node_that_only_checks_gets_no_vote() {
    let mut world = World::furnished();
    let mut spec = node_spec(2);
    spec.check_only = true;
    world.must("root", Command::AdmitNode(spec));
    for place in [Seat::Voter, Seat::Leader] {
        assert_eq!(
            world.refused("root", seat(2, place)),
            Reason::CheckOnlyVoter
        );
    }
    world.must("root", seat(2, Seat::Learner));
    assert_eq!(
        world.refused("root", seat(9, Seat::Voter)),
        Reason::NodeUnknown
    );
}

/// What the leader goes by when it is asked to change the membership.
#[test]
fn where_a_keeper_wants_a_node_stands_with_it() {
    let mut world = World::furnished();
    let votes = |world: &World, number| world.state.node(NodeNumber(number)).unwrap().votes;
    assert!(votes(&world, 1), "the first votes from birth");
    for number in [2, 3] {
        world.must("root", Command::AdmitNode(node_spec(number)));
        assert!(!votes(&world, number));
    }
    world.must("root", seat(2, Seat::Voter));
    assert!(votes(&world, 2) && !votes(&world, 3));
    assert_eq!(world.state.lead_asked(), None);
    world.must("root", seat(2, Seat::Leader));
    let asked = (NodeNumber(2), world.state.revision());
    assert_eq!(world.state.lead_asked(), Some(asked));
    world.must("root", seat(1, Seat::Leader));
    assert_eq!(
        world.state.lead_asked().unwrap().0,
        NodeNumber(1),
        "the last"
    );
    world.must("root", Command::RetireNode(NodeNumber(2)));
    assert!(!votes(&world, 2), "who leaves is wanted as a voter no more");
    world.must("root", seat(2, Seat::Learner));
    assert!(!votes(&world, 2));
    assert_eq!(
        world.refused("rita", seat(2, Seat::Voter)),
        Reason::RoleMissing
    );
    assert!(!votes(&world, 2));
}

fn seat(node: u64, seat: Seat) -> Command {
    Command::SeatNode {
        node: NodeNumber(node),
        seat,
    }
}

/// With the peer key that has this number.
fn readmit(node: u64, key: u64) -> Command {
    Command::ReadmitNode {
        node: NodeNumber(node),
        peer_key: peer_key(key).public().clone(),
    }
}

#[test]
fn a_node_comes_back_with_another_key() {
    let mut world = World::furnished();
    world.must("root", Command::AdmitNode(node_spec(2)));
    let taken = peer_key(3).public().thumbprint();
    let mut spec = agent_spec("a");
    spec.keys = vec![taken];
    world.must("rita", Command::RegisterAgent(spec));
    assert_eq!(
        world.refused("root", readmit(2, 102)),
        Reason::NodeStands,
        "a slip of the pen cuts no node off"
    );
    for command in [Command::RevokeNode, Command::RetireNode] {
        world.must("root", command(NodeNumber(2)));
    }
    assert_eq!(
        world.refused("root", readmit(2, 2)),
        Reason::PeerKeyUnchanged
    );
    for somebodys in [1, 3] {
        assert_eq!(
            world.refused("root", readmit(2, somebodys)),
            Reason::KeyInUse
        );
    }

    let events = world.by("root", readmit(2, 102)).unwrap();
    let [old, new] = [2, 102].map(|number| peer_key(number).public().thumbprint());
    for key in [old, new] {
        assert!(events.contains(&Event::KeyChanged(key)));
    }
    let node = world.state.node(NodeNumber(2)).unwrap();
    assert!(!node.barred && !node.retiring && node.peer_key.thumbprint() == new);
    let own = Holder::Node(NodeNumber(2));
    assert_eq!(world.state.holder(&new), Some(&own));
    assert_eq!(world.state.holder(&old), None);
}

#[test]
fn owners_are_added_once() {
    let mut world = World::furnished();
    let add = |name: &str, description: String| Command::AddOwner {
        name: owner(name),
        description,
    };
    assert_eq!(
        world.refused("rita", add("alice", String::new())),
        Reason::OwnerExists
    );
    let reason = world.refused("rita", add("carol", "x".repeat(257)));
    assert_eq!(reason, Reason::DescriptionTooLong);
}

#[test]
fn birth_happens_once_and_leaves_a_keeper() {
    let refused = |change: &dyn Fn(&mut chancery_authority::Birth)| {
        let mut birth = support::birth();
        change(&mut birth);
        World::unborn().birth(birth).unwrap_err().reason()
    };
    assert_eq!(
        refused(&|birth| birth.operators.clear()),
        Reason::OperatorsCount
    );
    let crowd: Vec<_> = (0..=MAX_FIRST_OPERATORS)
        .map(|at| operator_spec(&format!("o{at}"), &[Role::Keeper]))
        .collect();
    assert_eq!(
        refused(&|birth| birth.operators = crowd.clone()),
        Reason::OperatorsCount
    );
    let no_keeper = |birth: &mut chancery_authority::Birth| drop(birth.operators.remove(0));
    assert_eq!(refused(&no_keeper), Reason::LastKeeper);
    let leaving = |birth: &mut chancery_authority::Birth| birth.operators[0].expires_at = u64::MAX;
    assert_eq!(refused(&leaving), Reason::LastKeeper);
    let twin =
        |birth: &mut chancery_authority::Birth| birth.operators.push(birth.operators[0].clone());
    assert_eq!(refused(&twin), Reason::OperatorExists);
    let shared =
        |birth: &mut chancery_authority::Birth| birth.operators[1].keys = vec![key("root")];
    assert_eq!(refused(&shared), Reason::KeyInUse);
    let peer = |birth: &mut chancery_authority::Birth| {
        birth.operators[1].keys = vec![birth.node.peer_key.thumbprint()];
    };
    assert_eq!(refused(&peer), Reason::KeyInUse);
    let unsound = |birth: &mut chancery_authority::Birth| birth.settings.freshness_ms = 1;
    assert_eq!(refused(&unsound), Reason::SettingsUnsound);

    let mut world = World::unborn();
    assert_eq!(world.refused("root", Command::Tick), Reason::NotBorn);
    let (_, stamped) = world.log.pop().unwrap();
    assert_eq!(stamped.command, Command::Tick);
    world.birth(support::birth()).unwrap();
    let rejection = world.birth(support::birth()).unwrap_err();
    assert_eq!(rejection.reason(), Reason::AlreadyBorn);
}

#[test]
fn nobody_but_birth_gives_birth() {
    let mut world = World::unborn();
    let (actor, key) = World::actor("root");
    let stamped = world.stamped(actor, key, Command::Birth(support::birth()));
    let rejection = world.apply(stamped).unwrap_err();
    assert_eq!(rejection.reason(), Reason::RoleMissing);
}
