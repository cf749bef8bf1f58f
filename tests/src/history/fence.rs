//! The fence is never later than promised: `W` after the later of the commit, the
//! moment the present leader began to lead, and the try that was answered; in verifiers,
//! who may go by what a node answered before, `V·κ` if that is longer.
//!
//! What is in force at one revision is in force at all before it. So the fence was there
//! when the first answer said so of that revision or a later one: an answer that a node
//! gave late, because it was cut off from the leader, is not a late fence.

use super::{Complaint, Deed, History, Moment, Operation, Outcome, Promises, Verdict};

pub(super) fn judge(history: &History, promises: &Promises, verdict: &mut Verdict) {
    let commits = Commits::of(history);
    let leaders = Leaders::of(history);
    let in_nodes = Commits::of_those(history, Outcome::is_enforced);
    let in_verifiers = Commits::of_those(history, |outcome| {
        matches!(outcome, Outcome::EnforcedInVerifiers(_))
    });
    for operation in &history.operations {
        let Deed::Ended {
            outcome, subject, ..
        } = &operation.deed
        else {
            continue;
        };
        let (revision, enforced, promised) = match outcome {
            Outcome::Enforced(revision) => (revision, &in_nodes, promises.w()),
            Outcome::EnforcedInVerifiers(revision) => {
                (revision, &in_verifiers, promises.w_in_verifiers())
            }
            _ => continue,
        };
        let (Some(ended), Some(committed)) = (enforced.at(*revision), commits.by(*revision)) else {
            // Nobody else's command tells when it was committed.
            continue;
        };
        let led = leaders.latest(ended.after(promises.slack));
        let from = committed.max(led).max(operation.asked);
        let by = from.after(promised).after(promises.slack);
        if ended > by {
            verdict.complain(
                Complaint::FenceLate,
                format!(
                    "{subject:?}, revision {revision}: enforced {:?} after {from:?}, the later of \
                     its commit ({committed:?}), the latest leader ({led:?}) and its last try \
                     ({:?}); promised were {:?} and {:?} for measuring",
                    ended.since(from),
                    operation.asked,
                    promised,
                    promises.slack
                ),
            );
        }
    }
}

/// By when a revision was committed at the latest: a later one was acknowledged then.
/// Or, of those that were in force, by when it was.
struct Commits(Vec<(u64, Moment)>);

impl Commits {
    fn of(history: &History) -> Self {
        let acknowledged = history
            .operations
            .iter()
            .filter_map(Operation::acknowledged);
        Self::earliest(acknowledged.collect())
    }

    /// By when a revision was in force at the latest, as far as `is_enforced` asks.
    fn of_those(history: &History, is_enforced: fn(Outcome) -> bool) -> Self {
        let enforced = history.operations.iter().filter(|operation| {
            let outcome = operation.deed.outcome();
            outcome.is_some_and(is_enforced)
        });
        Self::earliest(enforced.filter_map(Operation::acknowledged).collect())
    }

    fn earliest(mut known: Vec<(u64, Moment)>) -> Self {
        known.sort_unstable();
        let mut earliest = Moment(u64::MAX);
        for (_, ended) in known.iter_mut().rev() {
            earliest = earliest.min(*ended);
            *ended = earliest;
        }
        Self(known)
    }

    /// Of this revision or a later one.
    fn at(&self, revision: u64) -> Option<Moment> {
        let same = self.0.partition_point(|(known, _)| *known < revision);
        self.0.get(same).map(|(_, ended)| *ended)
    }

    /// Of a later one.
    fn by(&self, revision: u64) -> Option<Moment> {
        let later = self.0.partition_point(|(known, _)| *known <= revision);
        self.0.get(later).map(|(_, ended)| *ended)
    }
}

/// When each term was first seen to have a leader.
struct Leaders(Vec<Moment>);

impl Leaders {
    fn of(history: &History) -> Self {
        let mut first = std::collections::BTreeMap::new();
        for report in history.reports.iter().filter(|report| report.leader != 0) {
            let seen = first.entry(report.term).or_insert(report.seen);
            *seen = report.seen.min(*seen);
        }
        let mut moments: Vec<Moment> = first.into_values().collect();
        moments.sort_unstable();
        Self(moments)
    }

    fn latest(&self, by: Moment) -> Moment {
        let known = self.0.partition_point(|seen| *seen <= by);
        known.checked_sub(1).map_or(Moment(0), |last| self.0[last])
    }
}
