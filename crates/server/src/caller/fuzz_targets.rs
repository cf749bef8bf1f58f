//! Fuzz targets for what stands in a request's headers (`chancery-fuzzing` says what
//! one is).

use std::time::Duration;

use http::{HeaderMap, HeaderValue};

use super::{
    deadline,
    request_id::{REQUEST_ID, RequestIds},
    trace,
};

/// `grpc-timeout`: whatever stands there, nobody waits longer than the node allows.
pub fn request_deadline(input: &[u8]) -> bool {
    let Ok(value) = HeaderValue::from_bytes(input) else {
        return false;
    };
    let understood = value
        .to_str()
        .is_ok_and(|text| deadline::parse(text).is_some());
    let mut headers = HeaderMap::new();
    headers.insert("grpc-timeout", value);
    let limit = deadline::of(&headers);
    assert!(limit <= Duration::from_secs(60));
    assert!(understood || limit == Duration::from_secs(60));
    understood
}

/// `x-request-id`: what is logged is plain, whoever chose it.
pub fn request_id(input: &[u8]) -> bool {
    let Ok(value) = HeaderValue::from_bytes(input) else {
        return false;
    };
    let mut headers = HeaderMap::new();
    headers.insert(REQUEST_ID, value);
    let id = RequestIds::new(7).of(&headers);
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    assert!(
        (1..=64).contains(&id.len()) && id.bytes().all(plain),
        "{id}"
    );
    id.as_bytes() == input
}

/// `traceparent`: what is logged of it is an id, and the one that stands there.
pub fn traceparent(input: &[u8]) -> bool {
    let Ok(value) = HeaderValue::from_bytes(input) else {
        return false;
    };
    let mut headers = HeaderMap::new();
    headers.insert("traceparent", value);
    let Some(id) = trace::trace_id(&headers) else {
        return false;
    };
    let lower = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    assert!(id.len() == 32 && id.bytes().all(lower), "{id}");
    assert_ne!(id, "0".repeat(32));
    assert_eq!(input.get(3..35), Some(id.as_bytes()));
    true
}

#[cfg(test)]
mod tests {
    chancery_fuzzing::exercise! { request_deadline, request_id, traceparent }
}
