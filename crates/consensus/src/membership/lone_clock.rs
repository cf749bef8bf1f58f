//! A leader whose wall clock stands alone stamps nothing, and proves nothing to itself:
//! while it leads, nothing can be written. It lets another lead.

use std::{sync::Arc, time::Duration};

use chancery_credential::NodeNumber;

use super::Members;
use crate::{
    raft::Metrics,
    status::{heard_of, lag_of, metrics_of, voters_of},
};

/// How often a leader looks at its clock.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// Looks in a row that find it alone: a clock may be about to be set.
const LOOKS: u32 = 4;
/// How often a leader that stops looks whether another leads.
const GIVE_BACK_PAUSE: Duration = Duration::from_millis(50);
/// How recently the next leader must have been heard of.
const HEARD_WITHIN: Duration = Duration::from_secs(1);

impl Members {
    /// Hands the lead over whenever this node leads by a clock that is alone with its
    /// time, until dropped.
    pub(crate) async fn lead_by_no_lone_clock(self: Arc<Self>) {
        let mut alone = 0;
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            let metrics = metrics_of(&self.raft);
            if metrics.current_leader != Some(self.own.0) || !self.is_alone(self.own) {
                alone = 0;
                continue;
            }
            alone += 1;
            if alone < LOOKS {
                continue;
            }
            alone = 0;
            self.let_another_lead(&metrics).await;
        }
    }

    /// Lets another lead before this node stops, if it leads and another can; waits until
    /// that one is heard of.
    pub(crate) async fn give_the_lead_back(&self, within: Duration) {
        let giving = async {
            loop {
                let metrics = metrics_of(&self.raft);
                if metrics
                    .current_leader
                    .is_some_and(|leader| leader != self.own.0)
                {
                    return;
                }
                if metrics.current_leader.is_some() {
                    let Some(next) = self.successor(&metrics) else {
                        return;
                    };
                    if let Err(error) = self.raft.trigger().transfer_leader(next.0).await {
                        tracing::warn!(%error, "the lead could not be handed over");
                        return;
                    }
                }
                tokio::time::sleep(GIVE_BACK_PAUSE).await;
            }
        };
        // Not in time: then it has to be elected.
        let _ = tokio::time::timeout(within, giving).await;
    }

    async fn let_another_lead(&self, metrics: &Metrics) {
        let Some(next) = self.successor(metrics) else {
            tracing::error!(
                "this node's clock is not that of most voters, and none of those could lead \
                 instead: nothing can be written until the clock is set"
            );
            return;
        };
        tracing::error!(
            %next,
            "this node's clock is not that of most voters: handing the lead over; set it"
        );
        if let Err(error) = self.raft.trigger().transfer_leader(next.0).await {
            tracing::warn!(%error, "the lead could not be handed over");
        }
    }

    /// Of the voters that answer and whose clocks agree with most, the least behind.
    fn successor(&self, metrics: &Metrics) -> Option<NodeNumber> {
        let fit = |node: &NodeNumber| {
            *node != self.own
                && heard_of(metrics, *node).is_some_and(|ago| ago <= HEARD_WITHIN)
                && lag_of(metrics, *node).is_some()
                && !self.is_alone(*node)
        };
        let voters = metrics.membership_config.voter_ids().map(NodeNumber);
        voters.filter(fit).min_by_key(|node| lag_of(metrics, *node))
    }

    fn is_alone(&self, node: NodeNumber) -> bool {
        let own = (self.own, self.clocks.wall_ms());
        let now = self.clocks.boot();
        self.skew.is_alone(node, own, voters_of(&self.raft), now)
    }
}
