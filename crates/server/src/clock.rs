//! The two clocks of a node: CLOCK_BOOTTIME for what safety rests on, the wall
//! clock for `iat` and `exp`.

use std::time::{SystemTime, UNIX_EPOCH};

use chancery_revocation::{BootTime, Clock, Now};

/// The machine's clocks.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl SystemClock {
    /// Milliseconds since the Unix epoch; 0 before it.
    #[must_use]
    pub fn wall_ms() -> u64 {
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| {
                u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
            })
    }

    /// CLOCK_BOOTTIME: never stepped, and it counts while the machine sleeps.
    #[must_use]
    pub fn boot() -> BootTime {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
        let nanoseconds = u64::try_from(now.tv_nsec).unwrap_or(0);
        BootTime(
            seconds
                .saturating_mul(1_000_000_000)
                .saturating_add(nanoseconds),
        )
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Now {
        Now {
            wall: Self::wall_ms() / 1000,
            boot: Self::boot(),
        }
    }
}
