//! The corpus of these targets holds every command, row and message, as this build
//! or a former one wrote it: what was written once stays readable.

use std::collections::BTreeMap;

use bytes::Bytes;
use chancery_authority::Stamped;
use chancery_credential::{NodeNumber, Revision};
use chancery_fuzzing::keep;
use chancery_wire::peer as pb;
use openraft::{EntryPayload, vote::RaftLeaderId as _};
use proptest::{prelude::*, strategy::ValueTree as _, test_runner::TestRunner};
use prost::Message as _;

use crate::{
    Departure, HistoryEntry, MembershipChange,
    codec::{self, AppliedRecord, peer, samples},
    command::EncodedCommand,
    history::Amount,
    membership::Asked,
    outcome::Outcome,
    peer_record::PeerRecord,
    raft::{CommittedLeaderId, Entry, LeaderId, LogId, Membership, StoredMembership, Vote},
};

/// Draws samples, the same each time.
struct Samples(TestRunner);

impl Samples {
    fn of<T: std::fmt::Debug>(&mut self, strategy: &impl Strategy<Value = T>) -> T {
        strategy.new_tree(&mut self.0).unwrap().current()
    }
}

fn log_id() -> LogId {
    let leader = CommittedLeaderId {
        term: 3,
        node_id: 2,
    };
    LogId::new(leader, 41)
}

fn vote() -> Vote {
    Vote {
        leader_id: LeaderId::new(4, 1),
        committed: true,
    }
}

fn membership() -> StoredMembership {
    let record = PeerRecord {
        name: "n1".to_owned(),
        peer_address: "n1.example:7412".to_owned(),
        api_address: "n1.example:7411".to_owned(),
        peer_public_key: vec![7; 91],
    };
    let nodes = BTreeMap::from([(1, record.clone()), (2, record)]);
    let membership: Membership = Membership::new(vec![[1].into(), [1, 2].into()], nodes).unwrap();
    StoredMembership::new(Some(log_id()), membership)
}

fn entries(stamped: &Stamped) -> [Entry; 3] {
    let payloads = [
        EntryPayload::Blank,
        EntryPayload::Normal(EncodedCommand(codec::encode_stamped(stamped))),
        EntryPayload::Membership(membership().membership().clone()),
    ];
    payloads.map(|payload| Entry {
        log_id: log_id(),
        payload,
    })
}

fn changes() -> [(&'static str, MembershipChange); 7] {
    let node = NodeNumber(2);
    [
        ("ok-enrol", MembershipChange::Enrol(node)),
        ("ok-promote", MembershipChange::Promote(node)),
        ("ok-demote", MembershipChange::Demote(node)),
        ("ok-transfer", MembershipChange::Transfer(Some(node))),
        ("ok-transfer-to-any", MembershipChange::Transfer(None)),
        (
            "ok-remove",
            MembershipChange::Remove(node, Departure::Graceful),
        ),
        (
            "ok-remove-compromised",
            MembershipChange::Remove(node, Departure::Compromised),
        ),
    ]
}

/// An entry of the history, of each verdict.
fn told(samples: &mut Samples, number: u64) -> HistoryEntry {
    HistoryEntry {
        revision: Revision(number),
        log_time_ms: 1_800_000_000_000,
        command: samples.of(&samples::command()),
        named: vec!["node:n2".to_owned()],
        meta: samples.of(&samples::meta()),
        verdict: samples.of(&samples::verdict()),
        decided_at: Revision(number),
    }
}

#[test]
fn the_history_is_in_the_corpus() {
    let mut samples = Samples(TestRunner::deterministic());
    for number in 1..=4 {
        let entry = codec::encode_history_entry(&told(&mut samples, number));
        keep("history_entry", &format!("ok-entry-{number}"), &entry);
    }
    keep("history_entry", "bad-nothing", b"");
    let amount = Amount {
        entries: 3,
        bytes: 400,
    };
    keep("history_amount", "ok-some", &codec::encode_amount(amount));
    keep("history_amount", "bad-field", &[0xff; 4]);
}

#[test]
fn every_command_and_row_is_in_the_corpus() {
    let mut samples = Samples(TestRunner::deterministic());
    let meta = samples.of(&samples::meta());
    let stamped = samples.of(&samples::stamped());
    for (kind, command) in samples::commands().iter().enumerate() {
        let command = samples.of(command);
        let name = format!("ok-command-{kind:02}");
        keep("proposal", &name, &codec::encode_proposal(&command, &meta));
        let stamped = Stamped {
            command,
            ..stamped.clone()
        };
        keep("stamped_command", &name, &codec::encode_stamped(&stamped));
    }
    for (table, row) in samples::rows().iter().enumerate() {
        let name = format!("ok-table-{table:02}");
        keep("row", &name, &codec::encode_row(&samples.of(row)));
    }
    for number in 0..4 {
        let outcome = Outcome {
            revision: 7.into(),
            verdict: samples.of(&samples::verdict()),
        };
        let name = format!("ok-verdict-{number}");
        keep("outcome", &name, &codec::encode_outcome(&outcome));
    }
    for (name, entry) in ["blank", "command", "membership"]
        .iter()
        .zip(entries(&stamped))
    {
        keep("entry", &format!("ok-{name}"), &codec::encode_entry(&entry));
    }
}

#[test]
fn every_message_between_peers_is_in_the_corpus() {
    let stamped = Samples(TestRunner::deterministic()).of(&samples::stamped());
    let message = |target: &str, name: &str, bytes: Vec<u8>| keep(target, name, &bytes);
    let (position, voted_for) = (codec::raft::log_id(&log_id()), codec::raft::vote(&vote()));
    let append = pb::AppendRequest {
        from: 1,
        vote: Some(voted_for),
        prev_log_id: Some(position),
        entries: entries(&stamped).iter().map(codec::raft::entry).collect(),
        leader_commit: None,
        awaited: true,
    };
    message("append", "ok-entries", append.encode_to_vec());
    let matching = pb::append_response::Outcome::Matching(pb::Matching {
        log_id: Some(position),
    });
    let appended = [
        ("ok-matching", matching),
        (
            "ok-conflict",
            pb::append_response::Outcome::Conflict(position),
        ),
        (
            "ok-higher",
            pb::append_response::Outcome::HigherVote(voted_for),
        ),
    ];
    for (name, outcome) in appended {
        let response = pb::AppendResponse {
            outcome: Some(outcome),
        };
        message("appended", name, response.encode_to_vec());
    }
    let request = pb::VoteRequest {
        from: 2,
        vote: Some(voted_for),
        last_log_id: Some(position),
        leadership_transfer: true,
    };
    message("vote_request", "ok-transfer", request.encode_to_vec());
    let response = pb::VoteResponse {
        vote: Some(voted_for),
        granted: true,
        last_log_id: None,
    };
    message("voted", "ok-granted", response.encode_to_vec());
    let transfer = pb::TransferLeaderRequest {
        from: 1,
        from_leader: Some(voted_for),
        to: 2,
        last_log_id: Some(position),
    };
    message("transfer", "ok-to-another", transfer.encode_to_vec());
    let accepted = peer::transferred(&Ok(()));
    message("transferred", "ok-accepted", accepted.encode_to_vec());
    let head = peer::SnapshotHead {
        vote: vote(),
        meta: crate::raft::SnapshotMeta {
            last_log_id: Some(log_id()),
            last_membership: membership(),
        },
        digest: [5; 32],
        rows: 3,
    };
    let head = peer::snapshot_header(&head);
    message("snapshot_header", "ok-of-two", head.encode_to_vec());
    for (name, change) in changes() {
        let asked = Asked {
            change,
            look_only: name == "ok-promote",
        };
        let request = asked.request(NodeNumber(1));
        message("membership_change", name, request.encode_to_vec());
    }
    let unknown = pb::ChangeMembershipRequest::default();
    message("membership_change", "bad-nothing", unknown.encode_to_vec());
    message("membership_change", "bad-field", vec![0xff; 4]);
    let digest = peer::state_digest(Revision(9), &[3; 32]);
    message("state_digest", "ok-of-nine", digest.encode_to_vec());
    message("state_digest", "bad-nothing", Vec::new());
    keep("stored_vote", "ok-committed", &codec::encode_vote(&vote()));
    keep(
        "stored_log_id",
        "ok-position",
        &codec::encode_log_id(&log_id()),
    );
    let applied = AppliedRecord {
        last: Some(log_id()),
        membership: membership(),
        digest: [6; 32],
        differs_at: None,
    };
    let applied: Bytes = codec::encode_applied(&applied);
    keep("applied_record", "ok-of-two", &applied);
}
