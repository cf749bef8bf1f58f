//! What was asked for, and what became of it.

use std::{
    collections::BTreeMap,
    fmt::Display,
    sync::Mutex,
    time::{Duration, Instant},
};

/// Failures that are told in full.
const TOLD: u64 = 20;

/// Counts by kind of call.
#[derive(Default)]
pub struct Tally(Mutex<BTreeMap<&'static str, Count>>);

#[derive(Default, Clone)]
struct Count {
    done: u64,
    failed: u64,
    skipped: u64,
    slowest: Duration,
}

impl Tally {
    /// Notes an outcome that should have been a success, and hands it on.
    pub fn note<T, E: Display>(
        &self,
        kind: &'static str,
        began: Instant,
        outcome: Result<T, E>,
    ) -> Option<T> {
        let mut counts = self.0.lock().unwrap();
        let count = counts.entry(kind).or_default();
        count.slowest = count.slowest.max(began.elapsed());
        match outcome {
            Ok(done) => {
                count.done += 1;
                Some(done)
            }
            Err(error) => {
                count.failed += 1;
                if count.failed <= TOLD {
                    println!("{kind} failed: {error}");
                }
                None
            }
        }
    }

    /// Notes what was not even begun, so much was under way, or what a node that could
    /// not prove that its state is fresh refused to whom the SDK does not help.
    pub fn skip(&self, kind: &'static str) {
        self.0.lock().unwrap().entry(kind).or_default().skipped += 1;
    }

    pub fn is_clean(&self) -> bool {
        let counts = self.0.lock().unwrap();
        counts.values().all(|count| count.failed == 0)
    }

    pub fn print(&self) {
        println!(
            "\n{:<28}{:>10}{:>8}{:>14}{:>12}",
            "what", "done", "failed", "not served", "slowest"
        );
        for (kind, count) in &*self.0.lock().unwrap() {
            println!(
                "{kind:<28}{:>10}{:>8}{:>14}{:>9.2} s",
                count.done,
                count.failed,
                count.skipped,
                count.slowest.as_secs_f64()
            );
        }
    }
}
