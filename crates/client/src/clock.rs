//! The clocks of this machine: CLOCK_BOOTTIME for everything that lasts, because it is
//! never set and goes on through a suspend; the wall clock for `iat` and `exp`.

use std::time::{SystemTime, UNIX_EPOCH};

use chancery_revocation::{BootTime, Clock, Now};

/// The machine's clocks.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl SystemClock {
    /// CLOCK_BOOTTIME.
    #[must_use]
    pub fn boot() -> BootTime {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
        let nanoseconds = u64::try_from(now.tv_nsec).unwrap_or(0);
        let whole = seconds.saturating_mul(1_000_000_000);
        BootTime(whole.saturating_add(nanoseconds))
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Now {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH);
        Now {
            wall: wall.map_or(0, |since| since.as_secs()),
            boot: Self::boot(),
        }
    }
}
