//! What is written is read back, and what another build wrote is refused by name.

use bytes::Bytes;
use chancery_authority::{Command, Table};
use chancery_credential::Revision;
use chancery_wire::log as pb;
use openraft::{EntryPayload, vote::RaftLeaderId as _};
use proptest::{prelude::*, strategy::ValueTree as _, test_runner::TestRunner};
use prost::Message as _;

use super::{
    AppliedRecord, Undecodable, VERSION, command_digest, decode_applied, decode_entry,
    decode_log_id, decode_outcome, decode_proposal, decode_row, decode_stamped, decode_vote,
    encode_applied, encode_entry, encode_key, encode_log_id, encode_outcome, encode_proposal,
    encode_row, encode_stamped, encode_vote, samples,
};
use crate::{
    command::EncodedCommand,
    outcome::Outcome,
    peer_record::PeerRecord,
    raft::{CommittedLeaderId, Entry, LeaderId, LogId, Membership, StoredMembership, Vote},
};

#[test]
fn there_is_a_sample_of_every_command_and_every_row() {
    let mut runner = TestRunner::deterministic();
    for (kind, strategy) in samples::commands().into_iter().enumerate() {
        let command = strategy.new_tree(&mut runner).unwrap().current();
        assert_eq!(samples::command_kind(&command), kind, "{command:?}");
    }
    assert_eq!(samples::commands().len(), Command::NAMES.len());

    let tables: Vec<Table> = samples::rows()
        .into_iter()
        .map(|strategy| {
            strategy
                .new_tree(&mut runner)
                .unwrap()
                .current()
                .key()
                .table()
        })
        .collect();
    assert_eq!(tables, Table::ALL);
}

fn log_id() -> impl Strategy<Value = LogId> {
    (any::<u64>(), any::<u64>(), any::<u64>())
        .prop_map(|(term, node_id, index)| LogId::new(CommittedLeaderId { term, node_id }, index))
}

fn vote() -> impl Strategy<Value = Vote> {
    (any::<u64>(), any::<u64>(), any::<bool>()).prop_map(|(term, node, committed)| Vote {
        leader_id: LeaderId::new(term, node),
        committed,
    })
}

fn record() -> impl Strategy<Value = PeerRecord> {
    ("\\PC{0,9}", "\\PC{0,9}", "\\PC{0,9}", any::<[u8; 9]>()).prop_map(
        |(name, peer_address, api_address, key)| PeerRecord {
            name,
            peer_address,
            api_address,
            peer_public_key: key.to_vec(),
        },
    )
}

fn membership() -> impl Strategy<Value = Membership> {
    let nodes = prop::collection::btree_map(1_u64..20, record(), 1..6);
    (nodes, any::<bool>()).prop_map(|(nodes, joint)| {
        let all: std::collections::BTreeSet<u64> = nodes.keys().copied().collect();
        let first = all.iter().copied().take(1).collect();
        let configs = if joint { vec![all, first] } else { vec![first] };
        Membership::new(configs, nodes).unwrap()
    })
}

fn stored_membership() -> impl Strategy<Value = StoredMembership> {
    let membership = prop_oneof![membership(), Just(Membership::default())];
    (proptest::option::of(log_id()), membership)
        .prop_map(|(log_id, membership)| StoredMembership::new(log_id, membership))
}

fn entry() -> impl Strategy<Value = Entry> {
    let payload = prop_oneof![
        Just(EntryPayload::Blank),
        samples::stamped().prop_map(|it| EntryPayload::Normal(EncodedCommand(encode_stamped(&it)))),
        membership().prop_map(EntryPayload::Membership),
    ];
    (log_id(), payload).prop_map(|(log_id, payload)| Entry { log_id, payload })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..Default::default() })]

    #[test]
    fn commands_are_read_back(stamped in samples::stamped()) {
        prop_assert_eq!(decode_stamped(encode_stamped(&stamped)).unwrap(), stamped);
    }

    #[test]
    fn proposals_are_read_back(command in samples::command(), meta in samples::meta()) {
        let read = decode_proposal(encode_proposal(&command, &meta)).unwrap();
        prop_assert_eq!(read, (command, meta));
    }

    #[test]
    fn outcomes_are_read_back(revision in any::<u64>(), verdict in samples::verdict()) {
        let outcome = Outcome { revision: Revision(revision), verdict };
        prop_assert_eq!(decode_outcome(encode_outcome(&outcome)).unwrap(), outcome);
    }

    #[test]
    fn rows_are_read_back(row in samples::row()) {
        prop_assert_eq!(decode_row(encode_row(&row)).unwrap(), row);
    }

    #[test]
    fn rows_of_different_keys_stand_in_different_places(a in samples::row(), b in samples::row()) {
        let place = |row: &chancery_authority::Row| (row.key().table(), encode_key(&row.key()));
        prop_assert_eq!(a.key() == b.key(), place(&a) == place(&b));
    }

    #[test]
    fn entries_are_read_back(entry in entry()) {
        prop_assert_eq!(decode_entry(encode_entry(&entry)).unwrap(), entry);
    }

    #[test]
    fn votes_and_log_ids_are_read_back(vote in vote(), log_id in log_id()) {
        prop_assert_eq!(decode_vote(encode_vote(&vote)).unwrap(), vote);
        prop_assert_eq!(decode_log_id(encode_log_id(&log_id)).unwrap(), log_id);
    }

    #[test]
    fn positions_are_read_back(
        last in proptest::option::of(log_id()),
        membership in stored_membership(),
        digest in any::<[u8; 32]>(),
        differs_at in proptest::option::of(any::<u64>().prop_map(Revision)),
    ) {
        let record = AppliedRecord { last, membership, digest, differs_at };
        prop_assert_eq!(decode_applied(encode_applied(&record)).unwrap(), record);
    }

    #[test]
    fn any_bytes_are_an_error_or_something_and_never_a_panic(bytes in any::<Vec<u8>>()) {
        let bytes = Bytes::from(bytes);
        let _ = decode_stamped(bytes.clone());
        let _ = decode_proposal(bytes.clone());
        let _ = decode_outcome(bytes.clone());
        let _ = decode_row(bytes.clone());
        let _ = decode_entry(bytes.clone());
        let _ = decode_vote(bytes.clone());
        let _ = decode_applied(bytes);
    }

    #[test]
    fn different_commands_have_different_digests(
        a in samples::command(),
        b in samples::command(),
    ) {
        prop_assert_eq!(a == b, command_digest(&a) == command_digest(&b));
    }
}

#[test]
fn what_a_newer_build_wrote_is_refused_and_says_to_upgrade() {
    let newer = VERSION + 1;
    let told = [
        decode_stamped(encoded(&pb::StampedCommand {
            version: newer,
            ..Default::default()
        }))
        .unwrap_err(),
        decode_row(encoded(&pb::Row {
            version: newer,
            kind: None,
        }))
        .unwrap_err(),
        decode_entry(encoded(&pb::StoredEntry {
            version: newer,
            entry: None,
        }))
        .unwrap_err(),
        decode_vote(encoded(&pb::StoredVote {
            version: newer,
            vote: None,
        }))
        .unwrap_err(),
        decode_applied(encoded(&pb::Applied {
            version: newer,
            ..Default::default()
        }))
        .unwrap_err(),
        decode_outcome(encoded(&pb::Outcome {
            version: newer,
            ..Default::default()
        }))
        .unwrap_err(),
        decode_proposal(encoded(&pb::Proposal {
            version: newer,
            ..Default::default()
        }))
        .unwrap_err(),
    ];
    for error in told {
        assert!(matches!(error, Undecodable::Version { .. }), "{error}");
        assert!(error.to_string().contains("upgrade this node"), "{error}");
    }
}

#[test]
fn a_command_or_row_that_is_not_known_is_refused_and_never_skipped() {
    // Field 1000 of the command: a verb of tomorrow.
    let mut command = Vec::new();
    prost::encoding::string::encode(1_000, &"tomorrow".to_owned(), &mut command);
    let unknown = pb::Command::decode(command.as_slice()).unwrap();
    let message = pb::StampedCommand {
        version: VERSION,
        command: Some(unknown),
        ..Default::default()
    };
    let error = decode_stamped(encoded(&message)).unwrap_err();
    assert!(
        matches!(error, Undecodable::Unknown("a command")),
        "{error}"
    );
    assert!(error.to_string().contains("upgrade this node"), "{error}");

    let error = decode_row(encoded(&pb::Row {
        version: VERSION,
        kind: None,
    }))
    .unwrap_err();
    assert!(matches!(error, Undecodable::Unknown(_)), "{error}");
}

#[test]
fn what_is_in_a_command_is_not_printed() {
    let command = EncodedCommand(Bytes::from_static(b"spiffe://example.org/secretive"));
    for text in [format!("{command}"), format!("{command:?}")] {
        assert_eq!(text, "command of 30 bytes");
    }
}

fn encoded(message: &impl prost::Message) -> Bytes {
    message.encode_to_vec().into()
}
