//! What a seed comes to: how large the cluster is, how fast the network, how bad the
//! weather.

use std::ops::Range;

use chancery_consensus::Compaction;

use crate::{faults::Weather, oracle::V_MS};

#[derive(Clone, Debug)]
pub struct Plan {
    pub seed: u64,
    pub voters: usize,
    /// How long faults go on, in true time.
    pub trial_us: u64,
    /// How coarse the simulation is.
    pub step_us: u64,
    pub tick_ms: u64,
    pub latency_us: Range<u64>,
    pub flush_us: Range<u64>,
    pub compaction: Compaction,
    pub clients: usize,
    /// V of each verifier, milliseconds, as it asks for it; none: the cluster's.
    pub verifiers: Vec<Option<u64>>,
    pub has_membership: bool,
    pub service_pause_us: u64,
    /// Clocks run as fast or as slow as they may.
    pub has_extreme_clocks: bool,
    pub weather: Weather,
}

impl Plan {
    pub fn of(seed: u64, trial_s: u64) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        let voters = random.choice([1, 2, 3, 3, 3, 3, 4, 5, 5]).unwrap_or(3);
        // Where a round takes long, more begins within it.
        let is_far = random.u8(0..3) == 0;
        let slowest = random.u64(if is_far { 20_000..60_000 } else { 600..6_000 });
        let entries = random.choice([16, 40, 100, 100_000]).unwrap_or(100);
        Self {
            seed,
            voters,
            trial_us: trial_s * 1_000_000,
            step_us: random.choice([1_000, 1_000, 2_000]).unwrap_or(1_000),
            tick_ms: random.choice([50, 100, 100]).unwrap_or(100),
            latency_us: 100..slowest,
            flush_us: 100..random.u64(400..6_000),
            compaction: Compaction {
                entries_per_snapshot: entries,
                entries_kept: entries / 4,
                entries_cut: 4,
                lag_for_snapshot: entries,
            },
            clients: random.usize(2..=8),
            verifiers: (0..random.usize(0..=3))
                .map(|_| random.bool().then(|| random.u64(1_000..V_MS)))
                .collect(),
            has_membership: random.u8(0..3) == 0,
            service_pause_us: random.u64(20_000..80_000),
            has_extreme_clocks: random.bool(),
            weather: Weather::draw(&mut random),
        }
    }
}
