//! Who replicates and who votes. Changes are made on the leader, one at a time,
//! and can be asked for again.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use chancery_credential::NodeNumber;
use chancery_wire::peer as pb;
use openraft::{
    ChangeMembers, Precondition,
    errors::{ClientWriteError, RaftError},
};

use crate::{
    peer_record::PeerRecord,
    peers::{
        book::PeerBook,
        dialer::{Dialer, Lane},
    },
    published::Published,
    raft::{Raft, Types},
    status::{heard_of, lag_of, leader_of, metrics_of},
};

/// How many entries a learner may be behind and still be promoted: as a voter it
/// must not hold commits up.
const MAX_LAG: u64 = 256;
/// How recently the leader must have heard of it.
const HEARD_WITHIN: Duration = Duration::from_secs(2);
/// How long to wait before the next attempt.
const PAUSE: Duration = Duration::from_millis(50);

/// A change of the membership.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MembershipChange {
    AddLearner(NodeNumber),
    Promote(NodeNumber),
}

/// The membership is as it was, or that is not known.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChangeError {
    /// Changes are made on the leader, and none took it in time.
    #[error("no leader took the change of membership in time: ask again")]
    NotLeader(Option<NodeNumber>),
    /// Nothing changed: why, and what to do.
    #[error("{0}")]
    Refused(String),
    /// It may have been appended. Asking again is harmless.
    #[error("whether the membership changed is not known ({0}): ask again")]
    Unknown(String),
}

pub(crate) struct Members {
    pub(crate) own: NodeNumber,
    pub(crate) raft: Raft,
    pub(crate) published: Arc<Published>,
    pub(crate) book: Arc<PeerBook>,
    pub(crate) dialer: Arc<Dialer>,
}

impl Members {
    /// Makes the change on the leader, wherever it is.
    pub(crate) async fn change(
        &self,
        change: MembershipChange,
        within: Duration,
    ) -> Result<(), ChangeError> {
        let attempts = async {
            loop {
                let attempt = match leader_of(&self.raft) {
                    Some(leader) if leader == self.own => self.change_here(change).await,
                    Some(leader) => self.forward(leader, change, within).await,
                    None => Err(ChangeError::NotLeader(None)),
                };
                match attempt {
                    Err(ChangeError::NotLeader(_)) => tokio::time::sleep(PAUSE).await,
                    last => return last,
                }
            }
        };
        match tokio::time::timeout(within, attempts).await {
            Ok(done) => done,
            Err(_) => Err(ChangeError::Unknown("no answer in time".into())),
        }
    }

    /// Makes the change, if this node leads.
    pub(crate) async fn change_here(&self, change: MembershipChange) -> Result<(), ChangeError> {
        match change {
            MembershipChange::AddLearner(number) => self.add_learner(number).await,
            MembershipChange::Promote(number) => self.promote(number).await,
        }
    }

    async fn add_learner(&self, number: NodeNumber) -> Result<(), ChangeError> {
        let record = self.admitted(number)?;
        let membership = metrics_of(&self.raft).membership_config;
        if membership.get_node(&number.0) == Some(&record) {
            return Ok(());
        }
        let added = self.raft.add_learner(number.0, record, false).await;
        added.map(drop).map_err(read_error)
    }

    /// The record of a node that the applied state has admitted.
    fn admitted(&self, number: NodeNumber) -> Result<PeerRecord, ChangeError> {
        let state = self.published.state.read();
        let refused = |why: String| ChangeError::Refused(why);
        let node = state
            .node(number)
            .ok_or_else(|| refused(format!("node {number} is not admitted: admit it first")))?;
        if node.retiring || node.barred {
            return Err(refused(format!(
                "node {number} is being removed or was revoked: admit another in its place"
            )));
        }
        Ok(PeerRecord {
            name: node.name.to_string(),
            peer_address: node.peer_address.to_string(),
            api_address: node.api_address.to_string(),
            peer_public_key: node.peer_key.spki().to_vec(),
        })
    }

    async fn promote(&self, number: NodeNumber) -> Result<(), ChangeError> {
        let refused = |why: String| Err(ChangeError::Refused(why));
        self.admitted(number)?;
        self.end_joint().await?;
        let metrics = metrics_of(&self.raft);
        let membership = &metrics.membership_config;
        if membership.voter_ids().any(|voter| voter == number.0) {
            return Ok(());
        }
        if membership.get_node(&number.0).is_none() {
            return refused(format!("node {number} is no learner: add it first"));
        }
        match lag_of(&metrics, number) {
            None => return Err(ChangeError::NotLeader(leader_of(&self.raft))),
            Some(lag) if lag > MAX_LAG => {
                return refused(format!(
                    "node {number} is {lag} entries behind, and may be {MAX_LAG}: wait until it \
                     has caught up"
                ));
            }
            Some(_) => {}
        }
        if heard_of(&metrics, number).is_none_or(|ago| ago > HEARD_WITHIN) {
            return refused(format!(
                "node {number} was not heard of in the last {} s: see that it runs and that its \
                 peer address is right",
                HEARD_WITHIN.as_secs()
            ));
        }
        let unchanged = Precondition::LastMembershipLogId {
            last_membership_log_id: *membership.log_id(),
        };
        let change = ChangeMembers::AddVoterIds(BTreeSet::from([number.0]));
        let changed = self
            .raft
            .change_membership_if(change, true, [unchanged])
            .await;
        changed.map(drop).map_err(read_error)
    }

    /// Ends a change that a former leader began and did not end.
    async fn end_joint(&self) -> Result<(), ChangeError> {
        if metrics_of(&self.raft)
            .membership_config
            .get_joint_config()
            .len()
            < 2
        {
            return Ok(());
        }
        let nothing_more = ChangeMembers::AddVoterIds(BTreeSet::new());
        let ended = self.raft.change_membership(nothing_more, true).await;
        ended.map(drop).map_err(read_error)
    }

    async fn forward(
        &self,
        leader: NodeNumber,
        change: MembershipChange,
        within: Duration,
    ) -> Result<(), ChangeError> {
        use pb::{change_membership_request::Change, change_membership_response::Outcome};
        let elsewhere = || ChangeError::NotLeader(Some(leader));
        let record = self.book.record_of(leader).ok_or_else(elsewhere)?;
        let mut client = self
            .dialer
            .client(leader, &record, Lane::Control)
            .map_err(|_| elsewhere())?;
        let change = match change {
            MembershipChange::AddLearner(number) => Change::AddLearner(number.0),
            MembershipChange::Promote(number) => Change::Promote(number.0),
        };
        let mut request = tonic::Request::new(pb::ChangeMembershipRequest {
            from: self.own.0,
            change: Some(change),
        });
        request.set_timeout(within);
        let response = client
            .change_membership(request)
            .await
            .map_err(|status| ChangeError::Unknown(status.message().to_owned()))?;
        match response.into_inner().outcome {
            Some(Outcome::Done(_)) => Ok(()),
            Some(Outcome::NotLeader(_)) => Err(elsewhere()),
            Some(Outcome::Refused(why)) => Err(ChangeError::Refused(why)),
            Some(Outcome::Unknown(why)) => Err(ChangeError::Unknown(why)),
            None => Err(ChangeError::Unknown(
                "an answer that this build does not know".into(),
            )),
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
