//! A grant, as people write and read one.

use std::str::FromStr;

use chancery_client::v1;
use serde::Serialize;

use crate::span::Span;

/// How many letters a word may differ from `bearer` by and yet be taken for a slip of it.
const SLIP: usize = 1;

/// A grant in one argument. Neither an audience nor a scope has a space in it. A
/// scope that looks like an option is written with `scope=` before it.
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
            match word.split_once('=') {
                Some(("ttl", span)) => {
                    let seconds = span.parse::<Span>()?.0.as_secs();
                    grant.max_ttl_seconds = u32::try_from(seconds)
                        .ok()
                        .filter(|seconds| *seconds > 0)
                        .ok_or("a grant's ttl is at least a second, and under an hour")?;
                }
                Some(("scope", scope)) => grant.scopes.push(scope.to_owned()),
                Some(_) => return Err(no_option(word)),
                None if word == "bearer" => grant.bearer = true,
                None if is_slip_of_bearer(word) => return Err(no_option(word)),
                None => grant.scopes.push(word.to_owned()),
            }
        }
        if grant.scopes.is_empty() {
            return Err("a grant names at least one scope after its audience".to_owned());
        }
        Ok(Self(grant))
    }
}

fn is_slip_of_bearer(word: &str) -> bool {
    word.bytes().all(|byte| byte.is_ascii_alphabetic())
        && strsim::osa_distance(&word.to_ascii_lowercase(), "bearer") <= SLIP
}

/// A slip in an option would otherwise become a scope, and the option be missing.
fn no_option(word: &str) -> String {
    format!(
        "`{word}` is no option of a grant: those are `ttl=SPAN` and `bearer`; if it is a scope, \
         write `scope={word}`"
    )
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

        let odd: Grant = "mail scope=bearer scope=tll=5m bear:er reader"
            .parse()
            .unwrap();
        assert_eq!(odd.0.scopes, ["bearer", "tll=5m", "bear:er", "reader"]);
        assert!(!odd.0.bearer);

        let plain: Grant = "mail send".parse().unwrap();
        assert_eq!((plain.0.max_ttl_seconds, plain.0.bearer), (0, false));
        for bad in [
            "",
            "mail",
            "mail ttl=2m",
            "mail send ttl=0s",
            "mail send ttl=2",
            "mail send tll=5m",
            "mail send TTL=5m",
            "mail send bearerr",
            "mail send Bearer",
        ] {
            assert!(bad.parse::<Grant>().is_err(), "{bad}");
        }
    }
}
