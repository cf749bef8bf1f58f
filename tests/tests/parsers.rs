//! Each parser is run by a fuzz target, and a new one is not forgotten: what reads text
//! or bytes by one of the customary names stands in a table here, with the target that
//! runs it, or with why none does.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use chancery_tests::trace::files;

/// What runs a parser.
enum Run {
    /// This target, by `fuzz/corpus`.
    By(&'static str),
    /// None: it says why.
    Not(&'static str),
}
use Run::{By, Not};

/// File, and what it is called there: the type that `FromStr` or `TryFrom` is for, or the
/// function.
const PARSERS: &[(&str, &str, Run)] = &[
    (
        "authority/src/settings.rs",
        "WhenBehind",
        Not("one of two words"),
    ),
    (
        "cli/src/command/agent/grant.rs",
        "Grant",
        By("grant_argument"),
    ),
    (
        "cli/src/command/token/inspect.rs",
        "decode",
        By("inspected_token"),
    ),
    ("cli/src/order.rs", "RequestId", By("request_id_argument")),
    ("cli/src/profile.rs", "parse", By("client_profile")),
    ("cli/src/span.rs", "Span", By("span")),
    ("cli/src/span.rs", "Expiry", By("expiry")),
    ("cli/src/span.rs", "Moment", By("moment")),
    (
        "cli/src/span.rs",
        "Ending",
        Not("a word, or what `expiry` reads"),
    ),
    ("client/src/protect/bearer.rs", "parse", By("bearer")),
    (
        "client/src/verifier/changes.rs",
        "decode_changes",
        By("told_changes"),
    ),
    (
        "client/src/verifier/changes.rs",
        "decode_change",
        By("told_changes"),
    ),
    (
        "client/src/verifier/changes.rs",
        "decode_subject",
        By("told_changes"),
    ),
    (
        "consensus/src/codec/command.rs",
        "decode_stamped",
        By("stamped_command"),
    ),
    ("consensus/src/codec/disk.rs", "decode_entry", By("entry")),
    (
        "consensus/src/codec/disk.rs",
        "decode_vote",
        By("stored_vote"),
    ),
    (
        "consensus/src/codec/disk.rs",
        "decode_log_id",
        By("stored_log_id"),
    ),
    (
        "consensus/src/codec/disk.rs",
        "decode_applied",
        By("applied_record"),
    ),
    (
        "consensus/src/codec/history.rs",
        "decode_history_entry",
        By("history_entry"),
    ),
    (
        "consensus/src/codec/history.rs",
        "decode_amount",
        By("history_amount"),
    ),
    (
        "consensus/src/codec/outcome.rs",
        "decode_outcome",
        By("outcome"),
    ),
    (
        "consensus/src/codec/outcome.rs",
        "decode_proposal",
        By("proposal"),
    ),
    ("consensus/src/codec/peer.rs", "read_append", By("append")),
    (
        "consensus/src/codec/peer.rs",
        "read_appended",
        By("appended"),
    ),
    (
        "consensus/src/codec/peer.rs",
        "read_vote_request",
        By("vote_request"),
    ),
    ("consensus/src/codec/peer.rs", "read_voted", By("voted")),
    (
        "consensus/src/codec/peer.rs",
        "read_transfer",
        By("transfer"),
    ),
    (
        "consensus/src/codec/peer.rs",
        "read_transferred",
        By("transferred"),
    ),
    (
        "consensus/src/codec/peer.rs",
        "read_state_digest",
        By("state_digest"),
    ),
    (
        "consensus/src/codec/peer.rs",
        "read_snapshot_header",
        By("snapshot_header"),
    ),
    (
        "consensus/src/codec/raft.rs",
        "read_log_id",
        By("stored_log_id"),
    ),
    (
        "consensus/src/codec/raft.rs",
        "read_log_id_option",
        By("snapshot_header"),
    ),
    (
        "consensus/src/codec/raft.rs",
        "read_vote",
        By("stored_vote"),
    ),
    (
        "consensus/src/codec/raft.rs",
        "read_stored_membership",
        By("applied_record"),
    ),
    ("consensus/src/codec/raft.rs", "read_entry", By("entry")),
    ("consensus/src/codec/row.rs", "decode_row", By("row")),
    (
        "consensus/src/codec/scalar.rs",
        "parse",
        By("stamped_command"),
    ),
    (
        "consensus/src/codec/scalar.rs",
        "parse_all",
        By("stamped_command"),
    ),
    (
        "credential/src/audience.rs",
        "AudiencePattern",
        By("audience_pattern"),
    ),
    ("credential/src/base64url.rs", "decode", By("token")),
    (
        "credential/src/base64url.rs",
        "decode_array",
        By("encoded_id"),
    ),
    (
        "credential/src/base64url.rs",
        "parse_array",
        By("encoded_id"),
    ),
    (
        "credential/src/consistency.rs",
        "ConsistencyToken",
        By("consistency_token"),
    ),
    ("credential/src/name.rs", "$name", By("name")),
    (
        "credential/src/number.rs",
        "$name",
        Not("a number, as the language reads it"),
    ),
    ("credential/src/pattern.rs", "parse", By("scope_pattern")),
    ("credential/src/public_key.rs", "KeyId", By("encoded_id")),
    (
        "credential/src/public_key.rs",
        "parse",
        By("ed25519_public_key"),
    ),
    (
        "credential/src/public_key.rs",
        "Ed25519PublicKey",
        By("ed25519_public_key"),
    ),
    (
        "credential/src/scope.rs",
        "ScopePattern",
        By("scope_pattern"),
    ),
    ("credential/src/scope.rs", "Scopes", By("scopes")),
    ("credential/src/spiffe.rs", "SpiffeId", By("spiffe_id")),
    ("credential/src/subject.rs", "Subject", By("subject")),
    (
        "credential/src/thumbprint.rs",
        "KeyThumbprint",
        By("key_thumbprint"),
    ),
    (
        "credential/src/thumbprint.rs",
        "CertificateThumbprint",
        By("claims"),
    ),
    ("credential/src/token.rs", "parse", By("token")),
    ("credential/src/token.rs", "decoded", By("token")),
    ("credential/src/token_id.rs", "TokenId", By("encoded_id")),
    ("server/src/admission/admitted.rs", "parse", By("admission")),
    ("server/src/admission/document.rs", "parse", By("admission")),
    (
        "server/src/admission/request.rs",
        "parse",
        By("node_request"),
    ),
    (
        "server/src/admission/server_names.rs",
        "SubjectName",
        By("address"),
    ),
    (
        "server/src/caller/deadline.rs",
        "parse",
        By("request_deadline"),
    ),
    ("server/src/config.rs", "parse", By("configuration")),
    (
        "server/src/records/boot.rs",
        "parse",
        Not("the kernel's own words"),
    ),
    (
        "server/src/records/format/close.rs",
        "decode",
        By("segment_close"),
    ),
    (
        "server/src/records/format/gap.rs",
        "decode",
        By("segment_gap"),
    ),
    (
        "server/src/records/format/header.rs",
        "decode",
        By("segment_header"),
    ),
    (
        "server/src/records/format/mark.rs",
        "decode",
        By("segment_mark"),
    ),
    (
        "server/src/records/format/record.rs",
        "decode",
        By("segment_record"),
    ),
    ("server/src/service/changes.rs", "Since", By("poll_place")),
    ("server/src/service/facts.rs", "parse", By("token_facts")),
    (
        "server/src/service/principals.rs",
        "parse",
        Not("a word and a colon, and then what `name` reads"),
    ),
    (
        "server/src/service/history_filter.rs",
        "parsed",
        Not("what other targets read"),
    ),
    (
        "storage/src/log/form.rs",
        "parse_entry_key",
        By("entry_key"),
    ),
    ("storage/src/marker.rs", "parse", By("marker")),
    ("storage/src/row.rs", "parse", By("row_key")),
    ("storage/src/row.rs", "parse_key", By("row_key")),
    ("storage/src/state/mod.rs", "parse", By("applied")),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// What a line declares, when it declares a parser.
fn declared(line: &str, in_codec: bool) -> Option<String> {
    let word = |text: &str| {
        let end = |c: char| !(c.is_alphanumeric() || c == '_' || c == '$');
        text.split(end).next().unwrap_or_default().to_owned()
    };
    let line = line.trim_start();
    if line.starts_with("impl")
        && let Some((what, whose)) = line.split_once(" for ")
        && ["FromStr", "TryFrom<&[u8]>", "TryFrom<&str>"]
            .iter()
            .any(|known| what.ends_with(known))
    {
        return Some(word(whose));
    }
    let (before, name) = line.split_once("fn ")?;
    let name = word(name);
    let is_declaration = before.is_empty() || before.starts_with("pub");
    let is_one = name.starts_with("parse")
        || name.starts_with("decode")
        || (in_codec && before.starts_with("pub(crate)") && name.starts_with("read_"));
    (is_declaration && is_one).then_some(name)
}

/// Every parser in the sources, tests left out.
fn found() -> BTreeSet<(String, String)> {
    let mut found = BTreeSet::new();
    for file in files(&root().join("crates")) {
        let path = file.display().to_string();
        let (_, within) = path.rsplit_once("crates/").unwrap();
        let is_source = within.ends_with(".rs") && within.contains("/src/");
        if !is_source || within.contains("/tests/") || within.contains("fuzz_targets") {
            continue;
        }
        let text = fs::read_to_string(&file).unwrap();
        let source = text
            .lines()
            .take_while(|line| !line.starts_with("#[cfg(test)]"));
        let in_codec = within.contains("/codec/");
        let names = source.filter_map(|line| declared(line, in_codec));
        found.extend(names.map(|name| (within.to_owned(), name)));
    }
    found
}

#[test]
fn every_parser_is_run_by_a_fuzz_target() {
    let listed: BTreeMap<(String, String), &Run> = PARSERS
        .iter()
        .map(|(file, name, run)| (((*file).to_owned(), (*name).to_owned()), run))
        .collect();
    assert_eq!(listed.len(), PARSERS.len(), "one is listed twice");
    let known: BTreeSet<_> = listed.keys().cloned().collect();
    let found = found();
    let new: Vec<_> = found.difference(&known).collect();
    assert!(
        new.is_empty(),
        "give these a target, and list them: {new:?}"
    );
    let gone: Vec<_> = known.difference(&found).collect();
    assert!(gone.is_empty(), "these are gone: {gone:?}");
    let corpus = root().join("fuzz/corpus");
    for ((file, name), run) in listed {
        match run {
            By(target) => assert!(corpus.join(target).is_dir(), "{file}, {name}: {target}"),
            Not(why) => assert!(!why.is_empty(), "{file}, {name}"),
        }
    }
}
