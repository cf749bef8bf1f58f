//! A fuzz target for each of the messages that stand in the log, on disk and between
//! peers (`chancery-fuzzing` says what one is).
//!
//! What is understood is written again: that reads back as the same, in the same
//! bytes. It need not be the bytes that were given, which may hold fields in another
//! order, or of a newer build.

use std::fmt::Debug;

use bytes::Bytes;
use chancery_credential::NodeNumber;
use chancery_wire::peer as pb;
use prost::Message;

use crate::{
    codec::{self, Undecodable, peer},
    membership::Asked,
};

fn is_kept<T: PartialEq + Debug>(
    input: &[u8],
    read: impl Fn(Bytes) -> Result<T, Undecodable>,
    write: impl Fn(&T) -> Bytes,
) -> bool {
    let Ok(understood) = read(Bytes::copy_from_slice(input)) else {
        return false;
    };
    let written = write(&understood);
    let again = read(written.clone()).unwrap();
    assert_eq!(again, understood);
    assert_eq!(write(&again), written, "one value has one form");
    true
}

/// The same for a message between peers, whose value is told by what is written of it.
fn is_passed_on<M: Message + Default + PartialEq, T, E: Debug>(
    input: &[u8],
    read: impl Fn(M) -> Result<T, E>,
    write: impl Fn(T) -> M,
) -> bool {
    let Ok(Ok(understood)) = M::decode(input).map(&read) else {
        return false;
    };
    let written = write(understood);
    let bytes = written.encode_to_vec();
    let again = M::decode(bytes.as_slice()).unwrap();
    assert!(again == written);
    assert!(write(read(again).unwrap()) == written);
    true
}

/// A command in the log.
pub fn stamped_command(input: &[u8]) -> bool {
    is_kept(input, codec::decode_stamped, codec::encode_stamped)
}

/// A command on its way to the leader.
pub fn proposal(input: &[u8]) -> bool {
    is_kept(input, codec::decode_proposal, |(command, meta)| {
        codec::encode_proposal(command, meta)
    })
}

/// What became of it.
pub fn outcome(input: &[u8]) -> bool {
    is_kept(input, codec::decode_outcome, codec::encode_outcome)
}

/// A row of the state.
pub fn row(input: &[u8]) -> bool {
    is_kept(input, codec::decode_row, codec::encode_row)
}

/// An entry of the log.
pub fn entry(input: &[u8]) -> bool {
    is_kept(input, codec::decode_entry, codec::encode_entry)
}

/// The vote.
pub fn stored_vote(input: &[u8]) -> bool {
    is_kept(input, codec::decode_vote, codec::encode_vote)
}

/// A log id on disk.
pub fn stored_log_id(input: &[u8]) -> bool {
    is_kept(input, codec::decode_log_id, codec::encode_log_id)
}

/// How far the state has come.
pub fn applied_record(input: &[u8]) -> bool {
    is_kept(input, codec::decode_applied, codec::encode_applied)
}

/// An entry of the history.
pub fn history_entry(input: &[u8]) -> bool {
    is_kept(
        input,
        codec::decode_history_entry,
        codec::encode_history_entry,
    )
}

/// How much a part of the history holds.
pub fn history_amount(input: &[u8]) -> bool {
    is_kept(input, codec::decode_amount, |amount| {
        codec::encode_amount(*amount)
    })
}

/// A change of the membership that is asked of the leader.
pub fn membership_change(input: &[u8]) -> bool {
    let from = pb::ChangeMembershipRequest::decode(input).map_or(0, |request| request.from);
    is_passed_on(
        input,
        |request| Asked::read(&request).ok_or("not known"),
        |asked| asked.request(NodeNumber(from)),
    )
}

/// A leader's entries.
pub fn append(input: &[u8]) -> bool {
    let sent = pb::AppendRequest::decode(input).unwrap_or_default();
    is_passed_on(input, peer::read_append, |request| {
        peer::append(sent.from, request, sent.awaited)
    })
}

/// A follower's answer.
pub fn appended(input: &[u8]) -> bool {
    is_passed_on(input, peer::read_appended, |result| peer::appended(&result))
}

/// A candidate's question.
pub fn vote_request(input: &[u8]) -> bool {
    let from = pb::VoteRequest::decode(input).map_or(0, |request| request.from);
    is_passed_on(input, peer::read_vote_request, |request| {
        peer::vote_request(from, &request)
    })
}

/// A voter's answer.
pub fn voted(input: &[u8]) -> bool {
    is_passed_on(input, peer::read_voted, |response| peer::voted(&response))
}

/// A leader that hands over.
pub fn transfer(input: &[u8]) -> bool {
    let from = pb::TransferLeaderRequest::decode(input).map_or(0, |request| request.from);
    is_passed_on(input, peer::read_transfer, |request| {
        peer::transfer(from, &request)
    })
}

/// The answer to that.
pub fn transferred(input: &[u8]) -> bool {
    is_passed_on(input, peer::read_transferred, |response| {
        peer::transferred(&response)
    })
}

/// What a node's state was.
pub fn state_digest(input: &[u8]) -> bool {
    is_passed_on(
        input,
        |said: pb::StateDigest| peer::read_state_digest(&said),
        |(at, digest)| peer::state_digest(at, &digest),
    )
}

/// What a snapshot begins with.
pub fn snapshot_header(input: &[u8]) -> bool {
    is_passed_on(input, peer::read_snapshot_header, |head| {
        peer::snapshot_header(&head)
    })
}

#[cfg(test)]
mod corpus;

#[cfg(test)]
mod tests {
    chancery_fuzzing::exercise! {
        stamped_command,
        proposal,
        outcome,
        row,
        entry,
        stored_vote,
        stored_log_id,
        applied_record,
        history_entry,
        history_amount,
        membership_change,
        append,
        appended,
        vote_request,
        voted,
        transfer,
        transferred,
        state_digest,
        snapshot_header,
    }
}
