//! Whether a request was sent before.

use http::{HeaderMap, HeaderName};

/// How many attempts at the same call went before this one (gRPC proposal A6, client
/// retries).
const PREVIOUS_ATTEMPTS: HeaderName = HeaderName::from_static("grpc-previous-rpc-attempts");

/// Whether there were any. Whatever cannot be read says that there were: it costs an
/// entry of the log, and a copy that is not noticed can cost more.
pub(super) fn any_in(headers: &HeaderMap) -> bool {
    let mut said = headers.get_all(PREVIOUS_ATTEMPTS).iter();
    said.any(|attempts| attempts.as_bytes() != b"0")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn only_none_is_none() {
        let any = |attempts: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(PREVIOUS_ATTEMPTS, attempts.parse().unwrap());
            any_in(&headers)
        };
        assert!(!any_in(&HeaderMap::new()) && !any("0"));
        let mut headers = HeaderMap::new();
        headers.append(PREVIOUS_ATTEMPTS, "0".parse().unwrap());
        headers.append(PREVIOUS_ATTEMPTS, "2".parse().unwrap());
        assert!(any_in(&headers));
        assert!(any("1") && any("17") && any("many") && any(""));
    }
}
