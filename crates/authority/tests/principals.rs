//! Agents, operators, services and owners: bounds, keys, and the last keeper.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use chancery_authority::{
    AgentSpec, Command, Holder, KeyChange, MAX_FIRST_OPERATORS, OperatorChange, Reason, Role,
    Roles, ServiceChange,
};
use chancery_credential::Grant;
use support::{
    World, agent_id, agent_spec, grant, key, operator_spec, owner, peer_key, principal,
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

fn operator_change(name: &str) -> OperatorChange {
    OperatorChange {
        name: principal(name),
        roles: None,
        keys: KeyChange::default(),
        expires_at: None,
    }
}

/// In between both count, so that nobody is locked out.
#[test]
fn an_operator_gets_another_key_and_loses_the_first() {
    let mut world = World::furnished();
    let mut change = operator_change("rob");
    change.keys.added = vec![key("rob-2")];
    world.must("root", Command::UpdateOperator(change));
    let rob = |world: &World| world.state.operator(&principal("rob")).unwrap().clone();
    assert_eq!(rob(&world).keys.len(), 2);

    let mut change = operator_change("rob");
    change.keys.removed = vec![key("rob")];
    world.must("root", Command::UpdateOperator(change.clone()));
    assert_eq!(rob(&world).keys.to_vec(), [key("rob-2")]);
    assert_eq!(
        rob(&world).roles,
        Roles::of(&[Role::Responder]),
        "as before"
    );
    assert!(world.state.holder(&key("rob")).is_none());
    let suspend = Command::Suspend(chancery_credential::Subject::Everything);
    assert_eq!(world.refused("rob", suspend), Reason::ActorKeyNotTheirs);

    let again = Command::UpdateOperator(change.clone());
    assert_eq!(world.refused("root", again), Reason::KeyNotTheirs);
    change.keys.removed = vec![key("rob-2")];
    let keyless = Command::UpdateOperator(change.clone());
    assert_eq!(world.refused("root", keyless), Reason::KeysCount);
    change.keys = KeyChange {
        added: vec![key("rita")],
        removed: Vec::new(),
    };
    let taken = Command::UpdateOperator(change);
    assert_eq!(world.refused("root", taken), Reason::KeyInUse);
}

#[test]
fn the_last_keeper_is_not_narrowed_either() {
    let mut world = World::furnished();
    let mut narrowed = operator_change("root");
    narrowed.roles = Some(Roles::of(&[Role::Auditor]));
    let mut ending = operator_change("root");
    ending.expires_at = Some(world.now_ms / 1_000 + 60);
    for change in [&narrowed, &ending] {
        let update = Command::UpdateOperator(change.clone());
        assert_eq!(world.refused("root", update), Reason::LastKeeper);
    }
    let mut second = operator_change("rob");
    second.roles = Some(Roles::of(&[Role::Keeper]));
    world.must("root", Command::UpdateOperator(second));
    world.must("root", Command::UpdateOperator(narrowed.clone()));
    // What was asked before is not what stands.
    let mut late = operator_change("root");
    late.roles = Some(Roles::of(&[Role::Keeper]));
    let (actor, proved) = World::actor("rob");
    let mut late = world.stamped(actor, proved, Command::UpdateOperator(late));
    late.meta.request.time_ms -= 1;
    assert_eq!(world.apply(late).unwrap_err().reason(), Reason::AskedBefore);
}

#[test]
fn a_service_gets_other_audiences_and_keys() {
    let mut world = World::furnished();
    world.must("rita", Command::AddService(service_spec("s")));
    let change = ServiceChange {
        name: principal("s"),
        audiences: Some(vec!["https://other.example".parse().unwrap()]),
        keys: KeyChange {
            added: vec![key("s-2")],
            removed: vec![key("s")],
        },
    };
    world.must("rita", Command::UpdateService(change.clone()));
    let record = world.state.service(&principal("s")).unwrap();
    assert_eq!(record.keys.to_vec(), [key("s-2")]);
    assert_eq!(record.audiences[0].as_str(), "https://other.example");
    let unknown = ServiceChange {
        name: principal("t"),
        ..change
    };
    let update = Command::UpdateService(unknown);
    assert_eq!(world.refused("rita", update), Reason::ServiceUnknown);
}
