//! Which of several nodes to turn to.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use chancery_revocation::BootTime;
use parking_lot::Mutex;

/// How long it is remembered what speaks against a node.
pub(crate) const REMEMBERED: Duration = Duration::from_secs(30);

/// What speaks against a node; the later is the worse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Blemish {
    /// Verifiers with a cached JWKS may not know its issuer yet.
    Settling,
    /// It gave no answer that counts.
    Failed,
}

/// One node is preferred until something speaks against it. Then it is the next
/// with the least against it, in the order given: some node is preferred at any
/// time, whatever speaks against all.
pub(crate) struct Preference {
    preferred: AtomicUsize,
    /// By position: the newest blemish, and when it showed.
    blemishes: Mutex<Vec<Option<(Blemish, BootTime)>>>,
}

impl Preference {
    /// Over `count` nodes, the first preferred.
    pub(crate) fn over(count: usize) -> Self {
        Self {
            preferred: AtomicUsize::new(0),
            blemishes: Mutex::new(vec![None; count]),
        }
    }

    /// The position of the preferred node.
    pub(crate) fn position(&self) -> usize {
        self.preferred.load(Ordering::Relaxed)
    }

    /// Turns away from the node at `position`, unless another call already has. From
    /// one that settles only to one that nothing speaks against: so nobody goes back
    /// and forth between nodes that settle, nor tries a dead one again and again.
    pub(crate) fn turn(&self, position: usize, blemish: Blemish, now: BootTime) {
        let mut blemishes = self.blemishes.lock();
        if let Some(newest) = blemishes.get_mut(position) {
            *newest = Some((blemish, now));
        }
        if self.position() != position {
            return;
        }
        let count = blemishes.len();
        let against = |candidate: &usize| {
            let (blemish, since) = blemishes.get(*candidate).copied().flatten()?;
            let ago = now.since(since).unwrap_or_default();
            (ago < REMEMBERED).then_some(blemish)
        };
        // Among equals the first is taken: one that settles stays, one that failed
        // is the last resort.
        let first = match blemish {
            Blemish::Settling => 0,
            Blemish::Failed => 1,
        };
        let next = (first..first + count)
            .map(|step| (position + step) % count)
            .min_by_key(against);
        if let Some(next) = next {
            self.preferred.store(next, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Blemish::{Failed, Settling};

    /// Which node is preferred after each of these answers, one a second.
    fn walk(count: usize, answers: &[Blemish]) -> Vec<usize> {
        let preference = Preference::over(count);
        let start = BootTime(7);
        let step = |(second, blemish): (u64, &Blemish)| {
            let now = start.plus(Duration::from_secs(second));
            preference.turn(preference.position(), *blemish, now);
            preference.position()
        };
        (0..).zip(answers).map(step).collect()
    }

    #[test]
    fn a_node_that_settles_is_left_for_one_that_does_not() {
        assert_eq!(walk(3, &[Settling]), [1]);
        assert_eq!(walk(3, &[Settling, Settling]), [1, 2]);
    }

    #[test]
    fn where_all_settle_the_last_one_stays() {
        assert_eq!(walk(1, &[Settling, Settling]), [0, 0]);
        assert_eq!(walk(3, &[Settling; 6]), [1, 2, 2, 2, 2, 2]);
    }

    #[test]
    fn failures_go_round_all_nodes() {
        assert_eq!(walk(3, &[Failed; 6]), [1, 2, 0, 1, 2, 0]);
        assert_eq!(walk(1, &[Failed]), [0]);
    }

    #[test]
    fn a_dead_node_is_not_tried_for_the_sake_of_one_that_settles() {
        // Of two: the first settles, the second is dead.
        assert_eq!(
            walk(2, &[Settling, Failed, Settling, Settling]),
            [1, 0, 0, 0]
        );
    }

    #[test]
    fn a_node_that_settles_is_better_than_a_dead_one_and_worse_than_any_other() {
        // The first settles, the second fails, then the third.
        assert_eq!(walk(3, &[Settling, Failed, Failed]), [1, 2, 0]);
        // The first fails, the second settles, the third fails.
        assert_eq!(walk(3, &[Failed, Settling, Failed]), [1, 2, 1]);
    }

    #[test]
    fn what_speaks_against_a_node_is_forgotten() {
        let preference = Preference::over(2);
        let start = BootTime(7);
        preference.turn(0, Settling, start);
        preference.turn(1, Settling, start.plus(REMEMBERED / 2));
        assert_eq!(preference.position(), 1);
        preference.turn(1, Settling, start.plus(REMEMBERED));
        assert_eq!(preference.position(), 0);
    }

    #[test]
    fn many_answers_of_one_node_turn_once() {
        let preference = Preference::over(3);
        for _ in 0..3 {
            preference.turn(0, Settling, BootTime(7));
        }
        assert_eq!(preference.position(), 1);
    }
}
