//! The verifiers that this node answered, and what they know: for whoever waits until a
//! change is in force in them too.
//!
//! A subscription counts as a verifier from its first answered ping. What it was
//! answered lets it serve for V by its own clock after it *sent* the ping, so at most
//! until V·κ after the ping was received, by the clock here. Its row stays until then,
//! whatever becomes of its stream.
//!
//! The order that this rests on: a row is made first, then the state is looked at that
//! the ping is answered from. So whoever counts the rows at a revision either finds the
//! row, or the verifier is told of that revision with the very answer.

mod roll;

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use chancery_authority::{Event, Settings, State};
use chancery_consensus::{Consumer, Verifiers};
use chancery_credential::Revision;
#[cfg(simulation)]
use chancery_mutation::{Mutation, is_made};
use chancery_revocation::{BootTime, View};
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::caller::Holder;
use roll::{Entry, Roll};
pub(crate) use roll::{Full, RowId};

/// Rows that are kept. Each is some hundred bytes.
const MOST: usize = 64 * 1024;
/// Of one principal: what comes and goes of one keeps nobody else out.
const MOST_OF_ONE: usize = MOST / 4;

/// The verifiers of this process.
pub(crate) struct Subscriptions {
    /// How old this process has to be, milliseconds: `V_max·κ` of the longest V that
    /// counts. 0 before any settings are known.
    horizon_ms: AtomicU64,
    serving: OnceLock<Serving>,
    roll: Mutex<Roll>,
    /// Moves when other settings are in force. The directory has them by then.
    settings: watch::Sender<()>,
    /// The lowest revision that any verifier said it has applied; `None` without any.
    least: watch::Sender<Option<Revision>>,
}

/// What a process that answers verifiers has.
struct Serving {
    view: Arc<View>,
    /// When the node's former processes had ended at the latest.
    since: BootTime,
}

impl Subscriptions {
    pub(crate) fn new() -> Self {
        Self {
            horizon_ms: AtomicU64::new(0),
            serving: OnceLock::new(),
            roll: Mutex::new(Roll::of_at_most(MOST, MOST_OF_ONE)),
            settings: watch::Sender::new(()),
            least: watch::Sender::new(None),
        }
    }

    /// The view that verifiers are answered from. Nothing is known before. `since` is
    /// read when this process has the data directory to itself, so that none before it
    /// answers anybody any more.
    pub(crate) fn serve(&self, view: Arc<View>, since: BootTime) {
        let _ = self.serving.set(Serving { view, since });
    }

    /// The revision through which every verifier that this node answered knows the
    /// changes, or can serve no more by `now`, those of its former processes included.
    /// `None`: it cannot tell yet, for verifiers may go by what a former process
    /// answered.
    ///
    /// Without verifiers it is the published revision: whoever becomes one is told
    /// everything up to it before its first answer.
    pub(crate) fn known(&self, now: BootTime) -> Option<Revision> {
        let serving = self.serving.get()?;
        let mut roll = self.roll.lock();
        // While nobody can make a row: who makes one later sees at least this.
        let published = serving.view.revision();
        // After it: what is said of a revision goes by the settings as of that.
        let horizon = match self.horizon_ms.load(Ordering::Acquire) {
            0 => return None,
            horizon => Duration::from_millis(horizon),
        };
        let is_young = now < serving.since.plus(horizon);
        #[cfg(simulation)]
        let is_young = is_young && !is_made(Mutation::YoungKnows);
        if is_young {
            return None;
        }
        let least = roll.least(now);
        self.say(least);
        Some(least.map_or(published, |least| least.min(published)))
    }

    /// Resolves when the revision that all verifiers have applied moved. What moves by
    /// time alone, as rows run out, is found by whoever asks [`known`](Self::known).
    pub(crate) fn moved(&self) -> watch::Receiver<Option<Revision>> {
        self.least.subscribe()
    }

    /// Resolves each time that other settings are in force.
    pub(crate) fn settings_changed(&self) -> watch::Receiver<()> {
        self.settings.subscribe()
    }

    /// A verifier says that it has applied everything up to `revision`.
    pub(crate) fn heard(&self, row: RowId, revision: Revision, now: BootTime) {
        let mut roll = self.roll.lock();
        roll.heard(row, revision);
        let least = roll.least(now);
        self.say(least);
    }

    /// A verifier is about to be answered, and can serve by that until `until`: before
    /// the state is looked at that it is answered from. Gives the row that it has from
    /// now on.
    ///
    /// # Errors
    /// [`Full`]: it must not be answered.
    pub(crate) fn answering(
        &self,
        row: Option<RowId>,
        holder: &Holder,
        revision: Revision,
        until: BootTime,
        now: BootTime,
    ) -> Result<RowId, Full> {
        let mut roll = self.roll.lock();
        let entry = Entry {
            holder: holder.clone(),
            revision,
            until,
        };
        let row = roll.answering(row, entry, now)?;
        let least = roll.least(now);
        self.say(least);
        Ok(row)
    }

    /// How many verifiers can serve by what they were answered here.
    pub(crate) fn count(&self, now: BootTime) -> usize {
        let mut roll = self.roll.lock();
        roll.least(now);
        roll.count()
    }

    /// Told in the order in which it came to be: the roll is locked.
    fn say(&self, least: Option<Revision>) {
        self.least.send_if_modified(|said| {
            let moved = *said != least;
            *said = least;
            moved
        });
    }

    fn go_by(&self, settings: &Settings) {
        let horizon = settings.times_kappa(settings.longest_v_max_ms());
        self.horizon_ms.store(horizon.max(1), Ordering::Release);
        self.settings.send_replace(());
    }
}

/// What the fence waits for when it waits for verifiers.
impl Verifiers for Subscriptions {
    fn known(&self, now: BootTime) -> Option<Revision> {
        Self::known(self, now)
    }

    fn changes(&self) -> watch::Receiver<Option<Revision>> {
        self.moved()
    }
}

/// Told of settings before their revision is published.
impl Consumer for Subscriptions {
    fn publish(&self, state: &State, _: Revision, events: &[Event]) {
        let changed = |event: &Event| matches!(event, Event::SettingsChanged);
        if events.iter().any(changed)
            && let Some(settings) = state.settings()
        {
            self.go_by(settings);
        }
    }

    fn replace(&self, state: &State) {
        if let Some(settings) = state.settings() {
            self.go_by(settings);
        }
    }
}

#[cfg(test)]
mod tests;
