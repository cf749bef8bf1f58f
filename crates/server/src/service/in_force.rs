//! All that is in force, read part by part.

use chancery_authority::{State, ViewPlace};
use chancery_credential::Revision;
use chancery_revocation::Change;

use crate::recent::weight_of;

/// Some of what is in force.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) changes: Vec<Change>,
    /// Where to go on; `None` after the last part.
    pub(super) place: Option<ViewPlace>,
    /// Of the state that it was read from, which can be ahead of what readers see.
    pub(super) revision: Revision,
}

impl Part {
    /// What comes after a place, or first, as far as about `weight` bytes go. Entries
    /// wait while it is read.
    pub(super) fn of(state: &State, after: Option<&ViewPlace>, weight: usize) -> Self {
        let revision = state.revision();
        let mut taken = 0;
        let mut changes = Vec::new();
        let mut last = None;
        for (place, change) in state.view_after(after) {
            if taken >= weight {
                return Self {
                    changes,
                    place: last,
                    revision,
                };
            }
            taken = taken.saturating_add(weight_of(&change));
            changes.push(change);
            last = Some(place);
        }
        Self {
            changes,
            place: None,
            revision,
        }
    }
}
