//! Reads that are no older than a state the client has already seen, and never
//! older than the freshness bound.

use std::time::Duration;

use chancery_authority::State;
use chancery_credential::{ConsistencyToken, Revision};
use chancery_revocation::{Clock, Current, Stale};
use tonic::{Code, Status};

use super::{Desk, parse};
use crate::{caller::refuse, clock::SystemClock};

/// How long a call waits for a proof of freshness.
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

    /// Waits until this node's state holds what `min_revision` names, for one proof
    /// begun after the call arrived: what even that does not reach was never
    /// committed, or not here.
    pub(super) async fn at_least(&self, min_revision: &str) -> Result<(), Status> {
        self.at_least_as("min_revision", min_revision).await
    }

    /// The same, of what is named otherwise.
    pub(super) async fn at_least_as(&self, name: &str, min_revision: &str) -> Result<(), Status> {
        if min_revision.is_empty() {
            return Ok(());
        }
        let token: ConsistencyToken = parse::field(name, min_revision)?;
        if token.lineage != self.consensus.view().lineage() {
            return Err(refuse(
                Code::FailedPrecondition,
                "OTHER_LINEAGE",
                format!(
                    "`{name}` is of another lineage: the cluster was restored, or it is another"
                ),
                format!("forget what was cached of the other lineage, and read without `{name}`"),
            ));
        }
        self.hold(name, token.revision).await
    }

    /// Waits until this node's state holds the revision that a field names, in this
    /// lineage.
    pub(super) async fn hold(&self, name: &str, revision: Revision) -> Result<(), Status> {
        self.reach(revision).await?;
        if revision <= self.consensus.view().revision() {
            return Ok(());
        }
        Err(refuse(
            Code::FailedPrecondition,
            "REVISION_UNKNOWN",
            format!("`{name}` is beyond everything that this cluster has committed"),
            "take the token from an answer of this cluster",
        ))
    }

    /// Waits until this node's state holds `revision`, or until one proof begun
    /// after this call says that it holds all there is. It asks for none: the next
    /// one that the node makes for itself will do, so callers cost the leader
    /// nothing, however many they are.
    pub(super) async fn reach(&self, revision: Revision) -> Result<(), Status> {
        if revision <= self.consensus.view().revision() {
            return Ok(());
        }
        tokio::select! {
            true = self.consensus.wait_revision(revision, PROOF_WAIT) => Ok(()),
            proved = self.next_proof() => proved,
            else => Err(stale()),
        }
    }

    /// The node's next proof of freshness, begun after this call.
    pub(super) async fn next_proof(&self) -> Result<(), Status> {
        let proof = self.consensus.next_proof(PROOF_WAIT);
        proof.await.map_err(|_| stale())
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
        let view = self.consensus.view();
        view.answer(&SystemClock, |_| Ok::<_, Stale>(read()))
            .map_err(|_| stale())
    }

    /// Reads the state itself, which can be ahead of what readers see: waits until it is
    /// not. Gives the revision that names at least what was read. Entries wait while
    /// `read` runs.
    pub(super) async fn look<T>(
        &self,
        read: impl FnOnce(&State) -> T,
    ) -> Result<(T, Revision), Status> {
        let consensus = &self.consensus;
        let read = || consensus.read_state(|state| (read(state), state.revision()));
        let ((found, revision), current) = self.read(read)?;
        self.reach(revision).await?;
        Ok((found, revision.max(current.revision)))
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
