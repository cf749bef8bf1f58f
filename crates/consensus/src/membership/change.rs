//! The step of Raft that a plan asks for, taken by the leader, and the roll that it
//! is planned on.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use chancery_authority::NodeRecord;
use chancery_credential::NodeNumber;
use openraft::{
    ChangeMembers, Precondition,
    errors::{ClientWriteError, RaftError},
};

use super::{
    Asked, ChangeError, Departure, Members, MembershipChange, PAUSE, Progress,
    departure::Moment,
    plan::{Plan, Refusal, Roll, plan},
};
use crate::{
    peer_record::PeerRecord,
    raft::{Metrics, Types},
    status::{heard_of, lag_of, leader_of, metrics_of},
};

/// How recently the leader must have heard of a node that is not lost.
const HEARD_WITHIN: Duration = Duration::from_secs(2);
/// How long a leader looks before it believes that somebody is silent: many
/// heartbeats, of which each is answered.
const LOOK_LIMIT: Duration = Duration::from_secs(1);
/// How long the next leader may take to be elected.
const HAND_OVER_LIMIT: Duration = Duration::from_millis(1_500);

impl Members {
    /// Makes the change, if this node leads.
    pub(crate) async fn change_here(&self, asked: Asked) -> Result<Progress, ChangeError> {
        let _turn = self.turn.lock().await;
        match asked.change {
            MembershipChange::Enrol(node) => self.enrol(node, asked.look_only).await,
            MembershipChange::Remove(node, how) => self.remove(node, how, asked.look_only).await,
            change => {
                let plan = self.settled_plan(change).await?;
                self.take(plan, change, asked.look_only).await
            }
        }
    }

    /// Adds a node as a learner, or takes in the record that a member has now.
    async fn enrol(&self, node: NodeNumber, look_only: bool) -> Result<Progress, ChangeError> {
        let record = record_of(&*self.admitted(node)?);
        let change = MembershipChange::Enrol(node);
        let plan = self.settled_plan(change).await?;
        let known = metrics_of(&self.raft)
            .membership_config
            .get_node(&node.0)
            .cloned();
        match known {
            Some(known) if known != record => {
                if look_only {
                    return Ok(Progress::Possible(node));
                }
                let record = BTreeMap::from([(node.0, record)]);
                self.write(ChangeMembers::SetNodes(record), true).await?;
                Ok(Progress::Done)
            }
            _ => self.take(plan, change, look_only).await,
        }
    }

    /// Takes a node out whose removal stands in the record, and says when it can
    /// serve nothing any more.
    async fn remove(
        &self,
        node: NodeNumber,
        how: Departure,
        look_only: bool,
    ) -> Result<Progress, ChangeError> {
        let record = self.known(node)?;
        if record.removed_at.is_some() {
            self.departures.forget(node);
            return Ok(Progress::Done);
        }
        let change = MembershipChange::Remove(node, how);
        if look_only {
            let plan = self.settled_plan(change).await?;
            return self.take(plan, change, true).await;
        }
        if record.stands() {
            return Err(refused(format!(
                "the removal of node {node} does not stand in the record, so it is not taken out: \
                 ask for its removal again"
            )));
        }
        let bound = self.outlives()?;
        let key = record.peer_key.thumbprint();
        let since = |moment| {
            let now = self.clocks.boot();
            self.departures.since(node, key, moment, now)
        };
        let left_since = |moment| bound.saturating_sub(since(moment));
        // What it may still serve ends before it leaves the sight of its peers.
        if how == Departure::Graceful && record.retiring {
            let left = left_since(Moment::Retiring);
            if !left.is_zero() && self.is_applied_member(node) {
                // What would be refused then is refused now.
                self.settled_plan(change).await?;
                return Ok(Progress::Waits(left));
            }
        }
        let plan = self.settled_plan(change).await?;
        self.take(plan, change, false).await?;
        if self.is_applied_member(node) {
            return Ok(Progress::Waits(PAUSE));
        }
        let mut left = left_since(Moment::Out);
        if record.retiring {
            left = left.min(left_since(Moment::Retiring));
        }
        if left.is_zero() {
            Ok(Progress::Done)
        } else {
            Ok(Progress::Waits(left))
        }
    }

    /// W: how long after its departure a node may still serve.
    fn outlives(&self) -> Result<Duration, ChangeError> {
        let settings = self.published.directory.settings();
        let settings = settings.ok_or_else(|| refused("the cluster has not been born".into()))?;
        self.departures.note_bound(settings.w_ms());
        Ok(self.departures.bound())
    }

    /// Of what is committed and applied here, unlike what Raft goes by.
    fn is_applied_member(&self, node: NodeNumber) -> bool {
        let position = self.published.position.read();
        position.membership.get_node(&node.0).is_some()
    }

    /// The plan, on a roll on which everybody had time to answer.
    async fn settled_plan(&self, change: MembershipChange) -> Result<Plan, ChangeError> {
        self.end_joint().await?;
        let began = self.clocks.boot();
        loop {
            let asked_since = self.clocks.boot().since(began).unwrap_or_default();
            let refusal = match plan(&self.roll(asked_since)?, change) {
                Ok(plan) => return Ok(plan),
                Err(refusal) => refusal,
            };
            let looked = self.clocks.boot().since(began).unwrap_or_default();
            if !refusal.may_be_haste() || looked >= LOOK_LIMIT {
                return Err(refusal.into());
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Who sits where, if this node leads, and who was heard of within `asked_since`.
    fn roll(&self, asked_since: Duration) -> Result<Roll, ChangeError> {
        let metrics = metrics_of(&self.raft);
        let leader = metrics.current_leader.map(NodeNumber);
        if leader != Some(self.own) || metrics.replication.is_none() {
            return Err(ChangeError::NotLeader(leader));
        }
        let membership = &metrics.membership_config;
        let voters: BTreeSet<NodeNumber> = membership.voter_ids().map(NodeNumber).collect();
        let members: BTreeSet<NodeNumber> = membership
            .nodes()
            .map(|(number, _)| NodeNumber(*number))
            .collect();
        let state = self.published.state.read();
        let those = |is: fn(&NodeRecord) -> bool| -> BTreeSet<NodeNumber> {
            let is = |number: &&NodeNumber| state.node(**number).is_some_and(|node| is(node));
            members.iter().filter(is).copied().collect()
        };
        Ok(Roll {
            learners: members.difference(&voters).copied().collect(),
            answering: self.heard_within(&metrics, &members, asked_since.min(HEARD_WITHIN)),
            heard: self.heard_within(&metrics, &members, HEARD_WITHIN),
            lag: (members.iter())
                .filter_map(|number| Some((*number, lag_of(&metrics, *number)?)))
                .collect(),
            leader: self.own,
            retiring: those(|node| node.retiring),
            barred: those(|node| node.barred),
            voters,
        })
    }

    fn heard_within(
        &self,
        metrics: &Metrics,
        members: &BTreeSet<NodeNumber>,
        span: Duration,
    ) -> BTreeSet<NodeNumber> {
        let heard = |node: &NodeNumber| {
            *node == self.own || heard_of(metrics, *node).is_some_and(|ago| ago <= span)
        };
        members.iter().copied().filter(heard).collect()
    }

    async fn take(
        &self,
        plan: Plan,
        change: MembershipChange,
        look_only: bool,
    ) -> Result<Progress, ChangeError> {
        if look_only {
            return Ok(foreseen(plan, change));
        }
        let one = |node: NodeNumber| BTreeSet::from([node.0]);
        match plan {
            Plan::Nothing => {}
            Plan::Enrol(node) => {
                let record = BTreeMap::from([(node.0, record_of(&*self.admitted(node)?))]);
                self.write(ChangeMembers::AddNodes(record), true).await?;
                self.departures.forget(node);
            }
            Plan::Promote(node) => {
                if self.admitted(node)?.check_only {
                    return Err(refused(format!(
                        "node {node} only checks, so it gets no vote: promote another"
                    )));
                }
                self.write(ChangeMembers::AddVoterIds(one(node)), true)
                    .await?;
            }
            Plan::Demote(node) => {
                self.write(ChangeMembers::RemoveVoters(one(node)), true)
                    .await?;
            }
            Plan::Remove(node) => self.take_out(node).await?,
            Plan::HandOver(node) => {
                self.hand_over(node).await?;
                if !matches!(change, MembershipChange::Transfer(_)) {
                    return Err(ChangeError::NotLeader(leader_of(&self.raft)));
                }
            }
        }
        Ok(Progress::Done)
    }

    /// A voter loses vote and record with the same change; a learner has no vote.
    async fn take_out(&self, node: NodeNumber) -> Result<(), ChangeError> {
        let votes = metrics_of(&self.raft)
            .membership_config
            .voter_ids()
            .any(|voter| voter == node.0);
        let one = BTreeSet::from([node.0]);
        if votes {
            self.write(ChangeMembers::RemoveVoters(one), false).await
        } else {
            self.write(ChangeMembers::RemoveNodes(one), true).await
        }
    }

    /// Lets `node` lead, and waits until it, or another, does.
    async fn hand_over(&self, node: NodeNumber) -> Result<(), ChangeError> {
        tracing::info!(to = %node, "handing the lead over");
        let asked = self.raft.trigger().transfer_leader(node.0).await;
        asked.map_err(|error| ChangeError::Unknown(error.to_string()))?;
        let elected = async {
            while leader_of(&self.raft).is_none_or(|leader| leader == self.own) {
                tokio::time::sleep(PAUSE).await;
            }
        };
        let waited = tokio::time::timeout(HAND_OVER_LIMIT, elected).await;
        waited
            .map_err(|_| ChangeError::Unknown(format!("node {node} did not take the lead in time")))
    }

    /// Ends a change that a former leader began and did not end.
    async fn end_joint(&self) -> Result<(), ChangeError> {
        let metrics = metrics_of(&self.raft);
        if metrics.membership_config.get_joint_config().len() < 2 {
            return Ok(());
        }
        let nothing_more = ChangeMembers::AddVoterIds(BTreeSet::new());
        self.write(nothing_more, true).await
    }

    /// Changes the membership if it is still the one that was looked at.
    async fn write(
        &self,
        change: ChangeMembers<u64, PeerRecord>,
        retain: bool,
    ) -> Result<(), ChangeError> {
        let unchanged = Precondition::LastMembershipLogId {
            last_membership_log_id: *metrics_of(&self.raft).membership_config.log_id(),
        };
        let changed = self
            .raft
            .change_membership_if(change, retain, [unchanged])
            .await;
        changed.map(drop).map_err(read_error)
    }

    /// The record of a node that may be a member.
    fn admitted(&self, number: NodeNumber) -> Result<Arc<NodeRecord>, ChangeError> {
        let node = self.known(number)?;
        if node.stands() {
            return Ok(node);
        }
        Err(refused(format!(
            "node {number} is being removed or was revoked: admit another in its place"
        )))
    }

    fn known(&self, number: NodeNumber) -> Result<Arc<NodeRecord>, ChangeError> {
        let state = self.published.state.read();
        let node = state.node(number).cloned();
        node.ok_or_else(|| refused(format!("node {number} is not admitted: admit it first")))
    }
}

fn record_of(node: &NodeRecord) -> PeerRecord {
    PeerRecord {
        name: node.name.to_string(),
        peer_address: node.peer_address.to_string(),
        api_address: node.api_address.to_string(),
        peer_public_key: node.peer_key.spki().to_vec(),
    }
}

/// What a look finds.
const fn foreseen(plan: Plan, change: MembershipChange) -> Progress {
    let node = match (plan, change) {
        (Plan::Nothing, _) => return Progress::Done,
        // The leader that leaves is what it is about, not who follows it.
        (_, MembershipChange::Demote(node) | MembershipChange::Remove(node, _))
        | (
            Plan::HandOver(node)
            | Plan::Enrol(node)
            | Plan::Promote(node)
            | Plan::Demote(node)
            | Plan::Remove(node),
            _,
        ) => node,
    };
    Progress::Possible(node)
}

fn refused(why: String) -> ChangeError {
    ChangeError::Refused(why)
}

impl From<Refusal> for ChangeError {
    fn from(refusal: Refusal) -> Self {
        let why = refusal.to_string();
        if refusal.passes() {
            Self::NotYet(why)
        } else {
            Self::Refused(why)
        }
    }
}

fn read_error(error: RaftError<Types, ClientWriteError<Types>>) -> ChangeError {
    match error {
        RaftError::APIError(ClientWriteError::ForwardToLeader(elsewhere)) => {
            ChangeError::NotLeader(elsewhere.leader_id.map(NodeNumber))
        }
        RaftError::APIError(ClientWriteError::ChangeMembershipError(error)) => {
            ChangeError::Refused(format!(
                "the membership cannot change now ({error}): ask again"
            ))
        }
        RaftError::APIError(ClientWriteError::PreconditionFailed(_)) => ChangeError::Refused(
            "somebody else changed the membership meanwhile: look at it, then ask again".into(),
        ),
        error => ChangeError::Unknown(error.to_string()),
    }
}
