//! The clocks of a machine. True time is the simulation's alone; a machine's
//! CLOCK_BOOTTIME runs at a rate of its own, its wall clock is set by others.

use std::{
    cell::RefCell,
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
};

use chancery_consensus::Clocks;
use chancery_revocation::{BootTime, Clock, Now};
use parking_lot::Mutex;
use tokio::time::Instant;

/// When the simulation begins, milliseconds since the Unix epoch.
pub const BEGIN_MS: u64 = 1_800_000_000_000;

thread_local! {
    static RUNNING: RefCell<Option<Arc<MachineClock>>> = const { RefCell::new(None) };
}

/// A machine's clocks. Within its runtime the boot clock is as far as that; outside, as
/// it was when the machine ran last.
pub struct MachineClock {
    /// CLOCK_BOOTTIME when the process was started, and what it has slept since.
    base_ns: AtomicU64,
    started: Mutex<Option<Instant>>,
    wall_offset_ms: AtomicI64,
    true_us: Arc<AtomicU64>,
}

impl MachineClock {
    pub fn new(boot_ns: u64, true_us: Arc<AtomicU64>) -> Self {
        Self {
            base_ns: AtomicU64::new(boot_ns),
            started: Mutex::new(None),
            wall_offset_ms: AtomicI64::new(0),
            true_us,
        }
    }

    /// A process begins, within its runtime, at `boot_ns`.
    pub fn start(&self, boot_ns: u64) {
        self.base_ns.store(boot_ns, Ordering::Relaxed);
        *self.started.lock() = Some(Instant::now());
    }

    /// The machine did nothing, and its clock went on.
    pub fn sleep(&self, ns: u64) {
        self.base_ns.fetch_add(ns, Ordering::Relaxed);
    }

    pub fn set_wall(&self, offset_ms: i64) {
        self.wall_offset_ms.store(offset_ms, Ordering::Relaxed);
    }

    /// To be asked within the machine's runtime.
    pub fn boot_ns(&self) -> u64 {
        let started = *self.started.lock();
        let passed = started.map_or(0, |started| started.elapsed().as_nanos() as u64);
        self.base_ns.load(Ordering::Relaxed) + passed
    }

    /// While `work` runs, this is the machine's clock.
    pub fn running<T>(self: &Arc<Self>, work: impl FnOnce() -> T) -> T {
        RUNNING.set(Some(self.clone()));
        let done = work();
        RUNNING.set(None);
        done
    }
}

impl Clocks for MachineClock {
    fn boot(&self) -> BootTime {
        BootTime(self.boot_ns())
    }

    fn wall_ms(&self) -> u64 {
        let true_ms = BEGIN_MS + self.true_us.load(Ordering::Relaxed) / 1_000;
        true_ms.saturating_add_signed(self.wall_offset_ms.load(Ordering::Relaxed))
    }
}

impl Clock for MachineClock {
    fn now(&self) -> Now {
        Now {
            wall: self.wall_ms() / 1_000,
            boot: self.boot(),
        }
    }
}

/// In the place of the server's clocks of the same name: those of the machine that runs
/// now.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl SystemClock {
    pub fn boot() -> BootTime {
        of_running(|clock| clock.boot())
    }

    pub fn wall_ms() -> u64 {
        of_running(|clock| clock.wall_ms())
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Now {
        of_running(|clock| clock.now())
    }
}

fn of_running<T>(read: impl FnOnce(&MachineClock) -> T) -> T {
    RUNNING.with_borrow(|running| read(running.as_ref().expect("a machine runs")))
}
