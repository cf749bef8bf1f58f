//! The same word from any node: who leads keeps the table, everybody else asks.

use std::{sync::Arc, time::Duration};

use chancery_credential::{NodeNumber, Revision};
use chancery_wire::peer as pb;
use openraft::async_runtime::watch::WatchReceiver as _;

use super::{Enforcement, EnforcementState, Fence, Wait};
use crate::{
    peers::{
        book::PeerBook,
        dialer::{Dialer, Lane},
    },
    status::leader_of,
};

/// Between attempts: about the time in which an election moves on.
const PAUSE: Duration = Duration::from_millis(25);
/// How long before its end an answer sets out.
const WAY_BACK: Duration = Duration::from_millis(50);

pub(crate) struct Asking {
    pub(crate) own: NodeNumber,
    pub(crate) fence: Arc<Fence>,
    pub(crate) book: Arc<PeerBook>,
    pub(crate) dialer: Arc<Dialer>,
}

impl Asking {
    /// Waits until the revision is in force as far as `wait` says, or until `within` has
    /// passed, whoever leads meanwhile; and says how far it is known to have come. A
    /// leader that is lost, and one that does not answer, have said nothing.
    pub(crate) async fn enforcement(
        &self,
        revision: Revision,
        wait: Wait,
        within: Duration,
    ) -> Enforcement {
        let clocks = &self.fence.clocks;
        let began = clocks.boot();
        let left = || within.saturating_sub(clocks.boot().since(began).unwrap_or_default());
        let mut last = None;
        loop {
            let told = match leader_of(&self.fence.raft) {
                Some(leader) if leader == self.own => self.fence.wait(revision, wait, left()).await,
                Some(leader) => self.ask(leader, revision, wait, left()).await,
                None => None,
            };
            match told {
                Some(told) if told.reaches(wait) => return told,
                // What was in force is: a leader that was just elected may not know it.
                Some(told) => last = Some(told.unless_less_than(last)),
                None => {}
            }
            if left().is_zero() {
                return last.unwrap_or_else(|| self.own_word(revision));
            }
            tokio::time::sleep(PAUSE.min(left())).await;
        }
    }

    /// What this node knows by itself: what it has applied is committed.
    fn own_word(&self, revision: Revision) -> Enforcement {
        Enforcement::only(if self.fence.published.revision() >= revision {
            EnforcementState::Committed
        } else {
            EnforcementState::Unknown
        })
    }

    async fn ask(
        &self,
        leader: NodeNumber,
        revision: Revision,
        wait: Wait,
        within: Duration,
    ) -> Option<Enforcement> {
        let record = self.book.record_of(leader)?;
        let mut client = self
            .dialer
            .client(leader, &record, Lane::Fence)
            .inspect_err(|error| tracing::debug!(%leader, %error, "the leader cannot be asked"))
            .ok()?;
        let waits_ms = u64::try_from(within.saturating_sub(WAY_BACK).as_millis());
        let request = pb::AwaitEnforcedRequest {
            from: self.own.0,
            revision: revision.0,
            wait: wait.wire().into(),
            within_ms: waits_ms.unwrap_or(u64::MAX),
        };
        let asking = tokio::time::timeout(within.max(WAY_BACK), client.await_enforced(request));
        tokio::select! {
            answer = asking => {
                let response = answer.ok()?.ok()?.into_inner();
                response.enforcement.map(Enforcement::read)
            }
            // It may stand still, or be cut off: the next one says it sooner.
            () = self.until_another_leads(leader) => None,
        }
    }

    async fn until_another_leads(&self, leader: NodeNumber) {
        let mut metrics = self.fence.raft.metrics();
        while leader_of(&self.fence.raft).is_none_or(|leads| leads == leader) {
            if metrics.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }
}
