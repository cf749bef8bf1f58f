//! Suspending, resuming, and revoking what is held.

use chancery_credential::Subject;

use super::Transition;
use crate::event::{Answer, Event};
use crate::record::SuspensionRecord;
use crate::rejection::{Reason, Rejection};
use crate::row::{Row, RowKey};

impl Transition<'_> {
    /// Suspending what is suspended already kills again what it may hold, and
    /// keeps the date of the first.
    pub(super) fn suspend(&mut self, subject: &Subject) -> Result<Answer, Rejection> {
        self.check_subject(subject)?;
        let former = self.state.suspension(subject).copied();
        let mut record = SuspensionRecord {
            since: self.revision,
            asked_ms: self.stands_from_ms(),
        };
        if let Some(former) = former {
            record.since = former.since;
            record.asked_ms = record.asked_ms.max(former.asked_ms);
        }
        self.put(Row::Suspension(subject.clone(), record));
        if former.is_none() {
            self.subject_changed(subject);
        }
        self.kill_held(subject.clone());
        self.emit(Event::StandingLost);
        Ok(Answer::Nothing)
    }

    /// Nothing that was dead lives again: the watermark stays where it is. A
    /// removed agent can be resumed, for its suspension outlived it.
    pub(super) fn resume(&mut self, subject: &Subject) -> Result<Answer, Rejection> {
        if let Some(record) = self.state.suspension(subject) {
            self.check_asked(record.asked_ms, subject)?;
            self.erase(RowKey::Suspension(subject.clone()));
            self.subject_changed(subject);
        } else {
            self.check_subject(subject)?;
        }
        Ok(Answer::MayMintAnew(self.may_mint(subject)))
    }

    pub(super) fn revoke_held(&mut self, subject: &Subject) -> Result<Answer, Rejection> {
        self.check_subject(subject)?;
        self.kill_held(subject.clone());
        Ok(Answer::MayMintAnew(self.may_mint(subject)))
    }

    fn check_subject(&self, subject: &Subject) -> Result<(), Rejection> {
        let (known, reason) = match subject {
            Subject::Agent(id) => (self.state.agent(id).is_some(), Reason::AgentUnknown),
            Subject::Owner(name) => (self.state.owner(name).is_some(), Reason::OwnerUnknown),
            Subject::GrantSet(name) => (
                self.state.grant_set(name).is_some(),
                Reason::GrantSetUnknown,
            ),
            Subject::Everything => return Ok(()),
        };
        if known {
            Ok(())
        } else {
            Err(Rejection::new(reason, name_of(subject)))
        }
    }

    /// Whether nothing that covers the subject is suspended.
    fn may_mint(&self, subject: &Subject) -> bool {
        let kept_down = match subject {
            Subject::Agent(id) => self.state.is_kept_down(id),
            other => self.state.is_suspended(other),
        };
        !kept_down && !self.state.is_suspended(&Subject::Everything)
    }

    fn subject_changed(&mut self, subject: &Subject) {
        self.emit(match subject {
            Subject::Agent(id) => Event::AgentChanged(id.clone()),
            Subject::Owner(name) => Event::OwnerChanged(name.clone()),
            Subject::GrantSet(name) => Event::GrantSetChanged(name.clone()),
            Subject::Everything => {
                Event::EverythingSuspended(self.state.is_suspended(&Subject::Everything))
            }
        });
    }
}

/// Without its kind, which the sentence around it says.
fn name_of(subject: &Subject) -> &str {
    match subject {
        Subject::Agent(id) => id.as_str(),
        Subject::Owner(name) => name.as_str(),
        Subject::GrantSet(name) => name.as_str(),
        Subject::Everything => "everything",
    }
}
