//! What callers and mints look up.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use chancery_authority::{Command, Directory, NoStanding, Principal, Role};
use chancery_credential::Subject;
use proptest::prelude::*;
use support::histories::{AGENTS, KEYS, OWNERS, SETS, config, furniture, history};
use support::{
    DAWN_MS, World, agent, agent_id, agent_spec, key, operator_spec, owner, peer_key, principal,
    service_spec, set,
};

const NOW_S: u64 = DAWN_MS / 1_000;

fn world() -> World {
    let mut world = World::furnished();
    world.must("rita", Command::RegisterAgent(agent_spec("a")));
    world.must("rita", Command::AddService(service_spec("s")));
    world
}

#[test]
fn everybody_is_known_by_their_key() {
    let world = world();
    let directory = &world.consumers.directory;
    let principal_of = |name: &str| directory.principal(&key(name)).unwrap();
    assert_eq!(
        principal_of("a").actor().to_string(),
        format!("agent:{}", agent_id("a"))
    );
    assert_eq!(principal_of("root").actor().to_string(), "operator:root");
    assert!(principal_of("root").roles().contains(Role::Keeper));
    assert!(!principal_of("rita").roles().contains(Role::Keeper));
    assert_eq!(principal_of("s").audiences().len(), 1);
    assert!(principal_of("s").roles().is_empty());
    assert_eq!(directory.principal(&key("stranger")), None);
    let peer = peer_key(1).public().thumbprint();
    assert_eq!(directory.principal(&peer), None, "nodes are no callers");
    assert_eq!(directory.lineage(), Some(support::LINEAGE));
}

#[test]
fn nobody_stands_before_birth() {
    let directory = Directory::new();
    assert_eq!(
        directory.standing(&key("root"), 0),
        Err(NoStanding::Unknown)
    );
    assert!(directory.settings().is_none());
    assert_eq!(directory.lineage(), None);
}

#[test]
fn standing_is_lost_at_once_and_the_generation_says_so() {
    let mut world = world();
    let standing = |world: &World, name: &str| {
        let standing = world.consumers.directory.standing(&key(name), NOW_S);
        standing.map(|_| ()).map_err(|refusal| refusal.code())
    };
    let generation = |world: &World| world.consumers.directory.standing_generation();
    let mut last = generation(&world);
    let mut rose = |world: &World| {
        let now = generation(world);
        std::mem::replace(&mut last, now) < now
    };
    for (subject, code) in [
        (agent("a"), "AGENT_SUSPENDED"),
        (Subject::Owner(owner("alice")), "OWNER_SUSPENDED"),
    ] {
        world.must("rob", Command::Suspend(subject.clone()));
        assert_eq!(standing(&world, "a"), Err(code));
        assert!(rose(&world));
        world.must("rob", Command::Resume(subject));
        assert_eq!(standing(&world, "a"), Ok(()));
        assert!(!rose(&world), "nobody lost anything");
    }
    world.must("rita", Command::RegisterAgent(agent_spec("b")));
    assert!(!rose(&world));
    world.must("rita", Command::RemoveAgent(agent_id("a")));
    assert_eq!(standing(&world, "a"), Err("KEY_UNKNOWN"));
    assert!(rose(&world));
    world.must("root", Command::RemoveOperator(principal("ada")));
    assert_eq!(standing(&world, "ada"), Err("KEY_UNKNOWN"));
    assert!(rose(&world));
    world.must("rita", Command::RemoveService(principal("s")));
    assert_eq!(standing(&world, "s"), Err("KEY_UNKNOWN"));
    assert!(rose(&world));
}

#[test]
fn a_registration_ends_by_itself() {
    let mut world = world();
    let mut visitor = operator_spec("visitor", &[Role::Auditor]);
    visitor.expires_at = NOW_S + 10;
    world.must("root", Command::AddOperator(visitor));
    let directory = &world.consumers.directory;
    let standing = |now_s| directory.standing(&key("visitor"), now_s).map(|_| ());
    assert_eq!(standing(NOW_S + 9), Ok(()));
    assert_eq!(standing(NOW_S + 10), Err(NoStanding::Expired));
    assert!(directory.standing(&key("root"), u64::MAX).is_ok());
}

/// All that can be asked of a directory, about everybody in the random histories.
fn answers(directory: &Directory) -> Vec<String> {
    let keys = KEYS.into_iter().chain(["rita", "rob", "ada", "s"]);
    let principals = keys.map(|name| format!("{:?}", directory.principal(&key(name))));
    let agents = AGENTS.map(|name| format!("{:?}", directory.agent(&agent_id(name))));
    let owners = OWNERS.map(|name| format!("{:?}", directory.owner(&owner(name))));
    let sets = SETS.map(|name| format!("{:?}", directory.grant_set(&set(name))));
    principals
        .chain(agents)
        .chain(owners)
        .chain(sets)
        .chain([
            format!("{}", directory.everything_suspended()),
            format!("{:?} {:?}", directory.settings(), directory.lineage()),
        ])
        .collect()
}

proptest! {
    #![proptest_config(config(32))]

    /// What the events published is what the whole state says, after every command.
    #[test]
    fn published_bit_by_bit_or_at_once(history in history(50)) {
        let mut world = World::born();
        for step in furniture().iter().chain(&history) {
            let stamped = step.resolve(&mut world);
            let _ = world.apply(stamped);
            let whole = Directory::new();
            whole.replace(&world.state);
            prop_assert_eq!(answers(&world.consumers.directory), answers(&whole));
        }
    }
}

#[test]
fn readers_never_see_a_key_with_a_holder_that_does_not_hold_it() {
    let mut world = world();
    let directory = std::sync::Arc::new(Directory::new());
    directory.replace(&world.state);
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let looking = scope.spawn(|| {
            let mut seen = 0_u64;
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                if let Some(principal) = directory.principal(&key("shared")) {
                    assert!(principal.keys().contains(&key("shared")), "{principal:?}");
                    assert!(matches!(principal, Principal::Agent(_)));
                    seen += 1;
                }
            }
            seen
        });
        // The key wanders between two agents.
        for round in 0..200 {
            let (with, without) = if round % 2 == 0 {
                ("a", "b")
            } else {
                ("b", "a")
            };
            for (name, extra) in [(without, None), (with, Some(key("shared")))] {
                let mut spec = agent_spec(name);
                spec.keys.extend(extra);
                let command = match world.state.agent(&spec.id) {
                    Some(_) => Command::UpdateAgent {
                        spec,
                        keep_held: true,
                        changed_at: None,
                    },
                    None => Command::RegisterAgent(spec),
                };
                let events = world.by("rita", command).unwrap();
                directory.publish(&world.state, &events);
            }
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        looking.join().unwrap();
    });
}
