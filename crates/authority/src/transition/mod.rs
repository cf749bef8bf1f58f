//! Carrying out commands whose actor has been judged. Each checks everything
//! before it changes anything, so that a rejection leaves the state as it was.

mod agents;
mod birth;
mod epochs;
mod expiry;
mod floor;
mod issuers;
mod narrowing;
mod nodes;
mod open_issuer;
mod principals;
mod settings;
mod specs;
mod suspension;
mod tokens;

use std::{fmt, ops::Deref};

use chancery_credential::{KeyThumbprint, Revision, Subject};
use chancery_revocation::Change;

use crate::bounds::ASKED_BEHIND_MS;
use crate::command::Command;
use crate::event::{Answer, Event};
use crate::record::MetaRecord;
use crate::rejection::{Reason, Rejection};
use crate::row::{Row, RowKey};
use crate::stamped::{Actor, Stamped};
use crate::state::State;

pub use open_issuer::open_issuer_message;

/// One command being carried out.
pub(crate) struct Transition<'a> {
    state: Subjected<'a>,
    revision: Revision,
    actor: &'a Actor,
    /// When it was asked, by its client's clock, milliseconds since the Unix epoch.
    asked_ms: u64,
    /// Log time as of this command, milliseconds.
    now_ms: u64,
    events: Vec<Event>,
}

/// The state that a command is carried out on.
enum Subjected<'a> {
    /// It changes.
    Live(&'a mut State),
    /// It stays as it is: only whether the command is rejected is asked for, which
    /// is settled before anything changes.
    Supposed(&'a State),
}

impl Deref for Subjected<'_> {
    type Target = State;

    fn deref(&self) -> &State {
        match self {
            Self::Live(state) => state,
            Self::Supposed(state) => state,
        }
    }
}

impl<'a> Transition<'a> {
    pub(crate) fn begin(state: &'a mut State, revision: Revision, stamped: &'a Stamped) -> Self {
        let now_ms = state.time_at(stamped);
        Self::of(Subjected::Live(state), revision, stamped, now_ms)
    }

    /// A rehearsal: what it puts and erases goes nowhere.
    pub(crate) fn suppose(state: &'a State, revision: Revision, stamped: &'a Stamped) -> Self {
        let now_ms = state.time_at(stamped);
        Self::of(Subjected::Supposed(state), revision, stamped, now_ms)
    }

    fn of(state: Subjected<'a>, revision: Revision, stamped: &'a Stamped, now_ms: u64) -> Self {
        Self {
            state,
            revision,
            actor: &stamped.meta.actor,
            asked_ms: stamped.meta.request.time_ms,
            now_ms,
            events: Vec::new(),
        }
    }

    pub(crate) fn carry_out(&mut self, command: &Command) -> Result<Answer, Rejection> {
        match command {
            Command::Birth(birth) => self.birth(birth),
            Command::Tick => Ok(Answer::Nothing),
            Command::RegisterAgent(spec) => self.register_agent(spec),
            Command::UpdateAgent {
                spec,
                keep_held,
                changed_at,
            } => self.update_agent(spec, *keep_held, *changed_at),
            Command::RemoveAgent(id) => self.remove_agent(id),
            Command::Suspend(subject) => self.suspend(subject),
            Command::Resume(subject) => self.resume(subject),
            Command::RevokeHeld(subject) => self.revoke_held(subject),
            Command::RevokeToken { token, .. } => self.revoke_token(*token),
            Command::AddOwner { name, description } => self.add_owner(name, description),
            Command::PutGrantSet {
                name,
                grants,
                keep_held,
            } => self.put_grant_set(name, grants, *keep_held),
            Command::RemoveGrantSet(name) => self.remove_grant_set(name),
            Command::AddOperator(spec) => self.add_operator(spec),
            Command::AddService(spec) => self.add_service(spec),
            Command::UpdateOperator(change) => self.update_operator(change),
            Command::UpdateService(change) => self.update_service(change),
            Command::RemoveOperator(name) => self.remove_operator(name),
            Command::RemoveService(name) => self.remove_service(name),
            Command::OpenEpoch { emergency } => self.open_epoch(*emergency),
            Command::OpenIssuer(request) => self.open_issuer(request),
            Command::RetireIssuer(number) => self.retire_issuer(*number),
            Command::ExpireIssuer(number) => self.expire_issuer(*number),
            Command::RevokeIssuer(number) => self.revoke_issuer(*number),
            Command::RevokeEpoch(number) => self.revoke_epoch(*number),
            Command::RevokeNode(number) => self.revoke_node(*number),
            Command::AdmitNode(spec) => self.admit_node(spec),
            Command::RetireNode(number) => self.retire_node(*number),
            Command::ReadmitNode { node, peer_key } => self.readmit_node(*node, peer_key),
            Command::ExpireRegistrations => Ok(self.expire_registrations()),
            Command::SeatNode { node, seat } => self.seat_node(*node, *seat),
            Command::RemoveNode { node, key } => self.remove_node(*node, key),
            Command::RaiseFloor(floor) => self.raise_floor(*floor),
            Command::SetSettings(settings) => self.set_settings(settings),
            Command::ForgetFormer(since) => self.forget_former(*since),
            Command::CompareState { at, .. } => self.compare_state(*at),
        }
    }

    /// What happened, once everything has.
    pub(crate) fn end(mut self) -> Vec<Event> {
        let changes =
            |event: &Event| matches!(event, Event::View(change) if change.changes_the_view());
        if self.events.iter().any(changes) {
            let view_revision = self.revision;
            self.count(|meta| meta.view_revision = view_revision);
        }
        self.events
    }

    /// A request that was held up, by a node that was paused perhaps, does not undo what
    /// was asked after it, even when nobody decided it before: what was asked last
    /// stands. By the clocks of clients, and where theirs are behind by log time.
    fn check_asked(&self, former_ms: u64, what: impl fmt::Display) -> Result<(), Rejection> {
        if self.asked_ms < former_ms {
            return Err(Rejection::new(Reason::AskedBefore, what));
        }
        Ok(())
    }

    /// What has to be asked later than this command to undo it.
    const fn stands_from_ms(&self) -> u64 {
        let latest = self.now_ms.saturating_sub(ASKED_BEHIND_MS);
        if self.asked_ms > latest {
            self.asked_ms
        } else {
            latest
        }
    }

    fn put(&mut self, row: Row) {
        if let Subjected::Live(state) = &mut self.state {
            state.put(row);
        }
    }

    fn erase(&mut self, key: RowKey) {
        if let Subjected::Live(state) = &mut self.state {
            state.erase(key);
        }
    }

    fn emit(&mut self, event: Event) {
        self.events.push(event);
    }

    /// Changes what the lineage counts.
    fn count(&mut self, change: impl FnOnce(&mut MetaRecord)) {
        if let Some(mut meta) = self.state.tables.meta {
            change(&mut meta);
            self.put(Row::Meta(meta));
        }
    }

    /// Kills what the subject holds: one comparison with its tokens' `rev`.
    fn kill_held(&mut self, subject: Subject) {
        let revision = self.revision;
        self.put(Row::Watermark(subject.clone(), revision));
        self.emit(Event::View(Change::Watermark { subject, revision }));
    }

    fn keys_changed(&mut self, keys: &[KeyThumbprint]) {
        for key in keys {
            self.emit(Event::KeyChanged(*key));
        }
    }
}
