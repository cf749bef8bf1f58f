//! The clocks and the entropy that this crate reads, as arguments: a simulation
//! hands in its own. Nothing else here reads a clock (`clippy.toml`).

use chancery_revocation::BootTime;
use rustix::time::{ClockId, clock_gettime};

/// Two clocks of one machine.
pub trait Clocks: Send + Sync + 'static {
    /// CLOCK_BOOTTIME: never stepped, counts suspend. Freshness is counted on it.
    fn boot(&self) -> BootTime;
    /// The wall clock, in milliseconds since 1970. Stamps commands on the leader.
    fn wall_ms(&self) -> u64;
}

/// The machine's own clocks.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClocks;

impl Clocks for SystemClocks {
    fn boot(&self) -> BootTime {
        let time = clock_gettime(ClockId::Boottime);
        BootTime(nanoseconds(time.tv_sec, time.tv_nsec))
    }

    fn wall_ms(&self) -> u64 {
        let time = clock_gettime(ClockId::Realtime);
        nanoseconds(time.tv_sec, time.tv_nsec) / 1_000_000
    }
}

/// A clock before its own epoch reads as the epoch.
fn nanoseconds(seconds: i64, nanoseconds: i64) -> u64 {
    let seconds = u64::try_from(seconds).unwrap_or(0);
    let nanoseconds = u64::try_from(nanoseconds).unwrap_or(0);
    seconds
        .saturating_mul(1_000_000_000)
        .saturating_add(nanoseconds)
}

/// Where the leader draws the 32 bytes that stamp a command. They are public: no
/// key and no secret is ever made of them.
pub trait Entropy: Send + Sync + 'static {
    /// # Errors
    /// The operating system gave none; the command is not proposed.
    fn draw(&self) -> std::io::Result<[u8; 32]>;
}
