//! What a verifier goes by, as the cluster's settings say.

use std::time::Duration;

use chancery_credential::{ConsistencyToken, Lineage};
#[cfg(simulation)]
use chancery_mutation::{Mutation, is_made};
use chancery_revocation::{BootTime, Limits};
use chancery_wire::v1;

/// The terms of a subscription.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Terms {
    /// V, as granted.
    pub(super) max_age: Duration,
    /// ρ, percent: below 100.
    rho_percent: u64,
    pub(super) limits: Limits,
    pub(super) issuer: String,
    pub(super) lineage: Lineage,
}

impl Terms {
    /// Reads what a node says; `None` when it makes no sense.
    pub(super) fn of(terms: &v1::Terms) -> Option<Self> {
        let state: ConsistencyToken = terms.consistency_token.parse().ok()?;
        let makes_sense = terms.max_age_ms > 0 && terms.rho_percent < 100;
        makes_sense.then(|| Self {
            max_age: Duration::from_millis(terms.max_age_ms),
            rho_percent: terms.rho_percent.into(),
            limits: Limits {
                leeway: terms.leeway_s,
                ttl_cap: terms.ttl_cap_s,
            },
            issuer: terms.issuer.clone(),
            lineage: state.lineage,
        })
    }

    /// `sent - κ·age`, never later: as of when a view holds everything, if a node whose
    /// own state was at most `age_us` old answered a ping that was sent then. `None` when
    /// that was before this machine began to count.
    pub(super) fn as_of(&self, sent: BootTime, age_us: u64) -> Option<BootTime> {
        let fast = u128::from(100 + self.rho_percent);
        let slow = u128::from(100_u64.saturating_sub(self.rho_percent).max(1));
        let age = (u128::from(age_us) * 1_000 * fast).div_ceil(slow);
        let age = u64::try_from(age).ok()?;
        #[cfg(simulation)]
        let age = if is_made(Mutation::PongAgeless) {
            0
        } else {
            age
        };
        sent.0.checked_sub(age).map(BootTime)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn wire() -> v1::Terms {
        v1::Terms {
            max_age_ms: 5_000,
            rho_percent: 10,
            leeway_s: 2,
            ttl_cap_s: 900,
            issuer: "https://chancery.example.org".to_owned(),
            trust_domain: "example.org".to_owned(),
            consistency_token: ConsistencyToken {
                lineage: Lineage {
                    generation: 1,
                    random: 7,
                },
                revision: chancery_credential::Revision(9),
            }
            .to_string(),
        }
    }

    #[test]
    fn an_age_counts_for_more_by_a_clock_that_may_be_fast() {
        let terms = Terms::of(&wire()).unwrap();
        let sent = BootTime(10_000_000_000);
        assert_eq!(terms.as_of(sent, 0), Some(sent));
        // 90 µs by a slow clock are 110 by a fast one.
        assert_eq!(terms.as_of(sent, 90), Some(BootTime(9_999_890_000)));
        // Rounded to the safe side.
        assert_eq!(terms.as_of(sent, 1), Some(BootTime(10_000_000_000 - 1_223)));
        // Before the machine was started nothing was proved to it.
        assert_eq!(terms.as_of(BootTime(1_000), 2), None);
        assert_eq!(terms.as_of(sent, u64::MAX), None);
    }

    #[test]
    fn terms_that_make_no_sense_are_not_gone_by() {
        let without = |change: fn(&mut v1::Terms)| {
            let mut terms = wire();
            change(&mut terms);
            Terms::of(&terms)
        };
        assert_eq!(without(|terms| terms.max_age_ms = 0), None);
        assert_eq!(without(|terms| terms.rho_percent = 100), None);
        assert_eq!(without(|terms| terms.consistency_token.clear()), None);
    }
}
