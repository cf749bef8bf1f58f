//! How far a change has come, on the wire; and what a command waits for when its caller
//! does not say.

use std::time::Duration;

use chancery_authority::Command;
use chancery_consensus::{Enforcement, EnforcementState, Wait};
use chancery_credential::Revision;
use chancery_wire::v1;
use tonic::Status;

use super::{Desk, parse};

impl Desk {
    /// Waits until the revision is in force as far as `wait` says, or `within` has
    /// passed. What was answered for is committed.
    pub(super) async fn enforced(
        &self,
        revision: Revision,
        wait: Wait,
        within: Duration,
    ) -> Enforcement {
        if wait == Wait::Committed {
            return Enforcement::only(EnforcementState::Committed);
        }
        let mut told = self.consensus.enforcement(revision, wait, within).await;
        if told.state == EnforcementState::Unknown {
            told.state = EnforcementState::Committed;
        }
        told
    }
}

/// What a caller wants to wait for.
pub(super) fn wait_of(wire: i32, command: &Command) -> Result<Wait, Status> {
    Ok(match read_wait(wire)? {
        Some(wait) => wait,
        None if is_verb(command) => Wait::Nodes,
        None => Wait::Committed,
    })
}

/// What is asked for; `None` when it is left to the cluster.
pub(super) fn read_wait(wire: i32) -> Result<Option<Wait>, Status> {
    match v1::Wait::try_from(wire) {
        Ok(v1::Wait::Unspecified) => Ok(None),
        Ok(v1::Wait::Committed) => Ok(Some(Wait::Committed)),
        Ok(v1::Wait::Nodes) => Ok(Some(Wait::Nodes)),
        Ok(v1::Wait::Verifiers) => Ok(Some(Wait::Verifiers)),
        Err(_) => Err(parse::invalid(
            "wait",
            format!("{wire} is no value of `Wait` that this node knows"),
        )),
    }
}

/// Whether it changes what is in force of what was given before: then its caller means
/// everywhere. What only adds is there where it was answered, and soon elsewhere.
const fn is_verb(command: &Command) -> bool {
    match command {
        Command::UpdateAgent { .. }
        | Command::RemoveAgent(_)
        | Command::Suspend(_)
        | Command::Resume(_)
        | Command::RevokeHeld(_)
        | Command::RevokeToken { .. }
        | Command::PutGrantSet { .. }
        | Command::RemoveGrantSet(_)
        | Command::UpdateOperator(_)
        | Command::UpdateService(_)
        | Command::RemoveOperator(_)
        | Command::RemoveService(_)
        | Command::RevokeIssuer(_)
        | Command::RevokeEpoch(_)
        | Command::RevokeNode(_)
        | Command::RetireNode(_)
        | Command::RemoveNode { .. }
        | Command::SetSettings(_) => true,
        Command::Birth(_)
        | Command::Tick
        | Command::RegisterAgent(_)
        | Command::AddOwner { .. }
        | Command::AddOperator(_)
        | Command::AddService(_)
        | Command::OpenEpoch { .. }
        | Command::OpenIssuer(_)
        | Command::RetireIssuer(_)
        | Command::ExpireIssuer(_)
        | Command::AdmitNode(_)
        | Command::ReadmitNode { .. }
        | Command::ExpireRegistrations
        | Command::SeatNode { .. }
        | Command::RaiseFloor(_)
        | Command::ForgetFormer(_)
        | Command::CompareState { .. } => false,
    }
}

pub(super) fn message(told: &Enforcement) -> v1::Enforcement {
    let state = match told.state {
        EnforcementState::Unknown => v1::EnforcementState::Unknown,
        EnforcementState::Committed => v1::EnforcementState::Committed,
        EnforcementState::Enforced => v1::EnforcementState::Enforced,
    };
    let numbers = |nodes: &[chancery_credential::NodeNumber]| nodes.iter().map(|n| n.0).collect();
    let span = |span: Option<Duration>| span.and_then(|span| span.try_into().ok());
    v1::Enforcement {
        state: state.into(),
        waited_out: numbers(&told.waited_out),
        waiting_for: numbers(&told.waiting_for),
        at_most: span(told.at_most),
        verifiers: told.verifiers,
        verifiers_at_most: span(told.verifiers_at_most),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_ends_something_is_waited_for_on_all_nodes_and_what_only_adds_is_not() {
        let suspend = Command::Suspend(chancery_credential::Subject::Everything);
        let unspecified = v1::Wait::Unspecified.into();
        assert_eq!(wait_of(unspecified, &suspend).unwrap(), Wait::Nodes);
        let add = Command::AddOwner {
            name: "team".parse().unwrap(),
            description: String::new(),
        };
        assert_eq!(wait_of(unspecified, &add).unwrap(), Wait::Committed);
        let verifiers = v1::Wait::Verifiers.into();
        assert_eq!(wait_of(verifiers, &add).unwrap(), Wait::Verifiers);
        assert!(
            wait_of(77, &suspend).is_err(),
            "a wait nobody knows is not less"
        );
    }
}
