//! Reads that are no older than a state the client has already seen, and never
//! older than the freshness bound.

use std::time::Duration;

use chancery_credential::{ConsistencyToken, Revision};
use chancery_revocation::{Clock, Current};
use tonic::{Code, Status};

use super::{Desk, parse};
use crate::{caller::refuse, clock::SystemClock};

/// How long one read waits for one proof of freshness.
const PROOF_WAIT: Duration = Duration::from_millis(1500);

impl Desk {
    /// Names `revision` in this lineage.
    pub(super) fn token_for(&self, revision: Revision) -> String {
        ConsistencyToken {
            lineage: self.consensus.view().lineage(),
            revision,
        }
        .to_string()
    }

    /// Waits until this node's state holds what `min_revision` names. It starts
    /// no more than one proof, begun after the call arrived: what even that does
    /// not reach was never committed, or not here.
    pub(super) async fn at_least(&self, min_revision: &str) -> Result<(), Status> {
        if min_revision.is_empty() {
            return Ok(());
        }
        let token: ConsistencyToken = parse::field("min_revision", min_revision)?;
        if token.lineage != self.consensus.view().lineage() {
            return Err(refuse(
                Code::FailedPrecondition,
                "OTHER_LINEAGE",
                "`min_revision` is of another lineage: the cluster was restored, or it is another",
                "forget what was cached of the other lineage, and read without `min_revision`",
            ));
        }
        if token.revision <= self.consensus.view().revision() {
            return Ok(());
        }
        self.prove().await?;
        if token.revision <= self.consensus.view().revision() {
            return Ok(());
        }
        Err(refuse(
            Code::FailedPrecondition,
            "REVISION_UNKNOWN",
            "`min_revision` is beyond everything that this cluster has committed",
            "take the token from an answer of this cluster",
        ))
    }

    /// One proof of freshness begun now.
    pub(super) async fn prove(&self) -> Result<(), Status> {
        self.consensus
            .prove_now(PROOF_WAIT)
            .await
            .map_err(|_| stale())
    }

    /// Reads the node's state, and says how current what was read is. The clock
    /// is read last, so an answer is never fresher in word than in fact.
    pub(super) fn read<T>(&self, read: impl FnOnce() -> T) -> Result<(T, Current), Status> {
        let serving = self.consensus.view().begin();
        let answer = read();
        let current = serving.finish(&SystemClock).map_err(|_| stale())?;
        Ok((answer, current))
    }

    /// How old this node's state can be at most, in milliseconds; `None` before
    /// the first proof of this process.
    pub(super) fn age_ms(&self) -> Option<u64> {
        let proved = self.consensus.view().freshness()?;
        let age = SystemClock.now().boot.since(proved.as_of)?;
        u64::try_from(age.as_millis()).ok()
    }
}

/// The refusal of a node that cannot prove that its state is recent.
pub(super) fn stale() -> Status {
    refuse(
        Code::Unavailable,
        "STALE",
        "this node cannot prove that its state is recent enough to answer",
        "ask another node; this one answers again once it reaches the leader",
    )
}
