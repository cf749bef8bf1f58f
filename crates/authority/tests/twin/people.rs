//! What a change of an operator or a service demands and does, for the twin.

use std::collections::BTreeSet;

use chancery_authority::{
    Actor, KeyChange, OperatorChange, OperatorSpec, Reason, Role, ServiceChange,
};
use chancery_credential::KeyThumbprint;

use crate::{
    model::{Refusals, Twin},
    rules::refuse,
};

fn takes_another(former: &[KeyThumbprint], change: &KeyChange) -> bool {
    change.removed.iter().any(|key| !former.contains(key))
}

fn keys_after(former: &[KeyThumbprint], change: &KeyChange) -> Vec<KeyThumbprint> {
    let mut keys = former.to_vec();
    keys.retain(|key| !change.removed.contains(key));
    let new = change.added.iter().filter(|key| !keys.contains(key));
    let new: BTreeSet<_> = new.copied().collect();
    keys.extend(new);
    keys
}

impl Twin {
    pub fn update_operator(
        &mut self,
        change: &OperatorChange,
        asked_ms: u64,
    ) -> Result<(), Refusals> {
        let name = &change.name;
        let Some(former) = self.operators.get(name).cloned() else {
            return refuse(&[(true, Reason::OperatorUnknown)]);
        };
        let mut spec = former.clone();
        spec.roles = change.roles.unwrap_or(former.roles);
        spec.expires_at = change.expires_at.unwrap_or(former.expires_at);
        spec.keys = keys_after(&former.keys, &change.keys);
        let lasts = |operator: &OperatorSpec| {
            operator.roles.contains(Role::Keeper) && operator.expires_at == 0
        };
        let others = self.operators.values().filter(|other| other.name != *name);
        let kept = lasts(&spec) || others.into_iter().any(lasts);
        let stands = self.operators_asked.get(name).copied().unwrap_or(0);
        let mut broken = self.keys_broken(&spec.keys, Some(Actor::Operator(name.clone())));
        broken.push((asked_ms < stands, Reason::AskedBefore));
        broken.push((
            takes_another(&former.keys, &change.keys),
            Reason::KeyNotTheirs,
        ));
        broken.push((self.has_ended(spec.expires_at), Reason::ExpiryPast));
        broken.push((!kept, Reason::LastKeeper));
        refuse(&broken)?;
        self.operators.insert(name.clone(), spec);
        let asked = asked_ms.max(self.time_ms.saturating_sub(2_000)).max(stands);
        self.operators_asked.insert(name.clone(), asked);
        Ok(())
    }

    pub fn update_service(
        &mut self,
        change: &ServiceChange,
        asked_ms: u64,
    ) -> Result<(), Refusals> {
        let name = &change.name;
        let Some(former) = self.services.get(name).cloned() else {
            return refuse(&[(true, Reason::ServiceUnknown)]);
        };
        let mut spec = former.clone();
        spec.keys = keys_after(&former.keys, &change.keys);
        spec.audiences = (change.audiences.clone()).unwrap_or(former.audiences);
        let stands = self.services_asked.get(name).copied().unwrap_or(0);
        let mut broken = self.keys_broken(&spec.keys, Some(Actor::Service(name.clone())));
        broken.push((asked_ms < stands, Reason::AskedBefore));
        broken.push((
            takes_another(&former.keys, &change.keys),
            Reason::KeyNotTheirs,
        ));
        refuse(&broken)?;
        self.services.insert(name.clone(), spec);
        let asked = asked_ms.max(self.time_ms.saturating_sub(2_000)).max(stands);
        self.services_asked.insert(name.clone(), asked);
        Ok(())
    }

    pub fn keys_broken(&self, keys: &[KeyThumbprint], own: Option<Actor>) -> Vec<(bool, Reason)> {
        let own = own.map(|own| own.to_string());
        let taken = |key| self.holder(key).is_some_and(|holder| Some(holder) != own);
        vec![
            (keys.iter().any(taken), Reason::KeyInUse),
            (keys.is_empty() || keys.len() > 8, Reason::KeysCount),
        ]
    }
}
