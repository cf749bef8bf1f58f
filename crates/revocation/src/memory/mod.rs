//! Where published memory lives, and the only place that names an ordering.
//!
//! Over `std` atomics and papaya tables; under `cfg(loom)` over models of both that
//! may hand a reader any value that the orderings allow. Everything above this
//! module is the same code in both.

use std::sync::atomic::Ordering;

#[cfg(loom)]
mod modelled;
#[cfg(not(loom))]
mod native;

#[cfg(loom)]
use modelled::{AtomicU64, in_force};
#[cfg(loom)]
pub(crate) use modelled::{Exclusive, Table};
#[cfg(loom)]
pub use modelled::{Weakness, weakened};
#[cfg(not(loom))]
use native::{AtomicU64, in_force};
#[cfg(not(loom))]
pub(crate) use native::{Exclusive, Table};

/// A word that one thread publishes and others observe: whoever observes a value
/// sees everything that was written before it was published, and looks at nothing
/// else before it.
#[derive(Debug)]
pub(crate) struct Published(AtomicU64);

impl Published {
    pub(crate) fn new(word: u64) -> Self {
        Self(AtomicU64::new(word))
    }

    pub(crate) fn publish(&self, word: u64) {
        self.0.store(word, in_force(Ordering::Release));
    }

    pub(crate) fn observe(&self) -> u64 {
        self.0.load(in_force(Ordering::Acquire))
    }

    /// Publishes `word` if it goes beyond what is held, whoever else publishes.
    pub(crate) fn raise(&self, word: u64, goes_beyond: impl Fn(u64, u64) -> bool) {
        let release = in_force(Ordering::Release);
        // A refusal to replace what is held is no failure.
        let _ = self.0.fetch_update(release, Ordering::Relaxed, |held| {
            goes_beyond(held, word).then_some(word)
        });
    }
}
