//! What a client has gone through, counted.

use std::sync::atomic::{AtomicU64, Ordering};

/// How the calls of a client and of its clones went, since it was made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Statistics {
    /// Calls that were begun.
    pub calls: u64,
    /// Calls whose first try got no final answer: those that a client without
    /// retries would have lost.
    pub failed_first_tries: u64,
    /// Tries beyond the first of a call.
    pub retries: u64,
    /// Calls that ended without an answer, retries and all.
    pub unanswered: u64,
}

/// Each is counted by itself: a reading taken under way is no cut through all.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    calls: AtomicU64,
    failed_first_tries: AtomicU64,
    retries: AtomicU64,
    unanswered: AtomicU64,
}

impl Counters {
    pub(crate) fn call_began(&self) {
        self.calls.fetch_add(1, Ordering::Relaxed);
    }

    /// `number` counts the tries of one call from 0.
    pub(crate) fn try_began(&self, number: u32) {
        if number > 0 {
            self.retries.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn try_failed(&self, number: u32) {
        if number == 0 {
            self.failed_first_tries.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn gave_up(&self) {
        self.unanswered.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn read(&self) -> Statistics {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Statistics {
            calls: read(&self.calls),
            failed_first_tries: read(&self.failed_first_tries),
            retries: read(&self.retries),
            unanswered: read(&self.unanswered),
        }
    }
}
