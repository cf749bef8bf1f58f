//! How a call can fail, told apart by what the caller may do next.

use std::{collections::HashMap, fmt, time::Duration};

use chancery_wire::v1;
use thiserror::Error;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

/// Whose reasons they are.
const DOMAIN: &str = "chancery";

/// A final answer of the cluster.
#[derive(Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The gRPC status.
    pub code: Code,
    /// `UPPER_SNAKE`, stable, for programs; empty when the server gave none.
    pub reason: String,
    /// What was refused and why, for people.
    pub message: String,
    /// What to do next; empty when the server gave none.
    pub remedy: String,
    /// When to ask again, if that helps.
    pub retry_after: Option<Duration>,
}

impl Refusal {
    pub(crate) fn of(status: &Status) -> Self {
        let details = status.get_error_details();
        Self {
            code: status.code(),
            reason: details
                .error_info()
                .map(|info| info.reason.clone())
                .unwrap_or_default(),
            message: status.message().to_owned(),
            remedy: details
                .localized_message()
                .map(|localized| localized.message.clone())
                .unwrap_or_default(),
            retry_after: details.retry_info().and_then(|info| info.retry_delay),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        if !self.reason.is_empty() {
            write!(f, " [{}]", self.reason)?;
        }
        if !self.remedy.is_empty() {
            write!(f, "; {}", self.remedy)?;
        }
        Ok(())
    }
}

impl fmt::Debug for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {self}", self.code)
    }
}

/// Why a call did not succeed.
#[derive(Debug, Clone, Error)]
#[non_exhaustive]
pub enum Error {
    /// The cluster refused. Sending the same again changes nothing.
    #[error("{0}")]
    Refused(Refusal),
    /// No node could do it within the deadline, and none did it.
    #[error("no node could answer within the deadline; nothing was changed. Last: {last}")]
    Unavailable {
        /// What the last node said, with its address.
        last: String,
        /// What a node answered last, when one was reached.
        refusal: Option<Box<Refusal>>,
    },
    /// It may have been done. Send it again with the same request id to know.
    #[error("whether it was done is not known; repeat it with the same request id. Last: {last}")]
    Unknown {
        /// What the last node said, with its address.
        last: String,
    },
    /// The stream ended before the answer.
    #[error("the stream to {0} ended: open another")]
    StreamEnded(String),
    /// The system gave no entropy for a request id.
    #[error("the system gave no entropy: {0}")]
    Entropy(String),
}

impl Error {
    /// The stable reason of a refusal.
    #[must_use]
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::Refused(refusal) => Some(&refusal.reason),
            _ => None,
        }
    }
}

/// A refusal of a stream as the status that a single call would have got.
pub(crate) fn status_of(refusal: v1::Refusal) -> Status {
    let mut details = ErrorDetails::new();
    if !refusal.reason.is_empty() {
        details.set_error_info(refusal.reason, DOMAIN, HashMap::new());
    }
    if !refusal.remedy.is_empty() {
        details.set_localized_message("en", refusal.remedy);
    }
    if let Some(delay) = refusal.retry_after.and_then(|delay| delay.try_into().ok()) {
        details.set_retry_info(Some(delay));
    }
    Status::with_error_details(Code::from_i32(refusal.code), refusal.message, details)
}

pub(crate) fn reason_of(status: &Status) -> Option<String> {
    status
        .get_error_details()
        .error_info()
        .map(|info| info.reason.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_of_a_stream_is_told_as_one_of_a_call() {
        let told = v1::Refusal {
            code: Code::PermissionDenied.into(),
            reason: "SCOPE_NOT_GRANTED".to_owned(),
            message: "no".to_owned(),
            remedy: "ask for less".to_owned(),
            retry_after: Duration::from_secs(3).try_into().ok(),
        };
        let refusal = Refusal::of(&status_of(told));
        assert_eq!(refusal.code, Code::PermissionDenied);
        assert_eq!(refusal.retry_after, Some(Duration::from_secs(3)));
        assert_eq!(refusal.to_string(), "no [SCOPE_NOT_GRANTED]; ask for less");
        assert_eq!(reason_of(&status_of(v1::Refusal::default())), None);
    }
}
