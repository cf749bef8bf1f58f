//! A state is as recent as it was said to be, and a session never goes back.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{
    Complaint, Deed, History, Moment, Operation, Place, Promises, Verdict, horizon::Horizon,
};

/// Ages are told in whole milliseconds.
const ROUNDED: Duration = Duration::from_millis(1);

pub(super) fn judge(history: &History, promises: &Promises, verdict: &mut Verdict) {
    ages(history, promises, verdict);
    sessions(history, verdict);
}

/// Revision `r` and age `a`, said in answer to what began at `t`: all that was
/// acknowledged before `t - a·κ` is at or below `r`.
fn ages(history: &History, promises: &Promises, verdict: &mut Verdict) {
    let acknowledged = history
        .operations
        .iter()
        .filter_map(Operation::acknowledged);
    let known = acknowledged.map(|(revision, ended)| (ended, revision));
    let known = Horizon::of(known.collect());
    for operation in &history.operations {
        let Some((seen, age)) = operation.seen.and_then(|seen| Some((seen, seen.age?))) else {
            continue;
        };
        let reaches = operation
            .asked
            .before((age + ROUNDED).mul_f64(promises.kappa));
        if let Some(expected) = known.at(reaches).filter(|least| seen.revision < *least) {
            verdict.complain(
                Complaint::OlderThanSaid,
                format!(
                    "{:?} said revision {} and {age:?} to what was asked at {:?}: revision \
                     {expected} was acknowledged before",
                    operation.place, seen.revision, operation.asked
                ),
            );
        }
        let bound = match operation.place {
            Place::Verifier(_) => promises.v,
            Place::Node(_) | Place::Cluster => promises.f,
        };
        let served = matches!(operation.deed, Deed::Accepted { .. } | Deed::Read { .. });
        if served && age > bound + ROUNDED {
            verdict.complain(
                Complaint::ServedStale,
                format!(
                    "{:?} answered, {age:?} old, more than {bound:?}",
                    operation.place
                ),
            );
        }
    }
}

fn sessions(history: &History, verdict: &mut Verdict) {
    let mut by_session: BTreeMap<u32, Vec<(Moment, Moment, u64)>> = BTreeMap::new();
    for operation in &history.operations {
        let revision = match (operation.seen, operation.acknowledged()) {
            (Some(seen), _) => seen.revision,
            (None, Some((revision, _))) => revision,
            (None, None) => continue,
        };
        if let Some(ended) = operation.ended {
            let session = by_session.entry(operation.session).or_default();
            session.push((operation.begun, ended, revision));
        }
    }
    for (session, mut seen) in by_session {
        let known = seen.iter().map(|(_, ended, revision)| (*ended, *revision));
        let known = Horizon::of(known.collect());
        seen.sort_unstable();
        for (begun, _, revision) in seen {
            if let Some(former) = known.at(begun).filter(|former| revision < *former) {
                verdict.complain(
                    Complaint::SessionWentBack,
                    format!(
                        "session {session} saw revision {former}, and revision {revision} by what \
                         began at {begun:?}, later"
                    ),
                );
            }
        }
    }
}
