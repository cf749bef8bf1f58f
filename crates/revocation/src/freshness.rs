//! How old a view can be at most, in one word that is read and raised at once.

use std::time::Duration;

use crate::clock::BootTime;
use crate::memory::Published;

/// A proof of freshness: the view held at `as_of` everything that was committed
/// then, and may be used for less than `bound` after it.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Freshness {
    /// When the proof was asked for, rounded down to a millisecond.
    pub as_of: BootTime,
    /// How long it lasts, rounded down to a millisecond.
    pub bound: Duration,
}

/// The view cannot be proved young enough to be used.
#[derive(Copy, Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "this view cannot prove that it is fresh: ask another node, or again when this one has \
     reached a quorum"
)]
pub struct Stale;

impl Freshness {
    /// The age at `now`.
    ///
    /// # Errors
    ///
    /// [`Stale`] from `as_of + bound` on, and before `as_of`: a clock that went
    /// back proves nothing.
    pub fn age(&self, now: BootTime) -> Result<Duration, Stale> {
        let age = now.since(self.as_of).ok_or(Stale)?;
        if age < self.bound {
            Ok(age)
        } else {
            Err(Stale)
        }
    }

    const BOUND_BITS: u32 = 24;
    const MAX_AS_OF_MS: u64 = u64::MAX >> Self::BOUND_BITS;
    const BOUND_MASK: u64 = (1 << Self::BOUND_BITS) - 1;
    /// One less than fits: [`LatestProof::WITHDRAWN`] is no proof.
    const MAX_BOUND_MS: u64 = Self::BOUND_MASK - 1;

    /// 40 bits of `as_of` in milliseconds (34 years since boot), then 24 of the
    /// bound (4 hours and a half). Every rounding and limit makes it older or
    /// shorter. One word, because a new `as_of` with the former bound could outlive
    /// what the leader recorded.
    fn packed(as_of: BootTime, bound: Duration) -> u64 {
        let as_of = (as_of.0 / 1_000_000).min(Self::MAX_AS_OF_MS);
        let bound = u64::try_from(bound.as_millis()).unwrap_or(u64::MAX);
        as_of << Self::BOUND_BITS | bound.min(Self::MAX_BOUND_MS)
    }

    fn unpacked(packed: u64) -> Option<Self> {
        let bound = packed & Self::BOUND_MASK;
        // Without a bound nothing was proved, or nothing that can be used.
        (bound > 0 && bound <= Self::MAX_BOUND_MS).then(|| Self {
            as_of: BootTime((packed >> Self::BOUND_BITS).saturating_mul(1_000_000)),
            bound: Duration::from_millis(bound),
        })
    }
}

/// The latest proof. Only a proof that was asked for later replaces it, whatever
/// the order in which answers come.
#[derive(Debug)]
pub(crate) struct LatestProof(Published);

impl LatestProof {
    /// What no proof packs to, and none replaces.
    const WITHDRAWN: u64 = u64::MAX;

    pub(crate) fn none() -> Self {
        Self(Published::new(0))
    }

    pub(crate) fn withdraw(&self) {
        // In its turn among proofs that are under way, whatever is held.
        self.0.raise(Self::WITHDRAWN, |_, _| true);
    }

    pub(crate) fn prove(&self, as_of: BootTime, bound: Duration) {
        self.0.raise(Freshness::packed(as_of, bound), |held, new| {
            let asked = |packed: u64| packed >> Freshness::BOUND_BITS;
            if held == Self::WITHDRAWN {
                return false;
            }
            // Of two in one millisecond the shorter bound is the safe one.
            held == 0 || asked(new) > asked(held) || (asked(new) == asked(held) && new < held)
        });
    }

    pub(crate) fn observe(&self) -> Option<Freshness> {
        Freshness::unpacked(self.0.observe())
    }
}

#[cfg(all(test, not(loom)))]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    fn at(milliseconds: u64) -> BootTime {
        BootTime(milliseconds * MS)
    }

    #[test]
    fn nothing_is_fresh_before_the_first_proof() {
        assert_eq!(LatestProof::none().observe(), None);
    }

    #[test]
    fn a_proof_lasts_less_than_its_bound() {
        let latest = LatestProof::none();
        latest.prove(at(100), Duration::from_secs(2));
        let fresh = latest.observe().unwrap();
        assert_eq!(fresh.age(at(100)), Ok(Duration::ZERO));
        assert_eq!(fresh.age(at(2099)), Ok(Duration::from_millis(1999)));
        assert_eq!(fresh.age(at(2100)), Err(Stale));
        assert_eq!(fresh.age(at(99)), Err(Stale), "a clock that went back");
    }

    #[test]
    fn the_answer_to_an_earlier_question_changes_nothing() {
        let latest = LatestProof::none();
        latest.prove(at(200), Duration::from_secs(2));
        latest.prove(at(100), Duration::from_secs(60));
        assert_eq!(latest.observe().unwrap().as_of, at(200));
        assert_eq!(latest.observe().unwrap().bound, Duration::from_secs(2));
    }

    #[test]
    fn a_later_proof_may_bring_a_shorter_bound() {
        let latest = LatestProof::none();
        latest.prove(at(100), Duration::from_secs(60));
        latest.prove(at(200), Duration::from_secs(1));
        assert_eq!(latest.observe().unwrap().age(at(1200)), Err(Stale));
        latest.prove(at(200), Duration::from_secs(9));
        assert_eq!(latest.observe().unwrap().bound, Duration::from_secs(1));
    }

    #[test]
    fn rounding_and_limits_only_ever_shorten() {
        let latest = LatestProof::none();
        latest.prove(BootTime(5 * MS + 999_999), Duration::from_micros(2_999));
        let fresh = latest.observe().unwrap();
        assert_eq!(
            (fresh.as_of, fresh.bound),
            (at(5), Duration::from_millis(2))
        );

        latest.prove(BootTime(u64::MAX), Duration::MAX);
        let fresh = latest.observe().unwrap();
        assert!(fresh.as_of < BootTime(u64::MAX));
        assert!(fresh.bound < Duration::from_secs(5 * 3600));
        assert_eq!(fresh.age(BootTime(u64::MAX)), Err(Stale));
    }

    #[test]
    fn nothing_is_fresh_after_proofs_were_withdrawn() {
        let latest = LatestProof::none();
        latest.prove(at(100), Duration::from_secs(2));
        latest.withdraw();
        assert_eq!(latest.observe(), None);
        latest.prove(at(200), Duration::from_secs(2));
        latest.prove(BootTime(u64::MAX), Duration::MAX);
        assert_eq!(
            latest.observe(),
            None,
            "a proof that was under way comes late"
        );
    }

    #[test]
    fn a_proof_without_a_bound_proves_nothing() {
        let latest = LatestProof::none();
        latest.prove(at(100), Duration::from_micros(10));
        assert_eq!(latest.observe(), None);
    }
}
