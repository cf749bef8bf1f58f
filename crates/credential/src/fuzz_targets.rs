//! A fuzz target for each parser of this crate (`chancery-fuzzing` says what one is).

use std::fmt::{Debug, Display};
use std::str::FromStr;

use crate::*;

/// What is read as `T` from text is written as that text.
fn is_the_one_form<T: FromStr + Display + PartialEq + Debug>(input: &[u8]) -> Option<T> {
    let text = std::str::from_utf8(input).ok()?;
    let read: T = text.parse().ok()?;
    assert_eq!(read.to_string(), text, "one value has one text");
    Some(read)
}

/// What is read as `T` from text is read again from what is written of it.
fn reads_back<T: FromStr + Display + PartialEq + Debug>(input: &[u8]) -> Option<T> {
    let text = std::str::from_utf8(input).ok()?;
    let read: T = text.parse().ok()?;
    let written = read.to_string();
    assert_eq!(written.parse::<T>().ok().as_ref(), Some(&read), "{written}");
    Some(read)
}

fn signing_key() -> SigningKey {
    SigningKey::from_seed(&[7; 32])
}

/// A token in compact form (RFC 7515 §7.1): signed again, it says the same.
pub fn token(input: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(input) else {
        return false;
    };
    let Ok(token) = UnverifiedToken::parse(text) else {
        return false;
    };
    assert!(text.len() <= MAX_TOKEN_BYTES);
    says_the_same(token.claims());
    // Nobody in this process signed it.
    assert!(token.verify(&signing_key().public()).is_err());
    true
}

/// A token's claims alone, of which a byte is changed more easily than of a token.
pub fn claims(input: &[u8]) -> bool {
    let Ok(claims) = crate::decode::claims(input) else {
        return false;
    };
    says_the_same(&claims);
    true
}

fn says_the_same(claims: &Claims) {
    let key = signing_key();
    // A name that is longer as we write it may make it too long.
    let Ok(text) = key.token(claims) else {
        return;
    };
    let again = UnverifiedToken::parse(&text).unwrap();
    assert_eq!(again.claims(), claims);
    assert_eq!(again.key_id(), key.public().key_id());
    assert_eq!(again.verify(&key.public()).unwrap().into_inner(), *claims);
}

/// A token's header alone.
pub fn header(input: &[u8]) -> bool {
    let Ok(id) = crate::decode::header(input) else {
        return false;
    };
    let written = crate::encode::header(id);
    let (written, dot) = written.split_at(written.len() - 1);
    assert_eq!(dot, b".");
    let written = crate::base64url::decode(written).unwrap();
    assert_eq!(crate::decode::header(&written).unwrap(), id);
    true
}

/// A SPIFFE ID with a path.
pub fn spiffe_id(input: &[u8]) -> bool {
    let Some(id) = is_the_one_form::<SpiffeId>(input) else {
        return false;
    };
    let whole = format!("spiffe://{}{}", id.trust_domain(), id.path());
    assert_eq!(whole, id.as_str());
    let domain: TrustDomain = id.trust_domain().parse().unwrap();
    assert!(id.is_member_of(&domain));
    assert!(id.path().len() > 1 && !id.path().contains("//"));
    true
}

/// Scopes as `scope` has them: in any order, written in one.
pub fn scopes(input: &[u8]) -> bool {
    let Some(scopes) = reads_back::<Scopes>(input) else {
        return false;
    };
    assert!(scopes.is_subset_of(&scopes));
    assert!(scopes.iter().all(|scope| scopes.contains(scope)));
    true
}

/// A pattern of scopes: covers itself, and the scope that is written alike.
pub fn scope_pattern(input: &[u8]) -> bool {
    let Some(pattern) = is_the_one_form::<ScopePattern>(input) else {
        return false;
    };
    assert!(pattern.covers(&pattern));
    if let Ok(scope) = pattern.to_string().parse::<Scope>() {
        assert!(pattern.matches(&scope));
    }
    true
}

/// An audience, which is matched by the pattern that is written alike.
pub fn audience(input: &[u8]) -> bool {
    let Some(audience) = is_the_one_form::<Audience>(input) else {
        return false;
    };
    if let Ok(pattern) = audience.as_str().parse::<AudiencePattern>() {
        assert!(pattern.matches(&audience));
    }
    true
}

/// A pattern of audiences.
pub fn audience_pattern(input: &[u8]) -> bool {
    let Some(pattern) = is_the_one_form::<AudiencePattern>(input) else {
        return false;
    };
    assert!(pattern.covers(&pattern));
    true
}

/// What an order is about.
pub fn subject(input: &[u8]) -> bool {
    is_the_one_form::<Subject>(input).is_some()
}

/// A name: of an owner, a grant set, a principal.
pub fn name(input: &[u8]) -> bool {
    let owner = is_the_one_form::<OwnerName>(input).is_some();
    let grant_set = is_the_one_form::<GrantSetName>(input).is_some();
    assert_eq!(owner, grant_set, "both have one grammar");
    owner | is_the_one_form::<PrincipalName>(input).is_some()
}

/// A trust domain.
pub fn trust_domain(input: &[u8]) -> bool {
    is_the_one_form::<TrustDomain>(input).is_some()
}

/// The ids that are base64url of a fixed length.
pub fn encoded_id(input: &[u8]) -> bool {
    let token_id = is_the_one_form::<TokenId>(input);
    if let Some(id) = token_id {
        let bytes = *id.as_bytes();
        assert_eq!(TokenId::from_bytes(bytes), id);
        assert_eq!(&id.issuer().0.to_be_bytes()[..], &bytes[..4]);
    }
    let key_id = is_the_one_form::<KeyId>(input).is_some();
    let certificate = is_the_one_form::<CertificateThumbprint>(input).is_some();
    assert_eq!(key_id, certificate, "both are 32 bytes");
    token_id.is_some() | key_id
}

/// The thumbprint of a key, as people read it.
pub fn key_thumbprint(input: &[u8]) -> bool {
    is_the_one_form::<KeyThumbprint>(input).is_some()
}

/// A place in a log.
pub fn consistency_token(input: &[u8]) -> bool {
    let Some(token) = is_the_one_form::<ConsistencyToken>(input) else {
        return false;
    };
    assert_eq!(ConsistencyToken::from_bytes(token.to_bytes()), token);
    true
}

/// An Ed25519 public key, and the JWK that is published of it (RFC 8037).
pub fn ed25519_public_key(input: &[u8]) -> bool {
    let Ok(key) = Ed25519PublicKey::parse(input) else {
        return false;
    };
    assert_eq!(key.as_bytes(), input);
    let jwk: serde_json::Value = serde_json::from_str(&Jwk::from(key).to_json()).unwrap();
    let x = jwk.get("x").and_then(serde_json::Value::as_str).unwrap();
    let x: [u8; 32] = crate::base64url::parse_array(x).unwrap();
    assert_eq!(Ed25519PublicKey::parse(&x), Ok(key));
    let kid = jwk.get("kid").and_then(serde_json::Value::as_str).unwrap();
    assert_eq!(kid.parse::<KeyId>().unwrap(), key.key_id());
    // No signature of nobody's passes under it.
    assert!(!key.verify(b"a statement", &[0; 64]));
    true
}

/// A node's public key, DER.
pub fn peer_public_key(input: &[u8]) -> bool {
    let Ok(key) = PeerPublicKey::from_spki(input) else {
        return false;
    };
    assert_eq!(key.spki(), input);
    assert_eq!(key.thumbprint(), KeyThumbprint::of_spki(input));
    true
}

/// A node's private key, DER.
pub fn peer_private_key(input: &[u8]) -> bool {
    let Ok(key) = PeerSigningKey::from_pkcs8_der(input) else {
        return false;
    };
    assert!(
        key.public()
            .verify(b"a statement", &key.sign(b"a statement"))
    );
    true
}

#[cfg(test)]
mod tests {
    chancery_fuzzing::exercise! {
        token,
        claims,
        header,
        spiffe_id,
        scopes,
        scope_pattern,
        audience,
        audience_pattern,
        subject,
        name,
        trust_domain,
        encoded_id,
        key_thumbprint,
        consistency_token,
        ed25519_public_key,
        peer_public_key,
        peer_private_key,
    }
}
