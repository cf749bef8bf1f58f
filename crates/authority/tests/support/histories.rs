//! Random histories over a small world, in which most commands mean something.

use chancery_authority::{
    AgentSpec, Command, KeyChange, Limits, OperatorChange, Role, Roles, Seat, ServiceChange,
    Stamped,
};
use chancery_credential::{
    EpochNumber, Grant, IssuerNumber, NodeNumber, Revision, Subject, TokenId,
};
use proptest::prelude::*;
use proptest::sample::select;

use super::{
    World, agent_id, grant, key, later_peer_key, node_spec, operator_spec, owner, principal,
    service_spec, set, signing_key,
};

pub const AGENTS: [&str; 3] = ["a", "b", "c"];
pub const OWNERS: [&str; 3] = ["alice", "bob", "carol"];
pub const SETS: [&str; 3] = ["base", "more", "none"];
pub const KEYS: [&str; 6] = ["a", "b", "c", "k", "root", "olga"];
const GRANTS: [&str; 5] = ["files:read", "files:*", "mail:send", "*:*", "mail:list"];

/// One step: somebody does something, some time after the last.
#[derive(Clone, Debug)]
pub struct Step {
    pub pause_ms: u64,
    /// How long it was on its way.
    pub held_up_ms: u64,
    /// By the operator whose it is, or by somebody else.
    pub by: Option<&'static str>,
    /// Through a node that stands, or through this one.
    pub via: Option<u64>,
    pub deed: Deed,
}

/// What can be resolved only when the state is known.
#[derive(Clone, Debug)]
#[allow(clippy::large_enum_variant)]
pub enum Deed {
    Send(Command),
    /// A request for an issuer; with `former` and `epoch` off by so much, and
    /// perhaps forged.
    Open {
        node: u64,
        process: u64,
        key: u64,
        stale: bool,
        forged: bool,
    },
    /// A floor as many revisions ago, moved to a candidate or not.
    Raise {
        back: u64,
        sought: bool,
    },
    /// The command so many entries ago, once more, perhaps as another command.
    Retry {
        back: usize,
        reuse: bool,
    },
}

impl Step {
    /// The log entry that it comes to in this world.
    pub fn resolve(&self, world: &mut World) -> Stamped {
        world.pass_ms(self.pause_ms);
        let command = match &self.deed {
            Deed::Send(command) => dated(command.clone(), world.now_ms),
            Deed::Open { .. } => Command::OpenIssuer(self.open(world)),
            Deed::Raise { back, sought } => {
                let at = Revision(world.state.revision().0.saturating_sub(*back));
                let candidate = world.state.floor_candidate(at);
                Command::RaiseFloor(candidate.filter(|_| *sought).unwrap_or(at))
            }
            Deed::Retry { back, reuse } => return self.retry(world, *back, *reuse),
        };
        let name = self.by.unwrap_or_else(|| whose(&command));
        let mut stamped = match self.via {
            Some(via) => world.through(via, name, command),
            None => {
                let (actor, key) = World::actor(name);
                world.stamped(actor, key, command)
            }
        };
        stamped.meta.request.time_ms -= self.held_up_ms;
        stamped
    }

    fn open(&self, world: &World) -> chancery_authority::OpenIssuer {
        let Deed::Open {
            node,
            process,
            key,
            stale,
            forged,
        } = self.deed
        else {
            unreachable!("asked of Open only")
        };
        let signing = signing_key(key);
        let mut request = if stale {
            let node = NodeNumber(node);
            World::proved(
                node,
                EpochNumber(1),
                process,
                Some(IssuerNumber(1)),
                &signing,
            )
        } else {
            world.open_request(node, process, &signing)
        };
        if forged {
            request.key_signatures[0][5] ^= 0x40;
        }
        request
    }

    fn retry(&self, world: &mut World, back: usize, reuse: bool) -> Stamped {
        let at = world.log.len().saturating_sub(back + 1);
        let mut stamped = world.log[at].1.clone();
        stamped.stamp.time_ms = world.now_ms;
        if reuse {
            stamped.meta.digest[0] ^= 1;
        }
        stamped
    }
}

/// With an end of the registration that counts from now.
fn dated(mut command: Command, now_ms: u64) -> Command {
    let expires_at = match &mut command {
        Command::RegisterAgent(spec) | Command::UpdateAgent { spec, .. } => &mut spec.expires_at,
        Command::AddOperator(spec) => &mut spec.expires_at,
        Command::UpdateOperator(change) => match &mut change.expires_at {
            Some(expires_at) => expires_at,
            None => return command,
        },
        _ => return command,
    };
    if *expires_at > 0 {
        *expires_at += now_ms / 1_000;
    }
    command
}

/// Whose command it is.
fn whose(command: &Command) -> &'static str {
    match command {
        Command::Tick
        | Command::RetireIssuer(_)
        | Command::ExpireIssuer(_)
        | Command::ExpireRegistrations
        | Command::ForgetFormer(_)
        | Command::CompareState { .. } => "node:1",
        Command::RaiseFloor(_) => "node:2",
        Command::OpenIssuer(request) => match request.node.0 {
            1 => "node:1",
            2 => "node:2",
            _ => "node:3",
        },
        Command::Suspend(_)
        | Command::Resume(_)
        | Command::RevokeHeld(_)
        | Command::RevokeToken { .. } => "rob",
        Command::RegisterAgent(_)
        | Command::UpdateAgent { .. }
        | Command::RemoveAgent(_)
        | Command::AddOwner { .. }
        | Command::PutGrantSet { .. }
        | Command::RemoveGrantSet(_)
        | Command::AddService(_)
        | Command::UpdateService(_)
        | Command::RemoveService(_) => "rita",
        _ => "root",
    }
}

/// So many random histories. What failed is shown, and not written down.
pub fn config(cases: u32) -> ProptestConfig {
    ProptestConfig {
        cases,
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

pub fn history(length: usize) -> impl Strategy<Value = Vec<Step>> {
    prop::collection::vec(step(), length / 4..length)
}

fn step() -> impl Strategy<Value = Step> {
    let pause = prop_oneof![
        18 => 0..2_000_u64,
        1 => Just(61_000),
        1 => Just(3_600_000),
    ];
    let by = prop_oneof![
        12 => Just(None),
        1 => select(vec![
            "root", "rita", "rob", "ada", "olga", "agent:a", "agent:b", "service:s", "node:1",
            "node:2", "node:9",
        ]).prop_map(Some),
    ];
    let via = prop_oneof![8 => Just(None), 2 => (1..5_u64).prop_map(Some)];
    let held_up = prop_oneof![6 => Just(0), 2 => 0..10_000_u64];
    let step = (pause, held_up, by, via, deed());
    step.prop_map(|(pause_ms, held_up_ms, by, via, deed)| Step {
        pause_ms,
        held_up_ms,
        by,
        via,
        deed,
    })
}

fn deed() -> impl Strategy<Value = Deed> {
    let open = (
        1..4_u64,
        0..3_u64,
        0..40_u64,
        prop::bool::weighted(0.1),
        prop::bool::weighted(0.1),
    )
        .prop_map(|(node, process, key, stale, forged)| Deed::Open {
            node,
            process,
            key,
            stale,
            forged,
        });
    prop_oneof![
        6 => registry().prop_map(Deed::Send),
        5 => revocation().prop_map(Deed::Send),
        4 => issuing().prop_map(Deed::Send),
        4 => open,
        1 => (0..20_u64, prop::bool::weighted(0.8))
            .prop_map(|(back, sought)| Deed::Raise { back, sought }),
        1 => (0..6_usize, any::<bool>()).prop_map(|(back, reuse)| Deed::Retry { back, reuse }),
    ]
}

fn registry() -> impl Strategy<Value = Command> {
    let add_owner = select(&OWNERS[..]).prop_map(|name| Command::AddOwner {
        name: owner(name),
        description: String::new(),
    });
    let put_set =
        (select(&SETS[..2]), grants(), any::<bool>()).prop_map(|(name, grants, keep_held)| {
            Command::PutGrantSet {
                name: set(name),
                grants,
                keep_held,
            }
        });
    let add_operator = (
        any::<bool>(),
        select(&KEYS[..]),
        prop_oneof![2 => Just(0), 1 => Just(900)],
    )
        .prop_map(|(keeper, named, lasts_s)| {
            let role = if keeper { Role::Keeper } else { Role::Auditor };
            let mut spec = operator_spec("olga", &[role]);
            spec.keys = vec![key(named)];
            spec.expires_at = lasts_s;
            Command::AddOperator(spec)
        });
    let key_change = || {
        let keys = || prop::collection::vec(select(&KEYS[..]), 0..2);
        (keys(), keys()).prop_map(|(added, removed)| KeyChange {
            added: added.into_iter().map(key).collect(),
            removed: removed.into_iter().map(key).collect(),
        })
    };
    let update_operator = (
        select(vec!["root", "olga", "ada"]),
        prop::option::of(prop::bool::ANY),
        key_change(),
        prop::option::of(prop_oneof![2 => Just(0), 1 => Just(900)]),
    )
        .prop_map(|(name, keeper, keys, expires_at)| {
            let role = |keeper| if keeper { Role::Keeper } else { Role::Auditor };
            Command::UpdateOperator(OperatorChange {
                name: principal(name),
                roles: keeper.map(|keeper| Roles::of(&[role(keeper)])),
                keys,
                expires_at,
            })
        });
    let update_service = key_change().prop_map(|keys| {
        Command::UpdateService(ServiceChange {
            name: principal("s"),
            audiences: None,
            keys,
        })
    });
    let remove_operator = select(vec!["root", "olga", "ada"])
        .prop_map(|name| Command::RemoveOperator(principal(name)));
    let update =
        (spec(), prop::bool::weighted(0.2)).prop_map(|(spec, keep_held)| Command::UpdateAgent {
            spec,
            keep_held,
            changed_at: None,
        });
    prop_oneof![
        5 => spec().prop_map(Command::RegisterAgent),
        5 => update,
        2 => agent_name().prop_map(|name| Command::RemoveAgent(agent_id(name))),
        1 => add_owner,
        3 => put_set,
        2 => some_set().prop_map(|name| Command::RemoveGrantSet(set(name))),
        2 => add_operator,
        2 => update_operator,
        1 => update_service,
        1 => remove_operator,
        1 => Just(Command::AddService(service_spec("s"))),
        1 => Just(Command::RemoveService(principal("s"))),
        1 => (1..5_u64).prop_map(|number| Command::AdmitNode(node_spec(number))),
    ]
}

fn revocation() -> impl Strategy<Value = Command> {
    let token =
        (1..6_u32, 0..3_u8, prop::option::of(agent_name())).prop_map(|(issuer, random, agent)| {
            Command::RevokeToken {
                // The ids that `Consumers::mint` draws begin at 1.
                token: TokenId::new(IssuerNumber(issuer), {
                    let mut bytes = [0; 12];
                    bytes[7] = random + 1;
                    bytes
                }),
                agent: agent.map(agent_id),
            }
        });
    prop_oneof![
        3 => subject().prop_map(Command::Suspend),
        4 => subject().prop_map(Command::Resume),
        3 => subject().prop_map(Command::RevokeHeld),
        2 => token,
    ]
}

fn issuing() -> impl Strategy<Value = Command> {
    let issuer = || (1..8_u32).prop_map(IssuerNumber);
    let node = || (1..4_u64).prop_map(NodeNumber);
    let caps = select(vec![600_u64, 900, 3_599, 3_600]);
    let set_settings = caps.prop_map(|ttl_cap_s| {
        Command::SetSettings(chancery_authority::SettingsChange {
            ttl_cap_s: Some(ttl_cap_s),
            ..Default::default()
        })
    });
    prop_oneof![
        3 => Just(Command::Tick),
        2 => any::<bool>().prop_map(|emergency| Command::OpenEpoch { emergency }),
        3 => issuer().prop_map(Command::RetireIssuer),
        3 => issuer().prop_map(Command::ExpireIssuer),
        1 => issuer().prop_map(Command::RevokeIssuer),
        1 => (0..5_u64).prop_map(|number| Command::RevokeEpoch(EpochNumber(number))),
        1 => node().prop_map(Command::RevokeNode),
        1 => node().prop_map(Command::RetireNode),
        1 => (node(), select(vec![Seat::Learner, Seat::Voter, Seat::Leader]))
            .prop_map(|(node, seat)| Command::SeatNode { node, seat }),
        // Not the first one: a cluster without any node hears nobody.
        1 => (2..4_u64, 0..2_u64).prop_map(|(number, times)| Command::RemoveNode {
            node: NodeNumber(number),
            key: later_peer_key(number, times).public().thumbprint(),
        }),
        3 => readmission(),
        1 => set_settings,
        2 => Just(Command::ExpireRegistrations),
        1 => (0..400_u64).prop_map(|at| Command::CompareState {
            at: Revision(at),
            digest: [9; 32],
        }),
    ]
}

/// Mostly with a key of its own, old or new.
fn readmission() -> impl Strategy<Value = Command> {
    let whose = prop_oneof![9 => Just(None), 1 => (1..4_u64).prop_map(Some)];
    (1..4_u64, whose, 0..4_u64).prop_map(|(number, whose, times)| {
        let peer_key = later_peer_key(whose.unwrap_or(number), times);
        Command::ReadmitNode {
            node: NodeNumber(number),
            peer_key: peer_key.public().clone(),
        }
    })
}

fn agent_name() -> impl Strategy<Value = &'static str> {
    select(&AGENTS[..])
}

pub fn subject() -> impl Strategy<Value = Subject> {
    prop_oneof![
        6 => agent_name().prop_map(super::agent),
        3 => select(&OWNERS[..2]).prop_map(|name| Subject::Owner(owner(name))),
        3 => some_set().prop_map(|name| Subject::GrantSet(set(name))),
        1 => Just(Subject::Everything),
    ]
}

fn grants() -> impl Strategy<Value = Vec<Grant>> {
    prop::collection::vec(select(&GRANTS[..]).prop_map(grant), 0..3)
}

/// Mostly of owners and sets that are there, and with a key that is its own.
fn spec() -> impl Strategy<Value = AgentSpec> {
    let keys = prop_oneof![
        6 => Just(vec![]),
        2 => Just(vec!["k"]),
        1 => select(&KEYS[..]).prop_map(|name| vec![name]),
    ];
    (
        agent_name(),
        prop::collection::vec(select(&OWNERS[..]), 1..3),
        (keys, prop::bool::weighted(0.9)),
        grants(),
        prop::collection::vec(some_set(), 0..3),
        select(vec![0_u32, 0, 5, 10]),
        prop_oneof![6 => Just(0_u64), 2 => Just(50_000), 1 => Just(5)],
    )
        .prop_map(
            |(name, owners, (mut keys, own), grants, sets, rate, lasts_s)| {
                if own || keys.is_empty() {
                    keys.push(name);
                }
                AgentSpec {
                    id: agent_id(name),
                    owners: owners.into_iter().map(owner).collect(),
                    keys: keys.into_iter().map(key).collect(),
                    grants,
                    grant_sets: sets.into_iter().map(set).collect(),
                    limits: Limits { rate },
                    expires_at: lasts_s,
                    description: String::new(),
                }
            },
        )
}

fn some_set() -> impl Strategy<Value = &'static str> {
    prop_oneof![9 => select(&SETS[..2]), 1 => Just(SETS[2])]
}

/// What most of a history needs: owners, sets, three nodes, two agents, an issuer.
pub fn furniture() -> Vec<Step> {
    let add_owner = |name| Command::AddOwner {
        name: owner(name),
        description: String::new(),
    };
    let put_set = |name| Command::PutGrantSet {
        name: set(name),
        grants: vec![grant("mail:send")],
        keep_held: false,
    };
    let register = |name, sets: &[&str]| {
        let mut spec = super::agent_spec(name);
        spec.grant_sets = sets.iter().map(|name| set(name)).collect();
        Command::RegisterAgent(spec)
    };
    let commands = [
        add_owner("alice"),
        add_owner("bob"),
        put_set("base"),
        Command::AdmitNode(node_spec(2)),
        Command::AdmitNode(node_spec(3)),
        register("a", &["base"]),
        register("b", &[]),
    ];
    let open = Deed::Open {
        node: 1,
        process: 0,
        key: 1_000,
        stale: false,
        forged: false,
    };
    let deeds = commands.into_iter().map(Deed::Send).chain([open]);
    deeds
        .map(|deed| Step {
            pause_ms: 10,
            held_up_ms: 0,
            by: None,
            via: None,
            deed,
        })
        .collect()
}
