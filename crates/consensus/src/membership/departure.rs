//! How long a node that leaves could still serve from what it proved before.
//!
//! A node serves for F after the question of its last proof, on its own clock.
//! Once it retires, or once it is no member, no question that it asks becomes a
//! proof: the leader refuses it, and a node that knows that it retires publishes
//! none. So W = F·κ after that was committed, on anybody's clock, it serves nothing.
//!
//! W is counted from when *this* process first saw it, which is later, never
//! earlier; a new leader counts anew. It is that of the longest F for which a proof may
//! still count, made before F was lowered: that is part of the state
//! ([`FormerSpans`](chancery_authority::FormerSpans)), so that it outlives every leader.

use std::{collections::BTreeMap, time::Duration};

use chancery_credential::{KeyThumbprint, NodeNumber};
use chancery_revocation::BootTime;
use parking_lot::Mutex;

/// Since when nodes leave, as this process saw it. At most one entry a number.
#[derive(Debug, Default)]
pub(crate) struct Departures {
    seen: Mutex<BTreeMap<NodeNumber, Seen>>,
}

#[derive(Clone, Copy, Debug)]
struct Seen {
    /// Of the peer key that it had: one that was readmitted has another.
    key: KeyThumbprint,
    retiring: Option<BootTime>,
    out: Option<BootTime>,
}

/// A moment of a departure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moment {
    /// Its retirement is applied.
    Retiring,
    /// That it is no member is applied.
    Out,
}

impl Departures {
    /// How long ago this process first saw it so, `now` included.
    pub(crate) fn since(
        &self,
        node: NodeNumber,
        key: KeyThumbprint,
        moment: Moment,
        now: BootTime,
    ) -> Duration {
        let mut seen = self.seen.lock();
        let fresh = Seen {
            key,
            retiring: None,
            out: None,
        };
        let entry = seen.entry(node).or_insert(fresh);
        if entry.key != key {
            *entry = fresh;
        }
        let first = match moment {
            Moment::Retiring => &mut entry.retiring,
            Moment::Out => &mut entry.out,
        };
        now.since(*first.get_or_insert(now)).unwrap_or_default()
    }

    /// It is a member again, or gone for good.
    pub(crate) fn forget(&self, node: NodeNumber) {
        self.seen.lock().remove(&node);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> BootTime {
        BootTime(ms * 1_000_000)
    }

    fn key(byte: u8) -> KeyThumbprint {
        KeyThumbprint::of_spki(&[byte])
    }

    #[test]
    fn it_counts_from_the_first_look_and_anew_after_a_readmission() {
        let departures = Departures::default();
        let node = NodeNumber(2);
        let since = |key_of, moment, now| {
            let span = departures.since(node, key(key_of), moment, at(now));
            span.as_millis()
        };
        assert_eq!(since(1, Moment::Retiring, 1_000), 0);
        assert_eq!(since(1, Moment::Retiring, 3_500), 2_500);
        assert_eq!(since(1, Moment::Out, 3_500), 0, "counted apart");
        assert_eq!(since(1, Moment::Retiring, 4_000), 3_000);
        assert_eq!(since(2, Moment::Retiring, 5_000), 0, "with another key");
        departures.forget(node);
        assert_eq!(since(2, Moment::Retiring, 6_000), 0);
    }
}
