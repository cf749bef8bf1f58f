//! How long a single request may take.

use std::time::Duration;

use http::HeaderMap;
use tonic::Code;

use super::refusal::Refusal;

/// The longest that a single request is served, whatever the client allows.
pub(super) const LONGEST_UNARY: Duration = Duration::from_secs(60);

/// The time limit of a single request: what `grpc-timeout` says, at most
/// [`LONGEST_UNARY`].
pub(super) fn of(headers: &HeaderMap) -> Duration {
    headers
        .get("grpc-timeout")
        .and_then(|value| value.to_str().ok())
        .and_then(parse)
        .map_or(LONGEST_UNARY, |asked| asked.min(LONGEST_UNARY))
}

/// `TimeoutValue TimeoutUnit` of the gRPC HTTP/2 protocol: at most 8 digits and
/// one of `H M S m u n`.
pub(super) fn parse(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let value: u64 = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(value * 3600)),
        "M" => Some(Duration::from_secs(value * 60)),
        "S" => Some(Duration::from_secs(value)),
        "m" => Some(Duration::from_millis(value)),
        "u" => Some(Duration::from_micros(value)),
        "n" => Some(Duration::from_nanos(value)),
        _ => None,
    }
}

pub(super) fn exceeded(limit: Duration) -> Refusal {
    Refusal::new(
        Code::DeadlineExceeded,
        "TIME_LIMIT",
        format!("not answered within {} ms", limit.as_millis()),
        "whether it was done is not known; repeat it with the same request id",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeout_is_read_as_grpc_writes_it() {
        assert_eq!(parse("250m"), Some(Duration::from_millis(250)));
        assert_eq!(
            parse("99999999H"),
            Some(Duration::from_secs(99_999_999 * 3600))
        );
        for bad in ["", "m", "5", "5s", "-5m", "123456789m", "5 m", "5é"] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn nobody_waits_longer_than_the_server_allows() {
        let mut headers = HeaderMap::new();
        assert_eq!(of(&headers), LONGEST_UNARY);
        headers.insert("grpc-timeout", http::HeaderValue::from_static("2H"));
        assert_eq!(of(&headers), LONGEST_UNARY);
        headers.insert("grpc-timeout", http::HeaderValue::from_static("2S"));
        assert_eq!(of(&headers), Duration::from_secs(2));
    }
}
