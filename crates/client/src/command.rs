//! What travels with every command: the request id that makes a retry harmless,
//! and the reason for the record.

use std::time::{SystemTime, UNIX_EPOCH};

use chancery_wire::v1::{CommandMeta, RequestId};

use crate::error::Error;

/// Draws the id of a new command. Keep it and send it again with every retry.
///
/// # Errors
/// When the system gives no entropy.
pub fn draw_request_id() -> Result<RequestId, Error> {
    let mut random = vec![0; 16];
    getrandom::fill(&mut random).map_err(|error| Error::Entropy(error.to_string()))?;
    let time_ms = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| {
            u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
        });
    Ok(RequestId { time_ms, random })
}

/// The meta of a new command with this reason.
///
/// # Errors
/// When the system gives no entropy.
pub fn meta(reason: &str) -> Result<Option<CommandMeta>, Error> {
    Ok(Some(CommandMeta {
        request_id: Some(draw_request_id()?),
        reason: reason.to_owned(),
        ..CommandMeta::default()
    }))
}
