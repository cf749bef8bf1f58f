//! Nodes: their numbers, their keys, where a keeper wants them.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use chancery_authority::{Answer, Command, Event, Holder, MAX_NODES, Reason, Seat};
use chancery_credential::{NodeNumber, PeerSigningKey};
use support::{World, agent_spec, later_peer_key, node_spec, peer_key};

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
            removal(unknown, &peer_key(9)),
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

fn removal(number: u64, key: &PeerSigningKey) -> Command {
    Command::RemoveNode {
        node: NodeNumber(number),
        key: key.public().thumbprint(),
    }
}

fn remove(world: &mut World, number: u64) {
    world.must("root", Command::RetireNode(NodeNumber(number)));
    world.must("root", removal(number, &peer_key(number)));
}

/// Who removed it the first time was held up after it had waited, and comes when it
/// leaves for the second: nobody has waited that out.
#[test]
fn a_removal_that_comes_late_does_not_end_the_next_one() {
    let mut world = World::furnished();
    let number = NodeNumber(2);
    world.must("root", Command::AdmitNode(node_spec(2)));
    world.must("root", Command::RetireNode(number));
    world.readmit(2);
    world.must("root", Command::RetireNode(number));
    let late = removal(2, &peer_key(2));
    assert_eq!(world.refused("root", late), Reason::NodeReadmitted);
    assert!(world.state.node(number).unwrap().removed_at.is_none());
    world.must("root", removal(2, &later_peer_key(2, 1)));
}

#[test]
fn who_was_removed_never_comes_back_under_that_number() {
    let mut world = World::furnished();
    let number = NodeNumber(2);
    world.must("root", Command::AdmitNode(node_spec(2)));
    let remove = || removal(2, &peer_key(2));
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
