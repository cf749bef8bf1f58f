//! How often something may happen, by whose it is: a mint of an agent that has a
//! limit, a refusal of a caller.
//!
//! Each key has a bucket (GCRA) of as many as it gets in a second, full at first and
//! refilled evenly. What is counted is this node's and this process's: another node
//! counts by itself, and nothing is written.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::num::NonZeroU32;
use std::time::Duration;

use chancery_revocation::{BootTime, Clock};
use governor::{
    Quota, RateLimiter,
    clock::Clock as GovernorClock,
    middleware::NoOpMiddleware,
    nanos::Nanos,
    state::{InMemoryState, NotKeyed},
};
use parking_lot::Mutex;

const SHARDS: usize = 16;
/// Keys that a shard counts at a time, at about 200 bytes each.
const MOST: usize = 1 << 16;
/// Keys below which no shard looks for idle ones.
const FEW: usize = 1 << 10;
/// So long after the last one that was let by a bucket is full again, whatever the
/// rate: it says no more than none.
const IDLE: Duration = Duration::from_secs(1);
/// Nobody owes more, however many it took at a time.
const LONGEST_DEBT: Duration = Duration::from_secs(2);

/// A bucket for each key that was counted lately.
pub(crate) struct Rates<K, C: Clock + Clone> {
    clock: Boot<C>,
    shards: Box<[Mutex<Shard<K, C>>]>,
    most: usize,
}

struct Shard<K, C: Clock + Clone> {
    keys: HashMap<K, Counted<C>>,
    /// Idle keys are looked for at this many.
    look_at: usize,
}

struct Counted<C: Clock + Clone> {
    rate: NonZeroU32,
    bucket: Bucket<C>,
    last: BootTime,
    /// When what was taken beyond the bucket will have been made up for.
    owing_until: BootTime,
}

type Bucket<C> = RateLimiter<NotKeyed, InMemoryState, Boot<C>, NoOpMiddleware<Nanos>>;

/// A node's CLOCK_BOOTTIME, for buckets.
#[derive(Clone, Debug)]
struct Boot<C>(C);

impl<C: Clock + Clone> GovernorClock for Boot<C> {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        Nanos::from(self.0.now().boot.0)
    }
}

impl<K: Clone + Eq + Hash, C: Clock + Clone> Rates<K, C> {
    pub(crate) fn new(clock: C) -> Self {
        Self::of_at_most(clock, MOST)
    }

    fn of_at_most(clock: C, most: usize) -> Self {
        let shard = || Shard {
            keys: HashMap::new(),
            look_at: FEW.min(most),
        };
        Self {
            clock: Boot(clock),
            shards: (0..SHARDS).map(|_| Mutex::new(shard())).collect(),
            most,
        }
    }

    /// Counts one more of `key`, which gets `rate` a second; 0: any number. A rate
    /// that is not the one that was counted by begins anew.
    ///
    /// # Errors
    /// How long until it may have the next one.
    pub(crate) fn take(&self, key: &K, rate: u32) -> Result<(), Duration> {
        let (Some(rate), Some(shard)) = (NonZeroU32::new(rate), self.shard(key)) else {
            return Ok(());
        };
        let mut shard = shard.lock();
        let now = self.clock.0.now().boot;
        if !shard.keys.contains_key(key) {
            shard.make_room(now, self.most)?;
        }
        let fresh = || Counted {
            rate,
            bucket: RateLimiter::direct_with_clock(Quota::per_second(rate), self.clock.clone()),
            last: now,
            owing_until: now,
        };
        let counted = shard.keys.entry(key.clone()).or_insert_with(fresh);
        if counted.rate != rate {
            *counted = fresh();
        }
        match counted.bucket.check() {
            Ok(()) => {
                counted.last = now;
                Ok(())
            }
            Err(until) => {
                let each = Duration::from_secs(1) / rate.get();
                let owing = counted.owing_until.max(now).plus(each);
                counted.owing_until = owing.min(now.plus(LONGEST_DEBT));
                Err(until.wait_time_from(Nanos::from(now.0)))
            }
        }
    }

    /// How long until what `key` took too many is made up for. For what can be
    /// counted only when it has happened: however many happen at a time, the more
    /// there were, the longer it takes.
    pub(crate) fn owes_for(&self, key: &K) -> Option<Duration> {
        let shard = self.shard(key)?.lock();
        let counted = shard.keys.get(key)?;
        let left = counted.owing_until.since(self.clock.0.now().boot)?;
        (left > Duration::ZERO).then_some(left)
    }

    fn shard(&self, key: &K) -> Option<&Mutex<Shard<K, C>>> {
        let mut hasher = DefaultHasher::new();
        key.hash(&mut hasher);
        let place = hasher.finish() % SHARDS as u64;
        self.shards.get(usize::try_from(place).unwrap_or(0))
    }
}

impl<K: Eq + Hash, C: Clock + Clone> Shard<K, C> {
    /// Drops who is idle, when there are many. So nobody is forgotten who would be
    /// refused, and more keys than fit have to come within one second for one to be
    /// refused for want of room.
    fn make_room(&mut self, now: BootTime, most: usize) -> Result<(), Duration> {
        if self.keys.len() < self.look_at {
            return Ok(());
        }
        let busy = |counted: &Counted<C>| now < counted.last.plus(IDLE).max(counted.owing_until);
        self.keys.retain(|_, counted| busy(counted));
        let left = self.keys.len();
        self.look_at = left.saturating_mul(2).max(FEW).min(most);
        if left >= most { Err(IDLE) } else { Ok(()) }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    };

    use super::*;
    use chancery_credential::SpiffeId;
    use chancery_revocation::Now;

    /// A clock that the test moves.
    #[derive(Clone, Default)]
    struct Moved(Arc<AtomicU64>);

    impl Moved {
        fn pass(&self, duration: Duration) {
            let nanos = u64::try_from(duration.as_nanos()).unwrap();
            self.0.fetch_add(nanos, Ordering::Relaxed);
        }
    }

    impl Clock for Moved {
        fn now(&self) -> Now {
            Now {
                wall: 0,
                boot: BootTime(self.0.load(Ordering::Relaxed)),
            }
        }
    }

    fn agent(number: usize) -> SpiffeId {
        format!("spiffe://example.org/{number}").parse().unwrap()
    }

    fn limits(most: usize) -> (Moved, Rates<SpiffeId, Moved>) {
        let clock = Moved::default();
        (clock.clone(), Rates::of_at_most(clock, most))
    }

    /// How many of `asked` mints it gets now.
    fn taken(limits: &Rates<SpiffeId, Moved>, agent: &SpiffeId, rate: u32, asked: usize) -> usize {
        (0..asked)
            .filter(|_| limits.take(agent, rate).is_ok())
            .count()
    }

    #[test]
    fn a_key_gets_a_second_s_worth_at_once_and_then_as_much_each_second() {
        let (clock, limits) = limits(MOST);
        let (busy, other) = (agent(1), agent(2));
        assert_eq!(taken(&limits, &busy, 10, 100), 10);
        assert_eq!(taken(&limits, &other, 10, 100), 10, "counted by itself");
        let wait = limits.take(&busy, 10).unwrap_err();
        assert!(wait <= Duration::from_millis(100), "{wait:?}");
        clock.pass(wait);
        assert_eq!(taken(&limits, &busy, 10, 100), 1, "as it was told");
        clock.pass(Duration::from_millis(500));
        assert_eq!(taken(&limits, &busy, 10, 100), 5);
        clock.pass(Duration::from_secs(3600));
        assert_eq!(taken(&limits, &busy, 10, 100), 10, "it saves up no more");
    }

    #[test]
    fn who_took_too_many_at_a_time_owes_for_each() {
        let (clock, limits) = limits(MOST);
        let agent = agent(1);
        assert_eq!(taken(&limits, &agent, 10, 10), 10);
        assert_eq!(limits.owes_for(&agent), None);
        assert_eq!(taken(&limits, &agent, 10, 5), 0);
        assert_eq!(limits.owes_for(&agent), Some(Duration::from_millis(500)));
        clock.pass(Duration::from_millis(500));
        assert_eq!(limits.owes_for(&agent), None);
        assert_eq!(taken(&limits, &agent, 10, 1000), 5);
        assert_eq!(limits.owes_for(&agent), Some(LONGEST_DEBT));
    }

    #[test]
    fn another_rate_counts_at_once_and_none_is_unbounded() {
        let (_, limits) = limits(MOST);
        let agent = agent(1);
        assert_eq!(taken(&limits, &agent, 5, 100), 5);
        assert_eq!(taken(&limits, &agent, 0, 100), 100);
        assert_eq!(taken(&limits, &agent, 7, 100), 7);
        assert_eq!(taken(&limits, &agent, u32::MAX, 100), 100);
    }

    #[test]
    fn who_is_idle_is_forgotten_and_who_is_not_is_never_let_off() {
        let (clock, limits) = limits(4);
        let held = || {
            let shards = limits.shards.iter();
            shards.map(|shard| shard.lock().keys.len()).sum::<usize>()
        };
        let crowd: Vec<_> = (0..1000).map(agent).collect();
        let admitted = crowd.iter().filter(|one| limits.take(one, 1).is_ok());
        assert_eq!(admitted.count(), 4 * SHARDS, "as many as there is room for");
        assert_eq!(held(), 4 * SHARDS);
        let again = crowd.iter().filter(|one| limits.take(one, 1).is_ok());
        assert_eq!(again.count(), 0, "nobody was forgotten for another's sake");
        clock.pass(IDLE);
        let later = (1000..2000).map(agent);
        let later = later.filter(|one| limits.take(one, 1).is_ok());
        assert_eq!(later.count(), 4 * SHARDS);
        assert_eq!(held(), 4 * SHARDS);
    }
}
