//! Who replicates and who votes. Changes are made on the leader, one at a time,
//! and can be asked for again.
//!
//! ```text
//! asked ─► the leader ─► roll (who sits where, who answers) ─► plan ─┬─ refusal, with the arithmetic
//!                                                                    └─ wanted? ─► one step of Raft's membership
//! ```
//!
//! Whoever has a peer key may ask; what is asked is done only if a keeper's command,
//! which stands in the applied state, wants it.
//!
//! - `plan`: whether a change may be, and which step it takes; pure;
//! - `wanted`: whether a command asks for it; pure;
//! - `joint`: what the leader ends by itself;
//! - `lone_clock`: when it leads no longer by itself;
//! - `asked`: what one node asks of another;
//! - `change`: the step, and the roll that it was planned on;
//! - `departure`: how long a node that leaves could still serve.

mod asked;
mod change;
pub(crate) mod departure;
mod joint;
mod lone_clock;
mod plan;
#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]
mod plan_tests;
mod wanted;

use std::{sync::Arc, time::Duration};

use chancery_credential::NodeNumber;
use chancery_wire::peer as pb;

pub use plan::{Departure, MembershipChange};

use crate::{
    clock::Clocks,
    leadership::Leadership,
    peers::{
        book::PeerBook,
        dialer::{Dialer, Lane},
    },
    published::Published,
    raft::Raft,
    skew::Skew,
    status::leader_of,
};
pub(crate) use asked::{Asked, answered};
use departure::Departures;

/// How long to wait before the next attempt.
const PAUSE: Duration = Duration::from_millis(50);

/// How far a change of the membership has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// The membership is as it was asked for, and that is committed.
    Done,
    /// Asked only whether it can be: it can. Of the node that takes the lead, where
    /// that was left to the leader; else of the node that it is about.
    Possible(NodeNumber),
    /// Begun, and to be asked for again after so long: a node that leaves may still
    /// serve from what it proved before.
    Waits(Duration),
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
    /// Nothing changed, and by waiting alone it may come to pass: for what.
    #[error("{0}")]
    NotYet(String),
    /// It may have been appended. Asking again is harmless.
    #[error("whether the membership changed is not known ({0}): ask again")]
    Unknown(String),
}

pub(crate) struct Members {
    pub(crate) own: NodeNumber,
    pub(crate) raft: Raft,
    pub(crate) leadership: Arc<Leadership>,
    pub(crate) published: Arc<Published>,
    pub(crate) book: Arc<PeerBook>,
    pub(crate) dialer: Arc<Dialer>,
    pub(crate) clocks: Arc<dyn Clocks>,
    /// Changes that are made here wait for each other, the second step of each
    /// included.
    pub(crate) turn: tokio::sync::Mutex<()>,
    pub(crate) departures: Departures,
    pub(crate) skew: Arc<Skew>,
}

impl Members {
    /// Makes the change on the leader, wherever it is.
    pub(crate) async fn change(
        &self,
        asked: Asked,
        within: Duration,
    ) -> Result<Progress, ChangeError> {
        let attempts = async {
            loop {
                let attempt = match leader_of(&self.raft) {
                    Some(leader) if leader == self.own => self.change_here(asked).await,
                    Some(leader) => self.forward(leader, asked, within).await,
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

    async fn forward(
        &self,
        leader: NodeNumber,
        asked: Asked,
        within: Duration,
    ) -> Result<Progress, ChangeError> {
        use pb::change_membership_response::Outcome;
        let elsewhere = || ChangeError::NotLeader(Some(leader));
        let record = self.book.record_of(leader).ok_or_else(elsewhere)?;
        let mut client = self
            .dialer
            .client(leader, &record, Lane::Control)
            .map_err(|_| elsewhere())?;
        let mut request = tonic::Request::new(asked.request(self.own));
        request.set_timeout(within);
        let response = client
            .change_membership(request)
            .await
            .map_err(|status| ChangeError::Unknown(status.message().to_owned()))?;
        match response.into_inner().outcome {
            Some(Outcome::Done(_)) => Ok(Progress::Done),
            Some(Outcome::Possible(node)) => Ok(Progress::Possible(NodeNumber(node))),
            Some(Outcome::WaitMs(wait_ms)) => Ok(Progress::Waits(Duration::from_millis(wait_ms))),
            Some(Outcome::NotLeader(_)) => Err(elsewhere()),
            Some(Outcome::Refused(why)) => Err(ChangeError::Refused(why)),
            Some(Outcome::NotYet(why)) => Err(ChangeError::NotYet(why)),
            Some(Outcome::Unknown(why)) => Err(ChangeError::Unknown(why)),
            None => Err(ChangeError::Unknown(
                "an answer that this build does not know".into(),
            )),
        }
    }
}
