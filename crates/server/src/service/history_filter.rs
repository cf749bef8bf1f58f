//! Filters of the history. One that nothing can ever fit would be answered with
//! "nothing", which an auditor takes for an answer.

use std::{fmt::Display, str::FromStr};

use chancery_authority::Command;
use chancery_credential::{GrantSetName, OwnerName, PrincipalName, SpiffeId, TokenId};
use chancery_wire::v1;
use tonic::Status;

use super::parse;

const ACTORS: &str = "operator:NAME, agent:SPIFFE-ID, service:NAME, node:NUMBER, birth";
const SUBJECTS: &str = "agent:SPIFFE-ID, owner:NAME, grant-set:NAME, operator:NAME, service:NAME, \
                        token:ID, issuer:NUMBER, epoch:NUMBER, node:NUMBER, everything";

/// Whether each filter is one that an entry can fit.
///
/// # Errors
/// `INVALID_FIELD`, with what can stand there.
pub(super) fn check(message: &v1::ListHistoryRequest) -> Result<(), Status> {
    let refused = |field: &'static str| move |why: String| parse::invalid(field, why);
    actor(&message.actor).map_err(refused("actor"))?;
    about(&message.about).map_err(refused("about"))?;
    command(&message.command).map_err(refused("command"))?;
    if message.until_ms != 0 && message.since_ms > message.until_ms {
        return Err(parse::invalid(
            "since",
            "it is after `until`, so nothing lies between them",
        ));
    }
    Ok(())
}

fn actor(text: &str) -> Result<(), String> {
    match text.split_once(':') {
        None if matches!(text, "" | "birth") => Ok(()),
        Some(("operator" | "service", name)) => parsed::<PrincipalName>(name),
        Some(("agent", id)) => parsed::<SpiffeId>(id),
        Some(("node", number)) => parsed::<u64>(number),
        _ => Err(format!("`{text}` is none of {ACTORS}")),
    }
}

fn about(text: &str) -> Result<(), String> {
    match text.split_once(':') {
        None if matches!(text, "" | "everything") => Ok(()),
        Some(("agent", id)) => parsed::<SpiffeId>(id),
        Some(("owner", name)) => parsed::<OwnerName>(name),
        Some(("grant-set", name)) => parsed::<GrantSetName>(name),
        // A node is admitted by its name, and known by its number from then on.
        Some(("operator" | "service" | "node", name)) => parsed::<PrincipalName>(name),
        Some(("token", id)) => parsed::<TokenId>(id),
        Some(("issuer", number)) => parsed::<u32>(number),
        Some(("epoch", number)) => parsed::<u64>(number),
        _ => Err(format!("`{text}` is none of {SUBJECTS}")),
    }
}

fn command(text: &str) -> Result<(), String> {
    // Those with which the leader keeps time stand in no history.
    let told = |name: &&str| !matches!(*name, "TICK" | "COMPARE_STATE");
    let known: Vec<_> = Command::NAMES.into_iter().filter(told).collect();
    if text.is_empty() || known.contains(&text) {
        return Ok(());
    }
    Err(format!("`{text}` is none of {}", known.join(", ")))
}

fn parsed<T>(text: &str) -> Result<(), String>
where
    T: FromStr,
    T::Err: Display,
{
    match text.parse::<T>() {
        Ok(_) => Ok(()),
        Err(error) => Err(format!("`{text}`: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_searched_for() {
        for text in [
            "",
            "birth",
            "operator:root",
            "agent:spiffe://a.b/c",
            "node:1",
        ] {
            assert_eq!(actor(text), Ok(()), "{text}");
        }
        for text in [
            "",
            "everything",
            "owner:payments",
            "grant-set:base",
            "node:2",
            "node:n2",
            "issuer:7",
            "epoch:1",
            "token:AAAAAQAAAAAAAAAAAAAAAA",
        ] {
            assert_eq!(about(text), Ok(()), "{text}");
        }
        assert_eq!(command("SUSPEND"), Ok(()));
    }

    #[test]
    fn nonsense_is_not_answered_with_nothing() {
        for text in [
            "root",
            "operator:",
            "owner:payments",
            "agent:billing",
            "node:n1",
        ] {
            assert!(actor(text).is_err(), "{text}");
        }
        for text in [
            "payments",
            "agents:spiffe://a.b/c",
            "agent:billing",
            "issuer:x",
            "everything:x",
        ] {
            assert!(about(text).is_err(), "{text}");
        }
        let refused = command("SUSPENDED").err().unwrap_or_default();
        assert!(
            refused.contains("SUSPEND, RESUME") && !refused.contains("TICK"),
            "{refused}"
        );
    }

    #[test]
    fn a_span_that_ends_before_it_begins_is_refused() {
        let between = |since_ms, until_ms| {
            check(&v1::ListHistoryRequest {
                since_ms,
                until_ms,
                ..v1::ListHistoryRequest::default()
            })
        };
        assert!(between(2, 0).is_ok() && between(2, 2).is_ok());
        assert!(between(3, 2).is_err());
    }
}
