//! A fuzz target for each parser of this crate (`chancery-fuzzing` says what one is).

pub use crate::{
    admission::fuzz_targets::{address, admission, node_request, public_key_pem},
    caller::fuzz_targets::{request_deadline, request_id, traceparent},
    records::fuzz_targets::{
        segment, segment_close, segment_file_name, segment_frames, segment_gap, segment_header,
        segment_mark, segment_names, segment_record,
    },
    service::fuzz_targets::{
        agent_spec, command_meta, poll_place, roles, spki, subject_message, token_facts,
    },
};

use crate::Config;

/// A node's configuration, TOML.
pub fn configuration(input: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(input) else {
        return false;
    };
    let Ok(config) = Config::parse(text) else {
        return false;
    };
    if config.validate().is_err() {
        return false;
    }
    assert!(config.admin_listen.ip().is_loopback());
    assert!((1..=256).contains(&config.api_threads) && (1..=16).contains(&config.raft_threads));
    true
}

/// The query of a poll over HTTP.
pub fn polling_query(input: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(input) else {
        return false;
    };
    let Ok(since) = crate::polling::since(text) else {
        return false;
    };
    assert!(text.is_empty() || text == format!("since={since}"));
    true
}

#[cfg(test)]
mod tests {
    chancery_fuzzing::exercise! { configuration, polling_query }
}
