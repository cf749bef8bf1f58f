//! Reading a token's header and claims out of their JSON.

use std::str::FromStr;

use crate::claims::{self, Claims, MAX_ANCESTORS, MAX_GRANT_SETS, MAX_OWNERS};
use crate::consistency::Revision;
use crate::json::{self, Value};
use crate::malformed::{Defect, Malformed, Part};
use crate::public_key::KeyId;
use crate::scope::Scopes;
use crate::spiffe::SpiffeId;
use crate::thumbprint::CertificateThumbprint;

/// Reads the JOSE header: exactly `alg`, `typ` and `kid` (RFC 8725 §3.1, §3.11;
/// RFC 9068 §2.1).
pub(crate) fn header(text: &[u8]) -> Result<KeyId, Malformed> {
    let (mut alg, mut typ, mut kid) = (None, None, None);
    for (name, value) in json::object(text, Part::Header)? {
        match &*name {
            "alg" => alg = Some(value),
            "typ" => typ = Some(value),
            "kid" => kid = Some(value),
            _ => return Err(Malformed::HeaderMember),
        }
    }
    let is_ours = |alg: &str| matches!(alg, "EdDSA" | "Ed25519").then_some(());
    header_member("alg", "EdDSA or Ed25519", alg, is_ours)?;
    header_member("typ", "at+jwt", typ, is_access_token)?;
    header_member("kid", "an RFC 7638 SHA-256 thumbprint", kid, |kid| {
        kid.parse().ok()
    })
}

fn header_member<T>(
    member: &'static str,
    expected: &'static str,
    value: Option<Value<'_>>,
    read: impl FnOnce(&str) -> Option<T>,
) -> Result<T, Malformed> {
    let defect = match value {
        None => Defect::Missing,
        Some(Value::String(text)) => match read(&text) {
            Some(read) => return Ok(read),
            None => Defect::Expected(expected),
        },
        Some(_) => Defect::Expected(expected),
    };
    Err(Malformed::Header { member, defect })
}

/// A media type (RFC 7515 §4.1.9): case does not count, `application/` may be left out.
fn is_access_token(typ: &str) -> Option<()> {
    let names = ["at+jwt", "application/at+jwt"];
    let ours = names.iter().any(|name| typ.eq_ignore_ascii_case(name));
    ours.then_some(())
}

/// Reads the claims. Claims that are not ours say nothing and are passed over.
pub(crate) fn claims(text: &[u8]) -> Result<Claims, Malformed> {
    let (mut iss, mut sub, mut aud, mut client_id) = (None, None, None, None);
    let (mut iat, mut exp, mut jti, mut rev) = (None, None, None, None);
    let mut scope = Scopes::default();
    let (mut own, mut set, mut anc, mut act) = (vec![], vec![], vec![], vec![]);
    let mut cnf = None;
    for (name, value) in json::object(text, Part::Payload)? {
        match &*name {
            "iss" => iss = Some(read("iss", "a string", &value)?),
            "sub" => sub = Some(read("sub", AN_AGENT, &value)?),
            "aud" => aud = Some(read("aud", "one audience", &value)?),
            "client_id" => client_id = Some(read("client_id", AN_AGENT, &value)?),
            "iat" => iat = Some(integer("iat", &value)?),
            "exp" => exp = Some(integer("exp", &value)?),
            "jti" => jti = Some(read("jti", A_TOKEN_ID, &value)?),
            "scope" => scope = scopes(&value)?,
            "rev" => rev = Some(integer("rev", &value).map(Revision)?),
            "own" => own = list("own", "a list of owners' names", MAX_OWNERS, &value)?,
            "set" => set = list("set", "a list of grant sets' names", MAX_GRANT_SETS, &value)?,
            "anc" => anc = list("anc", "a list of token ids", MAX_ANCESTORS, &value)?,
            "act" => act = actors(value)?,
            "cnf" => cnf = Some(confirmation(&value)?),
            "nbf" => return Err(Malformed::NotBefore),
            _ => {}
        }
    }
    let claims = Claims {
        iss: present("iss", iss)?,
        sub: present("sub", sub)?,
        aud: present("aud", aud)?,
        client_id: present("client_id", client_id)?,
        iat: present("iat", iat)?,
        exp: present("exp", exp)?,
        jti: present("jti", jti)?,
        scope,
        rev: present("rev", rev)?,
        own,
        set,
        anc,
        act,
        cnf,
    };
    claims.check()?;
    Ok(claims)
}

const AN_AGENT: &str = "a SPIFFE ID with a path";
const A_TOKEN_ID: &str = "a token id: 22 characters of base64url";

fn expected(claim: &'static str, what: &'static str) -> Malformed {
    let defect = Defect::Expected(what);
    Malformed::Claim { claim, defect }
}

fn present<T>(claim: &'static str, value: Option<T>) -> Result<T, Malformed> {
    let defect = Defect::Missing;
    value.ok_or(Malformed::Claim { claim, defect })
}

fn read<T: FromStr>(
    claim: &'static str,
    what: &'static str,
    value: &Value<'_>,
) -> Result<T, Malformed> {
    match value {
        Value::String(text) => text.parse().map_err(|_| expected(claim, what)),
        _ => Err(expected(claim, what)),
    }
}

fn integer(claim: &'static str, value: &Value<'_>) -> Result<u64, Malformed> {
    match value {
        Value::Integer(number) => Ok(*number),
        _ => Err(expected(claim, "an integer from 0 to 2^64-1")),
    }
}

fn list<T: FromStr>(
    claim: &'static str,
    what: &'static str,
    most: usize,
    value: &Value<'_>,
) -> Result<Vec<T>, Malformed> {
    let Value::Array(elements) = value else {
        return Err(expected(claim, what));
    };
    claims::at_most(claim, elements.len(), most)?;
    elements
        .iter()
        .map(|element| read(claim, what, element))
        .collect()
}

/// Present means at least one scope (RFC 6749 §3.3).
fn scopes(value: &Value<'_>) -> Result<Scopes, Malformed> {
    let what = "1 to 64 scopes with single spaces between them";
    let scopes: Scopes = read("scope", what, value)?;
    if scopes.is_empty() {
        return Err(expected("scope", what));
    }
    Ok(scopes)
}

/// Follows `act` inwards (RFC 8693 §4.1), as deep as the JSON may nest. Another
/// member, such as an `iss` that would make it another actor, is refused rather
/// than passed over.
fn actors(value: Value<'_>) -> Result<Vec<SpiffeId>, Malformed> {
    let mut actors = Vec::new();
    let mut next = Some(value);
    while let Some(value) = next.take() {
        let Value::Object(members) = value else {
            return Err(expected("act", "an object"));
        };
        let mut sub = None;
        for (name, value) in members {
            match &*name {
                "sub" => sub = Some(read("act.sub", AN_AGENT, &value)?),
                "act" => next = Some(value),
                _ => return Err(Malformed::Actor),
            }
        }
        actors.push(present("act.sub", sub)?);
    }
    Ok(actors)
}

/// Exactly one member, `x5t#S256` (RFC 8705 §3.1): another way of binding that is
/// not checked here must not look like none.
fn confirmation(value: &Value<'_>) -> Result<CertificateThumbprint, Malformed> {
    let Value::Object(members) = value else {
        return Err(expected("cnf", "an object"));
    };
    let mut thumbprint = None;
    for (name, value) in members {
        if name != "x5t#S256" {
            return Err(Malformed::Confirmation);
        }
        thumbprint = Some(read("cnf.x5t#S256", "a base64url SHA-256", value)?);
    }
    present("cnf.x5t#S256", thumbprint)
}
