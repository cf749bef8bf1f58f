//! Commands, as they stand in the log.

use bytes::Bytes;
use chancery_authority::{Command, Seat, Stamped};
use chancery_credential::{EpochNumber, IssuerNumber, NodeNumber, Revision};
use chancery_wire::log as pb;
use prost::Message;
use sha2::{Digest, Sha256};

use super::{
    Undecodable, VERSION, check_version,
    grant::{grants, read_grants, read_subject, subject},
    meta::{meta, read_meta, read_stamp, stamp},
    raft::required,
    scalar::{array, bytes, parse, read_peer_key, read_thumbprint, read_token_id, text},
    settings::{read_settings_change, settings_change},
    spec::{
        agent_spec, birth, node_spec, open_issuer, operator_change, operator_spec, read_agent_spec,
        read_birth, read_node_spec, read_open_issuer, read_operator_change, read_operator_spec,
        read_service_change, read_service_spec, service_change, service_spec,
    },
};

pub(crate) fn encode_stamped(stamped: &Stamped) -> Bytes {
    let message = pb::StampedCommand {
        version: VERSION,
        command: Some(command(&stamped.command)),
        meta: Some(meta(&stamped.meta)),
        stamp: Some(stamp(&stamped.stamp)),
    };
    message.encode_to_vec().into()
}

pub(crate) fn decode_stamped(bytes: Bytes) -> Result<Stamped, Undecodable> {
    let message = pb::StampedCommand::decode(bytes)?;
    check_version("a command", message.version)?;
    Ok(Stamped {
        command: read_command(message.command.as_ref())?,
        meta: read_meta(message.meta.as_ref())?,
        stamp: read_stamp(message.stamp.as_ref())?,
    })
}

/// SHA-256 over the command alone, encoded: tells a retry of a request from
/// another command under the same request id.
pub(crate) fn command_digest(what: &Command) -> [u8; 32] {
    Sha256::digest(command(what).encode_to_vec()).into()
}

pub(super) fn command(command: &Command) -> pb::Command {
    use pb::command::Kind;
    let kind = match command {
        Command::Birth(it) => Kind::Birth(birth(it)),
        Command::Tick => Kind::Tick(pb::Nothing {}),
        Command::RegisterAgent(spec) => Kind::RegisterAgent(agent_spec(spec)),
        Command::UpdateAgent {
            spec,
            keep_held,
            changed_at,
        } => Kind::UpdateAgent(pb::UpdateAgent {
            spec: Some(agent_spec(spec)),
            keep_held: *keep_held,
            changed_at: changed_at.map(|revision| revision.0),
        }),
        Command::RemoveAgent(id) => Kind::RemoveAgent(text(id)),
        Command::Suspend(it) => Kind::Suspend(subject(it)),
        Command::Resume(it) => Kind::Resume(subject(it)),
        Command::RevokeHeld(it) => Kind::RevokeHeld(subject(it)),
        Command::RevokeToken { token, agent } => Kind::RevokeToken(pb::RevokeToken {
            token: bytes(token.as_bytes()),
            agent: agent.as_ref().map(text),
        }),
        Command::AddOwner { name, description } => Kind::AddOwner(pb::AddOwner {
            name: text(name),
            description: description.clone(),
        }),
        Command::PutGrantSet {
            name,
            grants: list,
            keep_held,
        } => Kind::PutGrantSet(pb::PutGrantSet {
            name: text(name),
            grants: grants(list),
            keep_held: *keep_held,
        }),
        Command::RemoveGrantSet(name) => Kind::RemoveGrantSet(text(name)),
        Command::AddOperator(spec) => Kind::AddOperator(operator_spec(spec)),
        Command::AddService(spec) => Kind::AddService(service_spec(spec)),
        Command::UpdateOperator(change) => Kind::UpdateOperator(operator_change(change)),
        Command::UpdateService(change) => Kind::UpdateService(service_change(change)),
        Command::RemoveOperator(name) => Kind::RemoveOperator(text(name)),
        Command::RemoveService(name) => Kind::RemoveService(text(name)),
        Command::OpenEpoch { emergency } => Kind::OpenEpoch(pb::OpenEpoch {
            emergency: *emergency,
        }),
        Command::OpenIssuer(it) => Kind::OpenIssuer(open_issuer(it)),
        Command::RetireIssuer(number) => Kind::RetireIssuer(number.0),
        Command::ExpireIssuer(number) => Kind::ExpireIssuer(number.0),
        Command::RevokeIssuer(number) => Kind::RevokeIssuer(number.0),
        Command::RevokeEpoch(number) => Kind::RevokeEpoch(number.0),
        Command::RevokeNode(number) => Kind::RevokeNode(number.0),
        Command::AdmitNode(spec) => Kind::AdmitNode(node_spec(spec)),
        Command::RetireNode(number) => Kind::RetireNode(number.0),
        Command::ReadmitNode { node, peer_key } => Kind::ReadmitNode(pb::ReadmitNode {
            node: node.0,
            peer_key: bytes(peer_key.spki()),
        }),
        Command::SeatNode { node, seat: place } => Kind::SeatNode(pb::SeatNode {
            node: node.0,
            seat: seat(*place).into(),
        }),
        Command::RemoveNode { node, key } => Kind::RemoveNode(pb::RemoveNode {
            node: node.0,
            key: bytes(key.as_bytes()),
        }),
        Command::RaiseFloor(revision) => Kind::RaiseFloor(revision.0),
        Command::SetSettings(it) => Kind::SetSettings(settings_change(it)),
        Command::ForgetFormer(since) => Kind::ForgetFormer(since.0),
        Command::ExpireRegistrations => Kind::ExpireRegistrations(pb::Nothing {}),
        Command::CompareState { at, digest } => Kind::CompareState(pb::CompareState {
            at: at.0,
            digest: bytes(digest),
        }),
    };
    pb::Command { kind: Some(kind) }
}

pub(super) fn read_command(command: Option<&pb::Command>) -> Result<Command, Undecodable> {
    use pb::command::Kind;
    let command = required(command, "command")?;
    Ok(
        match command
            .kind
            .as_ref()
            .ok_or(Undecodable::Unknown("a command"))?
        {
            Kind::Birth(it) => Command::Birth(read_birth(it)?),
            Kind::Tick(_) => Command::Tick,
            Kind::RegisterAgent(spec) => Command::RegisterAgent(read_agent_spec(spec)?),
            Kind::UpdateAgent(update) => Command::UpdateAgent {
                spec: read_agent_spec(required(update.spec.as_ref(), "update_agent.spec")?)?,
                keep_held: update.keep_held,
                changed_at: update.changed_at.map(Revision),
            },
            Kind::RemoveAgent(id) => Command::RemoveAgent(parse("an agent's id", id)?),
            Kind::Suspend(it) => Command::Suspend(read_subject(it)?),
            Kind::Resume(it) => Command::Resume(read_subject(it)?),
            Kind::RevokeHeld(it) => Command::RevokeHeld(read_subject(it)?),
            Kind::RevokeToken(it) => Command::RevokeToken {
                token: read_token_id(&it.token)?,
                agent: it
                    .agent
                    .as_ref()
                    .map(|id| parse("an agent's id", id))
                    .transpose()?,
            },
            Kind::AddOwner(it) => Command::AddOwner {
                name: parse("an owner's name", &it.name)?,
                description: it.description.clone(),
            },
            Kind::PutGrantSet(it) => Command::PutGrantSet {
                name: parse("a grant set's name", &it.name)?,
                grants: read_grants(&it.grants)?,
                keep_held: it.keep_held,
            },
            Kind::RemoveGrantSet(name) => {
                Command::RemoveGrantSet(parse("a grant set's name", name)?)
            }
            Kind::AddOperator(spec) => Command::AddOperator(read_operator_spec(spec)?),
            Kind::AddService(spec) => Command::AddService(read_service_spec(spec)?),
            Kind::UpdateOperator(it) => Command::UpdateOperator(read_operator_change(it)?),
            Kind::UpdateService(it) => Command::UpdateService(read_service_change(it)?),
            Kind::RemoveOperator(name) => {
                Command::RemoveOperator(parse("an operator's name", name)?)
            }
            Kind::RemoveService(name) => Command::RemoveService(parse("a service's name", name)?),
            Kind::OpenEpoch(it) => Command::OpenEpoch {
                emergency: it.emergency,
            },
            Kind::OpenIssuer(it) => Command::OpenIssuer(read_open_issuer(it)?),
            Kind::RetireIssuer(number) => Command::RetireIssuer(IssuerNumber(*number)),
            Kind::ExpireIssuer(number) => Command::ExpireIssuer(IssuerNumber(*number)),
            Kind::RevokeIssuer(number) => Command::RevokeIssuer(IssuerNumber(*number)),
            Kind::RevokeEpoch(number) => Command::RevokeEpoch(EpochNumber(*number)),
            Kind::RevokeNode(number) => Command::RevokeNode(NodeNumber(*number)),
            Kind::AdmitNode(spec) => Command::AdmitNode(read_node_spec(spec)?),
            Kind::RetireNode(number) => Command::RetireNode(NodeNumber(*number)),
            Kind::ReadmitNode(it) => Command::ReadmitNode {
                node: NodeNumber(it.node),
                peer_key: read_peer_key(&it.peer_key)?,
            },
            Kind::SeatNode(it) => Command::SeatNode {
                node: NodeNumber(it.node),
                seat: read_seat(it.seat())?,
            },
            Kind::RemoveNode(it) => Command::RemoveNode {
                node: NodeNumber(it.node),
                key: read_thumbprint(&it.key)?,
            },
            Kind::RaiseFloor(revision) => Command::RaiseFloor(Revision(*revision)),
            Kind::SetSettings(it) => Command::SetSettings(read_settings_change(it)?),
            Kind::ForgetFormer(since) => Command::ForgetFormer(Revision(*since)),
            Kind::ExpireRegistrations(_) => Command::ExpireRegistrations,
            Kind::CompareState(it) => Command::CompareState {
                at: Revision(it.at),
                digest: array("a state's digest", &it.digest)?,
            },
        },
    )
}

const fn seat(seat: Seat) -> pb::seat_node::Seat {
    match seat {
        Seat::Learner => pb::seat_node::Seat::Learner,
        Seat::Voter => pb::seat_node::Seat::Voter,
        Seat::Leader => pb::seat_node::Seat::Leader,
    }
}

const fn read_seat(seat: pb::seat_node::Seat) -> Result<Seat, Undecodable> {
    match seat {
        pb::seat_node::Seat::Learner => Ok(Seat::Learner),
        pb::seat_node::Seat::Voter => Ok(Seat::Voter),
        pb::seat_node::Seat::Leader => Ok(Seat::Leader),
        pb::seat_node::Seat::Unspecified => Err(Undecodable::Unknown("a seat")),
    }
}
