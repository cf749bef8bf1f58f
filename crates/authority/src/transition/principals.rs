//! Owners, grant sets, operators and services.

use std::sync::Arc;

use chancery_credential::{
    Grant, GrantSetName, KeyThumbprint, OwnerName, PrincipalName, Revision, Subject,
};

use super::Transition;
use super::narrowing::covers;
use super::specs::{check_description, check_grants};
use crate::bounds::MAX_OPERATORS;
use crate::command::{KeyChange, OperatorChange, OperatorSpec, ServiceChange, ServiceSpec};
use crate::event::{Answer, Event};
use crate::record::{GrantSetRecord, Holder, OperatorRecord, OwnerRecord, ServiceRecord, sorted};
use crate::rejection::{Reason, Rejection};
use crate::role::{Role, Roles};
use crate::row::{Row, RowKey};

impl Transition<'_> {
    pub(super) fn add_owner(
        &mut self,
        name: &OwnerName,
        description: &str,
    ) -> Result<Answer, Rejection> {
        check_description(description)?;
        if self.state.owner(name).is_some() {
            return Err(Rejection::new(Reason::OwnerExists, name));
        }
        self.put(Row::Owner(Arc::new(OwnerRecord {
            name: name.clone(),
            description: description.into(),
            added_at: self.revision,
        })));
        self.emit(Event::OwnerChanged(name.clone()));
        Ok(Answer::Nothing)
    }

    /// A set narrows when one of its grants is covered by none of the new ones:
    /// then everything that was minted under the set is dead, by whichever agent.
    pub(super) fn put_grant_set(
        &mut self,
        name: &GrantSetName,
        grants: &[Grant],
        keep_held: bool,
    ) -> Result<Answer, Rejection> {
        check_grants(grants)?;
        let former = self.state.grant_set(name).cloned();
        let mut asked_ms = self.stands_from_ms();
        if let Some(former) = &former {
            self.check_asked(former.asked_ms, format_args!("grant set {name}"))?;
            asked_ms = asked_ms.max(former.asked_ms);
        }
        let narrowed = former.is_some_and(|former| !covers(grants, &former.grants));
        self.put(Row::GrantSet(Arc::new(GrantSetRecord {
            name: name.clone(),
            grants: grants.into(),
            changed_at: self.revision,
            asked_ms,
        })));
        self.emit(Event::GrantSetChanged(name.clone()));
        let kill = narrowed && !keep_held;
        if kill {
            self.kill_held(Subject::GrantSet(name.clone()));
        }
        Ok(Answer::HeldKilled(kill))
    }

    /// Under a set that is gone nothing can be minted; what was is dead. That no agent
    /// refers to it does not say that nothing was: an update may have kept it.
    pub(super) fn remove_grant_set(&mut self, name: &GrantSetName) -> Result<Answer, Rejection> {
        if self.state.grant_set(name).is_none() {
            return Err(Rejection::new(Reason::GrantSetUnknown, name));
        }
        if self.state.agents_under(name) > 0 {
            return Err(Rejection::new(Reason::GrantSetInUse, name));
        }
        self.erase(RowKey::GrantSet(name.clone()));
        self.emit(Event::GrantSetChanged(name.clone()));
        self.kill_held(Subject::GrantSet(name.clone()));
        Ok(Answer::Nothing)
    }

    pub(super) fn add_operator(&mut self, spec: &OperatorSpec) -> Result<Answer, Rejection> {
        if self.state.operator(&spec.name).is_some() {
            return Err(Rejection::new(Reason::OperatorExists, &spec.name));
        }
        let count = self.state.operators().count();
        if count >= MAX_OPERATORS {
            return Err(Rejection::new(Reason::OperatorsFull, count));
        }
        self.check_operator(spec, None)?;
        self.put_operator(spec);
        Ok(Answer::Nothing)
    }

    pub(super) fn put_operator(&mut self, spec: &OperatorSpec) {
        let added_at = self.revision;
        self.put_operator_since(spec, added_at, self.stands_from_ms());
    }

    fn put_operator_since(&mut self, spec: &OperatorSpec, added_at: Revision, asked_ms: u64) {
        let keys = sorted(spec.keys.clone());
        self.keys_changed(&keys);
        self.put(Row::Operator(Arc::new(OperatorRecord {
            name: spec.name.clone(),
            roles: spec.roles,
            keys,
            expires_at: spec.expires_at,
            added_at,
            asked_ms,
        })));
        self.emit(Event::OperatorChanged(spec.name.clone()));
    }

    pub(super) fn update_operator(&mut self, change: &OperatorChange) -> Result<Answer, Rejection> {
        let name = &change.name;
        let unknown = || Rejection::new(Reason::OperatorUnknown, name);
        let former = self.state.operator(name).cloned().ok_or_else(unknown)?;
        self.check_asked(former.asked_ms, format_args!("operator {name}"))?;
        let spec = OperatorSpec {
            name: name.clone(),
            roles: change.roles.unwrap_or(former.roles),
            keys: changed_keys(&former.keys, &change.keys)?,
            expires_at: change.expires_at.unwrap_or(former.expires_at),
        };
        self.check_operator(&spec, Some(&Holder::Operator(name.clone())))?;
        if !lasts(spec.roles, spec.expires_at) {
            self.must_leave_a_keeper(name)?;
        }
        let asked_ms = self.stands_from_ms().max(former.asked_ms);
        self.keys_changed(&change.keys.removed);
        self.put_operator_since(&spec, former.added_at, asked_ms);
        self.emit(Event::StandingLost);
        Ok(Answer::Nothing)
    }

    /// Another keeper has to be left that never expires, or nobody could add one
    /// any more.
    fn must_leave_a_keeper(&self, without: &PrincipalName) -> Result<(), Rejection> {
        let lasting = |other: &Arc<OperatorRecord>| {
            other.name != *without && lasts(other.roles, other.expires_at)
        };
        if self.state.operators().any(lasting) {
            Ok(())
        } else {
            Err(Rejection::new(Reason::LastKeeper, without))
        }
    }

    pub(super) fn remove_operator(&mut self, name: &PrincipalName) -> Result<Answer, Rejection> {
        let unknown = || Rejection::new(Reason::OperatorUnknown, name);
        let record = self.state.operator(name).cloned().ok_or_else(unknown)?;
        self.must_leave_a_keeper(name)?;
        self.erase(RowKey::Operator(name.clone()));
        self.emit(Event::OperatorChanged(name.clone()));
        self.keys_changed(&record.keys);
        self.emit(Event::StandingLost);
        Ok(Answer::Nothing)
    }

    pub(super) fn add_service(&mut self, spec: &ServiceSpec) -> Result<Answer, Rejection> {
        if self.state.service(&spec.name).is_some() {
            return Err(Rejection::new(Reason::ServiceExists, &spec.name));
        }
        self.check_service(spec, None)?;
        self.put_service(spec, self.revision, self.stands_from_ms());
        Ok(Answer::Nothing)
    }

    fn put_service(&mut self, spec: &ServiceSpec, added_at: Revision, asked_ms: u64) {
        let keys = sorted(spec.keys.clone());
        self.keys_changed(&keys);
        self.put(Row::Service(Arc::new(ServiceRecord {
            name: spec.name.clone(),
            audiences: sorted(spec.audiences.clone()),
            keys,
            added_at,
            asked_ms,
        })));
        self.emit(Event::ServiceChanged(spec.name.clone()));
    }

    pub(super) fn update_service(&mut self, change: &ServiceChange) -> Result<Answer, Rejection> {
        let name = &change.name;
        let unknown = || Rejection::new(Reason::ServiceUnknown, name);
        let former = self.state.service(name).cloned().ok_or_else(unknown)?;
        self.check_asked(former.asked_ms, format_args!("service {name}"))?;
        let spec = ServiceSpec {
            name: name.clone(),
            audiences: (change.audiences.clone()).unwrap_or_else(|| former.audiences.to_vec()),
            keys: changed_keys(&former.keys, &change.keys)?,
        };
        self.check_service(&spec, Some(&Holder::Service(name.clone())))?;
        let asked_ms = self.stands_from_ms().max(former.asked_ms);
        self.keys_changed(&change.keys.removed);
        self.put_service(&spec, former.added_at, asked_ms);
        self.emit(Event::StandingLost);
        Ok(Answer::Nothing)
    }

    pub(super) fn remove_service(&mut self, name: &PrincipalName) -> Result<Answer, Rejection> {
        let unknown = || Rejection::new(Reason::ServiceUnknown, name);
        let record = self.state.service(name).cloned().ok_or_else(unknown)?;
        self.erase(RowKey::Service(name.clone()));
        self.emit(Event::ServiceChanged(name.clone()));
        self.keys_changed(&record.keys);
        self.emit(Event::StandingLost);
        Ok(Answer::Nothing)
    }
}

/// Whether an operator like that can add keepers for ever.
fn lasts(roles: Roles, expires_at: u64) -> bool {
    roles.contains(Role::Keeper) && expires_at == 0
}

fn changed_keys(
    former: &[KeyThumbprint],
    change: &KeyChange,
) -> Result<Vec<KeyThumbprint>, Rejection> {
    if let Some(strange) = change.removed.iter().find(|key| !former.contains(key)) {
        return Err(Rejection::new(Reason::KeyNotTheirs, strange));
    }
    let kept = former.iter().filter(|key| !change.removed.contains(key));
    let mut keys: Vec<KeyThumbprint> = kept.copied().collect();
    for key in &change.added {
        if !keys.contains(key) {
            keys.push(*key);
        }
    }
    Ok(keys)
}
