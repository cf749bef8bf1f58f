//! What an operator sees of the log and of the nodes.

use std::{sync::atomic::Ordering, time::Duration};

use chancery_credential::{NodeNumber, Revision};
use openraft::{Instant as _, async_runtime::watch::WatchReceiver as _};

use crate::{
    freshness::Prover,
    peer_record::PeerRecord,
    published::Published,
    raft::{Metrics, Raft},
    transfers::{SnapshotProgress, Transfers},
};

/// One node's place in the cluster, as this node sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its number.
    pub number: NodeNumber,
    /// How its peers know it.
    pub record: PeerRecord,
    /// Votes, and counts for a quorum. A learner does neither.
    pub voter: bool,
    /// How many entries of the leader's log it does not hold yet; known on the
    /// leader only.
    pub lag: Option<u64>,
    /// How long ago the leader last heard of it; known on the leader only.
    pub heard: Option<Duration>,
    /// The snapshot that this node is sending it.
    pub sending: Option<SnapshotProgress>,
}

/// Where this node and its cluster stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// This node.
    pub node: NodeNumber,
    /// Who leads, as far as this node knows.
    pub leader: Option<NodeNumber>,
    /// The term of that.
    pub term: u64,
    /// The last entry in this node's log.
    pub last_log: Revision,
    /// The last entry that this node knows to be committed.
    pub committed: Revision,
    /// The last entry whose effects can be read here.
    pub applied: Revision,
    /// The newest snapshot on this disk; 0: none.
    pub snapshot: Revision,
    /// The log on this disk begins after this.
    pub purged: Revision,
    /// Voters and learners by number, changes not yet committed included.
    pub members: Vec<Member>,
    /// Two sets of voters decide together while one replaces the other.
    pub joint: bool,
    /// How long ago a quorum last confirmed this leader; known on the leader only.
    pub quorum_confirmed: Option<Duration>,
    /// Why this node's last proof of freshness did not come about; none after one
    /// that did.
    pub unproved: Option<String>,
    /// Entries that this node has heard of and not applied yet.
    pub behind: u64,
    /// The snapshot that this node is receiving.
    pub receiving: Option<SnapshotProgress>,
}

/// Where a status is read.
pub(crate) struct Sources<'a> {
    pub(crate) raft: &'a Raft,
    pub(crate) published: &'a Published,
    pub(crate) prover: &'a Prover,
    pub(crate) transfers: &'a Transfers,
}

/// A copy, because holding on to what is watched would hold Raft up.
pub(crate) fn metrics_of(raft: &Raft) -> Metrics {
    raft.metrics().borrow_watched().clone()
}

pub(crate) fn leader_of(raft: &Raft) -> Option<NodeNumber> {
    raft.metrics()
        .borrow_watched()
        .current_leader
        .map(NodeNumber)
}

pub(crate) fn voters_of(raft: &Raft) -> impl Iterator<Item = NodeNumber> {
    raft.voter_ids().map(NodeNumber)
}

/// How many entries the leader has that `number` does not hold yet.
pub(crate) fn lag_of(metrics: &Metrics, number: NodeNumber) -> Option<u64> {
    let matched = metrics.replication.as_ref()?.get(&number.0)?;
    let matched = matched.map_or(0, |id| id.index);
    Some(metrics.last_log_index.unwrap_or(0).saturating_sub(matched))
}

/// How long ago the leader last heard of `number`.
pub(crate) fn heard_of(metrics: &Metrics, number: NodeNumber) -> Option<Duration> {
    let heard = metrics.heartbeat.as_ref()?.get(&number.0)?;
    heard.map(|at| at.elapsed())
}

pub(crate) fn status(node: NodeNumber, from: &Sources<'_>) -> Status {
    let metrics = metrics_of(from.raft);
    let membership = &metrics.membership_config;
    let voters: Vec<u64> = membership.voter_ids().collect();
    let members = membership
        .nodes()
        .map(|(number, record)| Member {
            number: NodeNumber(*number),
            record: record.clone(),
            voter: voters.contains(number),
            lag: lag_of(&metrics, NodeNumber(*number)),
            heard: heard_of(&metrics, NodeNumber(*number)),
            sending: from.transfers.sending(NodeNumber(*number)),
        })
        .collect();
    let index = |id: Option<crate::raft::LogId>| Revision(id.map_or(0, |id| id.index));
    let applied = from.published.revision();
    let known = (from.prover.heard.load(Ordering::Relaxed)).max(index(metrics.local_committed).0);
    Status {
        node,
        leader: metrics.current_leader.map(NodeNumber),
        term: metrics.current_term,
        last_log: Revision(metrics.last_log_index.unwrap_or(0)),
        committed: index(metrics.local_committed),
        applied,
        snapshot: index(metrics.snapshot),
        purged: index(metrics.purged),
        members,
        joint: membership.get_joint_config().len() > 1,
        quorum_confirmed: metrics.last_quorum_acked.map(|at| at.elapsed()),
        unproved: from.prover.trouble.lock().clone(),
        behind: known.saturating_sub(applied.0),
        receiving: from.transfers.receiving(),
    }
}
