//! The records of the tables. Each is taken apart whole, so that a new field does
//! not compile without a place on disk.

use chancery_authority::{
    AgentRecord, EpochRecord, GrantSetRecord, IssuerRecord, IssuerStanding, MetaRecord, NodeRecord,
    OperatorRecord, OwnerRecord, RequestKey, RequestRecord, ServiceRecord,
};
use chancery_credential::{EpochNumber, IssuerNumber, NodeNumber, Revision};
use chancery_wire::log as pb;

use super::{
    Undecodable,
    answer::{read_verdict, verdict},
    grant::{grants, limits, read_grants, read_limits},
    meta::{actor, read_actor, read_request_id, request_id},
    scalar::{
        array, bytes, parse, parse_all, read_issuer_key, read_peer_key, read_thumbprints, text,
        texts, thumbprints,
    },
    spec::{lineage, read_lineage, read_roles},
};

pub(super) fn meta(record: &MetaRecord) -> pb::Lineages {
    let MetaRecord {
        lineage: born,
        next_issuer,
        next_node,
        floor,
        view_revision,
    } = *record;
    pb::Lineages {
        lineage: Some(lineage(&born)),
        next_issuer,
        next_node,
        floor: floor.0,
        view_revision: view_revision.0,
    }
}

pub(super) fn read_meta(row: &pb::Lineages) -> Result<MetaRecord, Undecodable> {
    Ok(MetaRecord {
        lineage: read_lineage(row.lineage.as_ref())?,
        next_issuer: row.next_issuer,
        next_node: row.next_node,
        floor: Revision(row.floor),
        view_revision: Revision(row.view_revision),
    })
}

pub(super) fn epoch(record: &EpochRecord) -> pb::Epoch {
    let EpochRecord {
        number,
        opened_at,
        opened_at_ms,
        emergency,
    } = *record;
    pb::Epoch {
        number: number.0,
        opened_at: opened_at.0,
        opened_at_ms,
        emergency,
    }
}

pub(super) fn read_epoch(row: &pb::Epoch) -> EpochRecord {
    EpochRecord {
        number: EpochNumber(row.number),
        opened_at: Revision(row.opened_at),
        opened_at_ms: row.opened_at_ms,
        emergency: row.emergency,
    }
}

pub(super) fn agent(record: &AgentRecord) -> pb::Agent {
    let AgentRecord {
        id,
        owners,
        keys,
        grants: list,
        grant_sets,
        limits: bounds,
        expires_at,
        description,
        registered_at,
        changed_at,
    } = record;
    pb::Agent {
        id: text(id),
        owners: texts(owners),
        keys: thumbprints(keys),
        grants: grants(list),
        grant_sets: texts(grant_sets),
        limits: Some(limits(bounds)),
        expires_at: *expires_at,
        description: text(description),
        registered_at: registered_at.0,
        changed_at: changed_at.0,
    }
}

pub(super) fn read_agent(row: &pb::Agent) -> Result<AgentRecord, Undecodable> {
    Ok(AgentRecord {
        id: parse("an agent's id", &row.id)?,
        owners: parse_all("an owner's name", &row.owners)?.into(),
        keys: read_thumbprints(&row.keys)?.into(),
        grants: read_grants(&row.grants)?.into(),
        grant_sets: parse_all("a grant set's name", &row.grant_sets)?.into(),
        limits: read_limits(row.limits)?,
        expires_at: row.expires_at,
        description: row.description.as_str().into(),
        registered_at: Revision(row.registered_at),
        changed_at: Revision(row.changed_at),
    })
}

pub(super) fn owner(record: &OwnerRecord) -> pb::Owner {
    let OwnerRecord {
        name,
        description,
        added_at,
    } = record;
    pb::Owner {
        name: text(name),
        description: text(description),
        added_at: added_at.0,
    }
}

pub(super) fn read_owner(row: &pb::Owner) -> Result<OwnerRecord, Undecodable> {
    Ok(OwnerRecord {
        name: parse("an owner's name", &row.name)?,
        description: row.description.as_str().into(),
        added_at: Revision(row.added_at),
    })
}

pub(super) fn grant_set(record: &GrantSetRecord) -> pb::GrantSet {
    let GrantSetRecord {
        name,
        grants: list,
        changed_at,
        asked_ms,
    } = record;
    pb::GrantSet {
        name: text(name),
        grants: grants(list),
        changed_at: changed_at.0,
        asked_ms: *asked_ms,
    }
}

pub(super) fn read_grant_set(row: &pb::GrantSet) -> Result<GrantSetRecord, Undecodable> {
    Ok(GrantSetRecord {
        name: parse("a grant set's name", &row.name)?,
        grants: read_grants(&row.grants)?.into(),
        changed_at: Revision(row.changed_at),
        asked_ms: row.asked_ms,
    })
}

pub(super) fn operator(record: &OperatorRecord) -> pb::Operator {
    let OperatorRecord {
        name,
        roles,
        keys,
        expires_at,
        added_at,
        asked_ms,
    } = record;
    pb::Operator {
        name: text(name),
        roles: u32::from(roles.bits()),
        keys: thumbprints(keys),
        expires_at: *expires_at,
        added_at: added_at.0,
        asked_ms: *asked_ms,
    }
}

pub(super) fn read_operator(row: &pb::Operator) -> Result<OperatorRecord, Undecodable> {
    Ok(OperatorRecord {
        name: parse("an operator's name", &row.name)?,
        roles: read_roles(row.roles)?,
        keys: read_thumbprints(&row.keys)?.into(),
        expires_at: row.expires_at,
        added_at: Revision(row.added_at),
        asked_ms: row.asked_ms,
    })
}

pub(super) fn service(record: &ServiceRecord) -> pb::Service {
    let ServiceRecord {
        name,
        audiences,
        keys,
        added_at,
        asked_ms,
    } = record;
    pb::Service {
        name: text(name),
        audiences: texts(audiences),
        keys: thumbprints(keys),
        added_at: added_at.0,
        asked_ms: *asked_ms,
    }
}

pub(super) fn read_service(row: &pb::Service) -> Result<ServiceRecord, Undecodable> {
    Ok(ServiceRecord {
        name: parse("a service's name", &row.name)?,
        audiences: parse_all("an audience", &row.audiences)?.into(),
        keys: read_thumbprints(&row.keys)?.into(),
        added_at: Revision(row.added_at),
        asked_ms: row.asked_ms,
    })
}

pub(super) fn node(record: &NodeRecord) -> pb::Node {
    let NodeRecord {
        number,
        name,
        api_address,
        peer_address,
        peer_key,
        check_only,
        barred,
        retiring,
        votes,
        lead_asked_at,
        newest_issuer,
        admitted_at,
        removed_at,
    } = record;
    pb::Node {
        number: number.0,
        name: text(name),
        api_address: text(api_address),
        peer_address: text(peer_address),
        peer_key: bytes(peer_key.spki()),
        check_only: *check_only,
        barred: *barred,
        retiring: *retiring,
        newest_issuer: newest_issuer.map(|number| number.0),
        admitted_at: admitted_at.0,
        removed_at: removed_at.map(|revision| revision.0),
        votes: *votes,
        lead_asked_at: lead_asked_at.map(|revision| revision.0),
    }
}

pub(super) fn read_node(row: &pb::Node) -> Result<NodeRecord, Undecodable> {
    Ok(NodeRecord {
        number: NodeNumber(row.number),
        name: row.name.as_str().into(),
        api_address: row.api_address.as_str().into(),
        peer_address: row.peer_address.as_str().into(),
        peer_key: read_peer_key(&row.peer_key)?,
        check_only: row.check_only,
        barred: row.barred,
        retiring: row.retiring,
        votes: row.votes,
        lead_asked_at: row.lead_asked_at.map(Revision),
        newest_issuer: row.newest_issuer.map(IssuerNumber),
        admitted_at: Revision(row.admitted_at),
        removed_at: row.removed_at.map(Revision),
    })
}

pub(super) fn issuer(record: &IssuerRecord) -> pb::Issuer {
    use pb::issuer::Standing;
    let IssuerRecord {
        number,
        node,
        epoch,
        process,
        key,
        opened_at,
        expiry_ms,
        standing,
    } = record;
    let standing = match standing {
        IssuerStanding::Open => Standing::Open(true),
        IssuerStanding::Retired(revision) => Standing::RetiredAt(revision.0),
        IssuerStanding::Revoked(revision) => Standing::RevokedAt(revision.0),
    };
    pb::Issuer {
        number: number.0,
        node: node.0,
        epoch: epoch.0,
        process: *process,
        key: bytes(key.as_bytes()),
        opened_at: opened_at.0,
        expiry_ms: *expiry_ms,
        standing: Some(standing),
    }
}

pub(super) fn read_issuer(row: &pb::Issuer) -> Result<IssuerRecord, Undecodable> {
    use pb::issuer::Standing;
    let standing = match row
        .standing
        .ok_or(Undecodable::Unknown("an issuer's standing"))?
    {
        Standing::Open(_) => IssuerStanding::Open,
        Standing::RetiredAt(revision) => IssuerStanding::Retired(Revision(revision)),
        Standing::RevokedAt(revision) => IssuerStanding::Revoked(Revision(revision)),
    };
    Ok(IssuerRecord {
        number: IssuerNumber(row.number),
        node: NodeNumber(row.node),
        epoch: EpochNumber(row.epoch),
        process: row.process,
        key: read_issuer_key(&row.key)?,
        opened_at: Revision(row.opened_at),
        expiry_ms: row.expiry_ms,
        standing,
    })
}

pub(super) fn request(key: &RequestKey, record: &RequestRecord) -> pb::Request {
    let RequestKey { id, actor: who } = key;
    let RequestRecord {
        digest,
        revision,
        outcome,
    } = record;
    pb::Request {
        actor: Some(actor(who)),
        id: Some(request_id(id)),
        digest: bytes(digest),
        revision: revision.0,
        verdict: Some(verdict(outcome)),
    }
}

pub(super) fn read_request(row: &pb::Request) -> Result<(RequestKey, RequestRecord), Undecodable> {
    let key = RequestKey {
        id: read_request_id(row.id.as_ref())?,
        actor: read_actor(row.actor.as_ref())?,
    };
    let record = RequestRecord {
        digest: array("a request's digest", &row.digest)?,
        revision: Revision(row.revision),
        outcome: read_verdict(row.verdict.as_ref())?,
    };
    Ok((key, record))
}
