//! One batch of entries: from the log into the state, to disk, to readers, and
//! then the answers.

use std::io;

use chancery_authority::{Answer, Event, State};
use chancery_credential::Revision;
use chancery_storage::RowWrite;
use openraft::{
    EntryPayload,
    storage::{ApplyResponder, EntryResponder},
};

use super::{StateMachine, load::check_lineage, snapshot::applied_of};
use crate::{
    codec::{AppliedRecord, decode_stamped, encode_key, encode_row},
    command::EncodedCommand,
    outcome::Outcome,
    published::{EntryEvents, Position},
    raft::{StoredMembership, Types},
    reply::Reply,
};

type Answers = Vec<(ApplyResponder<Types>, Reply)>;

impl StateMachine {
    /// # Errors
    /// An entry that this build cannot understand, or a failed write. Either ends
    /// the process: to go on would be to diverge.
    pub(super) fn apply_batch(&self, batch: Vec<EntryResponder<Types>>) -> io::Result<()> {
        let mut entries = Vec::new();
        let mut answers = Vec::new();
        let mut position = self.published.position.read().clone();
        let (rows, digest) = {
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
                        self.carry_out(&mut state, revision, command, &mut entries)?
                    }
                };
                position.last = Some(entry.log_id);
                answers.extend(responder.map(|responder| (responder, reply)));
            }
            (changed_rows(&mut state), state.digest())
        };
        let record = AppliedRecord {
            last: position.last,
            membership: position.membership.clone(),
            digest,
        };
        self.store.write(rows, applied_of(&record))?;
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

    fn carry_out(
        &self,
        state: &mut State,
        revision: Revision,
        command: EncodedCommand,
        entries: &mut Vec<EntryEvents>,
    ) -> io::Result<Reply> {
        let stamped = decode_stamped(command.0)?;
        let previous = state.view_revision();
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
