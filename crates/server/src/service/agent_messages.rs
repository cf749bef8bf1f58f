//! Agents on the wire and in the model.

use chancery_authority::{AgentRecord, AgentSpec, Limits};
use chancery_credential::{Grant, KeyThumbprint, Subject};
use chancery_wire::v1;
use tonic::Status;

use super::{parse, watch::wire_subject};

pub(super) fn spec(message: Option<v1::AgentSpec>) -> Result<AgentSpec, Status> {
    let message = parse::required("agent", message)?;
    let mut keys = parse::public_keys("agent.public_keys", &message.public_keys)?;
    keys.extend(parse::list::<KeyThumbprint>(
        "agent.key_thumbprints",
        &message.key_thumbprints,
    )?);
    Ok(AgentSpec {
        id: parse::field("agent.id", &message.id)?,
        owners: parse::list("agent.owners", &message.owners)?,
        keys,
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

/// All that an agent depends on of which `is_suspended` says so.
pub(super) fn suspensions(
    record: &AgentRecord,
    is_suspended: impl Fn(&Subject) -> bool,
) -> Vec<Subject> {
    let itself = std::iter::once(Subject::Agent(record.id.clone()));
    let owners = record.owners.iter().cloned().map(Subject::Owner);
    let sets = record.grant_sets.iter().cloned().map(Subject::GrantSet);
    let all = itself.chain(owners).chain(sets);
    all.chain([Subject::Everything])
        .filter(is_suspended)
        .collect()
}

pub(super) fn agent(record: &AgentRecord, suspensions: &[Subject]) -> v1::Agent {
    let keys: Vec<_> = record.keys.iter().map(ToString::to_string).collect();
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
            key_thumbprints: keys.clone(),
        }),
        suspended: suspensions
            .iter()
            .any(|subject| matches!(subject, Subject::Agent(_))),
        suspensions: suspensions.iter().map(wire_subject).collect(),
        registered_at: record.registered_at.0,
        changed_at: record.changed_at.0,
        key_thumbprints: keys,
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
