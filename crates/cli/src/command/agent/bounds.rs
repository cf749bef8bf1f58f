//! What an agent may do, as options of `agent register` and `agent update`.

use std::time::SystemTime;

use chancery_client::v1;
use clap::Args;

use super::grant::Grant;
use crate::{
    failure::Failure,
    key_files::{OtherKeyArgs, PublicKeyArgs},
    span::Ending,
};

/// The bounds of a registration.
#[derive(Debug, Args)]
pub struct BoundsArgs {
    /// Accountable owner; repeat it for up to 8
    #[arg(long = "owner", value_name = "NAME")]
    owners: Vec<String>,
    /// What it may mint: `AUDIENCE SCOPE... [ttl=SPAN] [bearer]`; repeat it. `scope=WORD` is the
    /// scope WORD, whatever that looks like
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

/// What `agent update` takes away, or puts in place of what was there.
#[derive(Debug, Args)]
pub struct OtherArgs {
    #[command(flatten)]
    keys: OtherKeyArgs,
    /// It has no grants of its own any more
    #[arg(long, conflicts_with = "grants")]
    no_grants: bool,
    /// It mints under no grant set any more
    #[arg(long, conflicts_with = "grant_sets")]
    no_grant_sets: bool,
}

impl BoundsArgs {
    /// A whole registration.
    pub fn spec(
        &self,
        id: &str,
        keys: &PublicKeyArgs,
        now: SystemTime,
    ) -> Result<v1::AgentSpec, Failure> {
        if self.owners.is_empty() {
            return Err(Failure::usage("an agent needs an accountable owner")
                .next("give --owner NAME; `chancery owner add NAME` registers one"));
        }
        let mut spec = v1::AgentSpec {
            id: id.to_owned(),
            public_keys: keys.read()?,
            ..v1::AgentSpec::default()
        };
        self.put(&mut spec, now);
        Ok(spec)
    }

    /// A registration with what was given in place of what it had. What was not
    /// given stays.
    pub fn over(
        &self,
        former: &v1::AgentSpec,
        other: &OtherArgs,
        now: SystemTime,
    ) -> Result<v1::AgentSpec, Failure> {
        let mut spec = former.clone();
        if !other.keys.is_empty() {
            spec.public_keys = other.keys.read()?;
            spec.key_thumbprints.clear();
        }
        if other.no_grants {
            spec.grants.clear();
        }
        if other.no_grant_sets {
            spec.grant_sets.clear();
        }
        self.put(&mut spec, now);
        Ok(spec)
    }

    fn put(&self, spec: &mut v1::AgentSpec, now: SystemTime) {
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
    }
}
