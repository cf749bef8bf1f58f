//! Bounds of what is asked for.

use std::fmt::{self, Write as _};

use chancery_credential::{Grant, KeyThumbprint, NodeNumber};

use super::Transition;
use crate::bounds::{
    MAX_ADDRESS_BYTES, MAX_AGENT_GRANT_SETS, MAX_AGENT_OWNERS, MAX_AUDIENCES,
    MAX_DESCRIPTION_BYTES, MAX_GRANT_SCOPES, MAX_GRANTS, MAX_GRANTS_BYTES, MAX_KEYS,
};
use crate::command::{AgentSpec, NodeSpec, OperatorSpec, ServiceSpec};
use crate::principal::has_ended;
use crate::record::Holder;
use crate::rejection::{Reason, Rejection};

fn refuse<T>(reason: Reason, about: impl fmt::Display) -> Result<T, Rejection> {
    Err(Rejection::new(reason, about))
}

impl Transition<'_> {
    pub(super) fn check_agent(&self, spec: &AgentSpec) -> Result<(), Rejection> {
        let domain = self.state.settings().map(|settings| &settings.trust_domain);
        if !domain.is_some_and(|domain| spec.id.is_member_of(domain)) {
            return refuse(Reason::OutsideTrustDomain, &spec.id);
        }
        if spec.owners.is_empty() || spec.owners.len() > MAX_AGENT_OWNERS {
            return refuse(Reason::OwnersCount, spec.owners.len());
        }
        if spec.grant_sets.len() > MAX_AGENT_GRANT_SETS {
            return refuse(Reason::GrantSetsCount, spec.grant_sets.len());
        }
        check_grants(&spec.grants)?;
        check_description(&spec.description)?;
        check_expiry(spec.expires_at, self.now_ms)?;
        self.check_keys(&spec.keys, Some(&Holder::Agent(spec.id.clone())))?;
        for owner in &spec.owners {
            if self.state.owner(owner).is_none() {
                return refuse(Reason::OwnerUnknown, owner);
            }
        }
        for set in &spec.grant_sets {
            if self.state.grant_set(set).is_none() {
                return refuse(Reason::GrantSetUnknown, set);
            }
        }
        Ok(())
    }

    /// `own`: whose keys it may have already.
    pub(super) fn check_operator(
        &self,
        spec: &OperatorSpec,
        own: Option<&Holder>,
    ) -> Result<(), Rejection> {
        if spec.roles.is_empty() {
            return refuse(Reason::RolesEmpty, &spec.name);
        }
        check_expiry(spec.expires_at, self.now_ms)?;
        self.check_keys(&spec.keys, own)
    }

    /// As [`check_operator`](Self::check_operator).
    pub(super) fn check_service(
        &self,
        spec: &ServiceSpec,
        own: Option<&Holder>,
    ) -> Result<(), Rejection> {
        if spec.audiences.is_empty() || spec.audiences.len() > MAX_AUDIENCES {
            return refuse(Reason::AudiencesCount, spec.audiences.len());
        }
        self.check_keys(&spec.keys, own)
    }

    pub(super) fn check_node(&self, spec: &NodeSpec) -> Result<(), Rejection> {
        check_node_name(&spec.name)?;
        check_address(&spec.api_address)?;
        check_address(&spec.peer_address)?;
        self.check_holder(&spec.peer_key.thumbprint(), None)
    }

    /// A principal has a key at least, and nobody else has any of them.
    fn check_keys(&self, keys: &[KeyThumbprint], own: Option<&Holder>) -> Result<(), Rejection> {
        if keys.is_empty() || keys.len() > MAX_KEYS {
            return refuse(Reason::KeysCount, keys.len());
        }
        keys.iter().try_for_each(|key| self.check_holder(key, own))
    }

    pub(super) fn check_holder(
        &self,
        key: &KeyThumbprint,
        own: Option<&Holder>,
    ) -> Result<(), Rejection> {
        match self.state.holder(key) {
            Some(holder) if Some(holder) != own => refuse(Reason::KeyInUse, key),
            _ => Ok(()),
        }
    }

    /// A node that is known.
    pub(super) fn known_node(
        &self,
        number: NodeNumber,
    ) -> Result<std::sync::Arc<crate::record::NodeRecord>, Rejection> {
        let record = self.state.node(number).cloned();
        record.ok_or_else(|| Rejection::new(Reason::NodeUnknown, number))
    }
}

pub(super) fn check_description(description: &str) -> Result<(), Rejection> {
    if description.len() > MAX_DESCRIPTION_BYTES {
        return refuse(Reason::DescriptionTooLong, description.len());
    }
    Ok(())
}

pub(super) fn check_grants(grants: &[Grant]) -> Result<(), Rejection> {
    if grants.len() > MAX_GRANTS {
        return refuse(Reason::GrantsCount, grants.len());
    }
    let mut length = Length(0);
    for grant in grants {
        if grant.scopes.len() > MAX_GRANT_SCOPES {
            return refuse(Reason::ScopesCount, grant.scopes.len());
        }
        length.count(&grant.audience);
        grant.scopes.iter().for_each(|scope| length.count(scope));
    }
    if length.0 > MAX_GRANTS_BYTES {
        return refuse(Reason::GrantsTooLarge, length.0);
    }
    Ok(())
}

fn check_expiry(expires_at: u64, now_ms: u64) -> Result<(), Rejection> {
    if has_ended(expires_at, now_ms / 1_000) {
        return refuse(Reason::ExpiryPast, expires_at);
    }
    Ok(())
}

fn check_node_name(name: &str) -> Result<(), Rejection> {
    // The rule of every other name.
    match chancery_credential::PrincipalName::try_from(name) {
        Ok(_) => Ok(()),
        Err(_) => refuse(Reason::NodeNameInvalid, shortened(name)),
    }
}

fn check_address(address: &str) -> Result<(), Rejection> {
    let visible = address.bytes().all(|byte| byte.is_ascii_graphic());
    let (host, port) = address.rsplit_once(':').unwrap_or_default();
    let sound = !host.is_empty() && port.parse::<u16>().is_ok_and(|port| port != 0);
    if address.len() > MAX_ADDRESS_BYTES || !visible || !sound {
        return refuse(Reason::AddressInvalid, shortened(address));
    }
    Ok(())
}

/// At most 64 characters of a text that nothing has bounded.
fn shortened(text: &str) -> String {
    text.chars()
        .take(64)
        .flat_map(char::escape_default)
        .collect()
}

/// Counts the bytes of what is shown, without showing it.
struct Length(usize);

impl Length {
    fn count(&mut self, value: &impl fmt::Display) {
        // Writing to a counter cannot fail.
        let _ = write!(self, "{value}");
    }
}

impl fmt::Write for Length {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0 = self.0.saturating_add(text.len());
        Ok(())
    }
}
