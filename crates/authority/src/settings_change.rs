//! A change of the settings: what is to be another, and nothing else, so that two
//! operators who change different settings do not undo each other.

use crate::settings::{FormerSpans, Settings, WhenBehind};

/// The settings to change. The trust domain and ρ stay for good.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SettingsChange {
    /// See [`Settings::issuer_url`].
    pub issuer_url: Option<String>,
    /// See [`Settings::freshness_ms`].
    pub freshness_ms: Option<u64>,
    /// See [`Settings::tick_ms`].
    pub tick_ms: Option<u64>,
    /// See [`Settings::heartbeat_ms`].
    pub heartbeat_ms: Option<u64>,
    /// See [`Settings::election_min_ms`].
    pub election_min_ms: Option<u64>,
    /// See [`Settings::election_max_ms`].
    pub election_max_ms: Option<u64>,
    /// See [`Settings::v_default_ms`].
    pub v_default_ms: Option<u64>,
    /// See [`Settings::v_max_ms`].
    pub v_max_ms: Option<u64>,
    /// See [`Settings::leeway_s`].
    pub leeway_s: Option<u64>,
    /// See [`Settings::ttl_default_s`].
    pub ttl_default_s: Option<u64>,
    /// See [`Settings::ttl_cap_s`].
    pub ttl_cap_s: Option<u64>,
    /// See [`Settings::jwks_max_age_s`].
    pub jwks_max_age_s: Option<u64>,
    /// See [`Settings::epoch_s`].
    pub epoch_s: Option<u64>,
    /// See [`Settings::records_when_behind`].
    pub records_when_behind: Option<WhenBehind>,
}

impl SettingsChange {
    /// Whether there is nothing to change.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The settings with the change made, and what is left of those before. They may
    /// break a rule.
    #[must_use]
    pub fn made_to(&self, present: &Settings) -> Settings {
        // Taken apart whole, so that a new setting does not compile unless it can be
        // changed.
        let Self {
            issuer_url,
            freshness_ms,
            tick_ms,
            heartbeat_ms,
            election_min_ms,
            election_max_ms,
            v_default_ms,
            v_max_ms,
            leeway_s,
            ttl_default_s,
            ttl_cap_s,
            jwks_max_age_s,
            epoch_s,
            records_when_behind,
        } = self;
        let mut made = Settings {
            former: FormerSpans::default(),
            trust_domain: present.trust_domain.clone(),
            rho_percent: present.rho_percent,
            issuer_url: issuer_url
                .clone()
                .unwrap_or_else(|| present.issuer_url.clone()),
            freshness_ms: freshness_ms.unwrap_or(present.freshness_ms),
            tick_ms: tick_ms.unwrap_or(present.tick_ms),
            heartbeat_ms: heartbeat_ms.unwrap_or(present.heartbeat_ms),
            election_min_ms: election_min_ms.unwrap_or(present.election_min_ms),
            election_max_ms: election_max_ms.unwrap_or(present.election_max_ms),
            v_default_ms: v_default_ms.unwrap_or(present.v_default_ms),
            v_max_ms: v_max_ms.unwrap_or(present.v_max_ms),
            leeway_s: leeway_s.unwrap_or(present.leeway_s),
            ttl_default_s: ttl_default_s.unwrap_or(present.ttl_default_s),
            ttl_cap_s: ttl_cap_s.unwrap_or(present.ttl_cap_s),
            jwks_max_age_s: jwks_max_age_s.unwrap_or(present.jwks_max_age_s),
            epoch_s: epoch_s.unwrap_or(present.epoch_s),
            records_when_behind: records_when_behind.unwrap_or(present.records_when_behind),
        };
        made.inherit(present);
        made
    }

    /// The numbers among them, by their names.
    pub(crate) fn numbers(&self) -> [(&'static str, Option<u64>); 12] {
        [
            ("freshness_ms", self.freshness_ms),
            ("tick_ms", self.tick_ms),
            ("heartbeat_ms", self.heartbeat_ms),
            ("election_min_ms", self.election_min_ms),
            ("election_max_ms", self.election_max_ms),
            ("v_default_ms", self.v_default_ms),
            ("v_max_ms", self.v_max_ms),
            ("leeway_s", self.leeway_s),
            ("ttl_default_s", self.ttl_default_s),
            ("ttl_cap_s", self.ttl_cap_s),
            ("jwks_max_age_s", self.jwks_max_age_s),
            ("epoch_s", self.epoch_s),
        ]
    }
}
