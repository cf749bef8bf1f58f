//! Who may do what, for the twin: the design's table, told in words.

use chancery_authority::{Actor, Command, Meta, OperatorSpec, Reason, Role, Stamped};
use chancery_credential::NodeNumber;

use crate::model::{Refusals, Twin};

impl Twin {
    /// Why nobody listens to what somebody says through this node, if so.
    pub fn unheard(&self, meta: &Meta) -> Option<Reason> {
        if matches!(meta.actor, Actor::Node(_)) {
            return None;
        }
        let others = (1..).zip(&self.nodes).any(|(number, node)| {
            !node.barred && !node.retiring && self.newest_of(number).is_some()
        });
        match self.node(meta.via.0) {
            None => Some(Reason::ViaUnknown),
            Some(node) if node.removed => Some(Reason::ViaUnknown),
            Some(node) => (node.barred && others).then_some(Reason::ViaBarred),
        }
    }

    /// Whether the actor is who it says, and may.
    pub fn authorise(&self, stamped: &Stamped) -> Result<(), Refusals> {
        let meta = &stamped.meta;
        let proved = |keys: &[_]| meta.key.is_some_and(|key| keys.contains(&key));
        let refusal = match &meta.actor {
            Actor::Operator(name) => match self.operators.get(name) {
                None => Some(Reason::ActorUnknown),
                Some(spec) if !proved(&spec.keys) => Some(Reason::ActorKeyNotTheirs),
                Some(spec) if self.has_ended(spec.expires_at) => Some(Reason::ActorExpired),
                Some(spec) => operator_may_not(spec, &stamped.command),
            },
            Actor::Service(name) => match self.services.get(name) {
                None => Some(Reason::ActorUnknown),
                Some(spec) if !proved(&spec.keys) => Some(Reason::ActorKeyNotTheirs),
                Some(_) => Some(Reason::RoleMissing),
            },
            Actor::Agent(id) => match (self.agents.get(id), &stamped.command) {
                (None, _) => Some(Reason::ActorUnknown),
                (Some(spec), _) if !proved(&spec.keys) => Some(Reason::ActorKeyNotTheirs),
                (Some(spec), _) if self.has_ended(spec.expires_at) => Some(Reason::ActorExpired),
                _ if self.is_kept_down(id) => Some(Reason::ActorSuspended),
                (
                    _,
                    Command::RevokeToken {
                        agent: Some(agent), ..
                    },
                ) => (agent != id).then_some(Reason::NotYourToken),
                _ => Some(Reason::RoleMissing),
            },
            Actor::Node(number) if self.node(number.0).is_none_or(|node| node.removed) => {
                Some(Reason::ActorUnknown)
            }
            Actor::Node(number) if *number != meta.via => Some(Reason::NotYourNode),
            Actor::Node(number) => node_may_not(*number, &stamped.command).or_else(|| {
                let barred = self.node(number.0).is_some_and(|node| node.barred);
                let ticks = matches!(stamped.command, Command::Tick);
                (barred && !ticks).then_some(Reason::NodeBarred)
            }),
            Actor::Birth => Some(Reason::ActorUnknown),
        };
        refusal.map_or(Ok(()), |reason| Err(Refusals::from([reason])))
    }
}

fn operator_may_not(spec: &OperatorSpec, command: &Command) -> Option<Reason> {
    let needed: &[Role] = match command {
        Command::Suspend(_) | Command::Resume(_) | Command::RevokeHeld(_) => &[Role::Responder],
        Command::RevokeToken { agent: None, .. } => &[Role::Responder],
        Command::RevokeToken { agent: Some(_), .. } => &[Role::Responder, Role::Registrar],
        Command::RegisterAgent(_)
        | Command::UpdateAgent { .. }
        | Command::RemoveAgent(_)
        | Command::AddOwner { .. }
        | Command::PutGrantSet { .. }
        | Command::RemoveGrantSet(_)
        | Command::AddService(_)
        | Command::UpdateService(_)
        | Command::RemoveService(_) => &[Role::Registrar],
        Command::Tick
        | Command::OpenIssuer(_)
        | Command::RetireIssuer(_)
        | Command::ExpireIssuer(_)
        | Command::ExpireRegistrations
        | Command::RaiseFloor(_)
        | Command::ForgetFormer(_)
        | Command::CompareState { .. }
        | Command::Birth(_) => &[],
        _ => &[Role::Keeper],
    };
    let may = needed.iter().any(|role| spec.roles.contains(*role));
    (!may).then_some(Reason::RoleMissing)
}

fn node_may_not(number: NodeNumber, command: &Command) -> Option<Reason> {
    match command {
        Command::Tick
        | Command::RetireIssuer(_)
        | Command::ExpireIssuer(_)
        | Command::ExpireRegistrations
        | Command::RaiseFloor(_)
        | Command::ForgetFormer(_)
        | Command::CompareState { .. }
        | Command::OpenEpoch { emergency: false } => None,
        Command::OpenIssuer(request) if request.node == number => None,
        Command::OpenIssuer(_) => Some(Reason::NotYourNode),
        _ => Some(Reason::RoleMissing),
    }
}
