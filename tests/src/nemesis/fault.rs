//! What is done to a cluster, and when: it follows from the seed alone.

use std::{fmt, time::Duration};

use crate::dice::Dice;

/// What goes wrong. Nodes are chosen when it happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// The leader and the others do not hear each other.
    LeaderCutOff,
    /// A node and the others do not hear each other.
    NodeCutOff,
    /// A node hears nobody, and is heard.
    NodeDeaf,
    /// A node is not heard, and hears.
    NodeMute,
    /// Two nodes do not hear each other; a third hears both.
    LinkCut,
    /// SIGKILL.
    NodeKilled,
    /// SIGKILL of the leader.
    LeaderKilled,
    /// SIGKILL of everybody.
    AllKilled,
    /// SIGSTOP for longer than `F`.
    NodePaused,
    /// The same of the leader.
    LeaderPaused,
    /// Everybody in turn: SIGTERM, and started again.
    RollingRestart,
    /// A node cannot write.
    DiskFull,
    /// The wall clock of a node is stepped.
    ClockStepped,
    /// While keys are rotated.
    LeaderKilledInRotation,
    /// While a learner becomes a voter, or a voter a learner.
    LeaderKilledInMembershipChange,
    /// While a node is sent a snapshot.
    LeaderKilledInSnapshotInstall,
}

/// All of them.
pub const FAULTS: [Fault; 16] = [
    Fault::LeaderCutOff,
    Fault::NodeKilled,
    Fault::NodePaused,
    Fault::NodeDeaf,
    Fault::LeaderKilledInRotation,
    Fault::DiskFull,
    Fault::NodeMute,
    Fault::LeaderKilled,
    Fault::ClockStepped,
    Fault::RollingRestart,
    Fault::LeaderPaused,
    Fault::LeaderKilledInMembershipChange,
    Fault::NodeCutOff,
    Fault::AllKilled,
    Fault::LinkCut,
    Fault::LeaderKilledInSnapshotInstall,
];

/// Those that take no longer than they are held.
const SHORT: [Fault; 10] = [
    Fault::LeaderCutOff,
    Fault::NodeCutOff,
    Fault::NodeDeaf,
    Fault::NodeMute,
    Fault::LinkCut,
    Fault::NodeKilled,
    Fault::LeaderKilled,
    Fault::NodePaused,
    Fault::LeaderPaused,
    Fault::ClockStepped,
];

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let said = match self {
            Self::LeaderCutOff => "leader cut off",
            Self::NodeCutOff => "node cut off",
            Self::NodeDeaf => "node deaf",
            Self::NodeMute => "node mute",
            Self::LinkCut => "link cut",
            Self::NodeKilled => "node killed",
            Self::LeaderKilled => "leader killed",
            Self::AllKilled => "all killed",
            Self::NodePaused => "node paused",
            Self::LeaderPaused => "leader paused",
            Self::RollingRestart => "rolling restart",
            Self::DiskFull => "disk full",
            Self::ClockStepped => "clock stepped",
            Self::LeaderKilledInRotation => "leader killed in a rotation",
            Self::LeaderKilledInMembershipChange => "leader killed in a membership change",
            Self::LeaderKilledInSnapshotInstall => "leader killed in a snapshot install",
        };
        f.write_str(said)
    }
}

/// A fault, how long it lasts, and how long it is calm afterwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// What.
    pub fault: Fault,
    /// How long.
    pub hold: Duration,
    /// And then.
    pub rest: Duration,
}

/// The faults of a round: one by turns, so that none is forgotten, and others as they
/// fall.
#[must_use]
pub fn plan(round: u64, steps: usize) -> Vec<Step> {
    let mut dice = Dice::of(round);
    let by_turns = FAULTS[usize::try_from(round % FAULTS.len() as u64).unwrap()];
    let mut faults = vec![by_turns];
    faults.extend((1..steps).map(|_| dice.one(&SHORT)));
    let faults = dice.shuffled(faults);
    faults
        .into_iter()
        .map(|fault| Step {
            fault,
            // A pause has to be longer than F.
            hold: Duration::from_millis(2_500 + dice.below(2_500)),
            rest: Duration::from_millis(500 + dice.below(1_500)),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_round_is_the_same_each_time_and_sixteen_know_every_fault() {
        assert_eq!(plan(7, 3), plan(7, 3));
        assert_ne!(plan(7, 3), plan(23, 3));
        let faults = |round| plan(round, 3).into_iter().map(|step| step.fault);
        let seen: BTreeSet<Fault> = (100..116).flat_map(faults).collect();
        assert_eq!(seen, BTreeSet::from(FAULTS));
    }
}
