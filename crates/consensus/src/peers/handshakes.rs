//! The handshakes under way at a listener, of peers or of callers: so many at a time,
//! and nobody's to keep.
//!
//! Who does not finish keeps nobody out: one more than there is room for ends another
//! one, the oldest of the address that has begun most. A client that means it needs a
//! round trip or two, and has finished long before so many came after it.

use std::{
    cmp::Reverse,
    collections::{HashMap, VecDeque},
    net::{IpAddr, Ipv6Addr},
    sync::Arc,
};

use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

/// Those that have begun and not ended. An IPv6 address counts as its /64: who controls
/// one controls the other.
pub struct Handshakes {
    begun: Mutex<Begun>,
    most: usize,
    most_of_address: usize,
}

#[derive(Default)]
struct Begun {
    /// Of each address the oldest first; never an empty line.
    by_address: HashMap<IpAddr, VecDeque<Entry>>,
    count: usize,
    next: u64,
}

struct Entry {
    serial: u64,
    given_up: CancellationToken,
}

/// One of them; dropping it ends it.
#[must_use]
pub struct Handshake {
    all: Arc<Handshakes>,
    address: IpAddr,
    serial: u64,
    given_up: CancellationToken,
}

impl Handshakes {
    /// At most `most` at a time, and `most_of_address` of one address; at least one.
    #[must_use]
    pub fn within(most: usize, most_of_address: usize) -> Arc<Self> {
        Arc::new(Self {
            begun: Mutex::default(),
            most: most.max(1),
            most_of_address: most_of_address.max(1),
        })
    }

    /// One more of `address`. It ends another when there are as many as there may be.
    pub fn begin(self: &Arc<Self>, address: IpAddr) -> Handshake {
        let address = owned_as_one(address);
        let given_up = CancellationToken::new();
        let mut begun = self.begun.lock();
        if begun.of(&address) >= self.most_of_address {
            begun.give_up_oldest_of(&address);
        }
        if begun.count >= self.most {
            begun.give_up_one();
        }
        let serial = begun.push(address, given_up.clone());
        drop(begun);
        Handshake {
            all: self.clone(),
            address,
            serial,
            given_up,
        }
    }
}

/// The address, or of IPv6 the /64 that it is in.
#[must_use]
pub fn owned_as_one(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & (u128::MAX << 64))),
        v4 => v4,
    }
}

impl Begun {
    fn of(&self, address: &IpAddr) -> usize {
        self.by_address.get(address).map_or(0, VecDeque::len)
    }

    fn push(&mut self, address: IpAddr, given_up: CancellationToken) -> u64 {
        let serial = self.next;
        self.next += 1;
        self.count += 1;
        let line = self.by_address.entry(address).or_default();
        line.push_back(Entry { serial, given_up });
        serial
    }

    /// Looks at every address: there are no more of them than handshakes.
    fn give_up_one(&mut self) {
        let oldest = |line: &VecDeque<Entry>| line.front().map(|entry| entry.serial);
        let most = self
            .by_address
            .iter()
            .max_by_key(|(_, line)| (line.len(), Reverse(oldest(line))))
            .map(|(address, _)| *address);
        if let Some(address) = most {
            self.give_up_oldest_of(&address);
        }
    }

    fn give_up_oldest_of(&mut self, address: &IpAddr) {
        let line = self.by_address.get(address);
        let Some(oldest) = line.and_then(VecDeque::front) else {
            return;
        };
        oldest.given_up.cancel();
        let serial = oldest.serial;
        self.remove(address, serial);
    }

    fn remove(&mut self, address: &IpAddr, serial: u64) {
        let Some(line) = self.by_address.get_mut(address) else {
            return;
        };
        // In order of their serials.
        if let Ok(position) = line.binary_search_by_key(&serial, |entry| entry.serial) {
            line.remove(position);
            self.count -= 1;
        }
        if line.is_empty() {
            self.by_address.remove(address);
        }
    }
}

impl Handshake {
    /// Resolves when its place was needed for another.
    pub async fn given_up(&self) {
        self.given_up.cancelled().await;
    }
}

impl Drop for Handshake {
    fn drop(&mut self) {
        self.all.begun.lock().remove(&self.address, self.serial);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn begin(handshakes: &Arc<Handshakes>, host: u8) -> Handshake {
        handshakes.begin([192, 0, 2, host].into())
    }

    fn kept(handshakes: &[Handshake]) -> Vec<bool> {
        let all = handshakes.iter();
        all.map(|one| !one.given_up.is_cancelled()).collect()
    }

    #[test]
    fn one_too_many_ends_the_oldest_of_the_address_that_has_most() {
        let all = Handshakes::within(4, 4);
        let single = begin(&all, 1);
        let flood: Vec<_> = (0..3).map(|_| begin(&all, 2)).collect();
        assert_eq!(kept(&flood), [true, true, true]);
        let _third = begin(&all, 3);
        assert_eq!(kept(&flood), [false, true, true]);
        let _fourth = begin(&all, 4);
        assert_eq!(kept(&flood), [false, false, true]);
        assert!(!single.given_up.is_cancelled(), "it holds one place");
        // Now that each has one, it is the oldest of all that goes.
        let _fifth = begin(&all, 5);
        assert!(single.given_up.is_cancelled());
    }

    #[test]
    fn an_address_has_so_many_and_its_newest_are_among_them() {
        let all = Handshakes::within(100, 2);
        let flood: Vec<_> = (0..4).map(|_| begin(&all, 1)).collect();
        assert_eq!(kept(&flood), [false, false, true, true]);
        assert_eq!(all.begun.lock().count, 2);
    }

    #[test]
    fn what_has_ended_leaves_nothing() {
        let all = Handshakes::within(2, 2);
        let flood: Vec<_> = (1..6).map(|host| begin(&all, host)).collect();
        drop(flood);
        let begun = all.begun.lock();
        assert_eq!((begun.count, begun.by_address.len()), (0, 0));
    }
}
