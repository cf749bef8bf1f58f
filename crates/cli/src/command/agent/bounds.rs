//! What an agent may do, as options of `agent register` and `agent update`.

use std::{str::FromStr, time::SystemTime};

use chancery_client::v1;
use clap::Args;

use crate::{
    failure::Failure,
    key_files::PublicKeyArgs,
    span::{Expiry, Span},
};

/// The bounds of a registration.
#[derive(Debug, Args)]
pub struct BoundsArgs {
    #[command(flatten)]
    keys: PublicKeyArgs,
    /// Accountable owner; repeat it for up to 8
    #[arg(long = "owner", value_name = "NAME")]
    owners: Vec<String>,
    /// What it may mint: `AUDIENCE SCOPE... [ttl=SPAN] [bearer]`; repeat it
    #[arg(long = "grant", value_name = "GRANT")]
    grants: Vec<Grant>,
    /// Grant set that it mints under; repeat it
    #[arg(long = "grant-set", value_name = "NAME")]
    grant_sets: Vec<String>,
    /// Mints a second, on each node; 0 means unlimited
    #[arg(long, value_name = "N")]
    rate: Option<u32>,
    /// When the registration ends: an instant, a span from now, or `never`
    #[arg(long, value_name = "WHEN")]
    expires: Option<Ending>,
    /// For people: at most 256 bytes
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
}

impl BoundsArgs {
    /// A whole registration.
    pub fn spec(&self, id: &str, now: SystemTime) -> Result<v1::AgentSpec, Failure> {
        if self.owners.is_empty() {
            return Err(Failure::usage("an agent needs an accountable owner")
                .next("give --owner NAME; `chancery owner add NAME` registers one"));
        }
        self.over(
            v1::AgentSpec {
                id: id.to_owned(),
                ..v1::AgentSpec::default()
            },
            now,
        )
    }

    /// A registration with what was given in place of what it had. Its keys are
    /// always those that were given: the registry keeps their thumbprints only.
    pub fn over(&self, former: v1::AgentSpec, now: SystemTime) -> Result<v1::AgentSpec, Failure> {
        let mut spec = former;
        spec.public_keys = self.keys.read()?;
        if !self.owners.is_empty() {
            spec.owners.clone_from(&self.owners);
        }
        if !self.grants.is_empty() {
            spec.grants = self.grants.iter().map(|grant| grant.0.clone()).collect();
        }
        if !self.grant_sets.is_empty() {
            spec.grant_sets.clone_from(&self.grant_sets);
        }
        if let Some(rate) = self.rate {
            spec.limits = Some(v1::Limits { rate });
        }
        if let Some(expires) = self.expires {
            spec.expires_at = expires.seconds(now);
        }
        if let Some(description) = &self.description {
            spec.description.clone_from(description);
        }
        Ok(spec)
    }
}

/// When a registration ends.
#[derive(Debug, Clone, Copy)]
enum Ending {
    Never,
    At(Expiry),
}

impl Ending {
    fn seconds(self, now: SystemTime) -> u64 {
        match self {
            Self::Never => 0,
            Self::At(expiry) => expiry.seconds(now),
        }
    }
}

impl FromStr for Ending {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "never" => Ok(Self::Never),
            text => text.parse().map(Self::At),
        }
    }
}

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
