//! The rules, as one pure function.

use chancery_credential::{KeyThumbprint, Subject};
use tonic::Code;

use super::identity::Identity;
use super::permission::Row;
use super::refusal::Refusal;
use super::registry::{Registration, Registry};

/// A caller that may call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Judged {
    pub(super) identity: Identity,
    /// When that stops to be so by itself, seconds since the Unix epoch.
    pub(super) expires_at: Option<u64>,
}

/// Whether the holder of `key` may call the method of `row` at `now` (seconds
/// since the Unix epoch).
pub(super) fn judge(
    row: &Row,
    key: Option<&KeyThumbprint>,
    registry: &dyn Registry,
    now: u64,
) -> Result<Judged, Refusal> {
    if row.who.is_anyone() {
        return Ok(Judged {
            identity: Identity::Anyone,
            expires_at: None,
        });
    }
    let Some(key) = key else {
        return Err(no_certificate(row));
    };
    // Freshness last: what is refused by a registry that may be old is not refused for
    // good.
    by_registration(row, key, registry, now).map_err(|refusal| {
        if registry.is_fresh() {
            refusal
        } else {
            cannot_tell(key)
        }
    })
}

fn by_registration(
    row: &Row,
    key: &KeyThumbprint,
    registry: &dyn Registry,
    now: u64,
) -> Result<Judged, Refusal> {
    let registration = registry.look_up(key).ok_or_else(|| unknown_key(key))?;
    stands(&registration, now)?;
    if !row.who.includes(&registration.identity) {
        return Err(not_permitted(row, &registration.identity));
    }
    Ok(Judged {
        identity: registration.identity,
        expires_at: registration.expires_at,
    })
}

fn stands(registration: &Registration, now: u64) -> Result<(), Refusal> {
    let who = &registration.identity;
    if let Some(suspended) = &registration.suspended {
        return Err(is_suspended(who, suspended));
    }
    match registration.expires_at {
        Some(expires_at) if expires_at <= now => Err(Refusal::new(
            Code::PermissionDenied,
            "REGISTRATION_EXPIRED",
            format!("the registration of {who} ended at {expires_at} (seconds since 1970)"),
            "ask a registrar (for an operator: a keeper) to register it anew",
        )),
        _ => Ok(()),
    }
}

fn is_suspended(who: &Identity, suspended: &Subject) -> Refusal {
    let (reason, message) = match suspended {
        Subject::Owner(owner) => (
            "OWNER_SUSPENDED",
            format!("the owner {owner} of {who} is suspended"),
        ),
        _ => ("AGENT_SUSPENDED", format!("{who} is suspended")),
    };
    Refusal::new(
        Code::PermissionDenied,
        reason,
        message,
        "a responder has to resume it; what was held stays dead",
    )
}

fn no_certificate(row: &Row) -> Refusal {
    Refusal::new(
        Code::Unauthenticated,
        "NO_CERTIFICATE",
        format!(
            "{} is for {}, and no client certificate was presented",
            row.path, row.who
        ),
        "connect with the certificate and key of a registered principal; a self-signed certificate will do",
    )
}

fn unknown_key(key: &KeyThumbprint) -> Refusal {
    Refusal::new(
        Code::Unauthenticated,
        "UNKNOWN_KEY",
        format!("the key {key} is not registered"),
        format!(
            "register the key whose SubjectPublicKeyInfo has the SHA-256 {key}, or connect with a registered one"
        ),
    )
}

/// Not final: the caller may have been registered, resumed or given a role meanwhile, and
/// this node has still to catch up.
pub(super) fn cannot_tell(key: &KeyThumbprint) -> Refusal {
    Refusal::new(
        Code::Unavailable,
        "STALE",
        format!(
            "this node does not let the key {key} in, and cannot prove that its registry is recent"
        ),
        "ask another node; this one answers again once it has caught up with the leader",
    )
}

fn not_permitted(row: &Row, who: &Identity) -> Refusal {
    Refusal::new(
        Code::PermissionDenied,
        "METHOD_NOT_PERMITTED",
        format!("{who} may not call {}", row.path),
        format!("it is for {}; call with the key of one of them", row.who),
    )
}
