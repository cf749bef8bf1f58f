//! What changed in the view of late, kept for watchers that come back and services
//! that poll: so that neither is told all that is in force again.

use std::{collections::VecDeque, sync::Arc};

use chancery_authority::{Event, State};
use chancery_consensus::Consumer;
use chancery_credential::{Revision, Subject};
use chancery_revocation::Change;
use parking_lot::RwLock;

/// Changes that are kept.
const MOST: usize = 64 * 1024;
/// What they weigh at most, bytes: ids of agents can be long.
const HEAVIEST: usize = 16 * 1024 * 1024;

/// The changes of the last revisions. Told by consensus before it publishes a
/// revision: whoever has read the revision finds every change up to it here.
pub(crate) struct Recent {
    ring: RwLock<Ring>,
    most: usize,
    heaviest: usize,
}

#[derive(Default)]
struct Ring {
    /// Nothing after this revision is missing.
    since: Revision,
    steps: VecDeque<Step>,
    changes: usize,
    weight: usize,
}

struct Step {
    revision: Revision,
    changes: Arc<[Change]>,
    weight: usize,
}

/// What changed at one revision. Whoever has it to pass on shares it.
pub(crate) type ChangedAt = (Revision, Arc<[Change]>);

impl Default for Recent {
    fn default() -> Self {
        Self::of_at_most(MOST, HEAVIEST)
    }
}

impl Recent {
    /// With bounds of its own.
    pub(crate) fn of_at_most(most: usize, heaviest: usize) -> Self {
        Self {
            ring: RwLock::default(),
            most,
            heaviest,
        }
    }

    /// About how many bytes the changes take.
    pub(crate) fn weight(&self) -> usize {
        self.ring.read().weight
    }

    /// The changes after `since`, up to `through`, as far as about `weight` bytes
    /// go; at least one revision if there is any. `None` when some are not kept any
    /// more.
    pub(crate) fn after(
        &self,
        since: Revision,
        through: Revision,
        weight: usize,
    ) -> Option<Vec<ChangedAt>> {
        let ring = self.ring.read();
        if since < ring.since {
            return None;
        }
        let first = ring.steps.partition_point(|step| step.revision <= since);
        let wanted = ring.steps.range(first..);
        let wanted = wanted.take_while(|step| step.revision <= through);
        let mut taken = 0;
        let mut found = Vec::new();
        for step in wanted {
            if taken >= weight {
                break;
            }
            taken = taken.saturating_add(step.weight);
            found.push((step.revision, step.changes.clone()));
        }
        Some(found)
    }
}

impl Consumer for Recent {
    fn publish(&self, _: &State, revision: Revision, events: &[Event]) {
        let changes: Arc<[Change]> = events
            .iter()
            .filter_map(|event| match event {
                Event::View(change) => Some(change.clone()),
                _ => None,
            })
            .collect();
        if changes.is_empty() {
            return;
        }
        let mut ring = self.ring.write();
        let weight = changes.iter().map(weight_of).sum();
        ring.push(Step {
            revision,
            changes,
            weight,
        });
        while ring.changes > self.most || ring.weight > self.heaviest {
            ring.pop();
        }
    }

    fn replace(&self, state: &State) {
        *self.ring.write() = Ring {
            since: state.revision(),
            ..Ring::default()
        };
    }
}

impl Ring {
    fn push(&mut self, step: Step) {
        self.changes += step.changes.len();
        self.weight += step.weight;
        self.steps.push_back(step);
    }

    fn pop(&mut self) {
        if let Some(step) = self.steps.pop_front() {
            self.since = step.revision;
            self.changes -= step.changes.len();
            self.weight -= step.weight;
        }
    }
}

/// About what it takes, here and on the wire.
pub(crate) fn weight_of(change: &Change) -> usize {
    const ROOM: usize = 80;
    let name = match change {
        Change::Watermark { subject, .. } => match subject {
            Subject::Agent(id) => id.as_str().len(),
            Subject::Owner(name) => name.as_str().len(),
            Subject::GrantSet(name) => name.as_str().len(),
            Subject::Everything => 0,
        },
        _ => 0,
    };
    ROOM + name
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const ALL: usize = usize::MAX;

    fn changed(recent: &Recent, revision: u64, changes: u64) {
        let events: Vec<_> = (0..changes)
            .map(|number| Event::View(Change::Time(revision * 100 + number)))
            .chain([Event::SettingsChanged])
            .collect();
        recent.publish(&State::default(), Revision(revision), &events);
    }

    /// The revisions that are found, and how many changes in all.
    fn found(
        recent: &Recent,
        since: u64,
        through: u64,
        weight: usize,
    ) -> Option<(Vec<u64>, usize)> {
        let found = recent.after(Revision(since), Revision(through), weight)?;
        let changes = found.iter().map(|(_, changes)| changes.len()).sum();
        Some((found.iter().map(|(at, _)| at.0).collect(), changes))
    }

    #[test]
    fn what_changed_is_found_between_two_revisions() {
        let recent = Recent::default();
        for (revision, changes) in [(3, 1), (5, 2), (6, 0), (9, 1)] {
            changed(&recent, revision, changes);
        }
        assert_eq!(found(&recent, 0, 9, ALL), Some((vec![3, 5, 9], 4)));
        assert_eq!(found(&recent, 3, 9, ALL), Some((vec![5, 9], 3)));
        assert_eq!(found(&recent, 4, 8, ALL), Some((vec![5], 2)));
        assert_eq!(found(&recent, 9, 20, ALL), Some((vec![], 0)));
        // A part at a time, and never nothing.
        assert_eq!(found(&recent, 0, 9, 1), Some((vec![3], 1)));
        assert_eq!(found(&recent, 3, 9, 1), Some((vec![5], 2)));
    }

    #[test]
    fn the_oldest_go_first_and_whoever_needs_them_is_told_so() {
        let recent = Recent::of_at_most(4, ALL);
        for revision in 1..=4 {
            changed(&recent, revision, 1);
        }
        assert_eq!(found(&recent, 0, 4, ALL), Some((vec![1, 2, 3, 4], 4)));
        changed(&recent, 7, 2);
        assert_eq!(found(&recent, 1, 7, ALL), None);
        assert_eq!(found(&recent, 2, 7, ALL), Some((vec![3, 4, 7], 4)));
        changed(&recent, 8, 9);
        assert_eq!(found(&recent, 7, 8, ALL), None, "too much at once");
        assert_eq!(found(&recent, 8, 8, ALL), Some((vec![], 0)));
    }

    #[test]
    fn what_weighs_much_goes_sooner() {
        let recent = Recent::of_at_most(ALL, 1000);
        let id = format!("spiffe://example.org/{}", "a".repeat(600));
        for revision in 1..=2 {
            let watermark = Change::Watermark {
                subject: Subject::Agent(id.parse().unwrap()),
                revision: Revision(revision),
            };
            let events = [Event::View(watermark)];
            recent.publish(&State::default(), Revision(revision), &events);
        }
        assert_eq!(found(&recent, 0, 2, ALL), None);
        assert_eq!(found(&recent, 1, 2, ALL), Some((vec![2], 1)));
    }

    #[test]
    fn another_state_begins_anew() {
        let recent = Recent::default();
        changed(&recent, 3, 1);
        let mut state = State::default();
        state.advance(Revision(50));
        recent.replace(&state);
        assert_eq!(found(&recent, 3, 50, ALL), None);
        assert_eq!(found(&recent, 50, 50, ALL), Some((vec![], 0)));
    }
}
