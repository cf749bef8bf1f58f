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
    /// What the peer's clock must say by now. Counted on the boot clock in between, so
    /// that a wall clock that was set since the peer was heard is found out at once.
    fn now_ms(&self, now: BootTime) -> u64 {
        let passed = now.since(self.at).unwrap_or_default().as_millis();
        self.theirs_ms
            .saturating_add(u64::try_from(passed).unwrap_or(u64::MAX))
    }

    fn is_recent(&self, now: BootTime) -> bool {
        now.since(self.at).is_some_and(|age| age <= HEARD_WITHIN)
    }
}

/// What this node heard of the clocks of others, in the questions that they ask.
#[derive(Default)]
pub(crate) struct Skew {
    heard: Mutex<BTreeMap<NodeNumber, Heard>>,
}

impl Skew {
    /// A peer's clock said `theirs_ms` at `at`.
    pub(crate) fn hear(&self, from: NodeNumber, theirs_ms: u64, at: BootTime) {
        self.heard.lock().insert(from, Heard { theirs_ms, at });
    }

    /// Whether the wall clock of `node` is further from those of most `voters` than it
    /// may be, as this node knows them: its own says `own` at `now`, others what they
    /// said lately. Who was not heard of says nothing against anybody.
    pub(crate) fn is_alone(
        &self,
        node: NodeNumber,
        (own, own_ms): (NodeNumber, u64),
        voters: impl Iterator<Item = NodeNumber>,
        now: BootTime,
    ) -> bool {
        let heard = self.heard.lock();
        let says_ms = |number: NodeNumber| {
            if number == own {
                return Some(own_ms);
            }
            let heard = heard.get(&number)?;
            heard.is_recent(now).then(|| heard.now_ms(now))
        };
        let Some(its_ms) = says_ms(node) else {
            return false;
        };
        let apart = |voter: NodeNumber| {
            let differs = |theirs_ms: u64| theirs_ms.abs_diff(its_ms) > MAX_SKEW_MS;
            voter != node && says_ms(voter).is_some_and(differs)
        };
        let (mut all, mut against) = (0_usize, 0_usize);
        for voter in voters {
            all += 1;
            against += usize::from(apart(voter));
        }
        against * 2 > all
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
                    heard.now_ms(now).abs_diff(own_ms) <= MAX_SKEW_MS && heard.is_recent(now)
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
        skew.hear(NodeNumber(2), 10_000, now);
        assert!(
            !skew.agrees(OWN, voters(), 7_000, now),
            "three seconds apart"
        );
        skew.hear(NodeNumber(3), 7_900, now);
        assert!(skew.agrees(OWN, voters(), 7_000, now), "two of three");
    }

    #[test]
    fn a_clock_that_is_set_agrees_no_more_before_anybody_is_heard_again() {
        let skew = Skew::default();
        skew.hear(NodeNumber(2), 5_000, BootTime(0));
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
        skew.hear(NodeNumber(2), 5_000, BootTime(0));
        assert!(skew.agrees(OWN, voters(), 10_000, BootTime(5_000_000_000)));
        assert!(!skew.agrees(OWN, voters(), 10_000, BootTime(5_000_000_001)));
    }

    #[test]
    fn one_voter_agrees_with_itself() {
        assert!(Skew::default().agrees(OWN, std::iter::once(OWN), 0, BootTime(0)));
    }

    #[test]
    fn most_voters_say_whose_clock_is_alone_and_not_the_leader() {
        let (skew, now) = (Skew::default(), BootTime(0));
        let own = (OWN, 60_000);
        let alone = |skew: &Skew, node, own| skew.is_alone(NodeNumber(node), own, voters(), now);
        assert!(!alone(&skew, 1, own), "nobody was heard of");
        skew.hear(NodeNumber(2), 5_000, now);
        assert!(!alone(&skew, 1, own), "one says so, and one says nothing");
        assert!(!alone(&skew, 2, own));
        skew.hear(NodeNumber(3), 5_100, now);
        assert!(alone(&skew, 1, own), "the leader's own");
        assert!(!alone(&skew, 2, own) && !alone(&skew, 3, own));
        assert!(!alone(&skew, 1, (OWN, 6_900)), "it was set");
        // A learner counts for nothing, and is held against the voters.
        skew.hear(NodeNumber(4), 60_000, now);
        assert!(alone(&skew, 4, (OWN, 5_000)) && alone(&skew, 4, own));
    }
}
