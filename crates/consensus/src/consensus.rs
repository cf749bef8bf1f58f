//! The handle that a server holds.

use std::{future::Future, io, sync::Arc, time::Duration};

use chancery_authority::{Directory, State};
use chancery_credential::{NodeNumber, Revision};
use chancery_revocation::View;
use chancery_storage::{Failure, Footprint, LogGauge, LogStatistics, StateStore};
use openraft::async_runtime::watch::WatchReceiver as _;
use parking_lot::Mutex;
use tokio::{sync::watch, task::JoinHandle};

use crate::{
    error::{Ended, Removed},
    events::Events,
    fence::{Asking, Enforcement, Reporter, Wait},
    freshness::{Prover, Unproved},
    history::{self, HistoryPage, HistoryQuery},
    membership::{Asked, ChangeError, Members, MembershipChange, Progress},
    outcome::{Outcome, Proposal, ProposeError},
    peers::{dialer::Dialer, dismissal},
    propose::Proposer,
    published::Published,
    raft::Raft,
    release::{Hold, Released},
    status::{Sources, Status, status, voters_of},
    transfers::Transfers,
};

/// How long a shutdown waits for the last holder of the storage.
const RELEASE_LIMIT: Duration = Duration::from_secs(10);
/// How long each step of giving back may take.
const GIVE_BACK_LIMIT: Duration = Duration::from_millis(1_500);

/// One node's part in the cluster. Cheap to clone; it ends with
/// [`shutdown`](Self::shutdown), not with its last clone.
#[derive(Clone)]
pub struct Consensus {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) node: NodeNumber,
    pub(crate) peer_public_key: Vec<u8>,
    pub(crate) raft: Raft,
    pub(crate) published: Arc<Published>,
    pub(crate) prover: Arc<Prover>,
    pub(crate) proposer: Arc<Proposer>,
    pub(crate) members: Arc<Members>,
    pub(crate) reporter: Arc<Reporter>,
    pub(crate) asking: Asking,
    /// Where the history is read; let go when this node stops.
    pub(crate) history: Mutex<Option<(StateStore, Hold)>>,
    pub(crate) readers: history::Readers,
    pub(crate) dialer: Arc<Dialer>,
    pub(crate) failure: Failure,
    pub(crate) log: LogGauge,
    pub(crate) transfers: Arc<Transfers>,
    pub(crate) stopping: watch::Sender<bool>,
    /// Turns true when a task that runs as long as the node has ended.
    pub(crate) deserted: watch::Sender<bool>,
    pub(crate) running: Mutex<Option<Running>>,
}

/// Says so when the task that holds it ends, by a panic too: a node that proves
/// nothing, or that no peer reaches, must not go on as if it were well.
pub(crate) struct Post(pub(crate) watch::Sender<bool>);

impl Drop for Post {
    fn drop(&mut self) {
        self.0.send_replace(true);
    }
}

/// What a shutdown takes apart.
pub(crate) struct Running {
    pub(crate) tasks: Vec<JoinHandle<()>>,
    pub(crate) released: Released,
}

/// What is read. None of it waits for the log.
impl Consensus {
    /// This node's number.
    pub fn node(&self) -> NodeNumber {
        self.inner.node
    }

    /// Callers, agents, owners, settings: for each request and each mint.
    pub fn directory(&self) -> &Arc<Directory> {
        &self.inner.published.directory
    }

    /// What is in force, at which revision, how fresh.
    pub fn view(&self) -> &Arc<View> {
        &self.inner.published.view
    }

    /// Reads the state itself, for lists, status and the keeper. Entries wait while
    /// `read` runs, and it may see entries that are not published yet: never for a
    /// mint or a check.
    pub fn read_state<T>(&self, read: impl FnOnce(&State) -> T) -> T {
        read(&self.inner.published.state.read())
    }

    /// A hash over the whole state, the same on every node at the same revision.
    pub fn state_digest(&self) -> (Revision, [u8; 32]) {
        self.read_state(|state| (state.revision(), state.digest()))
    }

    /// Where this node and its cluster stand.
    pub fn status(&self) -> Status {
        status(
            self.inner.node,
            &Sources {
                raft: &self.inner.raft,
                published: &self.inner.published,
                prover: &self.inner.prover,
                transfers: &self.inner.transfers,
            },
        )
    }

    /// Looks into the history on this node's disk, when it is the caller's turn: four do
    /// at a time. The look ends soon after this future was dropped.
    ///
    /// # Errors
    /// The disk's, or that this node is stopping.
    pub async fn history(&self, query: HistoryQuery) -> io::Result<HistoryPage> {
        let inner = self.inner.clone();
        let reading = move |is_wanted: &dyn Fn() -> bool| {
            // Not before its turn: who waits must not keep the storage open.
            let Some((store, _hold)) = inner.history.lock().clone() else {
                return Err(history::stopping());
            };
            history::page(&store, &query, is_wanted)
        };
        self.inner.readers.read(reading).await
    }

    /// What this node's state takes; `None` after a shutdown.
    pub fn state_footprint(&self) -> Option<Footprint> {
        let history = self.inner.history.lock();
        history.as_ref().map(|(store, _)| store.footprint())
    }

    /// What this node's log has written since the start; `None` after a shutdown.
    pub fn log_statistics(&self) -> Option<LogStatistics> {
        self.inner.log.read()
    }

    /// Follows the log from here on.
    pub fn events(&self) -> Events {
        self.inner.published.events()
    }
}

/// What waits for the cluster.
impl Consensus {
    /// Proposes a command, through the leader if this is not it, and answers when
    /// this node has applied it. A rejection is an outcome.
    ///
    /// # Errors
    /// [`ProposeError`]. After [`ProposeError::Unknown`] and
    /// [`ProposeError::Unavailable`] it may be sent again with the same request id.
    pub async fn propose(
        &self,
        proposal: Proposal,
        within: Duration,
    ) -> Result<Outcome, ProposeError> {
        if *self.inner.stopping.borrow() {
            return Err(ProposeError::Stopped);
        }
        self.inner.proposer.propose(proposal, within).await
    }

    /// Waits until what stands at `revision`, a revision of this lineage, is in force as
    /// far as `wait` says, or until `within` has passed; and says how far it has come.
    /// Harmless to ask, at any time, on any node.
    pub async fn enforcement(
        &self,
        revision: Revision,
        wait: Wait,
        within: Duration,
    ) -> Enforcement {
        self.inner.asking.enforcement(revision, wait, within).await
    }

    /// Waits until this node has applied `revision`; `false` when `within` passed
    /// first.
    pub async fn wait_revision(&self, revision: Revision, within: Duration) -> bool {
        self.inner.published.reach(revision, within).await
    }

    /// Waits until readers see a later revision than this one.
    pub async fn wait_past(&self, revision: Revision) {
        self.inner.published.pass(revision).await;
    }

    /// Waits for a proof of freshness that begins after this call. Whoever asks
    /// while one is about to begin shares it.
    ///
    /// # Errors
    /// [`Unproved`] when none came within the time.
    pub async fn prove_now(&self, within: Duration) -> Result<(), Unproved> {
        self.inner.prover.prove_now(within).await
    }

    /// Waits for the next proof that begins after this call, without asking for one:
    /// this node makes one at each tick.
    ///
    /// # Errors
    /// [`Unproved`] when none came within the time.
    pub async fn next_proof(&self, within: Duration) -> Result<(), Unproved> {
        self.inner.prover.next_proof(within).await
    }

    /// While this node leads: asks every node what its state was at a revision that
    /// all have passed or will soon. Whatever was asked before is forgotten.
    pub fn begin_comparison(&self) {
        self.inner.prover.begin_comparison();
    }

    /// What most voters had as their state where that was asked last, for a
    /// [`CompareState`](chancery_authority::Command::CompareState); told once.
    pub fn compared(&self) -> Option<(Revision, [u8; 32])> {
        self.inner.prover.compared()
    }

    /// Changes the membership, on the leader, wherever it is. Answers when the change
    /// is committed, not when a learner has caught up. Harmless to repeat.
    ///
    /// # Errors
    /// [`ChangeError`].
    pub async fn change_membership(
        &self,
        change: MembershipChange,
        within: Duration,
    ) -> Result<Progress, ChangeError> {
        let look_only = false;
        let asked = Asked { change, look_only };
        self.inner.members.change(asked, within).await
    }

    /// Whether the leader would make the change now, and what it would do. Nothing
    /// is changed.
    ///
    /// # Errors
    /// [`ChangeError`]: why it would not.
    pub async fn may_change_membership(
        &self,
        change: MembershipChange,
        within: Duration,
    ) -> Result<Progress, ChangeError> {
        let look_only = true;
        let asked = Asked { change, look_only };
        self.inner.members.change(asked, within).await
    }

    /// Resolves when this node's peers have said that it was removed from the
    /// cluster for good: it can prove nothing any more, under this number, ever.
    pub fn removed(&self) -> impl Future<Output = Removed> + Send + 'static {
        let inner = self.inner.clone();
        let mut said = inner.dialer.dismissals().subscribe();
        async move {
            loop {
                let by = said.borrow_and_update().clone();
                let record = inner.published.state.read().node(inner.node).cloned();
                let leaving = record.is_some_and(|record| !record.stands());
                let voters = voters_of(&inner.raft);
                if dismissal::settles(&by, inner.node, voters, leaving) {
                    return Removed {
                        node: inner.node,
                        by: by.into_iter().collect(),
                    };
                }
                if said.changed().await.is_err() {
                    std::future::pending::<()>().await;
                }
            }
        }
    }

    /// Resolves when Raft or the storage has died: the process must end then. It
    /// resolves after a shutdown too.
    pub fn fatal(&self) -> impl Future<Output = Ended> + Send + 'static {
        let mut metrics = self.inner.raft.metrics();
        let failure = self.inner.failure.clone();
        let mut deserted = self.inner.deserted.subscribe();
        async move {
            let raft = async {
                loop {
                    if let Err(fatal) = &metrics.borrow_watched().running_state {
                        return fatal.to_string();
                    }
                    if metrics.changed().await.is_err() {
                        return "Raft is gone".to_owned();
                    }
                }
            };
            tokio::select! {
                reason = raft => Ended(reason),
                error = failure.occurred() => Ended(error.to_string()),
                _ = deserted.wait_for(|deserted| *deserted) => {
                    Ended("a task that runs as long as the node has ended".to_owned())
                }
            }
        }
    }

    /// Gives back what others would have to wait for: the lead, if another voter can take
    /// it, then the proofs of freshness. This node serves nothing from then on, so it is
    /// for one that has finished what it was asked. Bounded in time; whatever could not
    /// be given back runs out by itself.
    pub async fn give_back(&self) {
        self.inner.members.give_the_lead_back(GIVE_BACK_LIMIT).await;
        self.inner.prover.withdraw();
        if !self.inner.reporter.say_ended(GIVE_BACK_LIMIT).await {
            tracing::warn!("nobody heard that this node's proofs are given back");
        }
    }

    /// Stops: peers are hung up on, Raft ends, and the data directory is closed
    /// when this returns. Further calls return at once.
    pub async fn shutdown(&self) {
        self.inner.stopping.send_replace(true);
        self.inner.readers.close();
        self.inner.history.lock().take();
        let Some(running) = self.inner.running.lock().take() else {
            return;
        };
        if let Err(error) = self.inner.raft.shutdown().await {
            tracing::error!(%error, "Raft did not end in order");
        }
        for task in running.tasks {
            task.abort();
            // Cancelled is what it is meant to be.
            let _ = task.await;
        }
        if tokio::time::timeout(RELEASE_LIMIT, running.released.wait())
            .await
            .is_err()
        {
            tracing::error!("the data directory is still open; it closes with the process");
        }
    }

    pub(crate) fn raft(&self) -> &Raft {
        &self.inner.raft
    }

    pub(crate) fn peer_public_key(&self) -> &[u8] {
        &self.inner.peer_public_key
    }
}
