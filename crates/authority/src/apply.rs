//! How an entry of the log changes the state.

use chancery_credential::Revision;
#[cfg(simulation)]
use chancery_mutation::{Mutation, is_made};
use chancery_revocation::Change;

use crate::command::Command;
use crate::event::{Answer, Event};
use crate::record::{ClockRecord, RequestKey};
use crate::rejection::{Reason, Rejection};
use crate::row::Row;
use crate::stamped::Stamped;
use crate::state::State;
use crate::transition::Transition;

impl State {
    /// Applies the command at `revision`. Total: no panic, clock, randomness or
    /// IO, whatever the command. The same log gives the same state on every node.
    ///
    /// The changed rows wait in [`take_changed_rows`](Self::take_changed_rows),
    /// after a rejection too: it moved the clock and was recorded.
    ///
    /// # Errors
    /// A rejection is the committed outcome of the command. It changed nothing
    /// but the clock, the record of requests, and what is swept out.
    pub fn apply(
        &mut self,
        revision: Revision,
        stamped: &Stamped,
    ) -> Result<Vec<Event>, Rejection> {
        if self.tables.clock.is_some() && revision <= self.revision() {
            return Err(Rejection::new(Reason::RevisionNotNew, revision));
        }
        self.advance(revision);
        let outcome = match (&stamped.command, self.lineage()) {
            (Command::Birth(_), Some(lineage)) => Err(Rejection::new(Reason::AlreadyBorn, lineage)),
            (Command::Birth(_), None) => self.transact(revision, stamped),
            (_, None) => Err(Rejection::new(Reason::NotBorn, "")),
            (_, Some(_)) => {
                self.move_log_time(stamped.stamp.time_ms);
                self.sweep();
                self.apply_once(revision, stamped)
            }
        };
        outcome.map(|outcome| self.told(outcome))
    }

    /// Answers a retry with what was decided the first time; decides anything else
    /// and records how.
    fn apply_once(&mut self, revision: Revision, stamped: &Stamped) -> Result<Outcome, Rejection> {
        // A tick says nothing that could be repeated, and is what makes room in a
        // full table.
        if matches!(stamped.command, Command::Tick) {
            return self.judged(revision, stamped);
        }
        let key = RequestKey {
            id: stamped.meta.request,
            actor: stamped.meta.actor.clone(),
        };
        let now_ms = self.log_time_ms();
        let recalled = self.recall(&key, &stamped.meta.digest, now_ms)?;
        #[cfg(simulation)]
        let recalled = recalled.filter(|_| !is_made(Mutation::RequestTwice));
        if let Some(record) = recalled {
            return record.outcome.clone().map(|answer| Outcome {
                revision: record.revision,
                answer,
                events: Vec::new(),
            });
        }
        // Not recorded: through another node the same request can be carried out.
        self.judge_via(&stamped.meta)?;
        let outcome = self.judged(revision, stamped);
        let answer = outcome.as_ref().map(|outcome| outcome.answer.clone());
        self.record(
            key,
            stamped.meta.digest,
            revision,
            answer.map_err(Clone::clone),
        );
        outcome
    }

    fn judged(&mut self, revision: Revision, stamped: &Stamped) -> Result<Outcome, Rejection> {
        self.judge(revision, stamped, self.log_time_ms())?;
        self.transact(revision, stamped)
    }

    fn transact(&mut self, revision: Revision, stamped: &Stamped) -> Result<Outcome, Rejection> {
        let mut transition = Transition::begin(self, revision, stamped);
        let answer = transition.carry_out(&stamped.command)?;
        let events = transition.end();
        Ok(Outcome {
            revision,
            answer,
            events,
        })
    }

    /// Log time is the greatest stamp so far.
    pub(crate) fn move_log_time(&mut self, stamp_ms: u64) {
        let clock = self.clock();
        if stamp_ms > clock.log_time_ms {
            self.put(Row::Clock(ClockRecord {
                log_time_ms: stamp_ms,
                ..clock
            }));
        }
    }

    /// The events of an outcome, with the time when its second is news.
    fn told(&mut self, outcome: Outcome) -> Vec<Event> {
        let Outcome {
            revision,
            answer,
            mut events,
        } = outcome;
        let clock = self.clock();
        let time_s = clock.log_time_ms / 1_000;
        if time_s > clock.told_time_s {
            self.put(Row::Clock(ClockRecord {
                told_time_s: time_s,
                ..clock
            }));
            events.push(Event::View(Change::Time(time_s)));
        }
        events.push(Event::Answer { revision, answer });
        events
    }
}

/// What a command came to.
struct Outcome {
    /// Where it was decided.
    revision: Revision,
    answer: Answer,
    events: Vec<Event>,
}
