//! How agents are shown.

use chancery_client::v1;
use serde::Serialize;

use super::GrantView;
use crate::{output::Column, span::instant, subject::subject_text};

/// An agent.
#[derive(Debug, Serialize)]
pub struct AgentView {
    id: String,
    owners: Vec<String>,
    /// Whether it is itself suspended.
    suspended: bool,
    /// All that is suspended of what it depends on, itself included.
    kept_down_by: Vec<String>,
    grants: Vec<GrantView>,
    grant_sets: Vec<String>,
    rate: u32,
    /// For people.
    rate_limit: String,
    expires_at: Option<String>,
    description: String,
    registered_at: u64,
    changed_at: u64,
    key_thumbprints: Vec<String>,
}

/// All of an agent.
pub const COLUMNS: [Column; 12] = [
    ("id", "/id"),
    ("owners", "/owners"),
    ("suspended", "/suspended"),
    ("kept down by", "/kept_down_by"),
    ("grants", "/grants"),
    ("grant sets", "/grant_sets"),
    ("mints a second", "/rate_limit"),
    ("expires", "/expires_at"),
    ("description", "/description"),
    ("registered at", "/registered_at"),
    ("changed at", "/changed_at"),
    ("keys", "/key_thumbprints"),
];

/// An agent among many.
pub const LIST_COLUMNS: [Column; 6] = [
    ("id", "/id"),
    ("owners", "/owners"),
    ("suspended", "/suspended"),
    ("kept down by", "/kept_down_by"),
    ("expires", "/expires_at"),
    ("description", "/description"),
];

impl From<v1::Agent> for AgentView {
    fn from(agent: v1::Agent) -> Self {
        let spec = agent.spec.unwrap_or_default();
        let rate = spec.limits.map_or(0, |limits| limits.rate);
        let is_itself = |subject: &v1::Subject| {
            matches!(&subject.subject, Some(v1::subject::Subject::Agent(_)))
        };
        let kept_down_by = agent.suspensions.into_iter().map(|subject| {
            if is_itself(&subject) {
                "itself".to_owned()
            } else {
                subject_text(Some(subject))
            }
        });
        Self {
            id: spec.id,
            owners: spec.owners,
            suspended: agent.suspended,
            kept_down_by: kept_down_by.collect(),
            grants: spec.grants.into_iter().map(GrantView::from).collect(),
            grant_sets: spec.grant_sets,
            rate,
            rate_limit: match rate {
                0 => "unlimited".to_owned(),
                rate => format!("{rate} on each node"),
            },
            expires_at: instant(spec.expires_at),
            description: spec.description,
            registered_at: agent.registered_at,
            changed_at: agent.changed_at,
            key_thumbprints: agent.key_thumbprints,
        }
    }
}
