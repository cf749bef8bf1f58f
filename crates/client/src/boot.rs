//! The clock that every span of this crate which safety rests on is measured by.

use chancery_revocation::BootTime;
use rustix::time::{ClockId, clock_gettime};

/// CLOCK_BOOTTIME: it is never set, and goes on through a suspend.
pub(crate) fn now() -> BootTime {
    let time = clock_gettime(ClockId::Boottime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let nanoseconds = u64::try_from(time.tv_nsec).unwrap_or(0);
    BootTime(
        seconds
            .saturating_mul(1_000_000_000)
            .saturating_add(nanoseconds),
    )
}
