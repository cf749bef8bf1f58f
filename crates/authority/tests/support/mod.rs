//! A small cluster without machines: one state, fed commands by named actors, its
//! invariants checked after each.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing
)]

pub mod consumers;
pub mod histories;
pub mod keys;
pub mod world;

pub use consumers::Consumers;
pub use keys::{key, later_peer_key, peer_key, signing_key};
pub use world::World;

use chancery_authority::{
    AgentSpec, Answer, Birth, Event, Limits, NodeSpec, OperatorSpec, Role, Roles, ServiceSpec,
    Settings,
};
use chancery_credential::{
    Grant, GrantSetName, Lineage, OwnerName, PrincipalName, SpiffeId, Subject,
};

pub const LINEAGE: Lineage = Lineage {
    generation: 1,
    random: 0xc0ff_ee00_c0ff_ee00,
};

/// When the tests begin, milliseconds since the Unix epoch.
pub const DAWN_MS: u64 = 1_800_000_000_000;

pub fn settings() -> Settings {
    Settings::new("example.org".parse().unwrap(), "https://issuer.example.org")
}

pub fn agent_id(name: &str) -> SpiffeId {
    format!("spiffe://example.org/{name}").parse().unwrap()
}

pub fn owner(name: &str) -> OwnerName {
    name.parse().unwrap()
}

pub fn set(name: &str) -> GrantSetName {
    name.parse().unwrap()
}

pub fn principal(name: &str) -> PrincipalName {
    name.parse().unwrap()
}

pub fn agent(name: &str) -> Subject {
    Subject::Agent(agent_id(name))
}

/// `audience:scope`, at most a minute, bound.
pub fn grant(text: &str) -> Grant {
    let (audience, scope) = text.split_once(':').unwrap();
    Grant {
        audience: audience.parse().unwrap(),
        scopes: vec![scope.parse().unwrap()],
        max_ttl_seconds: 60,
        bearer: false,
    }
}

/// Owned by alice, with a key named after it and one grant.
pub fn agent_spec(name: &str) -> AgentSpec {
    AgentSpec {
        id: agent_id(name),
        owners: vec![owner("alice")],
        keys: vec![key(name)],
        grants: vec![grant("files:read")],
        grant_sets: Vec::new(),
        limits: Limits::default(),
        expires_at: 0,
        description: String::new(),
    }
}

pub fn operator_spec(name: &str, roles: &[Role]) -> OperatorSpec {
    OperatorSpec {
        name: principal(name),
        roles: Roles::of(roles),
        keys: vec![key(name)],
        expires_at: 0,
    }
}

pub fn service_spec(name: &str) -> ServiceSpec {
    ServiceSpec {
        name: principal(name),
        audiences: vec!["files".parse().unwrap()],
        keys: vec![key(name)],
    }
}

pub fn node_spec(number: u64) -> NodeSpec {
    NodeSpec {
        name: format!("node-{number}"),
        api_address: format!("node-{number}.example.org:7443"),
        peer_address: format!("node-{number}.example.org:7444"),
        peer_key: peer_key(number).public().clone(),
        check_only: false,
    }
}

/// Operators with one role each: root keeps, rita registers, rob responds, ada
/// audits.
pub fn birth() -> Birth {
    Birth {
        lineage: LINEAGE,
        settings: settings(),
        node: node_spec(1),
        operators: vec![
            operator_spec("root", &[Role::Keeper]),
            operator_spec("rita", &[Role::Registrar]),
            operator_spec("rob", &[Role::Responder]),
            operator_spec("ada", &[Role::Auditor]),
        ],
    }
}

/// What a command answered.
pub fn answer(events: &[Event]) -> Answer {
    match events.last() {
        Some(Event::Answer { answer, .. }) => answer.clone(),
        other => panic!("no answer, but {other:?}"),
    }
}
