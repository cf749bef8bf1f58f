//! Any command and any row, for the round trips.

mod rows;

use chancery_authority::{
    Actor, AgentSpec, Answer, Birth, Command, FormerSpans, KeyChange, Limits, Meta, NodeSpec,
    OpenIssuer, OperatorChange, OperatorSpec, Reason, Rejection, RequestId, Roles, Seat,
    ServiceChange, ServiceSpec, Settings, SettingsChange, Stamp, Stamped, WhenBehind,
};
use chancery_credential::{
    Audience, Ed25519PublicKey, EpochNumber, Grant, GrantSetName, IssuerNumber, KeyThumbprint,
    Lineage, NodeNumber, OwnerName, PeerPublicKey, PeerSigningKey, PrincipalName, Revision,
    SigningKey, SpiffeId, Subject, TokenId,
};
use proptest::{collection::vec, option, prelude::*, sample, strategy::Union};

pub(super) use rows::row;
pub(crate) use rows::rows;

fn revision() -> impl Strategy<Value = Revision> {
    any::<u64>().prop_map(Revision)
}

fn node_number() -> impl Strategy<Value = NodeNumber> {
    any::<u64>().prop_map(NodeNumber)
}

fn issuer_number() -> impl Strategy<Value = IssuerNumber> {
    any::<u32>().prop_map(IssuerNumber)
}

fn epoch_number() -> impl Strategy<Value = EpochNumber> {
    any::<u64>().prop_map(EpochNumber)
}

fn agent_id() -> impl Strategy<Value = SpiffeId> {
    "[a-z0-9-]{1,12}".prop_map(|path| format!("spiffe://example.org/{path}").parse().unwrap())
}

fn owner_name() -> impl Strategy<Value = OwnerName> {
    "[A-Za-z0-9._@-]{1,20}".prop_map(|name| name.parse().unwrap())
}

fn grant_set_name() -> impl Strategy<Value = GrantSetName> {
    "[A-Za-z0-9._@-]{1,20}".prop_map(|name| name.parse().unwrap())
}

fn principal_name() -> impl Strategy<Value = PrincipalName> {
    "[A-Za-z0-9._@-]{1,20}".prop_map(|name| name.parse().unwrap())
}

fn audience() -> impl Strategy<Value = Audience> {
    "https://[a-z]{1,9}\\.example".prop_map(|text| text.parse().unwrap())
}

fn thumbprint() -> impl Strategy<Value = KeyThumbprint> {
    any::<[u8; 32]>().prop_map(KeyThumbprint::from_bytes)
}

fn token_id() -> impl Strategy<Value = TokenId> {
    any::<[u8; 16]>().prop_map(TokenId::from_bytes)
}

fn issuer_key() -> impl Strategy<Value = Ed25519PublicKey> {
    any::<[u8; 32]>().prop_map(|seed| SigningKey::from_seed(&seed).public())
}

/// A few real keys: to make one for each case would take longer than the rest.
fn peer_key() -> impl Strategy<Value = PeerPublicKey> {
    let keys: Vec<PeerPublicKey> = (0..4)
        .map(|_| {
            let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
            PeerSigningKey::from_pkcs8_der(&pair.serialize_der())
                .unwrap()
                .public()
                .clone()
        })
        .collect();
    prop::sample::select(keys)
}

fn text() -> impl Strategy<Value = String> {
    "\\PC{0,24}"
}

fn subject() -> impl Strategy<Value = Subject> {
    prop_oneof![
        agent_id().prop_map(Subject::Agent),
        owner_name().prop_map(Subject::Owner),
        grant_set_name().prop_map(Subject::GrantSet),
        Just(Subject::Everything),
    ]
}

fn grant() -> impl Strategy<Value = Grant> {
    let audiences = prop::sample::select(vec!["*", "https://a.example", "https://a.example/*"]);
    let scopes = prop::sample::select(vec!["*", "read", "repo:read", "repo:*", "a/b/*"]);
    (audiences, vec(scopes, 0..4), any::<u32>(), any::<bool>()).prop_map(
        |(audience, scopes, max_ttl_seconds, bearer)| Grant {
            audience: audience.parse().unwrap(),
            scopes: scopes
                .into_iter()
                .map(|scope| scope.parse().unwrap())
                .collect(),
            max_ttl_seconds,
            bearer,
        },
    )
}

fn roles() -> impl Strategy<Value = Roles> {
    (0_u8..16).prop_map(Roles::from_bits)
}

fn limits() -> impl Strategy<Value = Limits> {
    any::<u32>().prop_map(|rate| Limits { rate })
}

fn lineage() -> impl Strategy<Value = Lineage> {
    (any::<u64>(), any::<u64>()).prop_map(|(generation, random)| Lineage { generation, random })
}

fn settings() -> impl Strategy<Value = Settings> {
    let when_behind = sample::select(WhenBehind::ALL.to_vec());
    let numbers = (any::<[u64; 13]>(), former());
    (numbers, text(), when_behind).prop_map(|((numbers, former), issuer_url, when_behind)| {
        let mut settings = Settings::new("example.org".parse().unwrap(), issuer_url);
        let places = [
            &mut settings.freshness_ms,
            &mut settings.rho_percent,
            &mut settings.tick_ms,
            &mut settings.heartbeat_ms,
            &mut settings.election_min_ms,
            &mut settings.election_max_ms,
            &mut settings.v_default_ms,
            &mut settings.v_max_ms,
            &mut settings.leeway_s,
            &mut settings.ttl_default_s,
            &mut settings.ttl_cap_s,
            &mut settings.jwks_max_age_s,
            &mut settings.epoch_s,
        ];
        for (place, number) in places.into_iter().zip(numbers) {
            *place = number;
        }
        settings.records_when_behind = when_behind;
        settings.former = former;
        settings
    })
}

fn former() -> impl Strategy<Value = FormerSpans> {
    (revision(), any::<[u64; 3]>()).prop_map(|(since, numbers)| {
        let [freshness_ms, v_max_ms, jwks_max_age_s] = numbers;
        FormerSpans {
            since,
            freshness_ms,
            v_max_ms,
            jwks_max_age_s,
        }
    })
}

fn settings_change() -> impl Strategy<Value = SettingsChange> {
    let numbers = proptest::array::uniform12(option::of(any::<u64>()));
    let when_behind = option::of(sample::select(WhenBehind::ALL.to_vec()));
    (numbers, option::of(text()), when_behind).prop_map(|(numbers, issuer_url, when_behind)| {
        let [
            freshness_ms,
            tick_ms,
            heartbeat_ms,
            election_min_ms,
            election_max_ms,
            v_default_ms,
            v_max_ms,
            leeway_s,
            ttl_default_s,
            ttl_cap_s,
            jwks_max_age_s,
            epoch_s,
        ] = numbers;
        SettingsChange {
            issuer_url,
            freshness_ms,
            tick_ms,
            heartbeat_ms,
            election_min_ms,
            election_max_ms,
            v_default_ms,
            v_max_ms,
            leeway_s,
            ttl_default_s,
            ttl_cap_s,
            jwks_max_age_s,
            epoch_s,
            records_when_behind: when_behind,
        }
    })
}

fn agent_spec() -> impl Strategy<Value = AgentSpec> {
    let lists = (
        vec(owner_name(), 0..4),
        vec(thumbprint(), 0..4),
        vec(grant(), 0..4),
        vec(grant_set_name(), 0..4),
    );
    (agent_id(), lists, limits(), any::<u64>(), text()).prop_map(
        |(id, (owners, keys, grants, grant_sets), limits, expires_at, description)| AgentSpec {
            id,
            owners,
            keys,
            grants,
            grant_sets,
            limits,
            expires_at,
            description,
        },
    )
}

fn operator_spec() -> impl Strategy<Value = OperatorSpec> {
    (
        principal_name(),
        roles(),
        vec(thumbprint(), 0..4),
        any::<u64>(),
    )
        .prop_map(|(name, roles, keys, expires_at)| OperatorSpec {
            name,
            roles,
            keys,
            expires_at,
        })
}

fn service_spec() -> impl Strategy<Value = ServiceSpec> {
    (
        principal_name(),
        vec(audience(), 0..4),
        vec(thumbprint(), 0..4),
    )
        .prop_map(|(name, audiences, keys)| ServiceSpec {
            name,
            audiences,
            keys,
        })
}

fn node_spec() -> impl Strategy<Value = NodeSpec> {
    (text(), text(), text(), peer_key(), any::<bool>()).prop_map(
        |(name, api_address, peer_address, peer_key, check_only)| NodeSpec {
            name,
            api_address,
            peer_address,
            peer_key,
            check_only,
        },
    )
}

fn birth() -> impl Strategy<Value = Birth> {
    (
        lineage(),
        settings(),
        node_spec(),
        vec(operator_spec(), 0..3),
    )
        .prop_map(|(lineage, settings, node, operators)| Birth {
            lineage,
            settings,
            node,
            operators,
        })
}

fn open_issuer() -> impl Strategy<Value = OpenIssuer> {
    let proofs = (
        vec(issuer_key(), 0..3),
        vec(any::<u8>(), 0..80),
        vec(vec(any::<u8>(), 0..70), 0..3),
    );
    (
        node_number(),
        epoch_number(),
        any::<u64>(),
        option::of(issuer_number()),
        proofs,
    )
        .prop_map(
            |(node, epoch, process, former, (keys, peer_signature, key_signatures))| OpenIssuer {
                node,
                epoch,
                process,
                former,
                keys,
                peer_signature,
                key_signatures,
            },
        )
}

/// One strategy for each command, in the order of [`command_kind`].
pub(crate) fn commands() -> Vec<BoxedStrategy<Command>> {
    vec![
        birth().prop_map(Command::Birth).boxed(),
        Just(Command::Tick).boxed(),
        agent_spec().prop_map(Command::RegisterAgent).boxed(),
        (agent_spec(), any::<bool>(), any::<Option<u64>>())
            .prop_map(|(spec, keep_held, changed_at)| Command::UpdateAgent {
                spec,
                keep_held,
                changed_at: changed_at.map(Revision),
            })
            .boxed(),
        agent_id().prop_map(Command::RemoveAgent).boxed(),
        subject().prop_map(Command::Suspend).boxed(),
        subject().prop_map(Command::Resume).boxed(),
        subject().prop_map(Command::RevokeHeld).boxed(),
        (token_id(), option::of(agent_id()))
            .prop_map(|(token, agent)| Command::RevokeToken { token, agent })
            .boxed(),
        (owner_name(), text())
            .prop_map(|(name, description)| Command::AddOwner { name, description })
            .boxed(),
        (grant_set_name(), vec(grant(), 0..4), any::<bool>())
            .prop_map(|(name, grants, keep_held)| Command::PutGrantSet {
                name,
                grants,
                keep_held,
            })
            .boxed(),
        operator_spec().prop_map(Command::AddOperator).boxed(),
        service_spec().prop_map(Command::AddService).boxed(),
        principal_name().prop_map(Command::RemoveOperator).boxed(),
        principal_name().prop_map(Command::RemoveService).boxed(),
        any::<bool>()
            .prop_map(|emergency| Command::OpenEpoch { emergency })
            .boxed(),
        open_issuer().prop_map(Command::OpenIssuer).boxed(),
        issuer_number().prop_map(Command::RetireIssuer).boxed(),
        issuer_number().prop_map(Command::ExpireIssuer).boxed(),
        issuer_number().prop_map(Command::RevokeIssuer).boxed(),
        epoch_number().prop_map(Command::RevokeEpoch).boxed(),
        node_number().prop_map(Command::RevokeNode).boxed(),
        node_spec().prop_map(Command::AdmitNode).boxed(),
        node_number().prop_map(Command::RetireNode).boxed(),
        (node_number(), peer_key())
            .prop_map(|(node, peer_key)| Command::ReadmitNode { node, peer_key })
            .boxed(),
        revision().prop_map(Command::RaiseFloor).boxed(),
        settings_change().prop_map(Command::SetSettings).boxed(),
        Just(Command::ExpireRegistrations).boxed(),
        (revision(), any::<[u8; 32]>())
            .prop_map(|(at, digest)| Command::CompareState { at, digest })
            .boxed(),
        (node_number(), seat())
            .prop_map(|(node, seat)| Command::SeatNode { node, seat })
            .boxed(),
        (node_number(), thumbprint())
            .prop_map(|(node, key)| Command::RemoveNode { node, key })
            .boxed(),
        grant_set_name().prop_map(Command::RemoveGrantSet).boxed(),
        revision().prop_map(Command::ForgetFormer).boxed(),
        (operator_spec(), key_change(), any::<[bool; 2]>())
            .prop_map(|(spec, keys, [roles, expires])| {
                Command::UpdateOperator(OperatorChange {
                    name: spec.name,
                    roles: roles.then_some(spec.roles),
                    keys,
                    expires_at: expires.then_some(spec.expires_at),
                })
            })
            .boxed(),
        (service_spec(), key_change())
            .prop_map(|(spec, keys)| {
                Command::UpdateService(ServiceChange {
                    name: spec.name,
                    audiences: Some(spec.audiences).filter(|audiences| !audiences.is_empty()),
                    keys,
                })
            })
            .boxed(),
    ]
}

fn key_change() -> impl Strategy<Value = KeyChange> {
    (vec(thumbprint(), 0..3), vec(thumbprint(), 0..3))
        .prop_map(|(added, removed)| KeyChange { added, removed })
}

fn seat() -> impl Strategy<Value = Seat> {
    prop::sample::select(vec![Seat::Learner, Seat::Voter, Seat::Leader])
}

/// The place of a command in [`commands`]: a new one does not compile without.
pub(super) fn command_kind(command: &Command) -> usize {
    match command {
        Command::Birth(_) => 0,
        Command::Tick => 1,
        Command::RegisterAgent(_) => 2,
        Command::UpdateAgent { .. } => 3,
        Command::RemoveAgent(_) => 4,
        Command::Suspend(_) => 5,
        Command::Resume(_) => 6,
        Command::RevokeHeld(_) => 7,
        Command::RevokeToken { .. } => 8,
        Command::AddOwner { .. } => 9,
        Command::PutGrantSet { .. } => 10,
        Command::AddOperator(_) => 11,
        Command::AddService(_) => 12,
        Command::RemoveOperator(_) => 13,
        Command::RemoveService(_) => 14,
        Command::OpenEpoch { .. } => 15,
        Command::OpenIssuer(_) => 16,
        Command::RetireIssuer(_) => 17,
        Command::ExpireIssuer(_) => 18,
        Command::RevokeIssuer(_) => 19,
        Command::RevokeEpoch(_) => 20,
        Command::RevokeNode(_) => 21,
        Command::AdmitNode(_) => 22,
        Command::RetireNode(_) => 23,
        Command::ReadmitNode { .. } => 24,
        Command::RaiseFloor(_) => 25,
        Command::SetSettings(_) => 26,
        Command::ExpireRegistrations => 27,
        Command::CompareState { .. } => 28,
        Command::SeatNode { .. } => 29,
        Command::RemoveNode { .. } => 30,
        Command::RemoveGrantSet(_) => 31,
        Command::ForgetFormer(_) => 32,
        Command::UpdateOperator(_) => 33,
        Command::UpdateService(_) => 34,
    }
}

pub(crate) fn command() -> impl Strategy<Value = Command> {
    Union::new(commands())
}

fn actor() -> impl Strategy<Value = Actor> {
    prop_oneof![
        principal_name().prop_map(Actor::Operator),
        principal_name().prop_map(Actor::Service),
        agent_id().prop_map(Actor::Agent),
        node_number().prop_map(Actor::Node),
        Just(Actor::Birth),
    ]
}

fn request_id() -> impl Strategy<Value = RequestId> {
    (any::<u64>(), any::<[u8; 16]>()).prop_map(|(time_ms, random)| RequestId { time_ms, random })
}

pub(crate) fn meta() -> impl Strategy<Value = Meta> {
    let who = (actor(), option::of(thumbprint()), node_number(), revision());
    (who, text(), request_id(), any::<[u8; 32]>()).prop_map(
        |((actor, key, via, authorised_at), reason, request, digest)| Meta {
            actor,
            key,
            via,
            authorised_at,
            reason,
            request,
            digest,
        },
    )
}

pub(crate) fn stamped() -> impl Strategy<Value = Stamped> {
    (command(), meta(), any::<u64>(), any::<[u8; 32]>()).prop_map(
        |(command, meta, time_ms, entropy)| {
            let stamp = Stamp { time_ms, entropy };
            Stamped {
                command,
                meta,
                stamp,
            }
        },
    )
}

pub(crate) fn verdict() -> impl Strategy<Value = Result<Answer, Rejection>> {
    let reason = prop::sample::select(Reason::ALL);
    prop_oneof![
        Just(Ok(Answer::Nothing)),
        agent_id().prop_map(|id| Ok(Answer::Agent(id))),
        node_number().prop_map(|number| Ok(Answer::Node(number))),
        issuer_number().prop_map(|number| Ok(Answer::Issuer(number))),
        epoch_number().prop_map(|number| Ok(Answer::Epoch(number))),
        vec(issuer_number(), 0..4).prop_map(|numbers| Ok(Answer::Issuers(numbers))),
        any::<bool>().prop_map(|killed| Ok(Answer::HeldKilled(killed))),
        any::<bool>().prop_map(|may| Ok(Answer::MayMintAnew(may))),
        any::<u32>().prop_map(|count| Ok(Answer::Expired(count))),
        (reason, text()).prop_map(|(reason, about)| Err(Rejection::new(reason, about))),
    ]
}
