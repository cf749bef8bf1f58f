//! What may be sent again, how often, and until when.

use std::time::Duration;

use tonic::{Code, Status};

/// Bounds of the retries of one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// The whole call, retries included, takes no longer.
    pub deadline: Duration,
    /// One try takes no longer, so that a node that went silent costs this much.
    pub try_timeout: Duration,
    /// The pause after every node failed once; it doubles, with jitter, up to
    /// `pause_max`.
    pub pause: Duration,
    /// The longest pause.
    pub pause_max: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            deadline: Duration::from_secs(10),
            try_timeout: Duration::from_secs(2),
            pause: Duration::from_millis(20),
            pause_max: Duration::from_millis(500),
        }
    }
}

impl RetryPolicy {
    /// The pause before the round after `rounds` rounds over all nodes, with
    /// `jitter` in 0..=255 spreading it over the upper half.
    pub(crate) fn pause_after(&self, rounds: u32, jitter: u8) -> Duration {
        let full = self
            .pause
            .saturating_mul(1 << rounds.min(10))
            .min(self.pause_max);
        full / 2 + (full / 2) * u32::from(jitter) / 255
    }

    /// How long to wait when told to wait `told`, with `jitter` in 0..=255: never
    /// less, and up to half as long again, so that callers who were told the same do
    /// not come back together. `None` when that is not before the deadline, of which
    /// `left` is left.
    pub(crate) fn wait_of(told: Duration, left: Duration, jitter: u8) -> Option<Duration> {
        let spread = told / 2 * u32::from(jitter) / 255;
        let wait = told.saturating_add(spread);
        (wait < left).then_some(wait)
    }
}

/// What a failed try means for the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The answer is final: another node would say the same.
    Final,
    /// Nothing was done: any call may be sent again, elsewhere.
    NotDone,
    /// Nothing was done, because the caller asks too often: to be sent again when it
    /// was told to.
    TooOften,
    /// Something may have been done: only what is safe to repeat is sent again.
    Unknown,
}

/// Reads a status. The server says `UNAVAILABLE` with a reason when it refused
/// before it did anything; without one the transport failed under way.
pub(crate) fn classify(status: &Status, reason: Option<&str>) -> Failure {
    match (status.code(), reason) {
        (Code::Unavailable, Some("OUTCOME_UNKNOWN")) => Failure::Unknown,
        (Code::ResourceExhausted, Some("RATE_LIMITED" | "TOO_MANY_REJECTIONS")) => {
            Failure::TooOften
        }
        (Code::Unavailable | Code::ResourceExhausted, Some(reason)) => {
            let busy = matches!(reason, "TOO_MANY_IN_FLIGHT" | "HISTORY_BUSY");
            if status.code() == Code::Unavailable || busy {
                Failure::NotDone
            } else {
                Failure::Final
            }
        }
        // Without a reason it is not the server's word. A transport says of a connection
        // that was taken from it that it asked too much, or may not.
        (
            Code::Unavailable
            | Code::Unknown
            | Code::Cancelled
            | Code::DeadlineExceeded
            | Code::ResourceExhausted
            | Code::PermissionDenied,
            None,
        ) => Failure::Unknown,
        (Code::DeadlineExceeded, Some(_)) => Failure::Unknown,
        (Code::Internal, None) => Failure::Unknown,
        _ => Failure::Final,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_final_and_a_lost_node_is_not() {
        let stale = Status::unavailable("stale");
        assert_eq!(classify(&stale, Some("STALE")), Failure::NotDone);
        assert_eq!(classify(&stale, Some("OUTCOME_UNKNOWN")), Failure::Unknown);
        assert_eq!(
            classify(&Status::unavailable("tcp reset"), None),
            Failure::Unknown
        );
        for taken_away in [
            Status::resource_exhausted("h2 protocol error: detected excessive load"),
            Status::permission_denied("h2 protocol error: inadequate security"),
        ] {
            assert_eq!(classify(&taken_away, None), Failure::Unknown);
        }
        let refused = Status::permission_denied("no");
        assert_eq!(
            classify(&refused, Some("SCOPE_NOT_GRANTED")),
            Failure::Final
        );
        let exhausted = Status::resource_exhausted("full");
        assert_eq!(classify(&exhausted, Some("RATE")), Failure::Final);
        for often in ["RATE_LIMITED", "TOO_MANY_REJECTIONS"] {
            assert_eq!(classify(&exhausted, Some(often)), Failure::TooOften);
        }
        for busy in ["TOO_MANY_IN_FLIGHT", "HISTORY_BUSY"] {
            assert_eq!(classify(&exhausted, Some(busy)), Failure::NotDone);
        }
    }

    #[test]
    fn who_asks_too_often_waits_as_told_and_not_beyond_its_deadline() {
        let told = Duration::from_millis(200);
        let left = Duration::from_secs(1);
        assert_eq!(RetryPolicy::wait_of(told, left, 0), Some(told));
        let longest = RetryPolicy::wait_of(told, left, 255);
        assert_eq!(longest, Some(Duration::from_millis(300)));
        assert_eq!(RetryPolicy::wait_of(told, told, 0), None);
    }

    #[test]
    fn pauses_grow_and_stay_bounded() {
        let policy = RetryPolicy::default();
        assert_eq!(policy.pause_after(0, 255), Duration::from_millis(20));
        assert_eq!(policy.pause_after(0, 0), Duration::from_millis(10));
        assert!(policy.pause_after(40, 255) <= policy.pause_max);
    }
}
