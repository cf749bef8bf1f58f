//! A machine: its clock, its disk, and the process on it, on a runtime of its own whose
//! time goes by at the machine's rate.

use std::{
    path::PathBuf,
    sync::{Arc, atomic::AtomicU64},
    time::Duration,
};

use chancery_storage::simulated::{self, Crash};
use tokio::{
    runtime::{Builder, RngSeed, Runtime},
    time::Instant,
};

use crate::clock::MachineClock;

/// Rates are in parts of a million.
pub const TRUE_RATE: u64 = 1_000_000;

pub struct Machine {
    pub root: PathBuf,
    pub clock: Arc<MachineClock>,
    pub rate: u64,
    /// CLOCK_BOOTTIME at the end of the last step, in nanoseconds.
    boot_ns: u64,
    /// What the rate left over.
    rest: u64,
    process: Option<Process>,
    pub paused_until_us: u64,
    pub restart_at_us: Option<u64>,
}

struct Process {
    runtime: Runtime,
    started: Instant,
    /// The clock when the process began, and what it has slept since.
    base_ns: u64,
    /// How far its time has come since, milliseconds, and how far it is to come,
    /// microseconds.
    ran_ms: u64,
    due_us: u64,
}

impl Machine {
    pub fn new(number: u64, boot_ns: u64, rate: u64, true_us: Arc<AtomicU64>) -> Self {
        Self {
            root: PathBuf::from(format!("/machine-{number}")),
            clock: Arc::new(MachineClock::new(boot_ns, true_us)),
            rate,
            boot_ns,
            rest: 0,
            process: None,
            paused_until_us: 0,
            restart_at_us: None,
        }
    }

    pub fn is_running(&self) -> bool {
        self.process.is_some()
    }

    /// A process begins. What it does is spawned within `begin`.
    pub fn start(&mut self, seed: u64, begin: impl FnOnce()) {
        let runtime = Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .rng_seed(RngSeed::from_bytes(&seed.to_be_bytes()))
            .build()
            .expect("a runtime");
        let guard = runtime.enter();
        let started = Instant::now();
        self.clock.start(self.boot_ns);
        self.clock.running(begin);
        drop(guard);
        self.process = Some(Process {
            runtime,
            started,
            base_ns: self.boot_ns,
            ran_ms: 0,
            due_us: 0,
        });
        self.restart_at_us = None;
    }

    /// What the boot clock shows to the process; none without one.
    pub fn shown_ns(&self) -> Option<u64> {
        let process = self.process.as_ref()?;
        Some(process.base_ns + process.ran_ms * 1_000_000)
    }

    /// Time passes.
    pub fn step(&mut self, step_us: u64, now_us: u64) {
        let parts = step_us * self.rate + self.rest;
        let local_us = parts / TRUE_RATE;
        self.rest = parts % TRUE_RATE;
        self.boot_ns += local_us * 1_000;
        let Some(process) = &mut self.process else {
            return;
        };
        if now_us < self.paused_until_us {
            process.base_ns += local_us * 1_000;
            self.clock.sleep(local_us * 1_000);
            return;
        }
        process.due_us += local_us;
        let due_ms = process.due_us / 1_000;
        if due_ms == process.ran_ms {
            return;
        }
        process.ran_ms = due_ms;
        let until = process.started + Duration::from_millis(due_ms);
        let runtime = &process.runtime;
        self.clock
            .running(|| runtime.block_on(async { tokio::time::sleep_until(until).await }));
    }

    /// Does `work` as if the process did it.
    pub fn within<T>(&self, work: impl FnOnce() -> T) -> Option<T> {
        let process = self.process.as_ref()?;
        let _guard = process.runtime.enter();
        Some(self.clock.running(work))
    }

    /// The process ends where it is.
    pub fn crash(&mut self, crash: Crash, boots_at_ns: u64) {
        simulated::crash(&self.root, crash);
        if let Some(process) = self.process.take() {
            let Process { runtime, .. } = process;
            self.clock.running(|| drop(runtime));
        }
        if crash == Crash::Power {
            self.boot_ns = boots_at_ns;
        }
        self.paused_until_us = 0;
    }
}
