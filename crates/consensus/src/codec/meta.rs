//! Who asks, as which request, and the leader's stamp.

use chancery_authority::{Actor, Meta, RequestId, Stamp};
use chancery_credential::{NodeNumber, Revision};
use chancery_wire::log as pb;

use super::{
    Undecodable,
    raft::required,
    scalar::{array, bytes, parse, read_thumbprint, text},
};

pub(super) fn actor(actor: &Actor) -> pb::Actor {
    use pb::actor::Kind;
    let kind = match actor {
        Actor::Operator(name) => Kind::Operator(text(name)),
        Actor::Service(name) => Kind::Service(text(name)),
        Actor::Agent(id) => Kind::Agent(text(id)),
        Actor::Node(number) => Kind::Node(number.0),
        Actor::Birth => Kind::Birth(true),
    };
    pb::Actor { kind: Some(kind) }
}

pub(super) fn read_actor(actor: Option<&pb::Actor>) -> Result<Actor, Undecodable> {
    use pb::actor::Kind;
    let actor = required(actor, "actor")?;
    Ok(
        match actor
            .kind
            .as_ref()
            .ok_or(Undecodable::Unknown("an actor"))?
        {
            Kind::Operator(name) => Actor::Operator(parse("an operator's name", name)?),
            Kind::Service(name) => Actor::Service(parse("a service's name", name)?),
            Kind::Agent(id) => Actor::Agent(parse("an agent's id", id)?),
            Kind::Node(number) => Actor::Node(NodeNumber(*number)),
            Kind::Birth(_) => Actor::Birth,
        },
    )
}

pub(super) fn request_id(id: &RequestId) -> pb::RequestId {
    pb::RequestId {
        time_ms: id.time_ms,
        random: bytes(&id.random),
    }
}

pub(super) fn read_request_id(id: Option<&pb::RequestId>) -> Result<RequestId, Undecodable> {
    let id = required(id, "request id")?;
    Ok(RequestId {
        time_ms: id.time_ms,
        random: array("a request id", &id.random)?,
    })
}

pub(super) fn meta(meta: &Meta) -> pb::Meta {
    let Meta {
        actor: who,
        key,
        via,
        authorised_at,
        reason,
        request,
        digest,
    } = meta;
    pb::Meta {
        actor: Some(actor(who)),
        key: key.as_ref().map(|key| bytes(key.as_bytes())),
        via: via.0,
        authorised_at: authorised_at.0,
        reason: reason.clone(),
        request: Some(request_id(request)),
        digest: bytes(digest),
    }
}

pub(super) fn read_meta(meta: Option<&pb::Meta>) -> Result<Meta, Undecodable> {
    let meta = required(meta, "meta")?;
    Ok(Meta {
        actor: read_actor(meta.actor.as_ref())?,
        key: meta
            .key
            .as_ref()
            .map(|key| read_thumbprint(key))
            .transpose()?,
        via: NodeNumber(meta.via),
        authorised_at: Revision(meta.authorised_at),
        reason: meta.reason.clone(),
        request: read_request_id(meta.request.as_ref())?,
        digest: array("a command's digest", &meta.digest)?,
    })
}

pub(super) fn stamp(stamp: &Stamp) -> pb::Stamp {
    let Stamp { time_ms, entropy } = stamp;
    pb::Stamp {
        time_ms: *time_ms,
        entropy: bytes(entropy),
    }
}

pub(super) fn read_stamp(stamp: Option<&pb::Stamp>) -> Result<Stamp, Undecodable> {
    let stamp = required(stamp, "stamp")?;
    Ok(Stamp {
        time_ms: stamp.time_ms,
        entropy: array("a stamp's entropy", &stamp.entropy)?,
    })
}
