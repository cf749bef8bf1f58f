//! Opening and revoking epochs.

use chancery_credential::EpochNumber;

use super::Transition;
use crate::bounds::MAX_LIVE_EPOCHS;
use crate::event::Answer;
use crate::record::EpochRecord;
use crate::rejection::{Reason, Rejection};
use crate::stamped::Actor;
use crate::state::State;

impl Transition<'_> {
    /// The keeper opens one when the newest has run its time, an operator when
    /// they like. Two keepers, one that leads and one that led, so open one.
    pub(super) fn open_epoch(&mut self, emergency: bool) -> Result<Answer, Rejection> {
        let newest = self.newest_epoch()?;
        if matches!(self.actor, Actor::Node(_)) && self.now_ms < self.state.epoch_due_ms() {
            return Err(Rejection::new(Reason::EpochNotDue, newest.number));
        }
        let live = self.state.live_epochs();
        if live >= MAX_LIVE_EPOCHS {
            return Err(Rejection::new(Reason::EpochsFull, live));
        }
        let number = successor(newest.number)?;
        self.put_epoch(number, emergency);
        Ok(Answer::Epoch(number))
    }

    /// Of the newest, opens the successor in the same breath, so that no process
    /// is left without an epoch to open an issuer in.
    pub(super) fn revoke_epoch(&mut self, number: EpochNumber) -> Result<Answer, Rejection> {
        let newest = self.newest_epoch()?.number;
        if number == EpochNumber(0) || number > newest {
            return Err(Rejection::new(Reason::EpochUnknown, number));
        }
        let follows = if number == newest {
            Some(successor(newest)?)
        } else {
            None
        };
        let answer = self.revoke_where(|issuer| issuer.epoch == number);
        if let Some(follows) = follows {
            self.put_epoch(follows, true);
        }
        Ok(answer)
    }

    fn newest_epoch(&self) -> Result<EpochRecord, Rejection> {
        let newest = self.state.epoch();
        newest.ok_or_else(|| Rejection::new(Reason::NotBorn, ""))
    }
}

impl State {
    /// The log time from which the keeper may open the next epoch, milliseconds since
    /// the Unix epoch.
    #[must_use]
    pub fn epoch_due_ms(&self) -> u64 {
        let length_s = self.settings().map_or(0, |settings| settings.epoch_s);
        let opened_at_ms = self.epoch().map_or(0, |newest| newest.opened_at_ms);
        opened_at_ms.saturating_add(length_s.saturating_mul(1_000))
    }
}

fn successor(number: EpochNumber) -> Result<EpochNumber, Rejection> {
    let next = number.0.checked_add(1).map(EpochNumber);
    next.ok_or_else(|| Rejection::new(Reason::NumbersExhausted, "epoch"))
}
