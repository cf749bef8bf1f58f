//! What Raft keeps on disk: entries, the vote, log ids, and how far the state has
//! come.

use bytes::Bytes;
use chancery_credential::Revision;
use chancery_wire::log as pb;
use prost::Message;

use super::{
    Undecodable, VERSION, check_version,
    raft::{
        self, read_entry, read_log_id, read_log_id_option, read_stored_membership, read_vote,
        required,
    },
    scalar::array,
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

/// What is written beside the rows, in one batch with them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AppliedRecord {
    pub(crate) last: Option<LogId>,
    pub(crate) membership: StoredMembership,
    /// Of the state that the rows make.
    pub(crate) digest: [u8; 32],
    /// The revision at which this state was found not to be that of most voters.
    pub(crate) differs_at: Option<Revision>,
}

pub(crate) fn encode_applied(record: &AppliedRecord) -> Bytes {
    let applied = pb::Applied {
        version: VERSION,
        last_applied: record.last.as_ref().map(raft::log_id),
        membership: Some(raft::stored_membership(&record.membership)),
        state_digest: Bytes::copy_from_slice(&record.digest),
        differs_at: record.differs_at.map(|at| at.0),
    };
    applied.encode_to_vec().into()
}

pub(crate) fn decode_applied(bytes: Bytes) -> Result<AppliedRecord, Undecodable> {
    let applied = pb::Applied::decode(bytes)?;
    check_version("the applied record", applied.version)?;
    Ok(AppliedRecord {
        last: read_log_id_option(applied.last_applied)?,
        membership: read_stored_membership(applied.membership)?,
        digest: array("the state's digest", &applied.state_digest)?,
        differs_at: applied.differs_at.map(Revision),
    })
}
