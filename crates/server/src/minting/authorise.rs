//! What a request may have: the least of what is asked, granted and capped. Pure.

use chancery_authority::{AgentEntry, Directory, Settings};
use chancery_credential::{Audience, Grant, GrantSetName, Scopes};
use thiserror::Error;

/// A request, parsed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) audience: Audience,
    pub(crate) scopes: Scopes,
    /// Seconds; 0 means the cluster's default.
    pub(crate) ttl_seconds: u32,
    pub(crate) bearer: bool,
}

/// Why a mint is refused. The caller's to mend, or its registrar's.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(crate) enum MintRefusal {
    #[error("the agent is suspended")]
    AgentSuspended,
    #[error("its owner `{0}` is suspended")]
    OwnerSuspended(String),
    #[error("the grant set `{0}` is suspended")]
    GrantSetSuspended(String),
    #[error("all minting is suspended")]
    EverythingSuspended,
    #[error("the registration has ended")]
    RegistrationExpired,
    #[error("no grant covers audience `{audience}` with scopes `{scopes}`")]
    NotGranted { audience: String, scopes: String },
    #[error("a bearer token is asked for, and the grant binds tokens to the caller's certificate")]
    BearerNotGranted,
    #[error("{asked} s are asked for, and at most {cap} s are granted")]
    TtlOverCap { asked: u32, cap: u64 },
}

impl MintRefusal {
    /// Stable, for programs.
    pub(crate) const fn code(&self) -> &'static str {
        match self {
            Self::AgentSuspended => "AGENT_SUSPENDED",
            Self::OwnerSuspended(_) => "OWNER_SUSPENDED",
            Self::GrantSetSuspended(_) => "GRANT_SET_SUSPENDED",
            Self::EverythingSuspended => "EVERYTHING_SUSPENDED",
            Self::RegistrationExpired => "REGISTRATION_EXPIRED",
            Self::NotGranted { .. } => "NOT_GRANTED",
            Self::BearerNotGranted => "BEARER_NOT_GRANTED",
            Self::TtlOverCap { .. } => "TTL_OVER_CAP",
        }
    }

    /// What to do about it.
    pub(crate) const fn remedy(&self) -> &'static str {
        match self {
            Self::AgentSuspended
            | Self::OwnerSuspended(_)
            | Self::GrantSetSuspended(_)
            | Self::EverythingSuspended => "a responder has to resume it before anything is minted",
            Self::RegistrationExpired => "a registrar has to register the agent again",
            Self::NotGranted { .. } => "ask for less, or have a registrar widen the grants",
            Self::BearerNotGranted => "ask without `bearer`, and present the same certificate",
            Self::TtlOverCap { .. } => "ask for a shorter lifetime, or for the default with 0",
        }
    }
}

/// What was found to be allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Allowed {
    pub(crate) ttl_seconds: u64,
    pub(crate) bearer: bool,
    /// The grant set whose grant it is minted under, if it is not an inline one.
    pub(crate) set: Option<GrantSetName>,
}

/// Finds the one grant that covers audience and scopes together; grants do not
/// add up across audiences, so nothing is allowed that no grant says as a whole.
///
/// `now` is in seconds since the Unix epoch, no earlier than log time.
pub(crate) fn authorise(
    wanted: &Wanted,
    agent: &AgentEntry,
    directory: &Directory,
    settings: &Settings,
    now: u64,
) -> Result<Allowed, MintRefusal> {
    standing(agent, directory, now)?;
    let (grant, set) = covering(wanted, agent, directory)?;
    let cap = cap(&grant, agent, settings, now);
    let ttl_seconds = match wanted.ttl_seconds {
        0 => settings.ttl_default_s.min(cap),
        asked if u64::from(asked) <= cap => u64::from(asked),
        asked => return Err(MintRefusal::TtlOverCap { asked, cap }),
    };
    Ok(Allowed {
        ttl_seconds,
        bearer: wanted.bearer,
        set,
    })
}

/// The longest lifetime, seconds: a token ends with the registration that it was
/// minted under.
fn cap(grant: &Grant, agent: &AgentEntry, settings: &Settings, now: u64) -> u64 {
    let granted = match grant.max_ttl_seconds {
        0 => settings.ttl_cap_s,
        granted => settings.ttl_cap_s.min(u64::from(granted)),
    };
    match agent.expires_at {
        0 => granted,
        end => granted.min(end.saturating_sub(now)),
    }
}

fn standing(agent: &AgentEntry, directory: &Directory, now: u64) -> Result<(), MintRefusal> {
    if directory.everything_suspended() {
        return Err(MintRefusal::EverythingSuspended);
    }
    if agent.suspended {
        return Err(MintRefusal::AgentSuspended);
    }
    if agent.expires_at != 0 && agent.expires_at <= now {
        return Err(MintRefusal::RegistrationExpired);
    }
    if let Some(owner) = directory.suspended_owner(agent) {
        return Err(MintRefusal::OwnerSuspended(owner.to_string()));
    }
    Ok(())
}

/// Inline grants come first; a bearer request looks for a grant that says so.
fn covering(
    wanted: &Wanted,
    agent: &AgentEntry,
    directory: &Directory,
) -> Result<(Grant, Option<GrantSetName>), MintRefusal> {
    let mut refusal = MintRefusal::NotGranted {
        audience: wanted.audience.to_string(),
        scopes: wanted.scopes.to_string(),
    };
    let covers = |grant: &&Grant| grant.permits(&wanted.audience, &wanted.scopes);
    for grant in agent.grants.iter().filter(covers) {
        if grant.bearer || !wanted.bearer {
            return Ok((grant.clone(), None));
        }
        refusal = MintRefusal::BearerNotGranted;
    }
    for name in agent.grant_sets.iter() {
        let Some(set) = directory.grant_set(name) else {
            continue;
        };
        for grant in set.record.grants.iter().filter(covers) {
            if set.suspended {
                refusal = MintRefusal::GrantSetSuspended(name.to_string());
            } else if grant.bearer || !wanted.bearer {
                return Ok((grant.clone(), Some(name.clone())));
            } else {
                refusal = MintRefusal::BearerNotGranted;
            }
        }
    }
    Err(refusal)
}
