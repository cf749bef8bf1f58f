//! One batch of entries: from the log into the state, to disk, to readers, and
//! then the answers.

use std::io;

use chancery_authority::{Answer, Command, Event, Stamped, State};
use chancery_credential::Revision;
use chancery_storage::RowWrite;
use openraft::{
    EntryPayload,
    storage::{ApplyResponder, EntryResponder},
};

use super::{
    StateMachine,
    load::{Unfit, check_lineage},
    snapshot::applied_of,
};
use crate::{
    codec::{AppliedRecord, decode_stamped, encode_key, encode_row},
    history::{HistoryEntry, is_worth_it, named},
    outcome::Outcome,
    published::{EntryEvents, Position},
    raft::{StoredMembership, Types},
    reply::Reply,
};

type Answers = Vec<(ApplyResponder<Types>, Reply)>;

/// What most voters had as their state at `at` is not what this node had.
#[derive(Clone, Copy)]
struct Differs {
    at: Revision,
}

impl StateMachine {
    /// # Errors
    /// An entry that this build cannot understand, or a failed write. Either ends
    /// the process: to go on would be to diverge.
    pub(super) fn apply_batch(&self, batch: Vec<EntryResponder<Types>>) -> io::Result<()> {
        let mut entries = Vec::new();
        let mut answers = Vec::new();
        let mut position = self.published.position.read().clone();
        let mut differs = None;
        let mut applied = Vec::new();
        let (mut rows, digest, log_time_ms) = {
            let mut state = self.published.state.write();
            for (entry, responder) in batch {
                let revision = Revision(entry.log_id.index);
                self.check_next(&position, revision)?;
                let reply = match entry.payload {
                    EntryPayload::Blank => advance(&mut state, revision),
                    EntryPayload::Membership(membership) => {
                        position.membership = StoredMembership::new(Some(entry.log_id), membership);
                        advance(&mut state, revision)
                    }
                    EntryPayload::Normal(command) => {
                        let stamped = decode_stamped(command.0)?;
                        let compared = self.compare(&stamped.command);
                        let reply = self.carry_out(
                            &mut state,
                            stamped,
                            revision,
                            &mut entries,
                            &mut applied,
                        )?;
                        // What was refused says nothing, whoever got it into the log.
                        if matches!(&reply, Reply::Outcome(outcome) if outcome.verdict.is_ok()) {
                            differs = differs.or(compared);
                        }
                        reply
                    }
                };
                self.published.marks.pass(revision, || state.digest());
                position.pass(entry.log_id);
                answers.extend(responder.map(|responder| (responder, reply)));
            }
            let rows = changed_rows(&mut state);
            (rows, state.digest(), state.log_time_ms())
        };
        // The state may be read meanwhile: this reads the disk.
        rows.extend(self.history.rows(&applied, log_time_ms)?);
        let record = AppliedRecord {
            last: position.last,
            membership: position.membership.clone(),
            digest,
            differs_at: differs.map(|differs| differs.at),
        };
        self.store.write(rows, applied_of(&record))?;
        if let Some(differs) = differs {
            // Before anybody hears of it: a machine that goes down now must not come up
            // as one that knows nothing of it.
            self.store.sync()?;
            return Err(Unfit::Differs(differs.at).into());
        }
        self.publish(position, entries, answers);
        Ok(())
    }

    fn publish(&self, position: Position, entries: Vec<EntryEvents>, answers: Answers) {
        let through = position.last.map_or(0, |last| last.index);
        *self.published.position.write() = position;
        self.published.publish(Revision(through), entries);
        for (responder, reply) in answers {
            responder.send(reply);
        }
    }

    /// Holds this node's state against what most voters had. What was before this
    /// process cannot be compared.
    fn compare(&self, command: &Command) -> Option<Differs> {
        let Command::CompareState { at, digest } = command else {
            return None;
        };
        let own = self.published.marks.at(*at)?;
        (own != *digest).then_some(Differs { at: *at })
    }

    fn carry_out(
        &self,
        state: &mut State,
        stamped: Stamped,
        revision: Revision,
        entries: &mut Vec<EntryEvents>,
        applied: &mut Vec<HistoryEntry>,
    ) -> io::Result<Reply> {
        let previous = state.view_revision();
        let named = named(state, &stamped.command);
        let outcome = match state.apply(revision, &stamped) {
            Ok(events) => {
                let outcome = answered(revision, &events);
                entries.push(EntryEvents {
                    previous,
                    revision,
                    events,
                });
                outcome
            }
            Err(rejection) => Outcome {
                revision,
                verdict: Err(rejection),
            },
        };
        check_lineage(state, self.lineage)?;
        if is_worth_it(&stamped.command) {
            applied.push(HistoryEntry {
                revision,
                log_time_ms: state.log_time_ms(),
                command: stamped.command,
                named,
                meta: stamped.meta,
                verdict: outcome.verdict.clone(),
                decided_at: outcome.revision,
            });
        }
        Ok(Reply::Outcome(outcome))
    }

    /// An entry that the log no longer gives must not be passed over.
    fn check_next(&self, position: &Position, revision: Revision) -> io::Result<()> {
        let next = position.last.map_or(0, |last| last.index + 1);
        if self.flushed.is_none() || revision.0 == next {
            return Ok(());
        }
        Err(io::Error::new(
            io::ErrorKind::InvalidData,
            format!("entry {next} is missing before entry {revision}: this node's log is damaged"),
        ))
    }
}

fn advance(state: &mut State, revision: Revision) -> Reply {
    state.advance(revision);
    Reply::Advanced
}

/// The answer that apply always puts last.
fn answered(revision: Revision, events: &[Event]) -> Outcome {
    match events.last() {
        Some(Event::Answer { revision, answer }) => Outcome {
            revision: *revision,
            verdict: Ok(answer.clone()),
        },
        _ => Outcome {
            revision,
            verdict: Ok(Answer::Nothing),
        },
    }
}

fn changed_rows(state: &mut State) -> Vec<RowWrite> {
    let keys = state.take_changed_rows();
    keys.iter()
        .map(|key| RowWrite {
            table: key.table() as u8,
            key: encode_key(key),
            value: state.row(key).map(|row| encode_row(&row)),
        })
        .collect()
}
