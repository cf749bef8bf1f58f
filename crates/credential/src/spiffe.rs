//! SPIFFE IDs (the SPIFFE-ID standard, §2).

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::name::checked_text;

const SCHEME: &str = "spiffe://";
const MAX_ID_BYTES: usize = 2048;
const MAX_TRUST_DOMAIN_BYTES: usize = 255;

/// Why a text is no SPIFFE ID, or no trust domain.
#[derive(Copy, Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SpiffeIdError {
    /// More than 2048 bytes.
    #[error("a SPIFFE ID has at most 2048 bytes")]
    TooLong,
    /// Does not begin with `spiffe://`, in lower case.
    #[error("a SPIFFE ID begins with spiffe://")]
    Scheme,
    /// `spiffe:///…`, or an empty name.
    #[error("the trust domain is missing")]
    NoTrustDomain,
    /// More than 255 bytes.
    #[error("a trust domain has at most 255 bytes")]
    TrustDomainTooLong,
    /// Upper case, a port, user information, percent-encoding, …
    #[error("a trust domain is made of the characters a-z 0-9 . _ -")]
    TrustDomainCharacter,
    /// A trust domain is not an agent.
    #[error("a path is missing: spiffe://<trust domain>/<path>")]
    NoPath,
    /// `//`.
    #[error("the path has an empty segment")]
    EmptySegment,
    /// The path ends in `/`.
    #[error("the path ends in a slash")]
    TrailingSlash,
    /// `.` or `..`.
    #[error("the path has a relative segment")]
    RelativeSegment,
    /// A query, a fragment, percent-encoding, …
    #[error("a path segment is made of the characters A-Z a-z 0-9 . _ -")]
    PathCharacter,
}

fn check_trust_domain(name: &str) -> Result<(), SpiffeIdError> {
    if name.is_empty() {
        return Err(SpiffeIdError::NoTrustDomain);
    }
    if name.len() > MAX_TRUST_DOMAIN_BYTES {
        return Err(SpiffeIdError::TrustDomainTooLong);
    }
    let allowed = |byte: u8| {
        byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'.' | b'_' | b'-')
    };
    if !name.bytes().all(allowed) {
        return Err(SpiffeIdError::TrustDomainCharacter);
    }
    Ok(())
}

/// `path` is what follows the slash after the trust domain.
fn check_path(path: &str) -> Result<(), SpiffeIdError> {
    if path.is_empty() {
        return Err(SpiffeIdError::TrailingSlash);
    }
    let allowed =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-' | b'/');
    if !path.bytes().all(allowed) {
        return Err(SpiffeIdError::PathCharacter);
    }
    if path.ends_with('/') {
        return Err(SpiffeIdError::TrailingSlash);
    }
    for segment in path.split('/') {
        match segment {
            "" => return Err(SpiffeIdError::EmptySegment),
            "." | ".." => return Err(SpiffeIdError::RelativeSegment),
            _ => {}
        }
    }
    Ok(())
}

checked_text! {
    /// A trust domain's name, without the scheme: 1 to 255 of `[a-z0-9._-]`.
    TrustDomain, check_trust_domain, SpiffeIdError
}

/// An agent's SPIFFE ID: `spiffe://<trust domain>/<path>`, at most 2048 bytes.
/// Always with a path, for a bare trust domain is nobody. Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SpiffeId(Arc<str>);

impl SpiffeId {
    /// The whole id.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The trust domain's name.
    #[must_use]
    pub fn trust_domain(&self) -> &str {
        self.parts().0
    }

    /// The path, with its leading slash.
    #[must_use]
    pub fn path(&self) -> &str {
        self.parts().1
    }

    /// Whether it was given out in `domain`.
    #[must_use]
    pub fn is_member_of(&self, domain: &TrustDomain) -> bool {
        self.trust_domain() == domain.as_str()
    }

    fn parts(&self) -> (&str, &str) {
        let name = self.0.get(SCHEME.len()..).unwrap_or_default();
        let slash = name.find('/').unwrap_or(name.len());
        name.split_at_checked(slash).unwrap_or((name, ""))
    }
}

impl FromStr for SpiffeId {
    type Err = SpiffeIdError;

    fn from_str(text: &str) -> Result<Self, SpiffeIdError> {
        if text.len() > MAX_ID_BYTES {
            return Err(SpiffeIdError::TooLong);
        }
        let name = text.strip_prefix(SCHEME).ok_or(SpiffeIdError::Scheme)?;
        let (domain, path) = match name.split_once('/') {
            Some((domain, path)) => (domain, Some(path)),
            None => (name, None),
        };
        check_trust_domain(domain)?;
        check_path(path.ok_or(SpiffeIdError::NoPath)?)?;
        Ok(Self(Arc::from(text)))
    }
}

impl TryFrom<&str> for SpiffeId {
    type Error = SpiffeIdError;

    fn try_from(text: &str) -> Result<Self, SpiffeIdError> {
        text.parse()
    }
}

impl AsRef<str> for SpiffeId {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl std::borrow::Borrow<str> for SpiffeId {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SpiffeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for SpiffeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SpiffeId({})", self.0)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_of_an_id() {
        let id: SpiffeId = "spiffe://example.org/Team_7/build-9.x".parse().unwrap();
        assert_eq!(id.as_str(), "spiffe://example.org/Team_7/build-9.x");
        assert_eq!(id.trust_domain(), "example.org");
        assert_eq!(id.path(), "/Team_7/build-9.x");
        assert!(id.is_member_of(&"example.org".parse().unwrap()));
        assert!(!id.is_member_of(&"example.or".parse().unwrap()));
    }

    #[test]
    fn what_the_standard_allows() {
        for text in [
            "spiffe://a/b",
            "spiffe://1.2.3.4/b",
            "spiffe://td_with-all.3/x",
            "spiffe://td/.../..x/x../.x",
            "spiffe://td/a/b/c/d/e",
            &format!("spiffe://{}/x", "a".repeat(255)),
            &format!("spiffe://td/{}", "a".repeat(2048 - 12)),
        ] {
            assert_eq!(text.parse::<SpiffeId>().unwrap().as_str(), text);
        }
    }

    #[test]
    fn what_the_standard_refuses() {
        use SpiffeIdError as E;
        for (text, error) in [
            ("", E::Scheme),
            ("td/path", E::Scheme),
            ("https://td/path", E::Scheme),
            ("SPIFFE://td/path", E::Scheme),
            ("Spiffe://td/path", E::Scheme),
            ("spiffe:/td/path", E::Scheme),
            ("spiffe:td", E::Scheme),
            (" spiffe://td/path", E::Scheme),
            ("spiffe://", E::NoTrustDomain),
            ("spiffe:///path", E::NoTrustDomain),
            ("spiffe://TD/path", E::TrustDomainCharacter),
            ("spiffe://td:443/path", E::TrustDomainCharacter),
            ("spiffe://user@td/path", E::TrustDomainCharacter),
            ("spiffe://t%64/path", E::TrustDomainCharacter),
            ("spiffe://[::1]/path", E::TrustDomainCharacter),
            ("spiffe://td?q/path", E::TrustDomainCharacter),
            ("spiffe://tд/path", E::TrustDomainCharacter),
            ("spiffe://td#f", E::TrustDomainCharacter),
            ("spiffe://td", E::NoPath),
            ("spiffe://td/", E::TrailingSlash),
            ("spiffe://td/a/", E::TrailingSlash),
            ("spiffe://td//", E::TrailingSlash),
            ("spiffe://td//a", E::EmptySegment),
            ("spiffe://td/a//b", E::EmptySegment),
            ("spiffe://td/.", E::RelativeSegment),
            ("spiffe://td/..", E::RelativeSegment),
            ("spiffe://td/a/./b", E::RelativeSegment),
            ("spiffe://td/a/../b", E::RelativeSegment),
            ("spiffe://td/a?q=1", E::PathCharacter),
            ("spiffe://td/a#f", E::PathCharacter),
            ("spiffe://td/%61", E::PathCharacter),
            ("spiffe://td/a b", E::PathCharacter),
            ("spiffe://td/a\0", E::PathCharacter),
            ("spiffe://td/a\n", E::PathCharacter),
            ("spiffe://td/é", E::PathCharacter),
            ("spiffe://td/a*", E::PathCharacter),
        ] {
            assert_eq!(text.parse::<SpiffeId>(), Err(error), "{text:?}");
        }
        let long_domain = format!("spiffe://{}/x", "a".repeat(256));
        assert_eq!(long_domain.parse::<SpiffeId>(), Err(E::TrustDomainTooLong));
        let long = format!("spiffe://td/{}", "a".repeat(2049 - 12));
        assert_eq!(long.parse::<SpiffeId>(), Err(E::TooLong));
    }

    #[test]
    fn a_trust_domain_is_a_bare_name() {
        assert_eq!(
            "example.org".parse::<TrustDomain>().unwrap().as_str(),
            "example.org"
        );
        for text in ["spiffe://example.org", "example.org/", "Example.org"] {
            assert_eq!(
                text.parse::<TrustDomain>(),
                Err(SpiffeIdError::TrustDomainCharacter)
            );
        }
    }
}
