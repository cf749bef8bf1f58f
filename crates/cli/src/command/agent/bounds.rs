//! What an agent may do, as options of `agent register` and `agent update`.

use std::{str::FromStr, time::SystemTime};

use chancery_client::v1;
use clap::Args;

use super::grant::Grant;
use crate::{failure::Failure, key_files::PublicKeyArgs, span::Expiry};

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
    /// Grant set that it mints under, `chancery grant-set put` makes one; repeat it
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
