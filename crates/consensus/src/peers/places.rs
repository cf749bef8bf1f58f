//! So many at a time, and nobody's to keep: handshakes under way at a listener, and
//! connections of peers.
//!
//! Who does not finish keeps nobody out: one more than there is room for ends another
//! one, the oldest of the holder that has most. Who means a handshake needs a round
//! trip or two, and has finished long before so many came after it.

use std::{
    cmp::Reverse,
    collections::{HashMap, VecDeque},
    fmt,
    hash::Hash,
    net::{IpAddr, Ipv6Addr},
    sync::Arc,
};

use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

/// Places that are taken, by whoever `K` says.
pub struct Places<K> {
    taken: Mutex<Taken<K>>,
    most: usize,
    most_of_one: usize,
}

struct Taken<K> {
    /// Of each holder the oldest first; never an empty line.
    by_holder: HashMap<K, VecDeque<Entry>>,
    count: usize,
    next: u64,
}

struct Entry {
    serial: u64,
    given_up: CancellationToken,
}

/// One of them; dropping it gives it back.
#[must_use]
pub struct Place<K: Clone + Eq + Hash> {
    all: Arc<Places<K>>,
    holder: K,
    serial: u64,
    given_up: CancellationToken,
}

impl<K: Clone + Eq + Hash> Places<K> {
    /// At most `most` at a time, and `most_of_one` of one holder; at least one.
    #[must_use]
    pub fn within(most: usize, most_of_one: usize) -> Arc<Self> {
        Arc::new(Self {
            taken: Mutex::new(Taken {
                by_holder: HashMap::new(),
                count: 0,
                next: 0,
            }),
            most: most.max(1),
            most_of_one: most_of_one.max(1),
        })
    }

    /// One more of `holder`. It ends another when there are as many as there may be.
    pub fn take(self: &Arc<Self>, holder: K) -> Place<K> {
        let given_up = CancellationToken::new();
        let mut taken = self.taken.lock();
        if taken.of(&holder) >= self.most_of_one {
            taken.give_up_oldest_of(&holder);
        }
        if taken.count >= self.most {
            taken.give_up_one();
        }
        let serial = taken.push(holder.clone(), given_up.clone());
        drop(taken);
        Place {
            all: self.clone(),
            holder,
            serial,
            given_up,
        }
    }

    /// Ends those of every holder of whom that is not so.
    pub fn keep_those(&self, stays: impl Fn(&K) -> bool) {
        let mut taken = self.taken.lock();
        let holders = taken.by_holder.keys();
        let gone: Vec<K> = holders.filter(|holder| !stays(holder)).cloned().collect();
        for holder in gone {
            while taken.of(&holder) > 0 {
                taken.give_up_oldest_of(&holder);
            }
        }
    }
}

/// The address, or of IPv6 the /64 that it is in: who controls one controls the other.
#[must_use]
pub fn owned_as_one(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & (u128::MAX << 64))),
        v4 => v4,
    }
}

impl<K: Clone + Eq + Hash> Taken<K> {
    fn of(&self, holder: &K) -> usize {
        self.by_holder.get(holder).map_or(0, VecDeque::len)
    }

    fn push(&mut self, holder: K, given_up: CancellationToken) -> u64 {
        let serial = self.next;
        self.next += 1;
        self.count += 1;
        let line = self.by_holder.entry(holder).or_default();
        line.push_back(Entry { serial, given_up });
        serial
    }

    /// Looks at every holder: there are no more of them than places.
    fn give_up_one(&mut self) {
        let oldest = |line: &VecDeque<Entry>| line.front().map(|entry| entry.serial);
        let most = self
            .by_holder
            .iter()
            .max_by_key(|(_, line)| (line.len(), Reverse(oldest(line))))
            .map(|(holder, _)| holder.clone());
        if let Some(holder) = most {
            self.give_up_oldest_of(&holder);
        }
    }

    fn give_up_oldest_of(&mut self, holder: &K) {
        let line = self.by_holder.get(holder);
        let Some(oldest) = line.and_then(VecDeque::front) else {
            return;
        };
        oldest.given_up.cancel();
        let serial = oldest.serial;
        self.remove(holder, serial);
    }

    fn remove(&mut self, holder: &K, serial: u64) {
        let Some(line) = self.by_holder.get_mut(holder) else {
            return;
        };
        // In order of their serials.
        if let Ok(position) = line.binary_search_by_key(&serial, |entry| entry.serial) {
            line.remove(position);
            self.count -= 1;
        }
        if line.is_empty() {
            self.by_holder.remove(holder);
        }
    }
}

impl<K: Clone + Eq + Hash> Place<K> {
    /// Resolves when it was needed for another.
    pub fn given_up(&self) -> impl Future<Output = ()> + Send + use<K> {
        self.given_up.clone().cancelled_owned()
    }
}

impl<K: Clone + Eq + Hash> Drop for Place<K> {
    fn drop(&mut self) {
        self.all.taken.lock().remove(&self.holder, self.serial);
    }
}

impl<K: Clone + Eq + Hash> fmt::Debug for Place<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Place({})", self.serial)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(places: &Arc<Places<u8>>, holder: u8) -> Place<u8> {
        places.take(holder)
    }

    fn kept(places: &[Place<u8>]) -> Vec<bool> {
        let all = places.iter();
        all.map(|one| !one.given_up.is_cancelled()).collect()
    }

    #[test]
    fn one_too_many_ends_the_oldest_of_the_holder_that_has_most() {
        let all = Places::within(4, 4);
        let single = take(&all, 1);
        let flood: Vec<_> = (0..3).map(|_| take(&all, 2)).collect();
        assert_eq!(kept(&flood), [true, true, true]);
        let _third = take(&all, 3);
        assert_eq!(kept(&flood), [false, true, true]);
        let _fourth = take(&all, 4);
        assert_eq!(kept(&flood), [false, false, true]);
        assert!(!single.given_up.is_cancelled(), "it holds one place");
        // Now that each has one, it is the oldest of all that goes.
        let _fifth = take(&all, 5);
        assert!(single.given_up.is_cancelled());
    }

    #[test]
    fn a_holder_has_so_many_and_its_newest_are_among_them() {
        let all = Places::within(100, 2);
        let flood: Vec<_> = (0..4).map(|_| take(&all, 1)).collect();
        assert_eq!(kept(&flood), [false, false, true, true]);
        assert_eq!(all.taken.lock().count, 2);
    }

    #[test]
    fn what_has_ended_leaves_nothing() {
        let all = Places::within(2, 2);
        let flood: Vec<_> = (1..6).map(|host| take(&all, host)).collect();
        drop(flood);
        let taken = all.taken.lock();
        assert_eq!((taken.count, taken.by_holder.len()), (0, 0));
    }

    #[test]
    fn who_does_not_stay_has_none_left() {
        let all = Places::within(9, 9);
        let (one, two) = (take(&all, 1), [take(&all, 2), take(&all, 2)]);
        all.keep_those(|holder| *holder == 1);
        assert!(!one.given_up.is_cancelled());
        assert_eq!(kept(&two), [false, false]);
        assert_eq!(all.taken.lock().count, 1);
        drop(two);
        assert_eq!(all.taken.lock().count, 1, "they were given back before");
    }
}
