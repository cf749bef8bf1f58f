//! Who may send which command: one table, judged at the edge and again when the
//! command is applied.

use chancery_credential::{NodeNumber, SpiffeId};

use crate::command::Command;
use crate::rejection::{Reason, Rejection};
use crate::role::{Role, Roles};
use crate::stamped::Actor;

/// Who may send one command. No service may send any.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Permission {
    /// Operators with any of these.
    pub roles: Roles,
    /// This agent: the command is about its own token.
    pub agent: Option<SpiffeId>,
    /// Nodes.
    pub node: NodeRight,
    /// Whoever runs `init`.
    pub birth: bool,
}

/// Which nodes may send a command.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum NodeRight {
    /// None.
    Never,
    /// This one: the command is about itself.
    Itself(NodeNumber),
    /// Any that is admitted and not barred, in practice the leader's keeper. What
    /// it may do is bounded by the state, for nobody can tell here who leads.
    Keeper,
}

/// The table. Settled by the command alone; whether its subject exists, and in
/// which state, is for `apply`.
#[must_use]
pub fn permission(command: &Command) -> Permission {
    match command {
        Command::Birth(_) => Permission {
            birth: true,
            ..operators(&[])
        },
        Command::RegisterAgent(_)
        | Command::UpdateAgent { .. }
        | Command::RemoveAgent(_)
        | Command::AddOwner { .. }
        | Command::PutGrantSet { .. }
        | Command::RemoveGrantSet(_)
        | Command::AddService(_)
        | Command::UpdateService(_)
        | Command::RemoveService(_) => operators(&[Role::Registrar]),
        Command::Suspend(_) | Command::Resume(_) | Command::RevokeHeld(_) => {
            operators(&[Role::Responder])
        }
        // A bare id proves nothing of whose token it is.
        Command::RevokeToken { agent: None, .. } => operators(&[Role::Responder]),
        Command::RevokeToken {
            agent: Some(agent), ..
        } => Permission {
            agent: Some(agent.clone()),
            ..operators(&[Role::Registrar, Role::Responder])
        },
        Command::AddOperator(_)
        | Command::UpdateOperator(_)
        | Command::RemoveOperator(_)
        | Command::RevokeIssuer(_)
        | Command::RevokeEpoch(_)
        | Command::RevokeNode(_)
        | Command::AdmitNode(_)
        | Command::RetireNode(_)
        | Command::ReadmitNode { .. }
        | Command::SeatNode { .. }
        | Command::RemoveNode { .. }
        | Command::SetSettings(_) => operators(&[Role::Keeper]),
        Command::OpenEpoch { emergency } => Permission {
            node: if *emergency {
                NodeRight::Never
            } else {
                NodeRight::Keeper
            },
            ..operators(&[Role::Keeper])
        },
        Command::OpenIssuer(request) => Permission {
            node: NodeRight::Itself(request.node),
            ..operators(&[])
        },
        Command::Tick
        | Command::RetireIssuer(_)
        | Command::ExpireIssuer(_)
        | Command::ExpireRegistrations
        | Command::RaiseFloor(_)
        | Command::ForgetFormer(_)
        | Command::CompareState { .. } => Permission {
            node: NodeRight::Keeper,
            ..operators(&[])
        },
    }
}

fn operators(roles: &[Role]) -> Permission {
    Permission {
        roles: Roles::of(roles),
        agent: None,
        node: NodeRight::Never,
        birth: false,
    }
}

impl Permission {
    /// Whether `actor`, who has `roles` if it is an operator, may.
    ///
    /// # Errors
    /// [`Reason::RoleMissing`], [`Reason::NotYourToken`], [`Reason::NotYourNode`].
    pub fn judge(&self, actor: &Actor, roles: Roles) -> Result<(), Rejection> {
        let allowed = match actor {
            Actor::Operator(_) => self.roles.intersects(roles),
            Actor::Service(_) => false,
            Actor::Agent(id) => match &self.agent {
                Some(agent) if agent == id => true,
                Some(_) => return Err(Rejection::new(Reason::NotYourToken, id)),
                None => false,
            },
            Actor::Node(number) => match self.node {
                NodeRight::Keeper => true,
                NodeRight::Itself(node) if node == *number => true,
                NodeRight::Itself(_) => return Err(Rejection::new(Reason::NotYourNode, number)),
                NodeRight::Never => false,
            },
            Actor::Birth => self.birth,
        };
        if allowed {
            Ok(())
        } else {
            Err(Rejection::new(Reason::RoleMissing, actor))
        }
    }
}
