//! How much one caller may hold at a time.

use std::collections::HashMap;
use std::collections::hash_map::{DefaultHasher, Entry};
use std::fmt;
use std::hash::{Hash, Hasher};
use std::net::IpAddr;
use std::sync::Arc;

use chancery_consensus::owned_as_one;
use parking_lot::Mutex;
use thiserror::Error;

use super::identity::Identity;

/// What may be held on this node at a time, and how often somebody may be refused. A
/// principal's keys count together, and so do replicas that share one. A stranger is
/// who proved no key, or one that is nobody's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Connections, by who connected.
    pub connections: Share,
    /// Single requests that are being served.
    pub requests: Share,
    /// Streams.
    pub streams: Share,
    /// Streams of large messages, each of which can hold one that has not come whole.
    pub batches: Share,
    /// Single requests for a page of a list, each of which can hold one that nobody
    /// reads. They count here and not among the requests.
    pub pages: Share,
    /// Refusals and rejections a second that are the caller's own fault, messages of
    /// a stream included. Who has had as many is not heard until the next one is due.
    pub rejections: Share,
}

/// How much of one thing each may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    /// One principal.
    pub principal: u32,
    /// The strangers at one address (of IPv6, in one /64).
    pub address: u32,
    /// All strangers together.
    pub strangers: u32,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            connections: Share {
                principal: 256,
                address: 256,
                strangers: 2048,
            },
            requests: Share {
                principal: 512,
                address: 128,
                strangers: 1024,
            },
            streams: Share {
                principal: 256,
                address: 32,
                strangers: 512,
            },
            batches: Share {
                principal: 16,
                address: 4,
                strangers: 64,
            },
            pages: Share {
                principal: 16,
                address: 4,
                strangers: 64,
            },
            rejections: Share {
                principal: 200,
                address: 200,
                strangers: 2048,
            },
        }
    }
}

/// Somebody holds as much as it may.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{bound} of {holder} are there already, the most that this node takes")]
pub struct Crowded {
    pub(super) holder: Holder,
    pub(super) bound: u32,
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
    pub(crate) fn of(identity: &Identity) -> Self {
        match identity {
            Identity::Anyone => Self::Strangers,
            Identity::Agent { id } => Self::Agent(id.clone()),
            Identity::Operator { name, .. } => Self::Operator(name.clone()),
            Identity::Service { name } => Self::Service(name.clone()),
        }
    }

    pub(crate) fn at(address: IpAddr) -> Self {
        Self::Address(owned_as_one(address))
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Strangers => f.write_str("strangers"),
            Self::Address(address) => write!(f, "strangers at {address}"),
            Self::Agent(id) => write!(f, "agent:{id}"),
            Self::Operator(name) => write!(f, "operator:{name}"),
            Self::Service(name) => write!(f, "service:{name}"),
        }
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

    /// A place for one more, unless `holder` has `bound` already.
    pub(crate) fn take(self: &Arc<Self>, holder: Holder, bound: u32) -> Result<Place, Crowded> {
        let Some(shard) = self.shard(&holder) else {
            return Err(Crowded { holder, bound });
        };
        let mut counts = shard.lock();
        let count = counts.entry(holder.clone()).or_insert(0);
        if *count >= bound {
            if *count == 0 {
                counts.remove(&holder);
            }
            return Err(Crowded { holder, bound });
        }
        *count += 1;
        Ok(Place {
            tally: self.clone(),
            holder,
        })
    }

    /// Places for one more of `principal`; without one, of a stranger at `address`,
    /// who takes one of its address's and one of all strangers'.
    pub(super) fn share(
        self: &Arc<Self>,
        share: Share,
        principal: Option<Holder>,
        address: IpAddr,
    ) -> Result<Places, Crowded> {
        if let Some(principal) = principal {
            return Ok((self.take(principal, share.principal)?, None));
        }
        let of_address = self.take(Holder::at(address), share.address)?;
        let of_all = self.take(Holder::Strangers, share.strangers)?;
        Ok((of_address, Some(of_all)))
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

/// What one request, stream or connection holds: a stranger's takes two.
pub(super) type Places = (Place, Option<Place>);

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

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
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
        assert!(tally.take(agent("a"), 2).is_err());
        let other = tally.take(agent("b"), 2).unwrap();
        drop(first);
        let third = tally.take(agent("a"), 2).unwrap();
        drop((second, third, other));
        assert!(tally.shards.iter().all(|shard| shard.lock().is_empty()));
    }

    #[test]
    fn an_address_that_is_full_takes_nothing_of_all_strangers() {
        let share = Share {
            principal: 1,
            address: 1,
            strangers: 2,
        };
        let tally = Tally::new();
        let take = |last: u8| tally.share(share, None, [192, 0, 2, last].into());
        let first = take(1).unwrap();
        assert_eq!(
            take(1).unwrap_err().to_string(),
            "1 of strangers at 192.0.2.1 are there already, the most that this node takes"
        );
        let _second = take(2).unwrap();
        assert_eq!(take(3).unwrap_err().holder, Holder::Strangers);
        let registered = tally.share(share, Some(agent("a")), [192, 0, 2, 1].into());
        assert!(registered.is_ok());
        drop(first);
        assert!(take(3).is_ok());
    }

    #[test]
    fn no_places_leave_no_entry() {
        let tally = Tally::new();
        assert!(tally.take(Holder::Strangers, 0).is_err());
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
