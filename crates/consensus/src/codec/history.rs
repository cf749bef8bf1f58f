//! Rows of the history.

use bytes::Bytes;
use chancery_credential::Revision;
use chancery_wire::log as pb;
use prost::Message;

use super::{
    Undecodable, VERSION,
    answer::{read_verdict, verdict},
    check_version,
    command::{command, read_command},
    meta::{meta, read_meta},
};
use crate::history::{Amount, HistoryEntry};

pub(crate) fn encode_history_entry(entry: &HistoryEntry) -> Bytes {
    let message = pb::HistoryEntry {
        version: VERSION,
        revision: entry.revision.0,
        log_time_ms: entry.log_time_ms,
        command: Some(command(&entry.command)),
        meta: Some(meta(&entry.meta)),
        verdict: Some(verdict(&entry.verdict)),
        decided_at: entry.decided_at.0,
        named: entry.named.clone(),
    };
    message.encode_to_vec().into()
}

pub(crate) fn decode_history_entry(bytes: Bytes) -> Result<HistoryEntry, Undecodable> {
    let message = pb::HistoryEntry::decode(bytes)?;
    check_version("an entry of the history", message.version)?;
    Ok(HistoryEntry {
        revision: Revision(message.revision),
        log_time_ms: message.log_time_ms,
        command: read_command(message.command.as_ref())?,
        meta: read_meta(message.meta.as_ref())?,
        verdict: read_verdict(message.verdict.as_ref())?,
        decided_at: Revision(message.decided_at),
        named: message.named,
    })
}

pub(crate) fn encode_amount(amount: Amount) -> Bytes {
    let Amount { entries, bytes } = amount;
    pb::HistoryAmount { entries, bytes }.encode_to_vec().into()
}

pub(crate) fn decode_amount(bytes: Bytes) -> Result<Amount, Undecodable> {
    let pb::HistoryAmount { entries, bytes } = pb::HistoryAmount::decode(bytes)?;
    Ok(Amount { entries, bytes })
}
