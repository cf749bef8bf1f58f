//! Whose wall clock agrees with whose. Wall clocks decide nothing about freshness;
//! they stamp commands, and a leader whose clock is alone with its time must not.

use std::{collections::BTreeMap, time::Duration};

use chancery_credential::NodeNumber;
use chancery_revocation::BootTime;
use parking_lot::Mutex;

/// How far apart two wall clocks may be.
pub(crate) const MAX_SKEW_MS: u64 = 2_000;
/// A clock that was not heard of for longer counts for nothing.
const HEARD_WITHIN: Duration = Duration::from_secs(5);

#[derive(Clone, Copy)]
struct Heard {
    /// How far the peer's clock is from this one's, either way. The way that the
    /// message took counts as skew: it only makes clocks look further apart.
    apart_ms: u64,
    at: BootTime,
}

/// What this node heard of the clocks of others, in the questions that they ask.
#[derive(Default)]
pub(crate) struct Skew {
    heard: Mutex<BTreeMap<NodeNumber, Heard>>,
}

impl Skew {
    /// A peer's clock said `theirs_ms` when this one's said `own_ms`.
    pub(crate) fn hear(&self, from: NodeNumber, theirs_ms: u64, own_ms: u64, at: BootTime) -> u64 {
        let apart_ms = theirs_ms.abs_diff(own_ms);
        self.heard.lock().insert(from, Heard { apart_ms, at });
        apart_ms
    }

    /// Whether this node's clock agrees with those of a majority of `voters`, its
    /// own among them.
    pub(crate) fn agrees(
        &self,
        own: NodeNumber,
        voters: impl Iterator<Item = NodeNumber>,
        now: BootTime,
    ) -> bool {
        let heard = self.heard.lock();
        let agrees = |number: NodeNumber| {
            number == own
                || heard.get(&number).is_some_and(|heard| {
                    heard.apart_ms <= MAX_SKEW_MS
                        && now.since(heard.at).is_some_and(|age| age <= HEARD_WITHIN)
                })
        };
        let (mut all, mut agreeing) = (0_usize, 0_usize);
        for voter in voters {
            all += 1;
            agreeing += usize::from(agrees(voter));
        }
        agreeing * 2 > all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: NodeNumber = NodeNumber(1);

    fn voters() -> impl Iterator<Item = NodeNumber> {
        [1, 2, 3].into_iter().map(NodeNumber)
    }

    #[test]
    fn a_clock_that_is_alone_does_not_agree() {
        let skew = Skew::default();
        let now = BootTime(1_000_000_000);
        assert!(!skew.agrees(OWN, voters(), now), "nobody was heard of");
        skew.hear(NodeNumber(2), 10_000, 7_000, now);
        assert!(!skew.agrees(OWN, voters(), now), "three seconds apart");
        skew.hear(NodeNumber(3), 7_900, 7_000, now);
        assert!(skew.agrees(OWN, voters(), now), "two of three");
    }

    #[test]
    fn a_clock_counts_while_it_is_heard_of() {
        let skew = Skew::default();
        skew.hear(NodeNumber(2), 5_000, 5_000, BootTime(0));
        assert!(skew.agrees(OWN, voters(), BootTime(5_000_000_000)));
        assert!(!skew.agrees(OWN, voters(), BootTime(5_000_000_001)));
    }

    #[test]
    fn one_voter_agrees_with_itself() {
        assert!(Skew::default().agrees(OWN, std::iter::once(OWN), BootTime(0)));
    }
}
