//! The fence is never later than promised: `W` after the later of the commit, the
//! moment the present leader began to lead, and the try that was answered.

use super::{Complaint, Deed, History, Moment, Operation, Outcome, Promises, Verdict};

pub(super) fn judge(history: &History, promises: &Promises, verdict: &mut Verdict) {
    let commits = Commits::of(history);
    let leaders = Leaders::of(history);
    for operation in &history.operations {
        let Deed::Ended {
            outcome: Outcome::Enforced(revision),
            subject,
            ..
        } = &operation.deed
        else {
            continue;
        };
        let (Some(ended), Some(committed)) = (operation.ended, commits.by(*revision)) else {
            // Nobody else's command tells when it was committed.
            continue;
        };
        let led = leaders.latest(ended.after(promises.slack));
        let from = committed.max(led).max(operation.asked);
        let by = from.after(promises.w()).after(promises.slack);
        if ended > by {
            verdict.complain(
                Complaint::FenceLate,
                format!(
                    "{subject:?}, revision {revision}: enforced {:?} after {from:?}, the later of \
                     its commit ({committed:?}), the latest leader ({led:?}) and its last try \
                     ({:?}); promised were {:?} and {:?} for measuring",
                    ended.since(from),
                    operation.asked,
                    promises.w(),
                    promises.slack
                ),
            );
        }
    }
}

/// By when a revision was committed at the latest: a later one was acknowledged then.
struct Commits(Vec<(u64, Moment)>);

impl Commits {
    fn of(history: &History) -> Self {
        let acknowledged = history.operations.iter().filter_map(Operation::acknowledged);
        let mut known: Vec<_> = acknowledged.collect();
        known.sort_unstable();
        let mut earliest = Moment(u64::MAX);
        for (_, ended) in known.iter_mut().rev() {
            earliest = earliest.min(*ended);
            *ended = earliest;
        }
        Self(known)
    }

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
