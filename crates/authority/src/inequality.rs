//! The one check of the settings against each other.

use std::fmt;

use crate::bounds::KEPT_EPOCHS;
use crate::settings::{FormerSpans, Settings};

/// Longest issuer URL, in bytes.
const MAX_ISSUER_URL_BYTES: usize = 256;
/// The shortest silence after which an election may begin, milliseconds.
const MIN_ELECTION_MS: u64 = 150;
/// No span of the settings is longer, milliseconds: a year.
const MAX_SPAN_MS: u64 = 366 * 24 * 3_600 * 1_000;

/// A rule that the settings are held against, with its arithmetic.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Inequality {
    /// The setting to change.
    pub setting: &'static str,
    /// What it is, what it has to be, and how that comes out.
    pub arithmetic: String,
    /// Whether the settings keep it.
    pub holds: bool,
}

impl fmt::Display for Inequality {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.setting, self.arithmetic)
    }
}

/// Collects the rules.
#[derive(Default)]
struct Rules(Vec<Inequality>);

impl Rules {
    fn at_least(&mut self, setting: &'static str, value: u64, bound: u64, how: impl fmt::Display) {
        let arithmetic = format!("is {value}, and must be at least {how} = {bound}");
        self.say(setting, value >= bound, arithmetic);
    }

    fn at_most(&mut self, setting: &'static str, value: u64, bound: u64, how: impl fmt::Display) {
        let arithmetic = format!("is {value}, and must be at most {how} = {bound}");
        self.say(setting, value <= bound, arithmetic);
    }

    fn say(&mut self, setting: &'static str, holds: bool, arithmetic: String) {
        self.0.push(Inequality {
            setting,
            arithmetic,
            holds,
        });
    }

    /// Of bounds that only keep the arithmetic from overflowing, those that are
    /// broken: nobody has to read the others.
    fn worth_saying(mut self) -> Self {
        self.0.retain(|rule| !rule.holds);
        self
    }
}

impl Settings {
    /// Holds every setting against the rules of the design.
    ///
    /// # Errors
    /// Each rule that is broken, with its arithmetic.
    pub fn check(&self) -> Result<(), Vec<Inequality>> {
        let mut broken = self.rules();
        broken.retain(|rule| !rule.holds);
        if broken.is_empty() {
            Ok(())
        } else {
            Err(broken)
        }
    }

    /// The rules, kept and broken, with their arithmetic: for whoever wants to know
    /// which other setting stands in the way of theirs.
    #[must_use]
    pub fn rules(&self) -> Vec<Inequality> {
        let mut rules = Rules::default();
        self.check_spans(&mut rules);
        self.check_issuer_url(&mut rules);
        let mut rules = rules.worth_saying();
        self.check_freshness(&mut rules);
        self.check_verifiers(&mut rules);
        self.check_lifetimes(&mut rules);
        self.check_epochs(&mut rules);
        rules.0
    }

    fn check_issuer_url(&self, rules: &mut Rules) {
        let url = self.issuer_url.as_str();
        let arithmetic = format!(
            "has {} bytes, and must have at most {MAX_ISSUER_URL_BYTES}",
            url.len()
        );
        rules.say("issuer_url", url.len() <= MAX_ISSUER_URL_BYTES, arithmetic);
        let host = url.strip_prefix("https://").unwrap_or_default();
        let plain =
            |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'?' | b'#' | b'"' | b'\\');
        let is_one = !host.is_empty() && !host.starts_with('/') && host.bytes().all(plain);
        let arithmetic = "must be an https URL without query and fragment (RFC 8414 §2)";
        rules.say("issuer_url", is_one, arithmetic.to_owned());
    }

    /// None is zero that is divided or waited by, none is beyond a year: sums
    /// and products of them then stay far from the end of their type.
    fn check_spans(&self, rules: &mut Rules) {
        for (setting, ms) in [
            ("freshness_ms", self.freshness_ms),
            ("tick_ms", self.tick_ms),
            ("heartbeat_ms", self.heartbeat_ms),
            ("election_min_ms", self.election_min_ms),
            ("election_max_ms", self.election_max_ms),
            ("v_default_ms", self.v_default_ms),
            ("v_max_ms", self.v_max_ms),
        ] {
            rules.at_least(setting, ms, 1, "one");
            rules.at_most(setting, ms, MAX_SPAN_MS, "a year");
        }
        for (setting, seconds) in [
            ("leeway_s", self.leeway_s),
            ("ttl_default_s", self.ttl_default_s),
            ("ttl_cap_s", self.ttl_cap_s),
            ("jwks_max_age_s", self.jwks_max_age_s),
            ("epoch_s", self.epoch_s),
        ] {
            rules.at_most(setting, seconds, MAX_SPAN_MS / 1_000, "a year");
        }
    }

    fn check_freshness(&self, rules: &mut Rules) {
        let arithmetic = format!(
            "is {}, and must be 10: the fence is proved for clocks within 10 %",
            self.rho_percent
        );
        rules.say("rho_percent", self.rho_percent == 10, arithmetic);
        let elections = self.election_max_ms.saturating_mul(3);
        let ticks = self.tick_ms.saturating_mul(2);
        rules.at_least(
            "freshness_ms",
            self.freshness_ms,
            elections.saturating_add(ticks).saturating_add(300),
            format_args!("3*election_max_ms + 2*tick_ms + 300 = {elections} + {ticks} + 300"),
        );
        rules.at_least(
            "election_max_ms",
            self.election_max_ms,
            self.election_min_ms.saturating_add(1),
            format_args!("election_min_ms + 1 = {} + 1", self.election_min_ms),
        );
        // Below these no election outlasts a disk that is busy: nobody would lead any
        // more, and what nobody leads cannot be set otherwise.
        rules.at_least(
            "heartbeat_ms",
            self.heartbeat_ms,
            20,
            "what a network takes",
        );
        rules.at_least(
            "election_min_ms",
            self.election_min_ms,
            MIN_ELECTION_MS,
            "what a disk takes",
        );
        rules.at_least(
            "election_min_ms",
            self.election_min_ms,
            self.heartbeat_ms.saturating_mul(3),
            format_args!("3*heartbeat_ms = 3*{}", self.heartbeat_ms),
        );
    }

    fn check_verifiers(&self, rules: &mut Rules) {
        // A verifier is fresh as of its ping less κ times the node's age, which
        // is up to F: with a shorter V it would refuse what a sound node serves.
        rules.at_least(
            "v_default_ms",
            self.v_default_ms,
            self.w_ms(),
            format_args!(
                "W = freshness_ms*kappa = {}*11/9{}",
                self.longest_freshness_ms(),
                by_former(self.former.freshness_ms != 0),
            ),
        );
        rules.at_most("v_default_ms", self.v_default_ms, self.v_max_ms, "v_max_ms");
    }

    fn check_lifetimes(&self, rules: &mut Rules) {
        rules.at_least("ttl_default_s", self.ttl_default_s, 1, "one");
        rules.at_most(
            "ttl_default_s",
            self.ttl_default_s,
            self.ttl_cap_s,
            "ttl_cap_s",
        );
        rules.at_most("ttl_cap_s", self.ttl_cap_s, 3_599, "an hour less one");
        rules.at_most("leeway_s", self.leeway_s, 60, "a minute");
    }

    fn check_epochs(&self, rules: &mut Rules) {
        let epoch = self.epoch_s.saturating_mul(1_000);
        // A lead until the new issuers sign, and as long again until the keeper
        // retires those of processes that did not: then the next epoch may begin.
        let followed = self.followed_ms();
        let arithmetic = format!(
            "is {}, and must be at least 2*max(v_max_ms*kappa, W + jwks_max_age_s*kappa) = \
             2*max({}, {} + {}) = {followed} ms{}",
            self.epoch_s,
            self.times_kappa(self.longest_v_max_ms()),
            self.w_ms(),
            self.times_kappa(self.longest_jwks_max_age_s().saturating_mul(1_000)),
            by_former(self.former != FormerSpans::default()),
        );
        rules.say("epoch_s", epoch >= followed, arithmetic);
        let unexpired = followed.saturating_add(self.issuer_expiry_ms());
        let live = unexpired.div_ceil(epoch.max(1)).saturating_add(1);
        let arithmetic = format!(
            "is {}, so that issuers of (2*lead + W + kappa*(ttl_cap_s + leeway_s))/epoch_s + 1 = \
             {unexpired}/{epoch} + 1 = {live} epochs can be unexpired at once, and must leave at \
             most {KEPT_EPOCHS}",
            self.epoch_s,
        );
        rules.say("epoch_s", live <= KEPT_EPOCHS as u64, arithmetic);
    }
}

/// Why a span is longer than it is set.
const fn by_former(counts: bool) -> &'static str {
    if counts {
        " (former settings count until nobody goes by them any more: set this later)"
    } else {
        ""
    }
}
