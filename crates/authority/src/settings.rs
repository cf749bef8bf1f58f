//! The settings that safety rests on. They are replicated and changed by command
//! only; what is local to a node stands in its own file.

use std::{fmt, str::FromStr};

use chancery_credential::{Revision, TrustDomain};

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
    /// What is left of settings that were in force before. Nobody sets it.
    pub former: FormerSpans,
}

/// The longest spans of former settings that somebody may still go by: a proof of
/// freshness, a verifier's V, a cached JWKS. Each is 0, or longer than the present
/// one. They count until the keeper has seen them run out
/// ([`ForgetFormer`](crate::Command::ForgetFormer)): replicated, so that a leader that
/// comes later waits for them too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FormerSpans {
    /// The last change that shortened one of them; 0: none did, or all have run out.
    pub since: Revision,
    /// Of [`Settings::freshness_ms`].
    pub freshness_ms: u64,
    /// Of [`Settings::v_max_ms`].
    pub v_max_ms: u64,
    /// Of [`Settings::jwks_max_age_s`].
    pub jwks_max_age_s: u64,
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
            former: FormerSpans::default(),
        }
    }

    /// The longest F that a proof may still count for, milliseconds.
    #[must_use]
    pub fn longest_freshness_ms(&self) -> u64 {
        self.freshness_ms.max(self.former.freshness_ms)
    }

    /// The longest V that a verifier may still have, milliseconds.
    #[must_use]
    pub fn longest_v_max_ms(&self) -> u64 {
        self.v_max_ms.max(self.former.v_max_ms)
    }

    /// The longest that a JWKS which is cached now may be cached for, seconds.
    #[must_use]
    pub fn longest_jwks_max_age_s(&self) -> u64 {
        self.jwks_max_age_s.max(self.former.jwks_max_age_s)
    }

    /// Takes over what is left of the settings before, where it is longer.
    pub(crate) fn inherit(&mut self, before: &Self) {
        let left = |present: u64, longest: u64| if longest > present { longest } else { 0 };
        let former = FormerSpans {
            since: before.former.since,
            freshness_ms: left(self.freshness_ms, before.longest_freshness_ms()),
            v_max_ms: left(self.v_max_ms, before.longest_v_max_ms()),
            jwks_max_age_s: left(self.jwks_max_age_s, before.longest_jwks_max_age_s()),
        };
        let covered =
            former.freshness_ms == 0 && former.v_max_ms == 0 && former.jwks_max_age_s == 0;
        self.former = if covered {
            FormerSpans::default()
        } else {
            former
        };
    }

    /// Whether a span is shorter than before, so that what is left of it counts anew.
    pub(crate) fn shortens(&self, before: &Self) -> bool {
        self.freshness_ms < before.freshness_ms
            || self.v_max_ms < before.v_max_ms
            || self.jwks_max_age_s < before.jwks_max_age_s
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

    /// W = F·κ, milliseconds, of the longest F that counts: after it no node serves on
    /// an older proof.
    #[must_use]
    pub fn w_ms(&self) -> u64 {
        self.times_kappa(self.longest_freshness_ms())
    }

    /// How long verifiers that know keys only by a cached JWKS may lack a key that is
    /// in force, milliseconds: a node may serve a JWKS without it until its last proof
    /// has run out (W), and a cache keeps that for its max-age, by a clock that may be
    /// slow (κ).
    #[must_use]
    pub fn jwks_lag_ms(&self) -> u64 {
        let max_age_ms = self.longest_jwks_max_age_s().saturating_mul(1_000);
        self.w_ms().saturating_add(self.times_kappa(max_age_ms))
    }

    /// How long a new issuer of a planned rotation waits before it signs, in
    /// milliseconds: until every verifier with a live feed (V_max·κ) and every
    /// cache of the JWKS knows it.
    #[must_use]
    pub fn rotation_lead_ms(&self) -> u64 {
        self.times_kappa(self.longest_v_max_ms())
            .max(self.jwks_lag_ms())
    }

    /// How long after an epoch was opened every process that follows at all signs in
    /// it, milliseconds: twice the lead. After as long nothing is left of former
    /// settings, a process that waits out a lead of theirs included.
    #[must_use]
    pub fn followed_ms(&self) -> u64 {
        self.rotation_lead_ms().saturating_mul(2)
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
