//! `apply` is total: whatever stands in the log, it neither panics nor leaves a
//! state that does not hold together.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use chancery_authority::{
    Actor, Birth, Command, Limits, Meta, NodeSpec, OpenIssuer, OperatorSpec, RequestId, Roles,
    Seat, ServiceSpec, Settings, SettingsChange, Stamp, Stamped,
};
use chancery_credential::{
    EpochNumber, Grant, IssuerNumber, KeyThumbprint, Lineage, NodeNumber, Revision, TokenId,
};
use proptest::prelude::*;
use proptest::sample::select;
use support::histories::{AGENTS, KEYS, OWNERS, SETS, config, subject};
use support::{
    DAWN_MS, World, agent_id, grant, key, operator_spec, owner, peer_key, principal, set, settings,
    signing_key,
};

fn number() -> impl Strategy<Value = u64> {
    prop_oneof![
        6 => 0..5_u64,
        1 => Just(u64::MAX),
        1 => Just(u64::from(u32::MAX)),
        1 => any::<u64>(),
        1 => (0..7_200_000_u64).prop_map(|ms| DAWN_MS + ms),
    ]
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => Just("node-1.example.org:7443".to_owned()),
        1 => ".{0,20}",
        1 => (0..700_usize).prop_map(|length| "x".repeat(length)),
    ]
}

fn keys() -> impl Strategy<Value = Vec<KeyThumbprint>> {
    let any_key = any::<[u8; 32]>().prop_map(KeyThumbprint::from_bytes);
    let peer = (1..3_u64).prop_map(|number| peer_key(number).public().thumbprint());
    let one = prop_oneof![4 => select(&KEYS[..]).prop_map(key), 1 => any_key, 1 => peer];
    prop::collection::vec(one, 0..10)
}

fn grants() -> impl Strategy<Value = Vec<Grant>> {
    let one = (0..70_usize, any::<u32>(), any::<bool>()).prop_map(|(scopes, ttl, bearer)| Grant {
        scopes: vec!["s".repeat(100).parse().unwrap(); scopes],
        max_ttl_seconds: ttl,
        bearer,
        ..grant("files:read")
    });
    prop_oneof![
        4 => Just(vec![grant("files:read")]),
        1 => prop::collection::vec(one, 0..3),
        1 => (0..70_usize).prop_map(|count| vec![grant("files:read"); count]),
    ]
}

fn agent_spec() -> impl Strategy<Value = chancery_authority::AgentSpec> {
    let id = prop_oneof![
        6 => select(&AGENTS[..]).prop_map(agent_id),
        1 => Just("spiffe://elsewhere/a".parse().unwrap()),
    ];
    (
        id,
        prop::collection::vec(select(&OWNERS[..]).prop_map(owner), 0..10),
        keys(),
        grants(),
        prop::collection::vec(select(&SETS[..]).prop_map(set), 0..10),
        any::<u32>(),
        number(),
        text(),
    )
        .prop_map(
            |(id, owners, keys, grants, grant_sets, rate, expires_at, description)| {
                chancery_authority::AgentSpec {
                    id,
                    owners,
                    keys,
                    grants,
                    grant_sets,
                    limits: Limits { rate },
                    expires_at,
                    description,
                }
            },
        )
}

fn operator() -> impl Strategy<Value = OperatorSpec> {
    (
        select(vec!["root", "olga", "rob"]),
        any::<u8>(),
        keys(),
        number(),
    )
        .prop_map(|(name, bits, keys, expires_at)| OperatorSpec {
            name: principal(name),
            roles: Roles::from_bits(bits),
            keys,
            expires_at,
        })
}

fn node() -> impl Strategy<Value = NodeSpec> {
    (text(), text(), text(), 0..4_u64, any::<bool>()).prop_map(
        |(name, api_address, peer_address, peer, check_only)| NodeSpec {
            name,
            api_address,
            peer_address,
            peer_key: peer_key(peer).public().clone(),
            check_only,
        },
    )
}

fn wild_settings() -> impl Strategy<Value = Settings> {
    (prop::array::uniform5(number()), text()).prop_map(|(numbers, url)| {
        let [freshness_ms, ttl_cap_s, jwks_max_age_s, epoch_s, v_max_ms] = numbers;
        Settings {
            issuer_url: url,
            freshness_ms,
            ttl_cap_s,
            jwks_max_age_s,
            epoch_s,
            v_max_ms,
            ..settings()
        }
    })
}

fn wild_change() -> impl Strategy<Value = SettingsChange> {
    (
        prop::array::uniform5(prop::option::of(number())),
        prop::option::of(text()),
    )
        .prop_map(|(numbers, issuer_url)| {
            let [freshness_ms, ttl_cap_s, jwks_max_age_s, epoch_s, v_max_ms] = numbers;
            SettingsChange {
                issuer_url,
                freshness_ms,
                ttl_cap_s,
                jwks_max_age_s,
                epoch_s,
                v_max_ms,
                ..SettingsChange::default()
            }
        })
}

fn birth() -> impl Strategy<Value = Birth> {
    let sound = prop_oneof![Just(settings()), wild_settings()];
    (
        number(),
        number(),
        sound,
        node(),
        prop::collection::vec(operator(), 0..20),
    )
        .prop_map(|(generation, random, settings, node, mut operators)| {
            operators.push(operator_spec("root", &[chancery_authority::Role::Keeper]));
            Birth {
                lineage: Lineage { generation, random },
                settings,
                node,
                operators,
            }
        })
}

fn open_issuer() -> impl Strategy<Value = OpenIssuer> {
    let bytes = || prop::collection::vec(any::<u8>(), 0..80);
    (
        prop::array::uniform3(number()),
        prop::option::of(0..5_u32),
        0..3_usize,
        bytes(),
        prop::collection::vec(bytes(), 0..3),
        any::<bool>(),
    )
        .prop_map(
            |(numbers, former, count, peer_signature, key_signatures, proved)| {
                let [node, epoch, process] = numbers;
                let former = former.map(IssuerNumber);
                let signing = signing_key(process % 50);
                let node = NodeNumber(if proved { 1 } else { node });
                if proved {
                    return World::proved(node, EpochNumber(epoch), process, former, &signing);
                }
                OpenIssuer {
                    node,
                    epoch: EpochNumber(epoch),
                    process,
                    former,
                    keys: vec![signing.public(); count],
                    peer_signature,
                    key_signatures,
                }
            },
        )
}

fn command() -> impl Strategy<Value = Command> {
    let registry = prop_oneof![
        birth().prop_map(Command::Birth),
        agent_spec().prop_map(Command::RegisterAgent),
        (agent_spec(), any::<bool>()).prop_map(|(spec, keep_held)| Command::UpdateAgent {
            spec,
            keep_held,
            changed_at: None,
        }),
        select(&AGENTS[..]).prop_map(|name| Command::RemoveAgent(agent_id(name))),
        (select(&OWNERS[..]), text()).prop_map(|(name, description)| Command::AddOwner {
            name: owner(name),
            description
        }),
        (select(&SETS[..]), grants(), any::<bool>()).prop_map(|(name, grants, keep_held)| {
            Command::PutGrantSet {
                name: set(name),
                grants,
                keep_held,
            }
        }),
        operator().prop_map(Command::AddOperator),
        (keys(), 0..70_usize).prop_map(|(keys, audiences)| {
            Command::AddService(ServiceSpec {
                name: principal("s"),
                audiences: vec!["files".parse().unwrap(); audiences],
                keys,
            })
        }),
        select(vec!["root", "olga", "rob"])
            .prop_map(|name| Command::RemoveOperator(principal(name))),
        Just(Command::RemoveService(principal("s"))),
        select(&SETS[..]).prop_map(|name| Command::RemoveGrantSet(set(name))),
        node().prop_map(Command::AdmitNode),
        wild_change().prop_map(Command::SetSettings),
    ];
    let number32 = || number().prop_map(|number| IssuerNumber(number as u32));
    let revocation = prop_oneof![
        Just(Command::Tick),
        subject().prop_map(Command::Suspend),
        subject().prop_map(Command::Resume),
        subject().prop_map(Command::RevokeHeld),
        (any::<[u8; 16]>(), 0..4_u8, any::<bool>()).prop_map(|(mut bytes, issuer, bare)| {
            bytes[..4].copy_from_slice(&[0, 0, 0, issuer]);
            Command::RevokeToken {
                token: TokenId::from_bytes(bytes),
                agent: (!bare).then(|| agent_id("a")),
            }
        }),
        any::<bool>().prop_map(|emergency| Command::OpenEpoch { emergency }),
        open_issuer().prop_map(Command::OpenIssuer),
        number32().prop_map(Command::RetireIssuer),
        number32().prop_map(Command::ExpireIssuer),
        number32().prop_map(Command::RevokeIssuer),
        number().prop_map(|number| Command::RevokeEpoch(EpochNumber(number))),
        number().prop_map(|number| Command::RevokeNode(NodeNumber(number))),
        number().prop_map(|number| Command::RetireNode(NodeNumber(number))),
        number().prop_map(|number| Command::RemoveNode {
            node: NodeNumber(number),
            key: key("root"),
        }),
        (number(), 0..3_usize).prop_map(|(number, seat)| Command::SeatNode {
            node: NodeNumber(number),
            seat: [Seat::Learner, Seat::Voter, Seat::Leader][seat],
        }),
        (number(), 0..4_u64).prop_map(|(number, peer)| Command::ReadmitNode {
            node: NodeNumber(number),
            peer_key: peer_key(peer).public().clone(),
        }),
        number().prop_map(|number| Command::RaiseFloor(Revision(number))),
        number().prop_map(|number| Command::ForgetFormer(Revision(number))),
        Just(Command::ExpireRegistrations),
        (number(), any::<[u8; 32]>()).prop_map(|(at, digest)| Command::CompareState {
            at: Revision(at),
            digest,
        }),
    ];
    prop_oneof![registry, revocation]
}

fn stamped() -> impl Strategy<Value = Stamped> {
    let actor = select(vec![
        "root",
        "root",
        "rita",
        "rita",
        "rob",
        "ada",
        "agent:a",
        "service:s",
        "node:1",
        "node:1",
        "node:7",
        "birth",
    ]);
    let times = prop::array::uniform2(prop_oneof![
        20 => (0..7_200_000_u64).prop_map(|ms| DAWN_MS + ms),
        1 => number(),
    ]);
    let random = (0..3_u8).prop_map(|byte| [byte; 16]);
    (
        command(),
        actor,
        times,
        random,
        any::<u8>(),
        text(),
        number(),
        any::<bool>(),
    )
        .prop_map(
            |(command, actor, [asked_ms, stamp_ms], random, digest, reason, at, sound)| {
                let (actor, key) = match actor {
                    "birth" => (Actor::Birth, None),
                    name => World::actor(name),
                };
                let asked_ms = if sound { stamp_ms } else { asked_ms };
                Stamped {
                    command,
                    meta: Meta {
                        actor,
                        key,
                        via: NodeNumber(1),
                        authorised_at: Revision(if sound { 0 } else { at }),
                        reason: if sound { String::new() } else { reason },
                        request: RequestId {
                            time_ms: asked_ms,
                            random,
                        },
                        digest: [digest; 32],
                    },
                    stamp: Stamp {
                        time_ms: stamp_ms,
                        entropy: [0; 32],
                    },
                }
            },
        )
}

proptest! {
    #![proptest_config(config(128))]

    #[test]
    fn whatever_stands_in_the_log(
        born in prop::bool::weighted(0.9),
        log in prop::collection::vec((stamped(), prop_oneof![9 => 1..3_u64, 1 => number()]), 0..40),
    ) {
        let mut world = if born { World::furnished() } else { World::unborn() };
        for (stamped, step) in log {
            let revision = Revision(world.state.revision().0.wrapping_add(step));
            let outcome = world.state.apply(revision, &stamped);
            if let Err(rejection) = outcome {
                let text = rejection.to_string();
                prop_assert!(text.len() < 4_096, "{}", text);
            }
            let held = world.state.validate();
            prop_assert!(held.is_ok(), "{held:?} after {stamped:?}");
        }
    }
}
