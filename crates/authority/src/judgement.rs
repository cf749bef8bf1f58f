//! Whether the actor of a command may, judged against what stands now: the edge
//! judged it too, but at an earlier revision.

use std::sync::Arc;

use chancery_credential::{KeyThumbprint, Revision, SpiffeId, Subject};

use crate::bounds::MAX_REASON_BYTES;
use crate::command::Command;
use crate::permission::permission;
use crate::principal::has_ended;
use crate::record::NodeRecord;
use crate::rejection::{Reason, Rejection};
use crate::role::Roles;
use crate::stamped::{Actor, Meta, Stamped};
use crate::state::State;

impl State {
    /// `now_ms` is log time.
    ///
    /// # Errors
    /// Why the actor may not, or what is wrong with what travels with the command.
    pub(crate) fn judge(
        &self,
        revision: Revision,
        stamped: &Stamped,
        now_ms: u64,
    ) -> Result<(), Rejection> {
        let meta = &stamped.meta;
        if meta.reason.len() > MAX_REASON_BYTES {
            return Err(Rejection::new(Reason::ReasonTooLong, meta.reason.len()));
        }
        if meta.authorised_at >= revision {
            return Err(Rejection::new(Reason::AuthorisedAhead, meta.authorised_at));
        }
        let roles = self.present_roles(meta, now_ms)?;
        permission(&stamped.command).judge(&meta.actor, roles)?;
        self.judge_bar(stamped)
    }

    /// Whether somebody is heard through the node that the command came by. A barred
    /// one may be in other hands, and speak in anybody's name. Only where no node
    /// stands that could be used instead are they heard through it: or else who
    /// revokes the only node could never readmit it. A leader in other hands can name
    /// another node here; to take the lead from it is up to the membership.
    ///
    /// What a node says for itself is for [`judge`](Self::judge).
    ///
    /// # Errors
    /// Through another node the same request may be heard.
    pub(crate) fn judge_via(&self, meta: &Meta) -> Result<(), Rejection> {
        if matches!(meta.actor, Actor::Node(_)) {
            return Ok(());
        }
        let member = |via: &&Arc<NodeRecord>| via.removed_at.is_none();
        let Some(via) = self.node(meta.via).filter(member) else {
            return Err(Rejection::new(Reason::ViaUnknown, meta.via));
        };
        // One that never opened an issuer may never have come up.
        let stands = |node: &Arc<NodeRecord>| node.stands() && node.newest_issuer.is_some();
        if via.barred && self.nodes().any(stands) {
            return Err(Rejection::new(Reason::ViaBarred, meta.via));
        }
        Ok(())
    }

    /// A barred node may be in other hands: it keeps time and nothing else, for by
    /// expiring issuers or raising the floor it could kill what others hold. A tick
    /// grants nothing, its stamp is one that any command would bear, and without it
    /// time would stand still for everybody for as long as such a node leads.
    fn judge_bar(&self, stamped: &Stamped) -> Result<(), Rejection> {
        let keeps_time = matches!(stamped.command, Command::Tick);
        match &stamped.meta.actor {
            Actor::Node(number)
                if self.node(*number).is_some_and(|node| node.barred) && !keeps_time =>
            {
                Err(Rejection::new(Reason::NodeBarred, number))
            }
            _ => Ok(()),
        }
    }

    /// The roles of the actor, who is registered, has proved a key of its own, and
    /// is neither expired nor suspended.
    fn present_roles(&self, meta: &Meta, now_ms: u64) -> Result<Roles, Rejection> {
        let refuse = |reason| Rejection::new(reason, &meta.actor);
        let unknown = || refuse(Reason::ActorUnknown);
        match &meta.actor {
            Actor::Operator(name) => {
                let record = self.operator(name).ok_or_else(unknown)?;
                self.judge_key(meta, &record.keys)?;
                judge_expiry(meta, record.expires_at, now_ms)?;
                Ok(record.roles)
            }
            Actor::Service(name) => {
                let record = self.service(name).ok_or_else(unknown)?;
                self.judge_key(meta, &record.keys)?;
                Ok(Roles::NONE)
            }
            Actor::Agent(id) => {
                let record = self.agent(id).ok_or_else(unknown)?;
                self.judge_key(meta, &record.keys)?;
                judge_expiry(meta, record.expires_at, now_ms)?;
                if self.is_kept_down(id) {
                    return Err(refuse(Reason::ActorSuspended));
                }
                Ok(Roles::NONE)
            }
            Actor::Node(number) => {
                let member = |node: &&Arc<NodeRecord>| node.removed_at.is_none();
                let record = self.node(*number).filter(member).ok_or_else(unknown)?;
                if meta.via != *number {
                    return Err(Rejection::new(Reason::NotYourNode, meta.via));
                }
                // A leader that proposes to itself proves no key.
                match meta.key {
                    Some(key) if key != record.peer_key.thumbprint() => {
                        Err(refuse(Reason::ActorKeyNotTheirs))
                    }
                    _ => Ok(Roles::NONE),
                }
            }
            // Nobody was there before birth, and nobody is it afterwards.
            Actor::Birth => Err(refuse(Reason::ActorUnknown)),
        }
    }

    fn judge_key(&self, meta: &Meta, keys: &[KeyThumbprint]) -> Result<(), Rejection> {
        if meta.key.is_some_and(|key| keys.contains(&key)) {
            Ok(())
        } else {
            Err(Rejection::new(Reason::ActorKeyNotTheirs, &meta.actor))
        }
    }

    /// Whether an agent or one of its owners is suspended.
    pub(crate) fn is_kept_down(&self, id: &SpiffeId) -> bool {
        let owned = |owner| self.is_suspended(&Subject::Owner(owner));
        self.is_suspended(&Subject::Agent(id.clone()))
            || (self.agent(id)).is_some_and(|agent| agent.owners.iter().cloned().any(owned))
    }
}

fn judge_expiry(meta: &Meta, expires_at: u64, now_ms: u64) -> Result<(), Rejection> {
    if has_ended(expires_at, now_ms / 1_000) {
        return Err(Rejection::new(Reason::ActorExpired, &meta.actor));
    }
    Ok(())
}
