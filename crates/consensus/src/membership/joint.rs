//! A change of the voters is two entries: two sets of voters that decide together,
//! then the new one alone. A leader that is lost in between leaves the first, in which
//! each decision needs a majority of both; whoever leads next ends it.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use chancery_credential::NodeNumber;
use openraft::ChangeMembers;

use super::{ChangeError, Members};
use crate::{
    raft::Metrics,
    status::{heard_of, lag_of, metrics_of},
};

/// How often a leader looks.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// How recently the next leader must have been heard of.
const HEARD_WITHIN: Duration = Duration::from_secs(1);

impl Members {
    /// Ends, while this node leads, what a former leader began, until dropped.
    pub(crate) async fn end_what_was_begun(self: Arc<Self>) {
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            let metrics = metrics_of(&self.raft);
            let leads = metrics.current_leader == Some(self.own.0) && metrics.replication.is_some();
            // What is not committed cannot be followed by anything yet.
            if !leads || !is_joint(&metrics) || !self.is_decided() {
                continue;
            }
            // Whoever has the turn ends what they began.
            let Ok(_turn) = self.turn.try_lock() else {
                continue;
            };
            match self.end_joint().await {
                Ok(()) => tracing::info!("a change of the membership that was begun is ended"),
                Err(error) => tracing::debug!(%error, "a change of the membership is not ended"),
            }
        }
    }

    /// Ends a change that a former leader began and did not end. Who is to be no voter
    /// any more stays as a learner: what else was wanted of it is asked for again.
    pub(super) async fn end_joint(&self) -> Result<(), ChangeError> {
        let metrics = metrics_of(&self.raft);
        if !is_joint(&metrics) {
            return Ok(());
        }
        if let Some(next) = self.must_hand_over(&metrics)? {
            let asked = self.raft.trigger().transfer_leader(next.0).await;
            asked.map_err(|error| ChangeError::Unknown(error.to_string()))?;
            return Err(ChangeError::NotLeader(Some(next)));
        }
        let nothing_more = ChangeMembers::AddVoterIds(BTreeSet::new());
        self.write(nothing_more, true).await
    }

    /// A leader does not take away its own vote: one of those who keep theirs does.
    fn must_hand_over(&self, metrics: &Metrics) -> Result<Option<NodeNumber>, ChangeError> {
        let configs = metrics.membership_config.get_joint_config();
        let Some(stay) = configs.last().filter(|stay| !stay.contains(&self.own.0)) else {
            return Ok(None);
        };
        let fit = |node: &NodeNumber| {
            heard_of(metrics, *node).is_some_and(|ago| ago <= HEARD_WITHIN)
                && lag_of(metrics, *node).is_some()
        };
        let heard = stay.iter().copied().map(NodeNumber).filter(fit);
        let next = heard.min_by_key(|node| lag_of(metrics, *node));
        let nobody = "no voter of the new set answers, so nobody could end the change that is under \
                      way: start one";
        next.map(Some)
            .ok_or_else(|| ChangeError::NotYet(nobody.into()))
    }
}

fn is_joint(metrics: &Metrics) -> bool {
    metrics.membership_config.get_joint_config().len() > 1
}
