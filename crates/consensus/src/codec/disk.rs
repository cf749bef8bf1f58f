//! What Raft keeps on disk: entries, the vote, log ids, and how far the state has
//! come.

use bytes::Bytes;
use chancery_wire::log as pb;
use prost::Message;

use super::{
    Undecodable, VERSION, check_version,
    raft::{
        self, read_entry, read_log_id, read_log_id_option, read_stored_membership, read_vote,
        required,
    },
};
use crate::raft::{Entry, LogId, StoredMembership, Vote};

pub(crate) fn encode_entry(entry: &Entry) -> Bytes {
    let stored = pb::StoredEntry {
        version: VERSION,
        entry: Some(raft::entry(entry)),
    };
    stored.encode_to_vec().into()
}

pub(crate) fn decode_entry(bytes: Bytes) -> Result<Entry, Undecodable> {
    let stored = pb::StoredEntry::decode(bytes)?;
    check_version("a log entry", stored.version)?;
    read_entry(required(stored.entry, "stored_entry.entry")?)
}

pub(crate) fn encode_vote(vote: &Vote) -> Bytes {
    let stored = pb::StoredVote {
        version: VERSION,
        vote: Some(raft::vote(vote)),
    };
    stored.encode_to_vec().into()
}

pub(crate) fn decode_vote(bytes: Bytes) -> Result<Vote, Undecodable> {
    let stored = pb::StoredVote::decode(bytes)?;
    check_version("the vote", stored.version)?;
    read_vote(stored.vote)
}

pub(crate) fn encode_log_id(id: &LogId) -> Bytes {
    let stored = pb::StoredLogId {
        version: VERSION,
        log_id: Some(raft::log_id(id)),
    };
    stored.encode_to_vec().into()
}

pub(crate) fn decode_log_id(bytes: Bytes) -> Result<LogId, Undecodable> {
    let stored = pb::StoredLogId::decode(bytes)?;
    check_version("a log id", stored.version)?;
    read_log_id(required(stored.log_id, "stored_log_id.log_id")?)
}

/// What is written beside the rows: the last applied entry and the last applied
/// membership.
pub(crate) fn encode_applied(last: Option<&LogId>, membership: &StoredMembership) -> Bytes {
    let applied = pb::Applied {
        version: VERSION,
        last_applied: last.map(raft::log_id),
        membership: Some(raft::stored_membership(membership)),
    };
    applied.encode_to_vec().into()
}

pub(crate) fn decode_applied(
    bytes: Bytes,
) -> Result<(Option<LogId>, StoredMembership), Undecodable> {
    let applied = pb::Applied::decode(bytes)?;
    check_version("the applied record", applied.version)?;
    Ok((
        read_log_id_option(applied.last_applied)?,
        read_stored_membership(applied.membership)?,
    ))
}
