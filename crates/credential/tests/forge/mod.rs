//! Writes tokens by hand, as nobody who means well would. The signature is 64 zeros.

#![allow(dead_code, clippy::unwrap_used)]

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chancery_credential::{Malformed, UnverifiedToken};

/// The key of RFC 8037 appendix A.
pub const KID: &str = "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k";

/// A header that is as it should be.
pub const HEADER: &str =
    r#"{"alg":"EdDSA","typ":"at+jwt","kid":"kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"}"#;

/// Claims that are as they should be, without any nested object.
pub const CLAIMS: &str = concat!(
    r#"{"iss":"https://ca.example","sub":"spiffe://td/a","aud":"https://mcp.example","#,
    r#""client_id":"spiffe://td/a","iat":1001,"exp":1301,"jti":"AAAAAQAAAAAAAAAAAAAAAA","#,
    r#""scope":"files:read","rev":7,"own":["team"]}"#
);

/// Unpadded base64url.
pub fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// `header.payload.zeros`.
pub fn compact(header: &[u8], payload: &[u8]) -> String {
    format!(
        "{}.{}.{}",
        encode(header),
        encode(payload),
        encode(&[0; 64])
    )
}

/// A token with this header.
pub fn with_header(header: &str) -> String {
    compact(header.as_bytes(), CLAIMS.as_bytes())
}

/// A token with this payload.
pub fn with_payload(payload: &[u8]) -> String {
    compact(HEADER.as_bytes(), payload)
}

/// A token with these claims instead of, or beside, those of [`CLAIMS`]; the values
/// are JSON, and an empty one leaves the claim out.
pub fn with_claims(changes: &[(&str, &str)]) -> String {
    let usual: serde_json::Value = serde_json::from_str(CLAIMS).unwrap();
    let usual = usual.as_object().unwrap().iter();
    let kept = usual
        .filter(|(name, _)| changes.iter().all(|(changed, _)| changed != name))
        .map(|(name, value)| format!(r#""{name}":{value}"#));
    let changed = changes
        .iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| format!(r#""{name}":{value}"#));
    let members: Vec<String> = kept.chain(changed).collect();
    with_payload(format!("{{{}}}", members.join(",")).as_bytes())
}

/// `act` with so many actors in it, the outermost `spiffe://td/a1`.
pub fn nested_actors(count: usize) -> String {
    (1..=count).rev().fold(String::new(), |inner, at| {
        let inner = match inner.is_empty() {
            true => String::new(),
            false => format!(r#","act":{inner}"#),
        };
        format!(r#"{{"sub":"spiffe://td/a{at}"{inner}}}"#)
    })
}

/// Asserts that `token` is refused for this reason.
#[track_caller]
pub fn refused(name: &str, token: &str, expected: Malformed) {
    let read = UnverifiedToken::parse(token).map(|_| "accepted");
    assert_eq!(read, Err(expected), "{name}");
}
