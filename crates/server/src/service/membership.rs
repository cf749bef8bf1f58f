//! Changes of the membership, in the name of who asks: looked at first, so that
//! only what can be done stands in the record; then recorded; then done. Each can
//! be asked for again, at any step.

use std::time::Duration;

use chancery_authority::{Command, NodeRecord, Reason, Rejection, Seat};
use chancery_consensus::{ChangeError, Departure, MembershipChange, Progress};
use chancery_credential::NodeNumber;
use chancery_wire::v1;
use tonic::{Code, Status};

use super::{Desk, command::rejected};
use crate::caller::{Caller, refuse};

/// How long a change of the membership is waited for.
const MEMBERSHIP_WAIT: Duration = Duration::from_secs(10);

/// What every change is asked with.
pub(super) struct Asked<'a> {
    pub(super) caller: &'a Caller,
    pub(super) meta: Option<v1::CommandMeta>,
    /// What is not so if it is refused, for people.
    pub(super) what: &'static str,
}

impl Desk {
    /// Lets a node vote, or not, or lead. Gives the node that it came to.
    pub(super) async fn seat(
        &self,
        asked: Asked<'_>,
        change: MembershipChange,
        seat: Seat,
    ) -> Result<NodeNumber, Status> {
        let Asked { caller, meta, what } = asked;
        if let MembershipChange::Promote(node)
        | MembershipChange::Demote(node)
        | MembershipChange::Transfer(Some(node)) = change
        {
            // Or else a node that never votes would be waited for until it catches up.
            self.may_sit(node, seat)?;
        }
        let foreseen = self.may_change(change, what).await?;
        let (node, done) = match (foreseen, change) {
            (Progress::Possible(node), _) => (node, false),
            (
                _,
                MembershipChange::Promote(node)
                | MembershipChange::Demote(node)
                | MembershipChange::Transfer(Some(node)),
            ) => (node, true),
            (_, _) => (self.leader(what)?, true),
        };
        // By what was commanded before this was asked.
        if done {
            self.prove().await?;
        }
        if done && self.is_wanted(node, seat) {
            return Ok(node);
        }
        let command = Command::SeatNode { node, seat };
        self.command(caller, meta, command).await?;
        // What was so when it was looked at may have been changed by who asked for the
        // opposite meanwhile: what was commanded last is what the membership comes to.
        let change = match change {
            MembershipChange::Transfer(None) => MembershipChange::Transfer(Some(node)),
            change => change,
        };
        self.change(change, what).await?;
        Ok(node)
    }

    /// Whether the record says of a node what the membership is: an order that stands in
    /// it and was never carried out is taken back by the next.
    fn is_wanted(&self, node: NodeNumber, seat: Seat) -> bool {
        let votes = |record: &std::sync::Arc<NodeRecord>| record.votes == (seat != Seat::Learner);
        (self.consensus).read_state(|state| state.node(node).is_some_and(votes))
    }

    /// Takes the removal of a node as far as it comes now.
    pub(super) async fn remove(
        &self,
        asked: Asked<'_>,
        node: NodeNumber,
        how: Departure,
    ) -> Result<Progress, Status> {
        let Asked { caller, meta, what } = asked;
        let record = self.node_record(node)?;
        let change = MembershipChange::Remove(node, how);
        if record.removed_at.is_some() {
            return self.change(change, what).await;
        }
        let bars = how == Departure::Compromised && !record.barred;
        let begun = record.retiring && !bars;
        if !begun {
            self.may_change(change, what).await?;
        }
        if node == self.consensus.node() {
            return Err(ask_another(node));
        }
        let reason = meta.as_ref().map(|meta| meta.reason.clone());
        let wait = meta
            .as_ref()
            .map_or(v1::Wait::Unspecified, v1::CommandMeta::wait);
        // Of the same request, and a command of its own.
        let further = || {
            Some(v1::CommandMeta {
                wait: wait.into(),
                reason: reason.clone().unwrap_or_default(),
                ..v1::CommandMeta::default()
            })
        };
        if !begun {
            self.take_the_lead_from(node, caller, further()).await?;
            // A retry may find the first of two commands carried out, and sends the
            // second then: it never goes under the id of the first.
            if bars {
                self.command(caller, meta.clone(), Command::RevokeNode(node))
                    .await?;
            }
            let meta = match how {
                Departure::Compromised => further(),
                Departure::Graceful | Departure::Lost => meta,
            };
            if !record.retiring {
                self.command(caller, meta, Command::RetireNode(node))
                    .await?;
            }
        }
        match self.change(change, what).await? {
            Progress::Done => {
                let key = record.peer_key.thumbprint();
                let command = Command::RemoveNode { node, key };
                self.command(caller, further(), command).await?;
                Ok(Progress::Done)
            }
            unfinished => Ok(unfinished),
        }
    }

    /// Lets an admitted node replicate, or takes in a member's new record.
    pub(super) async fn enrol(&self, node: NodeNumber, what: &'static str) -> Result<(), Status> {
        let change = MembershipChange::Enrol(node);
        self.change(change, what).await.map(drop)
    }

    /// A node, if it is known.
    pub(super) fn node_record(
        &self,
        node: NodeNumber,
    ) -> Result<std::sync::Arc<NodeRecord>, Status> {
        let record = self.consensus.read_state(|state| state.node(node).cloned());
        record.ok_or_else(|| rejected(&Rejection::new(Reason::NodeUnknown, node)))
    }

    /// What the command would be refused for, whatever the membership is.
    fn may_sit(&self, node: NodeNumber, seat: Seat) -> Result<(), Status> {
        let record = self.node_record(node)?;
        let refused = |reason| Err(rejected(&Rejection::new(reason, node)));
        if record.removed_at.is_some() {
            return refused(Reason::NodeRemoved);
        }
        if record.check_only && seat != Seat::Learner {
            return refused(Reason::CheckOnlyVoter);
        }
        Ok(())
    }

    /// A leader that leaves hands over before anything else: it may stop serving at
    /// the next step.
    async fn take_the_lead_from(
        &self,
        node: NodeNumber,
        caller: &Caller,
        meta: Option<v1::CommandMeta>,
    ) -> Result<(), Status> {
        if self.consensus.status().leader != Some(node) {
            return Ok(());
        }
        let asked = Asked {
            caller,
            meta,
            what: "the lead was not handed over",
        };
        let change = MembershipChange::Transfer(None);
        let handed_over = self.seat(asked, change, Seat::Leader).await;
        handed_over.map(drop).map_err(|status| {
            refuse(
                Code::FailedPrecondition,
                "LEADER_HOLDS_ON",
                format!(
                    "node {node} leads, and does not hand over: {}",
                    status.message()
                ),
                "stop it, or cut off its peer address, so that another is elected, and ask again",
            )
        })
    }

    /// Whether a member may come back with another key.
    pub(super) async fn may_enrol(
        &self,
        node: NodeNumber,
        what: &'static str,
    ) -> Result<(), Status> {
        let change = MembershipChange::Enrol(node);
        self.may_change(change, what).await.map(drop)
    }

    fn leader(&self, what: &'static str) -> Result<NodeNumber, Status> {
        let leader = self.consensus.status().leader;
        leader.ok_or_else(|| membership(what, &ChangeError::NotLeader(None)))
    }

    async fn may_change(
        &self,
        change: MembershipChange,
        what: &'static str,
    ) -> Result<Progress, Status> {
        let looked = self
            .consensus
            .may_change_membership(change, MEMBERSHIP_WAIT)
            .await;
        looked.map_err(|error| membership(what, &error))
    }

    async fn change(
        &self,
        change: MembershipChange,
        what: &'static str,
    ) -> Result<Progress, Status> {
        let changed = self
            .consensus
            .change_membership(change, MEMBERSHIP_WAIT)
            .await;
        changed.map_err(|error| membership(what, &error))
    }
}

/// A node that leaves can see to its own removal only until it has left.
fn ask_another(node: NodeNumber) -> Status {
    refuse(
        Code::Unavailable,
        "ASK_ANOTHER_NODE",
        format!("node {node} is the one to be removed, and cannot see to that itself"),
        "send the request to another node",
    )
}

fn membership(what: &str, error: &ChangeError) -> Status {
    let (code, reason, remedy) = match error {
        ChangeError::Refused(_) => (
            Code::FailedPrecondition,
            "MEMBERSHIP_REFUSED",
            "send the same request again once that is mended",
        ),
        ChangeError::NotYet(_) => (
            Code::FailedPrecondition,
            "CATCHING_UP",
            "send the same request again in a moment",
        ),
        ChangeError::NotLeader(_) => (
            Code::Unavailable,
            "NO_LEADER",
            "send the same request again, to any node",
        ),
        ChangeError::Unknown(_) => (
            Code::Unavailable,
            "OUTCOME_UNKNOWN",
            "send the same request again: it goes on where it was",
        ),
    };
    refuse(code, reason, format!("{what}: {error}"), remedy)
}
