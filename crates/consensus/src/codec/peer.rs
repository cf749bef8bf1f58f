//! Raft's requests and answers between nodes, as `chancery.peer.v1`, and back.

use chancery_credential::Revision;
use chancery_wire::peer as pb;
use openraft::raft::{
    AppendEntriesRequest, StreamAppendError, StreamAppendResult, TransferLeaderError,
    TransferLeaderRequest, TransferLeaderResponse, VoteRequest, VoteResponse,
};

use super::{
    Undecodable,
    raft::{
        entry, log_id, read_entry, read_log_id, read_log_id_option, read_stored_membership,
        read_vote, required, stored_membership, vote,
    },
    scalar::{array, bytes},
};
use crate::raft::{SnapshotMeta, Types, Vote};

pub(crate) fn append(
    from: u64,
    request: AppendEntriesRequest<Types>,
    awaited: bool,
) -> pb::AppendRequest {
    pb::AppendRequest {
        from,
        vote: Some(vote(&request.vote)),
        prev_log_id: request.prev_log_id.as_ref().map(log_id),
        entries: request.entries.iter().map(entry).collect(),
        leader_commit: request.leader_commit.as_ref().map(log_id),
        awaited,
    }
}

/// Through where the log goes once an append is taken, as far as it says.
pub(crate) fn reaches(request: &AppendEntriesRequest<Types>) -> Revision {
    let index = |id: &Option<crate::raft::LogId>| id.map_or(0, |id| id.index);
    let entries = u64::try_from(request.entries.len()).unwrap_or(u64::MAX);
    let appended = index(&request.prev_log_id).saturating_add(entries);
    Revision(appended.max(index(&request.leader_commit)))
}

pub(crate) fn read_append(
    request: pb::AppendRequest,
) -> Result<AppendEntriesRequest<Types>, Undecodable> {
    Ok(AppendEntriesRequest {
        vote: read_vote(request.vote)?,
        prev_log_id: read_log_id_option(request.prev_log_id)?,
        entries: request
            .entries
            .into_iter()
            .map(read_entry)
            .collect::<Result<_, _>>()?,
        leader_commit: read_log_id_option(request.leader_commit)?,
    })
}

pub(crate) fn appended(result: &StreamAppendResult<Types>) -> pb::AppendResponse {
    use pb::append_response::Outcome;
    let outcome = match result {
        Ok(matching) => Outcome::Matching(pb::Matching {
            log_id: matching.as_ref().map(log_id),
        }),
        Err(StreamAppendError::Conflict(at)) => Outcome::Conflict(log_id(at)),
        Err(StreamAppendError::HigherVote(higher)) => Outcome::HigherVote(vote(higher)),
    };
    pb::AppendResponse {
        outcome: Some(outcome),
    }
}

pub(crate) fn read_appended(
    response: pb::AppendResponse,
) -> Result<StreamAppendResult<Types>, Undecodable> {
    use pb::append_response::Outcome;
    let outcome = response
        .outcome
        .ok_or(Undecodable::Unknown("an answer to an append"))?;
    Ok(match outcome {
        Outcome::Matching(matching) => Ok(read_log_id_option(matching.log_id)?),
        Outcome::Conflict(at) => Err(StreamAppendError::Conflict(read_log_id(at)?)),
        Outcome::HigherVote(higher) => Err(StreamAppendError::HigherVote(read_vote(Some(higher))?)),
    })
}

pub(crate) fn vote_request(from: u64, request: &VoteRequest<Types>) -> pb::VoteRequest {
    pb::VoteRequest {
        from,
        vote: Some(vote(&request.vote)),
        last_log_id: request.last_log_id.as_ref().map(log_id),
        leadership_transfer: request.leadership_transfer,
    }
}

pub(crate) fn read_vote_request(
    request: pb::VoteRequest,
) -> Result<VoteRequest<Types>, Undecodable> {
    let mut read = VoteRequest::new(
        read_vote(request.vote)?,
        read_log_id_option(request.last_log_id)?,
    );
    read.leadership_transfer = request.leadership_transfer;
    Ok(read)
}

pub(crate) fn voted(response: &VoteResponse<Types>) -> pb::VoteResponse {
    pb::VoteResponse {
        vote: Some(vote(&response.vote)),
        granted: response.vote_granted,
        last_log_id: response.last_log_id.as_ref().map(log_id),
    }
}

pub(crate) fn read_voted(response: pb::VoteResponse) -> Result<VoteResponse<Types>, Undecodable> {
    Ok(VoteResponse {
        vote: read_vote(response.vote)?,
        vote_granted: response.granted,
        last_log_id: read_log_id_option(response.last_log_id)?,
    })
}

pub(crate) fn transfer(
    from: u64,
    request: &TransferLeaderRequest<Types>,
) -> pb::TransferLeaderRequest {
    pb::TransferLeaderRequest {
        from,
        from_leader: Some(vote(request.from_leader())),
        to: *request.to_node_id(),
        last_log_id: request.last_log_id().map(log_id),
    }
}

pub(crate) fn read_transfer(
    request: pb::TransferLeaderRequest,
) -> Result<TransferLeaderRequest<Types>, Undecodable> {
    Ok(TransferLeaderRequest::new(
        read_vote(request.from_leader)?,
        request.to,
        read_log_id_option(request.last_log_id)?,
    ))
}

pub(crate) fn transferred(response: &TransferLeaderResponse<Types>) -> pb::TransferLeaderResponse {
    use pb::transfer_leader_response::{LogNotFlushed, Outcome, VoteChanged};
    let outcome = match response {
        Ok(()) => Outcome::Accepted(true),
        Err(TransferLeaderError::VoteChanged { expected, actual }) => {
            Outcome::VoteChanged(VoteChanged {
                expected: Some(vote(expected)),
                actual: Some(vote(actual)),
            })
        }
        Err(TransferLeaderError::LogNotFlushed { expected, actual }) => {
            Outcome::LogNotFlushed(LogNotFlushed {
                expected: expected.as_ref().map(log_id),
                actual: actual.as_ref().map(log_id),
            })
        }
    };
    pb::TransferLeaderResponse {
        outcome: Some(outcome),
    }
}

pub(crate) fn read_transferred(
    response: pb::TransferLeaderResponse,
) -> Result<TransferLeaderResponse<Types>, Undecodable> {
    use pb::transfer_leader_response::Outcome;
    let outcome = response
        .outcome
        .ok_or(Undecodable::Unknown("an answer to a transfer"))?;
    Ok(match outcome {
        Outcome::Accepted(_) => Ok(()),
        Outcome::VoteChanged(votes) => Err(TransferLeaderError::VoteChanged {
            expected: read_vote(votes.expected)?,
            actual: read_vote(votes.actual)?,
        }),
        Outcome::LogNotFlushed(ids) => Err(TransferLeaderError::LogNotFlushed {
            expected: read_log_id_option(ids.expected)?,
            actual: read_log_id_option(ids.actual)?,
        }),
    })
}

/// What a snapshot is of.
pub(crate) struct SnapshotHead {
    pub(crate) vote: Vote,
    pub(crate) meta: SnapshotMeta,
    /// Of the state that its rows make.
    pub(crate) digest: [u8; 32],
    /// About how many rows there are.
    pub(crate) rows: u64,
}

/// Of a node's state at `at`.
pub(crate) fn state_digest(at: Revision, digest: &[u8; 32]) -> pb::StateDigest {
    pb::StateDigest {
        revision: at.0,
        digest: bytes(digest),
    }
}

pub(crate) fn read_state_digest(
    said: &pb::StateDigest,
) -> Result<(Revision, [u8; 32]), Undecodable> {
    let digest = array("a state's digest", &said.digest)?;
    Ok((Revision(said.revision), digest))
}

pub(crate) fn snapshot_header(head: &SnapshotHead) -> pb::SnapshotHeader {
    pb::SnapshotHeader {
        vote: Some(vote(&head.vote)),
        last_log_id: head.meta.last_log_id.as_ref().map(log_id),
        membership: Some(stored_membership(&head.meta.last_membership)),
        state_digest: bytes(&head.digest),
        rows: head.rows,
    }
}

pub(crate) fn read_snapshot_header(
    header: pb::SnapshotHeader,
) -> Result<SnapshotHead, Undecodable> {
    let meta = SnapshotMeta {
        // A snapshot of nothing is never sent.
        last_log_id: Some(read_log_id(required(
            header.last_log_id,
            "snapshot.last_log_id",
        )?)?),
        last_membership: read_stored_membership(header.membership)?,
    };
    Ok(SnapshotHead {
        vote: read_vote(header.vote)?,
        meta,
        digest: array("the state's digest", &header.state_digest)?,
        rows: header.rows,
    })
}
