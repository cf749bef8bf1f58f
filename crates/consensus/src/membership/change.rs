//! The step of Raft that a plan asks for, taken by the leader, and the roll that it
//! is planned on.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use chancery_authority::NodeRecord;
use chancery_credential::{NodeNumber, Revision};
use openraft::{
    ChangeMembers, Precondition,
    errors::{ChangeMembershipError, ClientWriteError, RaftError},
};

use super::{
    Asked, ChangeError, Departure, Members, MembershipChange, PAUSE, Progress,
    departure::Moment,
    plan::{Plan, Refusal, Roll, plan},
    wanted::wanted,
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
/// How long a change waits for the one before it.
const TURN_LIMIT: Duration = Duration::from_secs(5);
/// How long the voters may take to decide on a change, both steps of it.
const WRITE_LIMIT: Duration = Duration::from_secs(8);
/// How long the next leader may take to be elected.
const HAND_OVER_LIMIT: Duration = Duration::from_millis(1_500);

impl Members {
    /// Makes the change, if this node leads and a command wants it.
    pub(crate) async fn change_here(&self, asked: Asked) -> Result<Progress, ChangeError> {
        let Asked { change, look_only } = asked;
        let turn = tokio::time::timeout(TURN_LIMIT, self.turn.lock()).await;
        let Ok(_turn) = turn else {
            return Err(under_way());
        };
        if let MembershipChange::Remove(node, how) = change {
            return self.remove(node, how, look_only).await;
        }
        let plan = self.settled_plan(change).await?;
        if !look_only {
            self.must_be_wanted(change, plan).await?;
        }
        self.take(plan, change, look_only).await
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
        if record.removed_at.is_some() && !self.is_applied_member(node) {
            self.departures.forget(node);
            return Ok(Progress::Done);
        }
        let change = MembershipChange::Remove(node, how);
        let plan = self.settled_plan(change).await?;
        if look_only {
            return self.take(plan, change, true).await;
        }
        self.must_be_wanted(change, plan).await?;
        let bound = self.outlives()?;
        let key = self.known(node)?.peer_key.thumbprint();
        let left_since = |moment| {
            let now = self.clocks.boot();
            bound.saturating_sub(self.departures.since(node, key, moment, now))
        };
        // What it may still serve ends before it leaves the sight of its peers.
        let left = left_since(Moment::Retiring);
        if how == Departure::Graceful && !left.is_zero() && self.is_applied_member(node) {
            return Ok(Progress::Waits(left));
        }
        self.take(plan, change, false).await?;
        if self.is_applied_member(node) {
            return Ok(Progress::Waits(PAUSE));
        }
        let left = left_since(Moment::Out).min(left_since(Moment::Retiring));
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
        Ok(Duration::from_millis(settings.w_ms()))
    }

    /// Of what is committed and applied here, unlike what Raft goes by.
    fn is_applied_member(&self, node: NodeNumber) -> bool {
        let position = self.published.position.read();
        position.membership.get_node(&node.0).is_some()
    }

    /// Whether a command asks for it, as this leader's state says once it has applied
    /// all that was decided before.
    async fn must_be_wanted(
        &self,
        change: MembershipChange,
        plan: Plan,
    ) -> Result<(), ChangeError> {
        self.catch_up().await?;
        let term_began = self.published.position.read().term_began;
        let led_since = Revision(term_began.map_or(0, |began| began.index));
        let state = self.published.state.read();
        wanted(&state, led_since, change, plan).map_err(|unwanted| refused(unwanted.to_string()))
    }

    async fn catch_up(&self) -> Result<(), ChangeError> {
        let read = self.leadership.read_index(LOOK_LIMIT).await;
        let read = read.map_err(|_| ChangeError::NotLeader(leader_of(&self.raft)))?;
        let decided = Revision(read.index);
        if self.published.reach(decided, LOOK_LIMIT).await {
            Ok(())
        } else {
            Err(ChangeError::NotLeader(leader_of(&self.raft)))
        }
    }

    /// The plan, on a membership that is decided and a roll on which everybody had time
    /// to answer.
    async fn settled_plan(&self, change: MembershipChange) -> Result<Plan, ChangeError> {
        self.end_joint().await?;
        let began = self.clocks.boot();
        loop {
            let asked_since = self.clocks.boot().since(began).unwrap_or_default();
            let lost = matches!(change, MembershipChange::Remove(_, Departure::Lost));
            let refusal = match plan(&self.roll(asked_since)?, change) {
                // A leader that was just elected has heard of nobody: that somebody is
                // lost it knows when it has looked for a while.
                Ok(Plan::Remove(_)) if lost && asked_since < LOOK_LIMIT => under_way(),
                Ok(plan) if self.is_decided() => return Ok(plan),
                Ok(_) => under_way(),
                Err(refusal) if refusal.may_be_haste() => refusal.into(),
                Err(refusal) => return Err(refusal.into()),
            };
            if asked_since >= LOOK_LIMIT {
                return Err(refusal);
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Whether the membership that Raft goes by, which counts from when it is
    /// appended, is applied here.
    pub(super) fn is_decided(&self) -> bool {
        let metrics = metrics_of(&self.raft);
        let position = self.published.position.read();
        metrics.membership_config.log_id() == position.membership.log_id()
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
            renewed: (membership.nodes())
                .filter(|(number, member)| {
                    let node = state.node(NodeNumber(**number));
                    node.is_some_and(|node| record_of(node) != **member)
                })
                .map(|(number, _)| NodeNumber(*number))
                .collect(),
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
            Plan::Renew(node) => {
                let record = BTreeMap::from([(node.0, record_of(&*self.admitted(node)?))]);
                self.write(ChangeMembers::SetNodes(record), true).await?;
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

    /// Changes the membership if it is still the one that was looked at.
    pub(super) async fn write(
        &self,
        change: ChangeMembers<u64, PeerRecord>,
        retain: bool,
    ) -> Result<(), ChangeError> {
        let unchanged = Precondition::LastMembershipLogId {
            last_membership_log_id: *metrics_of(&self.raft).membership_config.log_id(),
        };
        let changing = self.raft.change_membership_if(change, retain, [unchanged]);
        match tokio::time::timeout(WRITE_LIMIT, changing).await {
            Ok(changed) => changed.map(drop).map_err(read_error),
            Err(_) => Err(ChangeError::Unknown(
                "it stands in the leader's log, and not enough voters have taken it in time: see \
                 with `chancery node status` that they run and reach each other"
                    .into(),
            )),
        }
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
            | Plan::Renew(node)
            | Plan::Promote(node)
            | Plan::Demote(node)
            | Plan::Remove(node),
            _,
        ) => node,
    };
    Progress::Possible(node)
}

fn under_way() -> ChangeError {
    ChangeError::NotYet(
        "another change of the membership is under way, and not decided yet: ask again".into(),
    )
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
        RaftError::APIError(ClientWriteError::ChangeMembershipError(
            ChangeMembershipError::InProgress(_),
        )) => under_way(),
        RaftError::APIError(ClientWriteError::ChangeMembershipError(error)) => {
            ChangeError::Refused(format!(
                "the membership cannot change now ({error}): ask again"
            ))
        }
        RaftError::APIError(ClientWriteError::PreconditionFailed(_)) => ChangeError::NotYet(
            "somebody else changed the membership meanwhile: look at it, then ask again".into(),
        ),
        error => ChangeError::Unknown(error.to_string()),
    }
}
