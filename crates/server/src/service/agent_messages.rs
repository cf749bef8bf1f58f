//! Agents on the wire and in the model.

use chancery_authority::{AgentRecord, AgentSpec, Limits};
use chancery_credential::Grant;
use chancery_wire::v1;
use tonic::Status;

use super::parse;

pub(super) fn spec(message: Option<v1::AgentSpec>) -> Result<AgentSpec, Status> {
    let message = parse::required("agent", message)?;
    Ok(AgentSpec {
        id: parse::field("agent.id", &message.id)?,
        owners: parse::list("agent.owners", &message.owners)?,
        keys: parse::public_keys("agent.public_keys", &message.public_keys)?,
        grants: grants("agent.grants", &message.grants)?,
        grant_sets: parse::list("agent.grant_sets", &message.grant_sets)?,
        limits: Limits {
            rate: message.limits.map_or(0, |limits| limits.rate),
        },
        expires_at: message.expires_at,
        description: message.description,
    })
}

/// The grants of the field `name`.
pub(super) fn grants(name: &str, messages: &[v1::Grant]) -> Result<Vec<Grant>, Status> {
    let parse = |(position, message)| grant(&format!("{name}[{position}]"), message);
    messages.iter().enumerate().map(parse).collect()
}

fn grant(at: &str, message: &v1::Grant) -> Result<Grant, Status> {
    let name = |field: &str| format!("{at}.{field}");
    Ok(Grant {
        audience: parse::field(&name("audience"), &message.audience)?,
        scopes: parse::list(&name("scopes"), &message.scopes)?,
        max_ttl_seconds: message.max_ttl_seconds,
        bearer: message.bearer,
    })
}

pub(super) fn agent(record: &AgentRecord, suspended: bool) -> v1::Agent {
    v1::Agent {
        spec: Some(v1::AgentSpec {
            id: record.id.to_string(),
            owners: record.owners.iter().map(ToString::to_string).collect(),
            // Keys are kept by their thumbprints only.
            public_keys: Vec::new(),
            grants: record.grants.iter().map(grant_message).collect(),
            grant_sets: record.grant_sets.iter().map(ToString::to_string).collect(),
            limits: Some(v1::Limits {
                rate: record.limits.rate,
            }),
            expires_at: record.expires_at,
            description: record.description.to_string(),
        }),
        suspended,
        registered_at: record.registered_at.0,
        changed_at: record.changed_at.0,
        key_thumbprints: record.keys.iter().map(ToString::to_string).collect(),
    }
}

pub(super) fn grant_message(grant: &Grant) -> v1::Grant {
    v1::Grant {
        audience: grant.audience.to_string(),
        scopes: grant.scopes.iter().map(ToString::to_string).collect(),
        max_ttl_seconds: grant.max_ttl_seconds,
        bearer: grant.bearer,
    }
}
