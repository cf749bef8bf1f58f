//! From a call to a command, and from its outcome to an answer.

use std::time::Duration;

use chancery_authority::{Answer, Command, Kind, Reason, Rejection, RequestId};
use chancery_consensus::{Enforcement, Outcome, Proposal, ProposeError, Wait};
use chancery_credential::Revision;
use chancery_revocation::Clock;
use chancery_wire::v1;
use tonic::{Code, Status};

use super::{Desk, enforcement, parse};
use crate::{
    caller::{Caller, refuse},
    clock::SystemClock,
};

/// How long a command is waited for when the client does not say.
const DEFAULT_WAIT: Duration = Duration::from_secs(5);
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// How long before the caller's deadline an answer sets out.
const WAY_BACK: Duration = Duration::from_millis(100);
const MAX_REASON_BYTES: usize = 512;
/// How far a request id may be ahead of this node's clock: half of what `apply` lets be
/// ahead of log time. So no request is held up here until what would have been refused
/// is in order, after a copy of it was told no elsewhere.
const MOST_AHEAD_MS: u64 = 30_000;

/// A committed command: where it stands, what it says, and how far it has come.
pub(super) struct Done {
    pub(super) revision: Revision,
    pub(super) answer: Answer,
    pub(super) enforcement: Enforcement,
}

impl Desk {
    /// Proposes a command in the caller's name, and waits until this node has applied
    /// it, and then until it is in force as far as the caller wants, or has no more time:
    /// the answer says how far. A retry under the same request id is answered as the
    /// first, and waits for the same change.
    pub(super) async fn command(
        &self,
        caller: &Caller,
        meta: Option<v1::CommandMeta>,
        command: Command,
    ) -> Result<Done, Status> {
        let meta = meta.unwrap_or_default();
        let within = wait_at_most(&meta)?.min(answered_within(caller));
        let wait = enforcement::wait_of(meta.wait, &command)?;
        if meta.reason.len() > MAX_REASON_BYTES {
            let why = format!("it has more than {MAX_REASON_BYTES} bytes");
            return Err(parse::invalid("meta.reason", why));
        }
        let proposal = Proposal {
            command,
            actor: caller.actor()?,
            key: caller.key,
            authorised_at: caller.authorised_at,
            reason: meta.reason,
            request: request_id(meta.request_id.as_ref())?,
            retried: caller.retried,
            awaited: wait != Wait::Committed,
        };
        let began = SystemClock.now().boot;
        match self.consensus.propose(proposal, within).await {
            Ok(Outcome {
                revision,
                verdict: Ok(answer),
            }) => {
                let passed = SystemClock.now().boot.since(began).unwrap_or_default();
                let left = within.saturating_sub(passed);
                let enforcement = self.enforced(revision, wait, left).await;
                Ok(Done {
                    revision,
                    answer,
                    enforcement,
                })
            }
            Ok(Outcome {
                verdict: Err(rejection),
                ..
            }) => Err(rejected(&rejection)),
            Err(error) => Err(not_proposed(&error)),
        }
    }

    /// What every answer to a command carries.
    pub(super) fn committed(&self, done: &Done) -> v1::Committed {
        v1::Committed {
            consistency_token: self.token_for(done.revision),
            enforcement: Some(enforcement::message(&done.enforcement)),
        }
    }
}

/// An answer at the caller's own deadline is never seen: it sets out before.
pub(super) fn answered_within(caller: &Caller) -> Duration {
    let left = caller.answer_by.since(SystemClock::boot());
    left.unwrap_or_default().saturating_sub(WAY_BACK)
}

pub(super) fn request_id(wire: Option<&v1::RequestId>) -> Result<RequestId, Status> {
    let Some(wire) = wire else {
        let mut random = [0; 16];
        getrandom::fill(&mut random).map_err(|_| {
            refuse(
                Code::Unavailable,
                "NO_ENTROPY",
                "the node has no entropy",
                "ask another node",
            )
        })?;
        return Ok(RequestId {
            time_ms: SystemClock::wall_ms(),
            random,
        });
    };
    let random = wire
        .random
        .as_slice()
        .try_into()
        .map_err(|_| parse::invalid("meta.request_id.random", "expected 16 bytes"))?;
    let ahead_ms = wire.time_ms.saturating_sub(SystemClock::wall_ms());
    if ahead_ms > MOST_AHEAD_MS {
        let why = format!("it is {ahead_ms} ms ahead of this node's clock: set the client's clock");
        return Err(parse::invalid("meta.request_id.time_ms", why));
    }
    Ok(RequestId {
        time_ms: wire.time_ms,
        random,
    })
}

pub(super) fn wait_at_most(wire: &v1::CommandMeta) -> Result<Duration, Status> {
    span_of("meta.wait_at_most", wire.wait_at_most)
}

/// How long an answer may take; so long when the caller does not say.
pub(super) fn span_of(name: &str, wire: Option<prost_types::Duration>) -> Result<Duration, Status> {
    let Some(wanted) = wire else {
        return Ok(DEFAULT_WAIT);
    };
    let wanted = Duration::try_from(wanted).map_err(|_| parse::invalid(name, "it is negative"))?;
    Ok(wanted.min(LONGEST_WAIT))
}

/// A rejection is a committed answer: it is final for this request id.
pub(super) fn rejected(rejection: &Rejection) -> Status {
    let of_this_node = matches!(rejection.reason(), Reason::ViaUnknown | Reason::ViaBarred);
    let code = match rejection.kind() {
        // Through another node it may be carried out, and a client tries the next.
        _ if of_this_node => Code::Unavailable,
        Kind::NotFound => Code::NotFound,
        Kind::AlreadyExists => Code::AlreadyExists,
        Kind::PermissionDenied => Code::PermissionDenied,
        Kind::FailedPrecondition => Code::FailedPrecondition,
        Kind::InvalidArgument => Code::InvalidArgument,
        Kind::ResourceExhausted => Code::ResourceExhausted,
    };
    refuse(
        code,
        rejection.code(),
        rejection.fault(),
        rejection.remedy(),
    )
}

fn not_proposed(error: &ProposeError) -> Status {
    match error {
        ProposeError::Unknown(_) => refuse(
            Code::Unavailable,
            "OUTCOME_UNKNOWN",
            format!("whether the command was committed is not known: {error}"),
            "send it again with the same request id",
        ),
        // Of this node, which was removed or revoked, and of no other: nothing was
        // changed, and a client tries the next.
        ProposeError::Refused(_) => refuse(
            Code::Unavailable,
            "NODE_NOT_ADMITTED",
            error.to_string(),
            "ask another node; an operator has to look at this one",
        ),
        ProposeError::TooLarge { .. } => refuse(
            Code::InvalidArgument,
            "TOO_LARGE",
            error.to_string(),
            "send less in one command",
        ),
        _ => refuse(
            Code::Unavailable,
            "NO_LEADER",
            format!("nothing was changed: {error}"),
            "send it again, to any node",
        ),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use tonic_types::StatusExt;

    #[test]
    fn who_is_not_heard_through_this_node_is_sent_to_another() {
        for reason in [Reason::ViaUnknown, Reason::ViaBarred] {
            let status = rejected(&Rejection::new(reason, 7));
            assert_eq!(status.code(), Code::Unavailable);
        }
    }

    #[test]
    fn a_request_of_a_clock_that_is_far_ahead_is_not_held_up_until_it_is_in_order() {
        let at = |time_ms| {
            let wire = v1::RequestId {
                time_ms,
                random: vec![7; 16],
            };
            request_id(Some(&wire))
        };
        let now_ms = SystemClock::wall_ms();
        assert!(at(now_ms + MOST_AHEAD_MS / 2).is_ok() && at(0).is_ok());
        let status = at(now_ms + 2 * MOST_AHEAD_MS).unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument);
        assert!(status.message().contains("set the client's clock"));
    }

    #[test]
    fn a_rejection_tells_the_caller_what_to_do() {
        for reason in Reason::ALL {
            let rejection = Rejection::new(*reason, "x");
            let status = rejected(&rejection);
            let details = status.get_error_details();
            assert_eq!(details.error_info().unwrap().reason, rejection.code());
            let told = &details.localized_message().unwrap().message;
            assert_eq!(told, rejection.remedy());
            assert!(!told.is_empty(), "{reason:?}");
            assert!(!status.message().contains(told.as_str()), "once is enough");
        }
    }
}
