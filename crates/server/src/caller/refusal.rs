//! Refusals: a gRPC status with `google.rpc.Status` details (AIP-193).

use std::time::Duration;

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

/// The `domain` of every `google.rpc.ErrorInfo` of this server.
pub const DOMAIN: &str = "chancery";

/// Longest text in a refusal, bytes. It travels in a header, twice, and many
/// clients read at most 8 KiB of headers.
const MAX_TEXT: usize = 768;

/// A refusal, before it becomes a status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The gRPC status code.
    pub code: Code,
    /// For programs: `UPPER_SNAKE`, stable.
    pub reason: &'static str,
    /// For people: what was refused and why. No secret, no token.
    pub message: String,
    /// For people: what to do next.
    pub remedy: String,
    /// When to try again, if that helps.
    pub retry_after: Option<Duration>,
}

impl Refusal {
    /// A refusal that trying again does not help.
    #[must_use]
    pub fn new(
        code: Code,
        reason: &'static str,
        message: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self {
            code,
            reason,
            message: message.into(),
            remedy: remedy.into(),
            retry_after: None,
        }
    }

    /// The same, to be tried again after `pause`.
    #[must_use]
    pub fn retry_after(mut self, pause: Duration) -> Self {
        self.retry_after = Some(pause);
        self
    }
}

impl From<Refusal> for Status {
    /// `ErrorInfo` carries the reason, `LocalizedMessage` the remedy, and
    /// `RetryInfo` the pause.
    fn from(refusal: Refusal) -> Self {
        let mut details = ErrorDetails::new();
        details.set_error_info(refusal.reason, DOMAIN, std::collections::HashMap::new());
        if !refusal.remedy.is_empty() {
            details.set_localized_message("en", cut(refusal.remedy));
        }
        if let Some(pause) = refusal.retry_after {
            details.set_retry_info(Some(pause));
        }
        Self::with_error_details(refusal.code, cut(refusal.message), details)
    }
}

/// Refuses: `reason` for programs, `message` (what, and whose fault) and
/// `remedy` (what to do next) for people. Every service refuses with this.
#[must_use]
pub fn refuse(
    code: Code,
    reason: &'static str,
    message: impl Into<String>,
    remedy: impl Into<String>,
) -> Status {
    Refusal::new(code, reason, message, remedy).into()
}

fn cut(mut text: String) -> String {
    if text.len() > MAX_TEXT {
        let end = (0..=MAX_TEXT)
            .rev()
            .find(|at| text.is_char_boundary(*at))
            .unwrap_or(0);
        text.truncate(end);
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_carries_reason_and_remedy() {
        let status = Status::from(
            Refusal::new(
                Code::Unavailable,
                "STALE",
                "the state is too old",
                "ask another node",
            )
            .retry_after(Duration::from_millis(250)),
        );
        let details = status.get_error_details();
        assert_eq!(status.code(), Code::Unavailable);
        assert_eq!(status.message(), "the state is too old");
        assert!(
            details
                .error_info()
                .is_some_and(|info| info.reason == "STALE" && info.domain == DOMAIN)
        );
        assert!(
            details
                .localized_message()
                .is_some_and(|text| text.message == "ask another node")
        );
        assert!(
            details
                .retry_info()
                .is_some_and(|info| info.retry_delay == Some(Duration::from_millis(250)))
        );
    }

    #[test]
    fn a_long_text_is_cut_between_characters() {
        let status = refuse(Code::NotFound, "NOT_FOUND", "ä".repeat(1000), "");
        assert!(status.message().len() <= MAX_TEXT + '…'.len_utf8());
        assert!(status.message().ends_with("ä…"));
    }
}
