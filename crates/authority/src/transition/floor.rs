//! Raising the floor.

use std::ops::Bound;

use chancery_credential::Revision;
use chancery_revocation::Change;

use super::Transition;
use crate::event::{Answer, Event};
use crate::record::{IssuerRecord, IssuerStanding};
use crate::rejection::{Reason, Rejection};
use crate::state::State;

impl Transition<'_> {
    /// When nothing that is in force can be older is the keeper's to know, by its
    /// own monotonic clock: a floor that comes too early costs tokens, not safety.
    pub(super) fn raise_floor(&mut self, floor: Revision) -> Result<Answer, Rejection> {
        if floor <= self.state.floor() {
            return Err(Rejection::new(Reason::FloorNotRaised, self.state.floor()));
        }
        if self.state.floor_candidate(floor) != Some(floor) {
            return Err(Rejection::new(Reason::FloorNotAChange, floor));
        }
        self.count(|meta| meta.floor = floor);
        self.emit(Event::View(Change::Floor(floor)));
        Ok(Answer::Nothing)
    }
}

impl State {
    /// The greatest revision up to `at_most` to which it is worth raising the floor:
    /// one that lets watermarks go.
    #[must_use]
    pub fn floor_due(&self, at_most: Revision) -> Option<Revision> {
        let candidate = self.floor_candidate(at_most)?;
        let sunken = (Bound::Excluded(self.floor()), Bound::Included(candidate));
        (self.tables.watermark_at.range(sunken).next()).map(|_| candidate)
    }

    /// The greatest revision up to `at_most` to which the floor may be raised, if
    /// there is one above it.
    ///
    /// A token's `rev` is a revision that changed what is in force. A floor between
    /// two of them would kill tokens that are younger than it, so only a revision
    /// that the state itself shows to be one is accepted: a watermark's, or one at
    /// which an issuer was opened, retired or revoked.
    #[must_use]
    pub fn floor_candidate(&self, at_most: Revision) -> Option<Revision> {
        let watermark =
            (self.tables.watermark_at.range(..=at_most).next_back()).map(|(revision, _)| *revision);
        self.issuers()
            .flat_map(|issuer| turning_points(issuer))
            .chain(watermark)
            .filter(|revision| (self.floor() < *revision) && *revision <= at_most)
            .max()
    }
}

fn turning_points(issuer: &IssuerRecord) -> impl Iterator<Item = Revision> + use<> {
    let ended = match issuer.standing {
        IssuerStanding::Open => None,
        IssuerStanding::Retired(at) | IssuerStanding::Revoked(at) => Some(at),
    };
    [Some(issuer.opened_at), ended].into_iter().flatten()
}
