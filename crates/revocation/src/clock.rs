//! The two clocks a judgement reads, as arguments.

use std::time::Duration;

/// Nanoseconds of CLOCK_BOOTTIME: it is never set, and goes on through a suspend.
/// Comparable only within one boot of one machine.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BootTime(pub u64);

impl BootTime {
    /// How long ago `earlier` was; none when it is in the future.
    #[must_use]
    pub fn since(self, earlier: Self) -> Option<Duration> {
        self.0.checked_sub(earlier.0).map(Duration::from_nanos)
    }

    /// `duration` later, at most the end of time.
    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        Self(self.0.saturating_add(nanos))
    }

    /// `duration` earlier, at least the boot: what a verifier needs for
    /// `s0 - κ·a`.
    #[must_use]
    pub fn minus(self, duration: Duration) -> Self {
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        Self(self.0.saturating_sub(nanos))
    }
}

/// One reading of both clocks.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Now {
    /// Seconds since the Unix epoch: for `iat` and `exp` only.
    pub wall: u64,
    /// For freshness only.
    pub boot: BootTime,
}

/// Where the time comes from. It is read once in a judgement, after everything
/// else, so that a thread that was held up finds out that its view went stale.
pub trait Clock {
    /// Reads both clocks.
    fn now(&self) -> Now;
}

impl<C: Clock + ?Sized> Clock for &C {
    fn now(&self) -> Now {
        (**self).now()
    }
}

impl<C: Clock + ?Sized> Clock for std::sync::Arc<C> {
    fn now(&self) -> Now {
        (**self).now()
    }
}

/// A clock that stands still: a reading that was taken before. Judging with one
/// that was taken before the view was read proves no freshness.
impl Clock for Now {
    fn now(&self) -> Now {
        *self
    }
}
