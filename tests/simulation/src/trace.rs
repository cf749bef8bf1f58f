//! What happened, as one number: two runs of a seed are the same, or this differs.

use std::{
    fmt,
    hash::{DefaultHasher, Hash, Hasher},
};

#[derive(Default)]
pub struct Trace {
    /// Keyed with zeros, so that it says the same in every process.
    sum: DefaultHasher,
    pub shown: bool,
}

impl Trace {
    pub fn note(&mut self, true_us: u64, what: fmt::Arguments<'_>) {
        let line = what.to_string();
        (true_us, &line).hash(&mut self.sum);
        if self.shown {
            println!("{:>10.3} {line}", true_us as f64 / 1e6);
        }
    }

    pub fn count(&mut self, number: u64) {
        number.hash(&mut self.sum);
    }

    pub fn sum(&self) -> u64 {
        self.sum.finish()
    }
}
