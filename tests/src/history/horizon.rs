//! From when on which revisions have to be known.

use super::Moment;

/// The greatest revision that has to be known from each moment on.
#[derive(Debug, Default)]
pub(super) struct Horizon(Vec<(Moment, u64)>);

impl Horizon {
    /// Of pairs in any order.
    pub(super) fn of(mut known: Vec<(Moment, u64)>) -> Self {
        known.sort_unstable();
        let mut greatest = 0;
        for (_, revision) in &mut known {
            greatest = greatest.max(*revision);
            *revision = greatest;
        }
        Self(known)
    }

    /// What has to be known by what begins at `moment`. What was learnt at that very
    /// moment is not: nothing says which came first.
    pub(super) fn at(&self, moment: Moment) -> Option<u64> {
        let known = self.0.partition_point(|(from, _)| *from < moment);
        known.checked_sub(1).map(|last| self.0[last].1)
    }
}
