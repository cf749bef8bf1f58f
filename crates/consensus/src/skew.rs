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
    /// What the peer's wall clock said. The way that the message took counts as
    /// skew: it only makes clocks look further apart.
    theirs_ms: u64,
    at: BootTime,
}

impl Heard {
    /// How far a wall clock that says `own_ms` at `now` is from what the peer's must
    /// say by now, either way. Counted on the boot clock in between, so that a wall
    /// clock that was set since the peer was heard is found out at once.
    fn apart_ms(&self, own_ms: u64, now: BootTime) -> u64 {
        let passed = now.since(self.at).unwrap_or_default().as_millis();
        let theirs_ms = self
            .theirs_ms
            .saturating_add(u64::try_from(passed).unwrap_or(u64::MAX));
        theirs_ms.abs_diff(own_ms)
    }
}

/// What this node heard of the clocks of others, in the questions that they ask.
#[derive(Default)]
pub(crate) struct Skew {
    heard: Mutex<BTreeMap<NodeNumber, Heard>>,
}

impl Skew {
    /// A peer's clock said `theirs_ms` at `at`. Gives how far that is from `own_ms`.
    pub(crate) fn hear(&self, from: NodeNumber, theirs_ms: u64, own_ms: u64, at: BootTime) -> u64 {
        self.heard.lock().insert(from, Heard { theirs_ms, at });
        theirs_ms.abs_diff(own_ms)
    }

    /// Whether a wall clock of node `own` that says `own_ms` at `now` agrees with
    /// those of a majority of `voters`, its own among them.
    pub(crate) fn agrees(
        &self,
        own: NodeNumber,
        voters: impl Iterator<Item = NodeNumber>,
        own_ms: u64,
        now: BootTime,
    ) -> bool {
        let heard = self.heard.lock();
        let agrees = |number: NodeNumber| {
            number == own
                || heard.get(&number).is_some_and(|heard| {
                    heard.apart_ms(own_ms, now) <= MAX_SKEW_MS
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
        assert!(
            !skew.agrees(OWN, voters(), 7_000, now),
            "nobody was heard of"
        );
        skew.hear(NodeNumber(2), 10_000, 7_000, now);
        assert!(
            !skew.agrees(OWN, voters(), 7_000, now),
            "three seconds apart"
        );
        skew.hear(NodeNumber(3), 7_900, 7_000, now);
        assert!(skew.agrees(OWN, voters(), 7_000, now), "two of three");
    }

    #[test]
    fn a_clock_that_is_set_agrees_no_more_before_anybody_is_heard_again() {
        let skew = Skew::default();
        skew.hear(NodeNumber(2), 5_000, 5_000, BootTime(0));
        let later = BootTime(1_000_000_000);
        assert!(
            skew.agrees(OWN, voters(), 6_000, later),
            "a second passed on both"
        );
        assert!(
            !skew.agrees(OWN, voters(), 3_606_000, later),
            "an hour ahead"
        );
        assert!(!skew.agrees(OWN, voters(), 3_000, later), "set back");
    }

    #[test]
    fn a_clock_counts_while_it_is_heard_of() {
        let skew = Skew::default();
        skew.hear(NodeNumber(2), 5_000, 5_000, BootTime(0));
        assert!(skew.agrees(OWN, voters(), 10_000, BootTime(5_000_000_000)));
        assert!(!skew.agrees(OWN, voters(), 10_000, BootTime(5_000_000_001)));
    }

    #[test]
    fn one_voter_agrees_with_itself() {
        assert!(Skew::default().agrees(OWN, std::iter::once(OWN), 0, BootTime(0)));
    }
}
