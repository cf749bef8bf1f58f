//! The settings that safety rests on. They are replicated and changed by command
//! only; what is local to a node stands in its own file.

use std::{fmt, str::FromStr};

use chancery_credential::TrustDomain;

/// The replicated settings. [`check`](Self::check) is the one place where they
/// are held against each other.
///
/// Clocks may run up to ρ = `rho_percent` fast or slow. A span `d` that one clock
/// measured has passed for certain when another clock shows `d·κ`, where
/// κ = (1+ρ)/(1−ρ). All arithmetic is on integers and rounds up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// What every agent's id begins with. Fixed at birth.
    pub trust_domain: TrustDomain,
    /// The `iss` of every token: an https URL, at most 256 characters.
    pub issuer_url: String,
    /// F: how old the state may be that a node answers from.
    pub freshness_ms: u64,
    /// ρ. Always 10: the proofs of the fence are made for it.
    pub rho_percent: u64,
    /// How often a node proves that it is fresh.
    pub tick_ms: u64,
    /// How often a leader is heard.
    pub heartbeat_ms: u64,
    /// The shortest silence after which an election begins.
    pub election_min_ms: u64,
    /// The longest.
    pub election_max_ms: u64,
    /// V of a verifier that does not say.
    pub v_default_ms: u64,
    /// The greatest V that a verifier may ask for.
    pub v_max_ms: u64,
    /// How far `iat` may lie ahead of a verifier's clock.
    pub leeway_s: u64,
    /// Lifetime of a token that does not say.
    pub ttl_default_s: u64,
    /// The longest lifetime of a token.
    pub ttl_cap_s: u64,
    /// How long the JWKS may be cached.
    pub jwks_max_age_s: u64,
    /// How long an epoch lasts before the next one is opened.
    pub epoch_s: u64,
    /// What a node does that cannot write its records as fast as it mints.
    pub records_when_behind: WhenBehind,
}

/// What becomes of a mint whose record finds no room, because its node cannot
/// write as fast as it mints, or not at all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WhenBehind {
    /// It is refused: no token without a record.
    #[default]
    Refuse,
    /// The token is given; the record is dropped and counted, and the count is
    /// recorded as a gap.
    Drop,
}

impl WhenBehind {
    /// Every one.
    pub const ALL: [Self; 2] = [Self::Refuse, Self::Drop];

    /// `refuse` or `drop`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Refuse => "refuse",
            Self::Drop => "drop",
        }
    }
}

impl fmt::Display for WhenBehind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Neither `refuse` nor `drop`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected `refuse` or `drop`")]
pub struct NoWhenBehind;

impl FromStr for WhenBehind {
    type Err = NoWhenBehind;

    fn from_str(text: &str) -> Result<Self, NoWhenBehind> {
        let named = |what: &Self| what.as_str() == text;
        Self::ALL.into_iter().find(named).ok_or(NoWhenBehind)
    }
}

impl Settings {
    /// The defaults, for a trust domain and an issuer URL.
    #[must_use]
    pub fn new(trust_domain: TrustDomain, issuer_url: impl Into<String>) -> Self {
        Self {
            trust_domain,
            issuer_url: issuer_url.into(),
            freshness_ms: 2_000,
            rho_percent: 10,
            tick_ms: 50,
            heartbeat_ms: 60,
            election_min_ms: 300,
            election_max_ms: 500,
            v_default_ms: 5_000,
            v_max_ms: 5_000,
            leeway_s: 2,
            ttl_default_s: 300,
            ttl_cap_s: 900,
            jwks_max_age_s: 60,
            epoch_s: 3_600,
            records_when_behind: WhenBehind::Refuse,
        }
    }

    /// `span·κ`, rounded up: how long to wait on this clock until `span` has
    /// certainly passed on any other.
    #[must_use]
    pub fn times_kappa(&self, span: u64) -> u64 {
        let fast = 100_u128 + u128::from(self.rho_percent.min(99));
        let slow = 100_u128 - u128::from(self.rho_percent.min(99));
        let product = (u128::from(span) * fast).div_ceil(slow);
        u64::try_from(product).unwrap_or(u64::MAX)
    }

    /// W = F·κ, milliseconds: after it no node serves on an older proof.
    #[must_use]
    pub fn w_ms(&self) -> u64 {
        self.times_kappa(self.freshness_ms)
    }

    /// How long a new issuer of a planned rotation waits before it signs, in
    /// milliseconds: until every verifier with a live feed (V_max·κ) and every
    /// cache of the JWKS (W + its max-age) knows it.
    #[must_use]
    pub fn rotation_lead_ms(&self) -> u64 {
        let by_feed = self.times_kappa(self.v_max_ms);
        let by_cache = self
            .w_ms()
            .saturating_add(self.jwks_max_age_s.saturating_mul(1_000));
        by_feed.max(by_cache)
    }

    /// How long after its retirement an issuer expires, on the keeper's monotonic
    /// clock, milliseconds: W + κ·(TTL cap + leeway). A node may sign until its
    /// last proof has run out, and what it signed then lives its span by a clock
    /// that may be as slow as the keeper's is fast. The same span lies between a
    /// revision and the floor that may be raised to it.
    #[must_use]
    pub fn issuer_expiry_ms(&self) -> u64 {
        let lives = self
            .ttl_cap_s
            .saturating_add(self.leeway_s)
            .saturating_mul(1_000);
        self.times_kappa(lives).saturating_add(self.w_ms())
    }
}
