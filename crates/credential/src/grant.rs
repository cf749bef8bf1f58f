//! What an agent may mint.

use crate::audience::{Audience, AudiencePattern};
use crate::scope::{ScopePattern, Scopes};

/// One permission. A token is minted under *one* grant: audience and scopes of
/// different grants do not add up.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Grant {
    /// For whom.
    pub audience: AudiencePattern,
    /// What may be asked for. Each scope has to match one of these.
    pub scopes: Vec<ScopePattern>,
    /// Longest lifetime of a token, seconds; 0 means the cluster's cap.
    pub max_ttl_seconds: u32,
    /// Whether tokens may be minted that are bound to no key.
    pub bearer: bool,
}

impl Grant {
    /// Whether a token with these may be minted under this grant. A token without
    /// scopes needs the audience only.
    #[must_use]
    pub fn permits(&self, audience: &Audience, scopes: &Scopes) -> bool {
        self.audience.matches(audience)
            && scopes
                .iter()
                .all(|scope| self.scopes.iter().any(|pattern| pattern.matches(scope)))
    }

    /// Whether everything that `other` permits, `self` permits: going from `other`
    /// to `self` then takes nothing away. A lifetime of 0 (the cap, which may
    /// change) is covered by 0 only.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        self.audience.covers(&other.audience)
            && other
                .scopes
                .iter()
                .all(|narrow| self.scopes.iter().any(|wide| wide.covers(narrow)))
            && (self.max_ttl_seconds == 0
                || (other.max_ttl_seconds != 0 && other.max_ttl_seconds <= self.max_ttl_seconds))
            && (self.bearer || !other.bearer)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::audience::AudienceError;
    use crate::scope::ScopeError;

    fn grant(audience: &str, scopes: &str) -> Grant {
        Grant {
            audience: audience.parse().unwrap(),
            scopes: scopes
                .split_whitespace()
                .map(|scope| scope.parse().unwrap())
                .collect(),
            max_ttl_seconds: 0,
            bearer: false,
        }
    }

    fn permits(grant: &Grant, audience: &str, scopes: &str) -> bool {
        grant.permits(&audience.parse().unwrap(), &scopes.parse().unwrap())
    }

    #[test]
    fn each_scope_and_the_audience_have_to_match() {
        let files = grant("https://files.example/*", "files:* mail.read");
        for (audience, scopes, permitted) in [
            ("https://files.example/v1", "files:read mail.read", true),
            ("https://files.example/v1", "files:read:deep", true),
            ("https://files.example/v1", "", true),
            ("https://files.example/", "", false),
            ("https://files.example", "", false),
            ("https://files.example.evil/", "", false),
            ("https://files.example/v1", "files:", false),
            ("https://files.example/v1", "files", false),
            ("https://files.example/v1", "filesystem", false),
            ("https://files.example/v1", "mail.read.all", false),
            ("https://files.example/v1", "files:read mail.write", false),
        ] {
            let is = permits(&files, audience, scopes);
            assert_eq!(is, permitted, "{audience} {scopes}");
        }
    }

    #[test]
    fn a_grant_without_scopes_permits_tokens_without_scopes() {
        assert!(permits(&grant("*", ""), "any", ""));
        assert!(!permits(&grant("*", ""), "any", "read"));
        assert!(permits(&grant("*", "*"), "any", "read"));
    }

    #[test]
    fn narrowing_is_seen() {
        let before = Grant {
            max_ttl_seconds: 300,
            bearer: true,
            ..grant("https://a/*", "files:* mail.read")
        };
        let after = |change: fn(&mut Grant)| {
            let mut after = before.clone();
            change(&mut after);
            after.covers(&before)
        };
        assert!(after(|_| {}));
        assert!(after(|grant| grant.audience = "*".parse().unwrap()));
        assert!(after(|grant| grant.scopes = vec!["*".parse().unwrap()]));
        assert!(after(|grant| grant.max_ttl_seconds = 0));
        assert!(after(|grant| grant.max_ttl_seconds = 301));
        assert!(!after(
            |grant| grant.audience = "https://a/b/*".parse().unwrap()
        ));
        assert!(!after(
            |grant| grant.audience = "https://a/b".parse().unwrap()
        ));
        assert!(!after(|grant| grant.scopes.truncate(1)));
        assert!(!after(|grant| grant.scopes.clear()));
        assert!(!after(|grant| grant.max_ttl_seconds = 299));
        assert!(!after(|grant| grant.bearer = false));
        let capped = grant("https://a/*", "files:* mail.read");
        assert!(!before.covers(&capped), "the cap may be above 300 seconds");
    }

    #[test]
    fn a_star_stands_at_the_end_after_a_separator() {
        for text in ["*", "https://a/*", "urn:x:*", "exact"] {
            assert_eq!(text.parse::<AudiencePattern>().unwrap().to_string(), text);
        }
        for text in [
            "a.*",
            "a*",
            "**",
            "*a",
            "a/*/b",
            "a/**",
            "https://*.example/",
        ] {
            let error = Err(AudienceError::Star);
            assert_eq!(text.parse::<AudiencePattern>(), error, "{text}");
        }
        for text in ["*", "files:*", "files/*", "files.*", "files"] {
            assert_eq!(text.parse::<ScopePattern>().unwrap().to_string(), text);
        }
        for text in ["files*", "files-*", "*:read", "a:*:b"] {
            let error = Err(ScopeError::Star);
            assert_eq!(text.parse::<ScopePattern>(), error, "{text}");
        }
        assert_eq!("".parse::<ScopePattern>(), Err(ScopeError::Empty));
        assert_eq!("a b:*".parse::<ScopePattern>(), Err(ScopeError::Character));
    }

    #[test]
    fn audiences_have_no_spaces_and_no_stars() {
        for (text, error) in [
            ("", AudienceError::Empty),
            ("a b", AudienceError::Character),
            ("a\u{7f}", AudienceError::Character),
            ("é", AudienceError::Character),
            ("a/*", AudienceError::Star),
            (&*"x".repeat(513), AudienceError::TooLong),
        ] {
            assert_eq!(text.parse::<Audience>(), Err(error), "{text:?}");
        }
        assert!("x".repeat(512).parse::<Audience>().is_ok());
    }
}
