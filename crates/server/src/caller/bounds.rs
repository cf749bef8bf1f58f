//! How much one caller may hold at a time.

use std::collections::HashMap;
use std::collections::hash_map::{DefaultHasher, Entry};
use std::hash::{Hash, Hasher};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use parking_lot::Mutex;

use super::identity::Identity;

/// What one principal, and all strangers together, may hold on this node at a
/// time. A principal's keys count together, and so do replicas that share one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Connections of one principal.
    pub connections_per_principal: u32,
    /// Single requests of one principal that are being served.
    pub requests_per_principal: u32,
    /// Streams of one principal.
    pub streams_per_principal: u32,
    /// Connections of strangers: without a certificate, or with a key that was
    /// nobody's when they connected.
    pub stranger_connections: u32,
    /// Connections of strangers from one address (of IPv6, from one /64).
    pub stranger_connections_per_address: u32,
    /// Requests and streams of strangers that are being served.
    pub stranger_requests: u32,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            connections_per_principal: 256,
            requests_per_principal: 512,
            streams_per_principal: 256,
            stranger_connections: 2048,
            stranger_connections_per_address: 256,
            stranger_requests: 1024,
        }
    }
}

/// Who holds something.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Holder {
    Strangers,
    Address(IpAddr),
    Agent(chancery_credential::SpiffeId),
    Operator(chancery_credential::PrincipalName),
    Service(chancery_credential::PrincipalName),
}

impl Holder {
    pub(super) fn of(identity: &Identity) -> Self {
        match identity {
            Identity::Anyone => Self::Strangers,
            Identity::Agent { id } => Self::Agent(id.clone()),
            Identity::Operator { name, .. } => Self::Operator(name.clone()),
            Identity::Service { name } => Self::Service(name.clone()),
        }
    }

    /// One who controls an IPv6 address controls its /64.
    pub(crate) fn at(address: IpAddr) -> Self {
        Self::Address(match address.to_canonical() {
            IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & (u128::MAX << 64))),
            v4 => v4,
        })
    }
}

/// Counts what each holder holds. It has an entry only for those who hold
/// something, so it is bounded by what they hold.
pub(crate) struct Tally {
    shards: Box<[Mutex<HashMap<Holder, u32>>]>,
}

const SHARDS: u64 = 16;

impl Tally {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
        })
    }

    /// A place for one more, or `None` when `holder` has `bound` already.
    pub(crate) fn take(self: &Arc<Self>, holder: Holder, bound: u32) -> Option<Place> {
        let mut counts = self.shard(&holder)?.lock();
        let count = counts.entry(holder.clone()).or_insert(0);
        if *count >= bound {
            if *count == 0 {
                counts.remove(&holder);
            }
            return None;
        }
        *count += 1;
        Some(Place {
            tally: self.clone(),
            holder,
        })
    }

    fn shard(&self, holder: &Holder) -> Option<&Mutex<HashMap<Holder, u32>>> {
        let mut hasher = DefaultHasher::new();
        holder.hash(&mut hasher);
        self.shards
            .get(usize::try_from(hasher.finish() % SHARDS).unwrap_or(0))
    }

    fn give_back(&self, holder: &Holder) {
        let Some(shard) = self.shard(holder) else {
            return;
        };
        if let Entry::Occupied(mut entry) = shard.lock().entry(holder.clone()) {
            match entry.get().checked_sub(1) {
                Some(left @ 1..) => *entry.get_mut() = left,
                _ => drop(entry.remove()),
            }
        }
    }
}

/// A place that a request, stream or connection holds; dropping it gives it
/// back.
#[must_use]
pub struct Place {
    tally: Arc<Tally>,
    holder: Holder,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.tally.give_back(&self.holder);
    }
}

impl std::fmt::Debug for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Place").field(&self.holder).finish()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn agent(name: &str) -> Holder {
        Holder::of(&Identity::Agent {
            id: format!("spiffe://example.org/{name}").parse().unwrap(),
        })
    }

    #[test]
    fn each_holder_has_its_own_places_and_gets_them_back() {
        let tally = Tally::new();
        let first = tally.take(agent("a"), 2).unwrap();
        let second = tally.take(agent("a"), 2).unwrap();
        assert!(tally.take(agent("a"), 2).is_none());
        let other = tally.take(agent("b"), 2).unwrap();
        drop(first);
        let third = tally.take(agent("a"), 2).unwrap();
        drop((second, third, other));
        assert!(tally.shards.iter().all(|shard| shard.lock().is_empty()));
    }

    #[test]
    fn no_places_leave_no_entry() {
        let tally = Tally::new();
        assert!(tally.take(Holder::Strangers, 0).is_none());
        assert!(tally.shards.iter().all(|shard| shard.lock().is_empty()));
    }

    #[test]
    fn an_ipv6_network_is_one_address() {
        let at = |text: &str| Holder::at(text.parse().unwrap());
        assert_eq!(at("2001:db8::1"), at("2001:db8::ffff:1"));
        assert_ne!(at("2001:db8::1"), at("2001:db8:0:1::1"));
        assert_eq!(at("::ffff:192.0.2.1"), at("192.0.2.1"));
    }
}
