//! The one check of the settings against each other.

use std::fmt;

use crate::bounds::MAX_LIVE_EPOCHS;
use crate::settings::Settings;

/// Longest issuer URL, in bytes.
const MAX_ISSUER_URL_BYTES: usize = 256;
/// No span of the settings is longer, milliseconds: a year.
const MAX_SPAN_MS: u64 = 366 * 24 * 3_600 * 1_000;

/// A rule that the settings break, with its arithmetic.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Inequality {
    /// The setting to change.
    pub setting: &'static str,
    /// What it is, what it has to be, and how that comes out.
    pub arithmetic: String,
}

impl fmt::Display for Inequality {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.setting, self.arithmetic)
    }
}

/// Collects what is broken.
#[derive(Default)]
struct Broken(Vec<Inequality>);

impl Broken {
    fn at_least(&mut self, setting: &'static str, value: u64, bound: u64, how: impl fmt::Display) {
        if value < bound {
            self.say(
                setting,
                format!("is {value}, and must be at least {how} = {bound}"),
            );
        }
    }

    fn at_most(&mut self, setting: &'static str, value: u64, bound: u64, how: impl fmt::Display) {
        if value > bound {
            self.say(
                setting,
                format!("is {value}, and must be at most {how} = {bound}"),
            );
        }
    }

    fn say(&mut self, setting: &'static str, arithmetic: String) {
        self.0.push(Inequality {
            setting,
            arithmetic,
        });
    }
}

impl Settings {
    /// Holds every setting against the rules of the design.
    ///
    /// # Errors
    /// Each rule that is broken, with its arithmetic.
    pub fn check(&self) -> Result<(), Vec<Inequality>> {
        let mut broken = Broken::default();
        self.check_issuer_url(&mut broken);
        self.check_spans(&mut broken);
        self.check_freshness(&mut broken);
        self.check_verifiers(&mut broken);
        self.check_lifetimes(&mut broken);
        self.check_epochs(&mut broken);
        if broken.0.is_empty() {
            Ok(())
        } else {
            Err(broken.0)
        }
    }

    fn check_issuer_url(&self, broken: &mut Broken) {
        let url = self.issuer_url.as_str();
        if url.len() > MAX_ISSUER_URL_BYTES {
            let arithmetic = format!(
                "has {} bytes, and must have at most {MAX_ISSUER_URL_BYTES}",
                url.len()
            );
            broken.say("issuer_url", arithmetic);
        }
        let host = url.strip_prefix("https://").unwrap_or_default();
        let plain =
            |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'?' | b'#' | b'"' | b'\\');
        if host.is_empty() || host.starts_with('/') || !host.bytes().all(plain) {
            let arithmetic = "must be an https URL without query and fragment (RFC 8414 §2)";
            broken.say("issuer_url", arithmetic.to_owned());
        }
    }

    /// None is zero that is divided or waited by, none is beyond a year: sums
    /// and products of them then stay far from the end of their type.
    fn check_spans(&self, broken: &mut Broken) {
        for (setting, ms) in [
            ("freshness_ms", self.freshness_ms),
            ("tick_ms", self.tick_ms),
            ("heartbeat_ms", self.heartbeat_ms),
            ("election_min_ms", self.election_min_ms),
            ("election_max_ms", self.election_max_ms),
            ("v_default_ms", self.v_default_ms),
            ("v_max_ms", self.v_max_ms),
        ] {
            broken.at_least(setting, ms, 1, "one");
            broken.at_most(setting, ms, MAX_SPAN_MS, "a year");
        }
        for (setting, seconds) in [
            ("leeway_s", self.leeway_s),
            ("ttl_default_s", self.ttl_default_s),
            ("ttl_cap_s", self.ttl_cap_s),
            ("jwks_max_age_s", self.jwks_max_age_s),
            ("epoch_s", self.epoch_s),
        ] {
            broken.at_most(setting, seconds, MAX_SPAN_MS / 1_000, "a year");
        }
    }

    fn check_freshness(&self, broken: &mut Broken) {
        if self.rho_percent != 10 {
            let arithmetic = format!(
                "is {}, and must be 10: the fence is proved for clocks within 10 %",
                self.rho_percent
            );
            broken.say("rho_percent", arithmetic);
        }
        let elections = self.election_max_ms.saturating_mul(3);
        let ticks = self.tick_ms.saturating_mul(2);
        broken.at_least(
            "freshness_ms",
            self.freshness_ms,
            elections.saturating_add(ticks).saturating_add(300),
            format_args!("3*election_max_ms + 2*tick_ms + 300 = {elections} + {ticks} + 300"),
        );
        broken.at_least(
            "election_max_ms",
            self.election_max_ms,
            self.election_min_ms.saturating_add(1),
            format_args!("election_min_ms + 1 = {} + 1", self.election_min_ms),
        );
        broken.at_least(
            "election_min_ms",
            self.election_min_ms,
            self.heartbeat_ms.saturating_mul(3),
            format_args!("3*heartbeat_ms = 3*{}", self.heartbeat_ms),
        );
    }

    fn check_verifiers(&self, broken: &mut Broken) {
        // A verifier is fresh as of its ping less κ times the node's age, which
        // is up to F: with a shorter V it would refuse what a sound node serves.
        broken.at_least(
            "v_default_ms",
            self.v_default_ms,
            self.w_ms(),
            format_args!("W = freshness_ms*kappa = {}*11/9", self.freshness_ms),
        );
        broken.at_most("v_default_ms", self.v_default_ms, self.v_max_ms, "v_max_ms");
    }

    fn check_lifetimes(&self, broken: &mut Broken) {
        broken.at_least("ttl_default_s", self.ttl_default_s, 1, "one");
        broken.at_most(
            "ttl_default_s",
            self.ttl_default_s,
            self.ttl_cap_s,
            "ttl_cap_s",
        );
        broken.at_most("ttl_cap_s", self.ttl_cap_s, 3_599, "an hour less one");
        broken.at_most("leeway_s", self.leeway_s, 60, "a minute");
    }

    fn check_epochs(&self, broken: &mut Broken) {
        let lead = self.rotation_lead_ms();
        let epoch = self.epoch_s.saturating_mul(1_000);
        // The lead, and as long again to retire the issuers before, leaves half
        // of an epoch in which nothing changes.
        if epoch < lead.saturating_mul(4) {
            let arithmetic = format!(
                "is {}, and must be at least 4*max(v_max_ms*kappa, W + jwks_max_age_s) = \
                 4*max({}, {} + {}) = {} ms",
                self.epoch_s,
                self.times_kappa(self.v_max_ms),
                self.w_ms(),
                self.jwks_max_age_s.saturating_mul(1_000),
                lead.saturating_mul(4),
            );
            broken.say("epoch_s", arithmetic);
        }
        let unexpired = lead.saturating_add(self.issuer_expiry_ms());
        let live = unexpired.div_ceil(epoch.max(1)).saturating_add(1);
        if live > MAX_LIVE_EPOCHS as u64 {
            let arithmetic = format!(
                "is {}, so that issuers of (lead + W + kappa*(ttl_cap_s + leeway_s))/epoch_s + 1 = \
                 {unexpired}/{epoch} + 1 = {live} epochs would be unexpired at once, and must \
                 leave at most {MAX_LIVE_EPOCHS}",
                self.epoch_s,
            );
            broken.say("epoch_s", arithmetic);
        }
    }
}
