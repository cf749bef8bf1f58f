//! Writing a token: claims to JSON, JSON to base64url, signature.

use std::fmt::Display;

use serde::ser::{Serialize, SerializeMap as _, Serializer};

use crate::base64url;
use crate::claims::Claims;
use crate::malformed::{Malformed, Part};
use crate::public_key::KeyId;
use crate::spiffe::SpiffeId;
use crate::token::MAX_TOKEN_BYTES;

/// `base64url(header).` for the tokens of one key.
pub(crate) fn header(id: KeyId) -> Vec<u8> {
    let json = format!(r#"{{"alg":"EdDSA","typ":"at+jwt","kid":"{id}"}}"#);
    let mut header = Vec::new();
    base64url::encode_onto(&mut header, json.as_bytes());
    header.push(b'.');
    header
}

/// Appends a whole token to `out`, and on an error nothing.
pub(crate) fn token(
    header: &[u8],
    claims: &Claims,
    out: &mut Vec<u8>,
    sign: impl FnOnce(&[u8]) -> [u8; 64],
) -> Result<(), Malformed> {
    claims.check()?;
    let start = out.len();
    out.extend_from_slice(header);
    let written = payload(claims, out).and_then(|()| {
        let input = out.get(start..).unwrap_or_default();
        let signature_part = 1 + base64url::encoded_len(64);
        if input.len() + signature_part > MAX_TOKEN_BYTES {
            return Err(Malformed::TooLong);
        }
        let signature = sign(input);
        out.push(b'.');
        base64url::encode_onto(out, &signature);
        Ok(())
    });
    if written.is_err() {
        out.truncate(start);
    }
    written
}

/// Appends `base64url(JSON)`. The JSON is written at the end of `out`, encoded
/// behind itself, and then overwritten with its encoding.
fn payload(claims: &Claims, out: &mut Vec<u8>) -> Result<(), Malformed> {
    let start = out.len();
    serde_json::to_writer(&mut *out, &Json(claims)).map_err(|_| Malformed::Json(Part::Payload))?;
    let middle = out.len();
    let length = base64url::encoded_len(middle - start);
    out.resize(middle + length, 0);
    if let Some((written, room)) = out.split_at_mut_checked(middle) {
        base64url::encode_into(written.get(start..).unwrap_or_default(), room);
    }
    out.copy_within(middle.., start);
    out.truncate(start + length);
    Ok(())
}

/// The claims on the wire. Empty lists are left out.
struct Json<'a>(&'a Claims);

impl Serialize for Json<'_> {
    fn serialize<S: Serializer>(&self, json: S) -> Result<S::Ok, S::Error> {
        let claims = self.0;
        let mut object = json.serialize_map(None)?;
        object.serialize_entry("iss", &claims.iss)?;
        object.serialize_entry("sub", claims.sub.as_str())?;
        object.serialize_entry("aud", claims.aud.as_str())?;
        object.serialize_entry("client_id", claims.client_id.as_str())?;
        object.serialize_entry("iat", &claims.iat)?;
        object.serialize_entry("exp", &claims.exp)?;
        object.serialize_entry("jti", &Text(&claims.jti))?;
        if !claims.scope.is_empty() {
            object.serialize_entry("scope", &Text(&claims.scope))?;
        }
        object.serialize_entry("rev", &claims.rev.0)?;
        if !claims.own.is_empty() {
            object.serialize_entry("own", &Texts(&claims.own))?;
        }
        if !claims.set.is_empty() {
            object.serialize_entry("set", &Texts(&claims.set))?;
        }
        if !claims.anc.is_empty() {
            object.serialize_entry("anc", &Texts(&claims.anc))?;
        }
        if !claims.act.is_empty() {
            object.serialize_entry("act", &Actors(&claims.act))?;
        }
        if let Some(thumbprint) = &claims.cnf {
            object.serialize_entry("cnf", &Confirmation(thumbprint))?;
        }
        object.end()
    }
}

struct Text<'a, T>(&'a T);

impl<T: Display> Serialize for Text<'_, T> {
    fn serialize<S: Serializer>(&self, json: S) -> Result<S::Ok, S::Error> {
        json.collect_str(self.0)
    }
}

struct Texts<'a, T>(&'a [T]);

impl<T: Display> Serialize for Texts<'_, T> {
    fn serialize<S: Serializer>(&self, json: S) -> Result<S::Ok, S::Error> {
        json.collect_seq(self.0.iter().map(Text))
    }
}

/// `{"sub":…,"act":{"sub":…}}` (RFC 8693 §4.1).
struct Actors<'a>(&'a [SpiffeId]);

impl Serialize for Actors<'_> {
    fn serialize<S: Serializer>(&self, json: S) -> Result<S::Ok, S::Error> {
        let mut object = json.serialize_map(None)?;
        if let Some((actor, earlier)) = self.0.split_first() {
            object.serialize_entry("sub", actor.as_str())?;
            if !earlier.is_empty() {
                object.serialize_entry("act", &Actors(earlier))?;
            }
        }
        object.end()
    }
}

/// `{"x5t#S256":…}` (RFC 8705 §3.1).
struct Confirmation<'a, T>(&'a T);

impl<T: Display> Serialize for Confirmation<'_, T> {
    fn serialize<S: Serializer>(&self, json: S) -> Result<S::Ok, S::Error> {
        let mut object = json.serialize_map(Some(1))?;
        object.serialize_entry("x5t#S256", &Text(self.0))?;
        object.end()
    }
}
