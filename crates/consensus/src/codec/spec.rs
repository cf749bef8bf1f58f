//! What commands carry: the specs of agents, operators, services, nodes and
//! issuers. Each is taken apart whole, so that a new field does not compile
//! without a place in the log.

use chancery_authority::{
    AgentSpec, Birth, KeyChange, NodeSpec, OpenIssuer, OperatorChange, OperatorSpec, Roles,
    ServiceChange, ServiceSpec,
};
use chancery_credential::{EpochNumber, IssuerNumber, Lineage, NodeNumber};
use chancery_wire::log as pb;

use super::{
    Undecodable,
    grant::{grants, limits, read_grants, read_limits},
    raft::required,
    scalar::{
        bytes, parse, parse_all, read_issuer_key, read_peer_key, read_thumbprints, text, texts,
        thumbprints,
    },
    settings::{read_settings, settings},
};

pub(super) fn lineage(lineage: &Lineage) -> pb::Lineage {
    let Lineage { generation, random } = *lineage;
    pb::Lineage { generation, random }
}

pub(super) fn read_lineage(lineage: Option<&pb::Lineage>) -> Result<Lineage, Undecodable> {
    let lineage = required(lineage, "lineage")?;
    Ok(Lineage {
        generation: lineage.generation,
        random: lineage.random,
    })
}

pub(super) fn birth(birth: &Birth) -> pb::Birth {
    let Birth {
        lineage: drawn,
        settings: first,
        node,
        operators,
    } = birth;
    pb::Birth {
        lineage: Some(lineage(drawn)),
        settings: Some(settings(first)),
        node: Some(node_spec(node)),
        operators: operators.iter().map(operator_spec).collect(),
    }
}

pub(super) fn read_birth(birth: &pb::Birth) -> Result<Birth, Undecodable> {
    Ok(Birth {
        lineage: read_lineage(birth.lineage.as_ref())?,
        settings: read_settings(required(birth.settings.as_ref(), "birth.settings")?)?,
        node: read_node_spec(required(birth.node.as_ref(), "birth.node")?)?,
        operators: birth
            .operators
            .iter()
            .map(read_operator_spec)
            .collect::<Result<_, _>>()?,
    })
}

pub(super) fn agent_spec(spec: &AgentSpec) -> pb::AgentSpec {
    let AgentSpec {
        id,
        owners,
        keys,
        grants: list,
        grant_sets,
        limits: bounds,
        expires_at,
        description,
    } = spec;
    pb::AgentSpec {
        id: text(id),
        owners: texts(owners),
        keys: thumbprints(keys),
        grants: grants(list),
        grant_sets: texts(grant_sets),
        limits: Some(limits(bounds)),
        expires_at: *expires_at,
        description: description.clone(),
    }
}

pub(super) fn read_agent_spec(spec: &pb::AgentSpec) -> Result<AgentSpec, Undecodable> {
    Ok(AgentSpec {
        id: parse("an agent's id", &spec.id)?,
        owners: parse_all("an owner's name", &spec.owners)?,
        keys: read_thumbprints(&spec.keys)?,
        grants: read_grants(&spec.grants)?,
        grant_sets: parse_all("a grant set's name", &spec.grant_sets)?,
        limits: read_limits(spec.limits)?,
        expires_at: spec.expires_at,
        description: spec.description.clone(),
    })
}

pub(super) fn operator_spec(spec: &OperatorSpec) -> pb::OperatorSpec {
    let OperatorSpec {
        name,
        roles,
        keys,
        expires_at,
    } = spec;
    pb::OperatorSpec {
        name: text(name),
        roles: u32::from(roles.bits()),
        keys: thumbprints(keys),
        expires_at: *expires_at,
    }
}

pub(super) fn read_operator_spec(spec: &pb::OperatorSpec) -> Result<OperatorSpec, Undecodable> {
    Ok(OperatorSpec {
        name: parse("an operator's name", &spec.name)?,
        roles: read_roles(spec.roles)?,
        keys: read_thumbprints(&spec.keys)?,
        expires_at: spec.expires_at,
    })
}

/// Refuses a role that this build does not know: dropping it would let nodes of
/// two builds judge the same operator differently.
pub(super) fn read_roles(bits: u32) -> Result<Roles, Undecodable> {
    let known = u8::try_from(bits).map(Roles::from_bits).ok();
    known
        .filter(|roles| u32::from(roles.bits()) == bits)
        .ok_or(Undecodable::Unknown("a role"))
}

pub(super) fn service_spec(spec: &ServiceSpec) -> pb::ServiceSpec {
    let ServiceSpec {
        name,
        audiences,
        keys,
    } = spec;
    pb::ServiceSpec {
        name: text(name),
        audiences: texts(audiences),
        keys: thumbprints(keys),
    }
}

pub(super) fn read_service_spec(spec: &pb::ServiceSpec) -> Result<ServiceSpec, Undecodable> {
    Ok(ServiceSpec {
        name: parse("a service's name", &spec.name)?,
        audiences: parse_all("an audience", &spec.audiences)?,
        keys: read_thumbprints(&spec.keys)?,
    })
}

fn key_change(change: &KeyChange) -> pb::KeyChange {
    let KeyChange { added, removed } = change;
    pb::KeyChange {
        added: thumbprints(added),
        removed: thumbprints(removed),
    }
}

fn read_key_change(change: Option<&pb::KeyChange>) -> Result<KeyChange, Undecodable> {
    let Some(change) = change else {
        return Ok(KeyChange::default());
    };
    Ok(KeyChange {
        added: read_thumbprints(&change.added)?,
        removed: read_thumbprints(&change.removed)?,
    })
}

pub(super) fn operator_change(change: &OperatorChange) -> pb::OperatorChange {
    let OperatorChange {
        name,
        roles,
        keys,
        expires_at,
    } = change;
    pb::OperatorChange {
        name: text(name),
        roles: roles.map(|roles| u32::from(roles.bits())),
        keys: Some(key_change(keys)),
        expires_at: *expires_at,
    }
}

pub(super) fn read_operator_change(
    change: &pb::OperatorChange,
) -> Result<OperatorChange, Undecodable> {
    Ok(OperatorChange {
        name: parse("an operator's name", &change.name)?,
        roles: change.roles.map(read_roles).transpose()?,
        keys: read_key_change(change.keys.as_ref())?,
        expires_at: change.expires_at,
    })
}

pub(super) fn service_change(change: &ServiceChange) -> pb::ServiceChange {
    let ServiceChange {
        name,
        audiences,
        keys,
    } = change;
    pb::ServiceChange {
        name: text(name),
        audiences: audiences.as_deref().map(texts).unwrap_or_default(),
        keys: Some(key_change(keys)),
    }
}

pub(super) fn read_service_change(
    change: &pb::ServiceChange,
) -> Result<ServiceChange, Undecodable> {
    let audiences = parse_all("an audience", &change.audiences)?;
    Ok(ServiceChange {
        name: parse("a service's name", &change.name)?,
        audiences: Some(audiences).filter(|audiences: &Vec<_>| !audiences.is_empty()),
        keys: read_key_change(change.keys.as_ref())?,
    })
}

pub(super) fn node_spec(spec: &NodeSpec) -> pb::NodeSpec {
    let NodeSpec {
        name,
        api_address,
        peer_address,
        peer_key,
        check_only,
    } = spec;
    pb::NodeSpec {
        name: name.clone(),
        api_address: api_address.clone(),
        peer_address: peer_address.clone(),
        peer_key: bytes(peer_key.spki()),
        check_only: *check_only,
    }
}

pub(super) fn read_node_spec(spec: &pb::NodeSpec) -> Result<NodeSpec, Undecodable> {
    Ok(NodeSpec {
        name: spec.name.clone(),
        api_address: spec.api_address.clone(),
        peer_address: spec.peer_address.clone(),
        peer_key: read_peer_key(&spec.peer_key)?,
        check_only: spec.check_only,
    })
}

pub(super) fn open_issuer(request: &OpenIssuer) -> pb::OpenIssuer {
    let OpenIssuer {
        node,
        epoch,
        process,
        former,
        keys,
        peer_signature,
        key_signatures,
    } = request;
    pb::OpenIssuer {
        node: node.0,
        epoch: epoch.0,
        process: *process,
        former: former.map(|number| number.0),
        keys: keys.iter().map(|key| bytes(key.as_bytes())).collect(),
        peer_signature: bytes(peer_signature),
        key_signatures: key_signatures
            .iter()
            .map(|signature| bytes(signature))
            .collect(),
    }
}

pub(super) fn read_open_issuer(request: &pb::OpenIssuer) -> Result<OpenIssuer, Undecodable> {
    Ok(OpenIssuer {
        node: NodeNumber(request.node),
        epoch: EpochNumber(request.epoch),
        process: request.process,
        former: request.former.map(IssuerNumber),
        keys: request
            .keys
            .iter()
            .map(|key| read_issuer_key(key))
            .collect::<Result<_, _>>()?,
        peer_signature: request.peer_signature.to_vec(),
        key_signatures: request
            .key_signatures
            .iter()
            .map(|signature| signature.to_vec())
            .collect(),
    })
}
