//! openraft's ids, votes, memberships and entries as `chancery.log.v1`, and back.

use std::collections::BTreeSet;

use bytes::Bytes;
use chancery_wire::log as pb;
use openraft::{EntryPayload, vote::RaftLeaderId as _};

use super::Undecodable;
use crate::{
    command::EncodedCommand,
    peer_record::PeerRecord,
    raft::{CommittedLeaderId, Entry, LeaderId, LogId, Membership, StoredMembership, Vote},
};

/// A part that the protocol lets be absent, and that here must be there.
pub(crate) fn required<T>(part: Option<T>, name: &'static str) -> Result<T, Undecodable> {
    part.ok_or(Undecodable::Missing(name))
}

pub(crate) fn log_id(id: &LogId) -> pb::LogId {
    let leader = &id.leader_id;
    pb::LogId {
        leader: Some(pb::LeaderId {
            term: leader.term,
            node: leader.node_id,
        }),
        index: id.index,
    }
}

pub(crate) fn read_log_id(id: pb::LogId) -> Result<LogId, Undecodable> {
    let leader = required(id.leader, "log_id.leader")?;
    Ok(LogId::new(
        CommittedLeaderId {
            term: leader.term,
            node_id: leader.node,
        },
        id.index,
    ))
}

pub(crate) fn read_log_id_option(id: Option<pb::LogId>) -> Result<Option<LogId>, Undecodable> {
    id.map(read_log_id).transpose()
}

pub(crate) fn vote(vote: &Vote) -> pb::Vote {
    let leader = vote.leader_id();
    pb::Vote {
        leader: Some(pb::LeaderId {
            term: leader.term,
            node: leader.node_id,
        }),
        committed: vote.is_committed(),
    }
}

pub(crate) fn read_vote(vote: Option<pb::Vote>) -> Result<Vote, Undecodable> {
    let vote = required(vote, "vote")?;
    let leader = required(vote.leader, "vote.leader")?;
    Ok(Vote {
        leader_id: LeaderId::new(leader.term, leader.node),
        committed: vote.committed,
    })
}

pub(crate) fn peer_record(record: &PeerRecord) -> pb::PeerRecord {
    pb::PeerRecord {
        name: record.name.clone(),
        peer_address: record.peer_address.clone(),
        api_address: record.api_address.clone(),
        peer_public_key: Bytes::copy_from_slice(&record.peer_public_key),
    }
}

fn read_peer_record(record: pb::PeerRecord) -> PeerRecord {
    PeerRecord {
        name: record.name,
        peer_address: record.peer_address,
        api_address: record.api_address,
        peer_public_key: record.peer_public_key.into(),
    }
}

fn membership(membership: &Membership) -> pb::Membership {
    pb::Membership {
        configs: membership
            .get_joint_config()
            .iter()
            .map(|voters| pb::membership::Config {
                voters: voters.iter().copied().collect(),
            })
            .collect(),
        members: membership
            .nodes()
            .map(|(number, record)| pb::membership::Member {
                number: *number,
                record: Some(peer_record(record)),
            })
            .collect(),
    }
}

fn read_membership(membership: pb::Membership) -> Result<Membership, Undecodable> {
    let configs: Vec<BTreeSet<u64>> = membership
        .configs
        .into_iter()
        .map(|config| config.voters.into_iter().collect())
        .collect();
    let mut members = std::collections::BTreeMap::new();
    for member in membership.members {
        let record = required(member.record, "membership.member.record")?;
        members.insert(member.number, read_peer_record(record));
    }
    if configs.is_empty() && members.is_empty() {
        return Ok(Membership::default());
    }
    Membership::new(configs, members).map_err(|error| Undecodable::Invalid {
        what: "membership",
        reason: error.to_string(),
    })
}

pub(crate) fn stored_membership(stored: &StoredMembership) -> pb::StoredMembership {
    pb::StoredMembership {
        log_id: stored.log_id().as_ref().map(log_id),
        membership: Some(membership(stored.membership())),
    }
}

pub(crate) fn read_stored_membership(
    stored: Option<pb::StoredMembership>,
) -> Result<StoredMembership, Undecodable> {
    let stored = required(stored, "stored_membership")?;
    let membership = required(stored.membership, "stored_membership.membership")?;
    Ok(StoredMembership::new(
        read_log_id_option(stored.log_id)?,
        read_membership(membership)?,
    ))
}

pub(crate) fn entry(entry: &Entry) -> pb::Entry {
    let payload = match &entry.payload {
        EntryPayload::Blank => pb::entry::Payload::Blank(true),
        EntryPayload::Normal(command) => pb::entry::Payload::Command(command.0.clone()),
        EntryPayload::Membership(value) => pb::entry::Payload::Membership(membership(value)),
    };
    pb::Entry {
        log_id: Some(log_id(&entry.log_id)),
        payload: Some(payload),
    }
}

pub(crate) fn read_entry(entry: pb::Entry) -> Result<Entry, Undecodable> {
    let log_id = read_log_id(required(entry.log_id, "entry.log_id")?)?;
    let payload = match entry.payload.ok_or(Undecodable::Unknown("entry"))? {
        pb::entry::Payload::Blank(_) => EntryPayload::Blank,
        pb::entry::Payload::Command(bytes) => EntryPayload::Normal(EncodedCommand(bytes)),
        pb::entry::Payload::Membership(value) => EntryPayload::Membership(read_membership(value)?),
    };
    Ok(Entry { log_id, payload })
}
