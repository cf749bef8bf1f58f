//! What was acknowledged is there.

use std::collections::BTreeMap;

use super::{Complaint, Deed, History, Moment, Operation, Subject, Verb, Verdict};

pub(super) fn judge(history: &History, verdict: &mut Verdict) {
    revisions(history, verdict);
    registrations(history, verdict);
}

/// A revision is one entry of the log, and an entry one command.
fn revisions(history: &History, verdict: &mut Verdict) {
    let mut given: BTreeMap<u64, &Operation> = BTreeMap::new();
    for operation in &history.operations {
        let Some((revision, _)) = operation.acknowledged() else {
            continue;
        };
        if let Some(other) = given.insert(revision, operation) {
            verdict.complain(
                Complaint::RevisionTwice,
                format!(
                    "revision {revision} is {:?} and {:?}",
                    other.deed, operation.deed
                ),
            );
        }
    }
}

/// What changed an agent's registration.
#[derive(Default)]
struct Changes {
    registered: Option<u64>,
    /// Suspensions and resumptions whose revision is known, with when they began.
    known: Vec<(u64, bool, Moment)>,
    /// When anything began of which it is not known what became, or that removes it.
    unclear_from: Option<Moment>,
}

impl Changes {
    fn unclear(&mut self, from: Moment) {
        let earliest = self.unclear_from.get_or_insert(from);
        *earliest = from.min(*earliest);
    }
}

fn changes(history: &History) -> BTreeMap<&str, Changes> {
    let mut all: BTreeMap<&str, Changes> = BTreeMap::new();
    for operation in &history.operations {
        let (agent, outcome, suspends) = match &operation.deed {
            Deed::Registered { agent, outcome } => (agent, outcome, None),
            Deed::Ended {
                subject: Subject::Agent(agent),
                verb: Verb::Suspend,
                outcome,
            } => (agent, outcome, Some(true)),
            Deed::Ended {
                subject: Subject::Agent(agent),
                verb: Verb::Remove,
                outcome,
            } => {
                if outcome.may_have_happened() {
                    all.entry(agent).or_default().unclear(operation.begun);
                }
                continue;
            }
            Deed::Resumed {
                subject: Subject::Agent(agent),
                outcome,
            } => (agent, outcome, Some(false)),
            _ => continue,
        };
        let changes = all.entry(agent).or_default();
        match (outcome.revision(), suspends) {
            (Some(revision), None) => changes.registered = Some(revision),
            (Some(revision), Some(suspends)) => {
                changes.known.push((revision, suspends, operation.begun));
            }
            (None, Some(_)) if outcome.may_have_happened() => changes.unclear(operation.begun),
            (None, _) => {}
        }
    }
    for changes in all.values_mut() {
        changes.known.sort_unstable();
    }
    all
}

/// A read says the revision that its state holds at least: later changes may show
/// already when they had begun.
fn registrations(history: &History, verdict: &mut Verdict) {
    let changes = changes(history);
    for operation in &history.operations {
        let (Deed::Read { agent, found }, Some(seen), Some(ended)) =
            (&operation.deed, operation.seen, operation.ended)
        else {
            continue;
        };
        let Some(changes) = changes.get(agent.as_str()) else {
            continue;
        };
        let unclear = changes.unclear_from.is_some_and(|from| from < ended);
        let is_registered = changes.registered.is_some_and(|at| at <= seen.revision);
        if unclear || !is_registered {
            continue;
        }
        let so_far = changes
            .known
            .partition_point(|(at, ..)| *at <= seen.revision);
        let may_be_later = changes.known[so_far..]
            .iter()
            .any(|(.., begun)| *begun < ended);
        let expected = so_far
            .checked_sub(1)
            .is_some_and(|last| changes.known[last].1);
        let lost = match found {
            None => true,
            Some(found) => !may_be_later && found.suspended != expected,
        };
        if lost {
            verdict.complain(
                Complaint::LostWrite,
                format!(
                    "{:?} found {found:?} of {agent} in revision {}: registered at {:?}, \
                     suspended: {expected}",
                    operation.place, seen.revision, changes.registered
                ),
            );
        }
    }
}
