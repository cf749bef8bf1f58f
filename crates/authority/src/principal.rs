//! Who calls, as the directory hands them out.

use std::ops::Deref;
use std::sync::Arc;

use chancery_credential::{Audience, KeyThumbprint, OwnerName};

use crate::record::{AgentRecord, GrantSetRecord, OperatorRecord, OwnerRecord, ServiceRecord};
use crate::role::Roles;
use crate::stamped::Actor;

/// An agent as published. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentEntry {
    /// Its registration.
    pub record: Arc<AgentRecord>,
    /// Whether it is itself suspended.
    pub suspended: bool,
}

impl Deref for AgentEntry {
    type Target = AgentRecord;

    fn deref(&self) -> &AgentRecord {
        &self.record
    }
}

/// An owner as published. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnerEntry {
    /// Its record.
    pub record: Arc<OwnerRecord>,
    /// Whether its agents are kept from minting.
    pub suspended: bool,
}

/// A grant set as published. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrantSetEntry {
    /// Its grants.
    pub record: Arc<GrantSetRecord>,
    /// Whether nothing is minted under it.
    pub suspended: bool,
}

/// Who holds a key. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Principal {
    /// An agent.
    Agent(AgentEntry),
    /// An operator.
    Operator(Arc<OperatorRecord>),
    /// A service.
    Service(Arc<ServiceRecord>),
}

impl Principal {
    /// As what a command of theirs is recorded.
    #[must_use]
    pub fn actor(&self) -> Actor {
        match self {
            Self::Agent(entry) => Actor::Agent(entry.record.id.clone()),
            Self::Operator(record) => Actor::Operator(record.name.clone()),
            Self::Service(record) => Actor::Service(record.name.clone()),
        }
    }

    /// An operator's roles; nobody else has any.
    #[must_use]
    pub fn roles(&self) -> Roles {
        match self {
            Self::Operator(record) => record.roles,
            Self::Agent(_) | Self::Service(_) => Roles::NONE,
        }
    }

    /// A service's audiences; nobody else has any.
    #[must_use]
    pub fn audiences(&self) -> &[Audience] {
        match self {
            Self::Service(record) => &record.audiences,
            Self::Agent(_) | Self::Operator(_) => &[],
        }
    }

    /// The keys that prove them.
    #[must_use]
    pub fn keys(&self) -> &[KeyThumbprint] {
        match self {
            Self::Agent(entry) => &entry.record.keys,
            Self::Operator(record) => &record.keys,
            Self::Service(record) => &record.keys,
        }
    }

    /// When their registration ends, seconds since the Unix epoch; 0: never.
    #[must_use]
    pub fn expires_at(&self) -> u64 {
        match self {
            Self::Agent(entry) => entry.record.expires_at,
            Self::Operator(record) => record.expires_at,
            Self::Service(_) => 0,
        }
    }

    /// Whether their registration has ended at `now_s`.
    #[must_use]
    pub fn has_ended(&self, now_s: u64) -> bool {
        has_ended(self.expires_at(), now_s)
    }
}

/// Whether something that ends at `expires_at` (0: never) has ended at `now_s`.
pub(crate) const fn has_ended(expires_at: u64, now_s: u64) -> bool {
    expires_at != 0 && expires_at <= now_s
}

/// Why the holder of a key may not call.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoStanding {
    /// Nobody's key.
    #[error("the key that was proved belongs to nobody: have it registered")]
    Unknown,
    /// Theirs, and ended.
    #[error("the registration has ended: ask for a new one")]
    Expired,
    /// Theirs, and suspended.
    #[error("the agent is suspended: ask a responder to resume it")]
    Suspended,
    /// Theirs, and an owner is suspended.
    #[error("owner {0} is suspended, and with it its agents: ask a responder to resume it")]
    OwnerSuspended(OwnerName),
}

impl NoStanding {
    /// UPPER_SNAKE, stable.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Unknown => "KEY_UNKNOWN",
            Self::Expired => "REGISTRATION_ENDED",
            Self::Suspended => "AGENT_SUSPENDED",
            Self::OwnerSuspended(_) => "OWNER_SUSPENDED",
        }
    }
}
