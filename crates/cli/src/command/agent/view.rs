//! How agents are shown.

use chancery_client::v1;
use serde::Serialize;

use super::GrantView;
use crate::{output::Column, span::instant};

/// An agent.
#[derive(Debug, Serialize)]
pub struct AgentView {
    id: String,
    owners: Vec<String>,
    suspended: bool,
    grants: Vec<GrantView>,
    grant_sets: Vec<String>,
    rate: u32,
    expires_at: Option<String>,
    description: String,
    registered_at: u64,
    changed_at: u64,
    key_thumbprints: Vec<String>,
}

/// All of an agent.
pub const COLUMNS: [Column; 11] = [
    ("id", "/id"),
    ("owners", "/owners"),
    ("suspended", "/suspended"),
    ("grants", "/grants"),
    ("grant sets", "/grant_sets"),
    ("rate", "/rate"),
    ("expires", "/expires_at"),
    ("description", "/description"),
    ("registered at", "/registered_at"),
    ("changed at", "/changed_at"),
    ("keys", "/key_thumbprints"),
];

/// An agent among many.
pub const LIST_COLUMNS: [Column; 5] = [
    ("id", "/id"),
    ("owners", "/owners"),
    ("suspended", "/suspended"),
    ("expires", "/expires_at"),
    ("description", "/description"),
];

impl From<v1::Agent> for AgentView {
    fn from(agent: v1::Agent) -> Self {
        let spec = agent.spec.unwrap_or_default();
        Self {
            id: spec.id,
            owners: spec.owners,
            suspended: agent.suspended,
            grants: spec.grants.into_iter().map(GrantView::from).collect(),
            grant_sets: spec.grant_sets,
            rate: spec.limits.map_or(0, |limits| limits.rate),
            expires_at: instant(spec.expires_at),
            description: spec.description,
            registered_at: agent.registered_at,
            changed_at: agent.changed_at,
            key_thumbprints: agent.key_thumbprints,
        }
    }
}
