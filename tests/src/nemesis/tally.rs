//! What was counted, of a round or of many.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Tally {
    /// Rounds that ended.
    pub rounds: u64,
    /// Rounds that did not: the cluster did not come back.
    pub failed: u64,
    /// What was done to the cluster.
    pub faults: u64,
    /// Operations that were answered, or may have been carried out.
    pub operations: u64,
    /// Tokens that nodes said to be in force.
    pub accepted: u64,
    /// And verifiers.
    pub accepted_in_verifiers: u64,
    /// Tokens that were said not to be.
    pub rejected: u64,
    /// Tokens that were minted.
    pub minted: u64,
    /// Registrations that were read.
    pub read: u64,
    /// Commands that were acknowledged.
    pub acknowledged: u64,
    /// Those of them that were in force everywhere.
    pub enforced: u64,
    /// And in every subscribed verifier.
    #[serde(default)]
    pub enforced_in_verifiers: u64,
    /// Commands of which it is not known what became.
    pub unknown: u64,
    /// Laws that were broken.
    pub violations: u64,
    /// How long it took.
    pub seconds: f64,
}

impl Tally {
    /// Adds another's.
    pub fn add(&mut self, other: &Self) {
        self.rounds += other.rounds;
        self.failed += other.failed;
        self.faults += other.faults;
        self.operations += other.operations;
        self.accepted += other.accepted;
        self.accepted_in_verifiers += other.accepted_in_verifiers;
        self.rejected += other.rejected;
        self.minted += other.minted;
        self.read += other.read;
        self.acknowledged += other.acknowledged;
        self.enforced += other.enforced;
        self.enforced_in_verifiers += other.enforced_in_verifiers;
        self.unknown += other.unknown;
        self.violations += other.violations;
        self.seconds += other.seconds;
    }

    /// Whether nothing was broken.
    #[must_use]
    pub const fn is_clean(&self) -> bool {
        self.violations == 0 && self.failed == 0 && self.rounds > 0
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} rounds ({} failed), {} faults, {} operations ({} accepted, {} in verifiers, {} rejected, {} minted, \
             {} read back), {} commands acknowledged ({} enforced, {} in verifiers too), {} unknown, {} violations, \
             {:.0} s",
            self.rounds,
            self.failed,
            self.faults,
            self.operations,
            self.accepted,
            self.accepted_in_verifiers,
            self.rejected,
            self.minted,
            self.read,
            self.acknowledged,
            self.enforced,
            self.enforced_in_verifiers,
            self.unknown,
            self.violations,
            self.seconds
        )
    }
}
