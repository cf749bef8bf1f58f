//! Registering, updating and removing agents.

use std::sync::Arc;

use chancery_credential::{KeyThumbprint, Revision, SpiffeId, Subject};

use super::Transition;
use super::narrowing::narrows;
use crate::command::AgentSpec;
use crate::event::{Answer, Event};
use crate::record::{AgentRecord, sorted};
use crate::rejection::{Reason, Rejection};
use crate::row::{Row, RowKey};

impl Transition<'_> {
    /// An id that was removed may come back: its watermark keeps dead what it
    /// held, and if it was suspended it is so still.
    pub(super) fn register_agent(&mut self, spec: &AgentSpec) -> Result<Answer, Rejection> {
        if self.state.agent(&spec.id).is_some() {
            return Err(Rejection::new(Reason::AgentExists, &spec.id));
        }
        self.check_agent(spec)?;
        let record = registration(spec, self.revision, self.revision);
        self.keys_changed(&record.keys);
        self.put_agent(record);
        Ok(Answer::Agent(spec.id.clone()))
    }

    pub(super) fn update_agent(
        &mut self,
        spec: &AgentSpec,
        keep_held: bool,
        changed_at: Option<Revision>,
    ) -> Result<Answer, Rejection> {
        let former = self.known_agent(&spec.id)?;
        if changed_at.is_some_and(|changed_at| changed_at != former.changed_at) {
            return Err(Rejection::new(Reason::AgentChanged, &spec.id));
        }
        self.check_agent(spec)?;
        let next = registration(spec, former.registered_at, self.revision);
        let narrowed = narrows(&former, &next);
        let differing: Vec<KeyThumbprint> = (former.keys.iter())
            .filter(|key| !next.keys.contains(key))
            .chain(next.keys.iter().filter(|key| !former.keys.contains(key)))
            .copied()
            .collect();
        self.keys_changed(&differing);
        self.put_agent(next);
        let kill = narrowed && !keep_held;
        if kill {
            self.kill_held(Subject::Agent(spec.id.clone()));
        }
        if narrowed {
            self.emit(Event::StandingLost);
        }
        Ok(Answer::HeldKilled(kill))
    }

    pub(super) fn remove_agent(&mut self, id: &SpiffeId) -> Result<Answer, Rejection> {
        let former = self.known_agent(id)?;
        self.erase(RowKey::Agent(id.clone()));
        self.emit(Event::AgentChanged(id.clone()));
        self.keys_changed(&former.keys);
        self.kill_held(Subject::Agent(id.clone()));
        self.emit(Event::StandingLost);
        Ok(Answer::Nothing)
    }

    fn known_agent(&self, id: &SpiffeId) -> Result<Arc<AgentRecord>, Rejection> {
        let record = self.state.agent(id).cloned();
        record.ok_or_else(|| Rejection::new(Reason::AgentUnknown, id))
    }

    fn put_agent(&mut self, record: AgentRecord) {
        let id = record.id.clone();
        self.put(Row::Agent(Arc::new(record)));
        self.emit(Event::AgentChanged(id));
    }
}

fn registration(spec: &AgentSpec, registered_at: Revision, changed_at: Revision) -> AgentRecord {
    AgentRecord {
        id: spec.id.clone(),
        owners: sorted(spec.owners.clone()),
        keys: sorted(spec.keys.clone()),
        grants: spec.grants.clone().into_boxed_slice(),
        grant_sets: sorted(spec.grant_sets.clone()),
        limits: spec.limits,
        expires_at: spec.expires_at,
        description: spec.description.as_str().into(),
        registered_at,
        changed_at,
    }
}
