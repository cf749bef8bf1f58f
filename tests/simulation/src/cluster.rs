//! Names, keys and settings of a simulated cluster.

use std::collections::BTreeMap;

use chancery_authority::{AgentSpec, Birth, Limits, NodeSpec, OperatorSpec, Role, Roles, Settings};
use chancery_consensus::{PeerIdentity, PeerRecord};
use chancery_credential::{Grant, KeyThumbprint, Lineage, PeerPublicKey, PeerSigningKey, SpiffeId};
use p256::pkcs8::EncodePrivateKey as _;
use parking_lot::Mutex;

use crate::{
    network::{Door, address_of},
    oracle::{FRESHNESS_MS, V_MS},
};

pub const LINEAGE: Lineage = Lineage {
    generation: 1,
    random: 0x51,
};

/// Agents that mint.
pub const AGENTS: usize = 6;

/// A node's peer key, always the same.
pub fn peer_key(node: u64) -> Vec<u8> {
    let mut bytes = [0x5a; 32];
    bytes[24..].copy_from_slice(&node.to_be_bytes());
    let key = p256::SecretKey::from_slice(&bytes).expect("a scalar");
    key.to_pkcs8_der().expect("a key").as_bytes().to_vec()
}

pub fn peer_identity(node: u64) -> PeerIdentity {
    PeerIdentity::from_pkcs8(&peer_key(node)).expect("a peer key")
}

pub fn peer_signer(node: u64) -> PeerSigningKey {
    PeerSigningKey::from_pkcs8_der(&peer_key(node)).expect("a peer key")
}

/// Made once: the arithmetic costs more than a second of simulated time.
pub fn record(node: u64) -> PeerRecord {
    static MADE: Mutex<BTreeMap<u64, PeerRecord>> = Mutex::new(BTreeMap::new());
    let mut made = MADE.lock();
    made.entry(node)
        .or_insert_with(|| make_record(node))
        .clone()
}

fn make_record(node: u64) -> PeerRecord {
    PeerRecord {
        name: format!("node-{node}"),
        peer_address: address_of(node, Door::Peers),
        api_address: address_of(node, Door::Api),
        peer_public_key: peer_signer(node).public().spki().to_vec(),
    }
}

pub fn node_spec(node: u64) -> NodeSpec {
    let record = record(node);
    NodeSpec {
        name: record.name,
        api_address: record.api_address,
        peer_address: record.peer_address,
        peer_key: PeerPublicKey::from_spki(&record.peer_public_key).expect("a peer key"),
        check_only: false,
    }
}

pub fn operator_key() -> KeyThumbprint {
    KeyThumbprint::of_spki(b"the root operator's key")
}

pub fn agent_key(agent: usize) -> KeyThumbprint {
    KeyThumbprint::of_spki(format!("the key of agent {agent}").as_bytes())
}

pub fn agent_id(agent: usize) -> SpiffeId {
    let id = format!("spiffe://example.org/agent/{agent}");
    id.parse().expect("an id")
}

pub fn agent_spec(agent: usize) -> AgentSpec {
    AgentSpec {
        id: agent_id(agent),
        owners: vec!["payments".parse().expect("an owner")],
        keys: vec![agent_key(agent)],
        grants: vec![Grant {
            audience: "https://api.example.org".parse().expect("an audience"),
            scopes: Vec::new(),
            max_ttl_seconds: 0,
            bearer: true,
        }],
        grant_sets: Vec::new(),
        limits: Limits { rate: 0 },
        expires_at: 0,
        description: String::new(),
    }
}

/// The defaults where safety rests on them; lifetimes that come around within a run.
pub fn settings(tick_ms: u64) -> Settings {
    let mut settings = Settings::new(
        "example.org".parse().expect("a trust domain"),
        "https://chancery.example.org",
    );
    settings.freshness_ms = FRESHNESS_MS;
    (settings.v_default_ms, settings.v_max_ms) = (V_MS, V_MS);
    settings.tick_ms = tick_ms;
    settings.ttl_default_s = 8;
    settings.ttl_cap_s = 10;
    settings.jwks_max_age_s = 1;
    settings.epoch_s = 20;
    settings.check().expect("settings that fit together");
    settings
}

pub fn birth(tick_ms: u64) -> Birth {
    let root = OperatorSpec {
        name: "root".parse().expect("a name"),
        roles: Roles::of(&Role::ALL),
        keys: vec![operator_key()],
        expires_at: 0,
    };
    Birth {
        lineage: LINEAGE,
        settings: settings(tick_ms),
        node: node_spec(1),
        operators: vec![root],
    }
}
