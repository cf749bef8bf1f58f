//! Whether a keeper's command asks for a change of the membership. Raft's entries name
//! nobody, so the leader makes only changes that the applied state wants: then whoever
//! asked, why and through which node stands in the history.

use chancery_authority::State;
use chancery_credential::{NodeNumber, Revision};

use super::{Departure, MembershipChange, plan::Plan};

/// No command asks for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unwanted {
    #[error(
        "node {0} is not admitted, or is being removed, or was revoked: admit it first, or another \
         in its place"
    )]
    Admission(NodeNumber),
    #[error(
        "no keeper's command in the record wants that seat for node {0}: ask for it with `chancery \
         node promote` or `chancery node demote`"
    )]
    Seat(NodeNumber),
    #[error(
        "no keeper's command in the record wants node {0} to lead after the present leader: ask \
         for it with `chancery node transfer`"
    )]
    Lead(NodeNumber),
    #[error(
        "the removal of node {0} does not stand in the record, so it is not taken out: ask for its \
         removal again, with `chancery node remove`"
    )]
    Removal(NodeNumber),
}

/// `led_since` is the first entry of the leader's term: a wish that somebody leads is
/// worth one election, and no leader after it hands over by it again.
///
/// # Errors
/// [`Unwanted`], with what to do.
pub(super) fn wanted(
    state: &State,
    led_since: Revision,
    change: MembershipChange,
    plan: Plan,
) -> Result<(), Unwanted> {
    let node = |number| state.node(number).map(|node| &**node);
    let holds = |condition: Option<bool>, unwanted| {
        if condition == Some(true) {
            Ok(())
        } else {
            Err(unwanted)
        }
    };
    match (change, plan) {
        (MembershipChange::Remove(number, how), _) => {
            let leaves = |node: &chancery_authority::NodeRecord| {
                node.retiring && (node.barred || how != Departure::Compromised)
            };
            holds(node(number).map(leaves), Unwanted::Removal(number))
        }
        (_, Plan::Nothing) => Ok(()),
        (MembershipChange::Enrol(number), _) => {
            let stands = node(number).map(chancery_authority::NodeRecord::stands);
            holds(stands, Unwanted::Admission(number))
        }
        (MembershipChange::Promote(number), _) => {
            holds(node(number).map(|node| node.votes), Unwanted::Seat(number))
        }
        (MembershipChange::Demote(number), _) => {
            holds(node(number).map(|node| !node.votes), Unwanted::Seat(number))
        }
        (MembershipChange::Transfer(_), Plan::HandOver(number)) => {
            let asked = state.lead_asked();
            let asks = asked.is_some_and(|(node, at)| node == number && at > led_since);
            holds(Some(asks), Unwanted::Lead(number))
        }
        (MembershipChange::Transfer(to), _) => Err(Unwanted::Lead(to.unwrap_or(NodeNumber(0)))),
    }
}
