//! A grant, as people write and read one.

use std::str::FromStr;

use chancery_client::v1;
use serde::Serialize;

use crate::span::Span;

/// A grant in one argument. Neither an audience nor a scope has a space in it;
/// a scope that is called `bearer` or begins with `ttl=` cannot be given so.
#[derive(Debug, Clone)]
pub struct Grant(pub v1::Grant);

impl FromStr for Grant {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut words = text.split_ascii_whitespace();
        let audience = words
            .next()
            .ok_or("a grant begins with its audience")?
            .to_owned();
        let mut grant = v1::Grant {
            audience,
            ..v1::Grant::default()
        };
        for word in words {
            match word.strip_prefix("ttl=") {
                Some(span) => {
                    let seconds = span.parse::<Span>()?.0.as_secs();
                    grant.max_ttl_seconds = u32::try_from(seconds)
                        .ok()
                        .filter(|seconds| *seconds > 0)
                        .ok_or("a grant's ttl is at least a second, and under an hour")?;
                }
                None if word == "bearer" => grant.bearer = true,
                None => grant.scopes.push(word.to_owned()),
            }
        }
        if grant.scopes.is_empty() {
            return Err("a grant names at least one scope after its audience".to_owned());
        }
        Ok(Self(grant))
    }
}

/// A grant, shown.
#[derive(Debug, Serialize)]
pub struct GrantView {
    audience: String,
    scopes: Vec<String>,
    max_ttl_seconds: u32,
    bearer: bool,
}

impl From<v1::Grant> for GrantView {
    fn from(grant: v1::Grant) -> Self {
        Self {
            audience: grant.audience,
            scopes: grant.scopes,
            max_ttl_seconds: grant.max_ttl_seconds,
            bearer: grant.bearer,
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_grant_is_one_argument() {
        let grant: Grant = "https://ledger.example/* ledger:read ledger:write ttl=2m bearer"
            .parse()
            .unwrap();
        assert_eq!(grant.0.audience, "https://ledger.example/*");
        assert_eq!(grant.0.scopes, ["ledger:read", "ledger:write"]);
        assert_eq!((grant.0.max_ttl_seconds, grant.0.bearer), (120, true));

        let plain: Grant = "mail send".parse().unwrap();
        assert_eq!((plain.0.max_ttl_seconds, plain.0.bearer), (0, false));
        for bad in [
            "",
            "mail",
            "mail ttl=2m",
            "mail send ttl=0s",
            "mail send ttl=2",
        ] {
            assert!(bad.parse::<Grant>().is_err(), "{bad}");
        }
    }
}
