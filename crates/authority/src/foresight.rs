//! What would become of a command, without carrying it out: so that whoever leads
//! need not put into the log what can only be rejected. What `apply` decides is the
//! truth; this says what it would decide if the command came next.

use chancery_credential::Revision;

use crate::command::Command;
use crate::event::Answer;
use crate::record::RequestKey;
use crate::rejection::{Reason, Rejection};
use crate::stamped::Stamped;
use crate::state::State;
use crate::transition::Transition;

/// What is known of a command before it is in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Foreseen {
    /// Nothing speaks against it.
    Open,
    /// A retry: the request was decided before, and this is its outcome.
    Decided {
        /// Where it was decided.
        revision: Revision,
        /// How.
        outcome: Result<Answer, Rejection>,
    },
    /// It would be rejected, as the state is now.
    Rejected {
        /// Why.
        rejection: Rejection,
        /// Whether the rejection would be remembered with the request. Otherwise the
        /// same request can still be carried out: later, or through another node.
        remembered: bool,
    },
}

impl State {
    /// What `apply` would make of `stamped` if it were the next entry. Changes
    /// nothing and costs what the checks of the command cost.
    ///
    /// A rejection counts for the state that this is: whoever tells it to anybody
    /// has to know that nothing was committed beyond it when they were asked.
    #[must_use]
    pub fn foresee(&self, stamped: &Stamped) -> Foreseen {
        if matches!(stamped.command, Command::Tick | Command::Birth(_)) || !self.is_born() {
            return Foreseen::Open;
        }
        let now_ms = self.time_at(stamped);
        let key = RequestKey {
            id: stamped.meta.request,
            actor: stamped.meta.actor.clone(),
        };
        match self.recall(&key, &stamped.meta.digest, now_ms) {
            Ok(Some(record)) => {
                return Foreseen::Decided {
                    revision: record.revision,
                    outcome: record.outcome.clone(),
                };
            }
            Ok(None) => {}
            // The entry itself makes room, if anything can be forgotten.
            Err(full) if full.reason() == Reason::RequestsFull && self.can_forget(now_ms) => {
                return Foreseen::Open;
            }
            Err(rejection) => return passing(rejection),
        }
        if let Err(rejection) = self.judge_via(&stamped.meta) {
            return passing(rejection);
        }
        match self.rehearse(stamped, now_ms) {
            Ok(()) => Foreseen::Open,
            Err(rejection) => Foreseen::Rejected {
                rejection,
                remembered: true,
            },
        }
    }

    fn rehearse(&self, stamped: &Stamped, now_ms: u64) -> Result<(), Rejection> {
        // Entries that are under way come before it, nobody knows how many: at which
        // revision it would stand is for `apply` to hold against what it claims.
        self.judge(Revision(u64::MAX), stamped, now_ms)?;
        let next = Revision(self.revision().0.saturating_add(1));
        Transition::suppose(self, next, stamped).carry_out(&stamped.command)?;
        Ok(())
    }

    /// Log time once `stamped` has been applied, milliseconds.
    pub(crate) fn time_at(&self, stamped: &Stamped) -> u64 {
        self.log_time_ms().max(stamped.stamp.time_ms)
    }
}

fn passing(rejection: Rejection) -> Foreseen {
    Foreseen::Rejected {
        rejection,
        remembered: false,
    }
}
