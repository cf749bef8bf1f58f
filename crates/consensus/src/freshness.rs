//! Proofs of freshness: that this node's state is no older than a moment of its
//! own clock.
//!
//! ```text
//!  t0 = boot clock ──► ask the leader for a read index ──► wait until applied ──► fresh as of t0
//!  (before anything is sent)        └ a quorum confirms that it still leads
//! ```
//!
//! A proof counts from the question, never from the answer. Each tick asks anew;
//! questions may overlap, each with a limit of its own. Heartbeats prove nothing.

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use chancery_credential::{NodeNumber, Revision};
#[cfg(simulation)]
use chancery_mutation::{Mutation, is_made};
use chancery_revocation::BootTime;
use chancery_wire::peer as pb;
use parking_lot::Mutex;
use tokio::sync::{Notify, Semaphore, watch};

use crate::{
    clock::Clocks,
    codec::{
        peer as peer_codec,
        raft::{read_log_id, required},
    },
    comparison::Comparison,
    fence::{Fence, Process},
    leadership::Leadership,
    peers::{
        book::PeerBook,
        dialer::{Dialer, Lane},
    },
    published::Published,
    raft::{LogId, Raft},
    skew::{MAX_SKEW_MS, Skew},
    status::{leader_of, voters_of},
};

/// What one proof may take. Longer than a round trip and a disk; short enough that
/// one lost question leaves room for others within F.
const PROOF_LIMIT: Duration = Duration::from_millis(300);
/// How long whoever waits for a proof leaves it to the tick.
const PATIENCE: Duration = Duration::from_millis(100);
/// Proofs under way at once: those of one limit at the shortest tick, and some.
const PROOFS_AT_ONCE: usize = 16;
/// The shortest tick, whatever the settings say.
const SHORTEST_TICK: Duration = Duration::from_millis(10);

/// What the leader answers.
pub(crate) struct ReadIndex {
    pub(crate) read_index: LogId,
    pub(crate) freshness_ms: u64,
    /// The revision whose digest the leader wants to be told of.
    pub(crate) compare_at: Option<Revision>,
}

/// Why the leader gives no proof.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProofRefused {
    /// Here and now; ask again.
    #[error("no read index now: {0}")]
    NotNow(String),
    /// Not to this node, as it is.
    #[error("no proof for this node: {0}")]
    NotThisNode(String),
}

/// No proof came within the time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "this node reached no leader with a quorum in time, so it cannot say that it is fresh: ask another node"
)]
pub struct Unproved;

/// Asks for proofs, and answers those of others while this node leads.
pub(crate) struct Prover {
    pub(crate) own: NodeNumber,
    pub(crate) fence: Arc<Fence>,
    pub(crate) raft: Raft,
    pub(crate) leadership: Arc<Leadership>,
    pub(crate) published: Arc<Published>,
    pub(crate) book: Arc<PeerBook>,
    pub(crate) dialer: Arc<Dialer>,
    pub(crate) clocks: Arc<dyn Clocks>,
    pub(crate) skew: Arc<Skew>,
    pub(crate) comparison: Comparison,
    /// What the leader wants to be told of.
    pub(crate) compare_at: Mutex<Option<Revision>>,
    pub(crate) default_tick: Duration,
    /// The latest moment as of which this node proved itself fresh.
    pub(crate) proved: watch::Sender<Option<BootTime>>,
    /// For how long it asks nobody at most, unless somebody wants a proof.
    pub(crate) sleeping: watch::Sender<Duration>,
    /// Somebody waits for a proof that begins now.
    pub(crate) wanted: Arc<Notify>,
    /// Why the last proof did not come about; none after one that did.
    pub(crate) trouble: Mutex<Option<String>>,
    /// The greatest read index that a leader ever named: there is at least so much to
    /// apply.
    pub(crate) heard: AtomicU64,
    /// No proof is asked for any more.
    pub(crate) withdrawn: AtomicBool,
}

impl Prover {
    /// Asks on each tick, and at once when somebody wants a proof, until dropped.
    pub(crate) async fn run(self: Arc<Self>) {
        tokio::join!(self.clone().on_each_tick(), self.when_wanted());
    }

    async fn on_each_tick(self: Arc<Self>) {
        let at_once = Arc::new(Semaphore::new(PROOFS_AT_ONCE));
        let mut settings = self.published.settings_changed();
        loop {
            let tick = self.tick();
            self.sleeping.send_replace(tick);
            tokio::select! {
                () = tokio::time::sleep(tick) => {}
                // A tick that was long is not slept out.
                _ = settings.changed() => {}
            }
            let Ok(turn) = at_once.clone().try_acquire_owned() else {
                continue;
            };
            let this = self.clone();
            tokio::spawn(async move {
                let _turn = turn;
                this.try_prove().await;
            });
        }
    }

    /// One at a time: whoever comes while one is under way is served by the next.
    async fn when_wanted(&self) {
        loop {
            self.wanted.notified().await;
            if !self.try_prove().await {
                tokio::time::sleep(PATIENCE).await;
            }
        }
    }

    /// Asks for no proof again: this node serves no more.
    pub(crate) fn withdraw(&self) {
        #[cfg(simulation)]
        if is_made(Mutation::DrainServes) {
            return;
        }
        self.withdrawn.store(true, Ordering::Release);
        self.published.view.withdraw();
    }

    /// Gives whether it succeeded.
    async fn try_prove(&self) -> bool {
        if self.withdrawn.load(Ordering::Acquire) {
            return false;
        }
        let trouble = self.prove().await.err();
        let told = trouble.as_ref().map(ToString::to_string);
        let before = std::mem::replace(&mut *self.trouble.lock(), told);
        match trouble {
            Some(ProofRefused::NotThisNode(reason)) if before.is_none() => {
                tracing::warn!(%reason, "the leader gives this node no proof of freshness");
            }
            Some(reason) => tracing::debug!(%reason, "no proof of freshness"),
            None => return true,
        }
        false
    }

    fn tick(&self) -> Duration {
        let settings = self.published.directory.settings();
        settings
            .map_or(self.default_tick, |settings| {
                Duration::from_millis(settings.tick_ms)
            })
            .max(SHORTEST_TICK)
    }

    /// One proof, from the question to the publication.
    async fn prove(&self) -> Result<(), ProofRefused> {
        let asked_at = self.clocks.boot();
        let proof = async {
            let answer = self.ask().await?;
            let revision = Revision(answer.read_index.index);
            self.heard.fetch_max(revision.0, Ordering::Relaxed);
            #[cfg(simulation)]
            if is_made(Mutation::NotApplied) {
                return Ok(answer.freshness_ms);
            }
            if !self.published.reach(revision, PROOF_LIMIT).await {
                return Err(not_now("this node has not applied the read index"));
            }
            *self.compare_at.lock() = answer.compare_at;
            Ok(answer.freshness_ms)
        };
        let freshness_ms = tokio::time::timeout(PROOF_LIMIT, proof)
            .await
            .map_err(|_| not_now("the limit of one proof has passed"))??;
        // What this node has applied by now may say that it leaves.
        self.may_be_fresh(self.own)?;
        // The leader's F, or that of the state just reached, whichever is shorter.
        let own_ms = self.freshness_ms().unwrap_or(freshness_ms);
        let bound = Duration::from_millis(freshness_ms.min(own_ms));
        #[cfg(simulation)]
        let bound = if is_made(Mutation::BoundW) {
            bound * 11 / 9
        } else {
            bound
        };
        #[cfg(simulation)]
        let asked_at = if is_made(Mutation::ProofFromAnswer) {
            self.clocks.boot()
        } else {
            asked_at
        };
        self.published.view.prove_fresh(asked_at, bound);
        self.proved.send_if_modified(|latest| {
            let later = latest.is_none_or(|latest| latest < asked_at);
            if later {
                *latest = Some(asked_at);
            }
            later
        });
        Ok(())
    }

    async fn ask(&self) -> Result<ReadIndex, ProofRefused> {
        let leader = leader_of(&self.raft).ok_or_else(|| not_now("no leader is known"))?;
        if leader == self.own {
            self.compare_own();
            let process = self.fence.process;
            self.fence.hear(self.own, self.fence.own_report());
            return self.answer(self.own, process, self.clocks.wall_ms()).await;
        }
        let record = self
            .book
            .record_of(leader)
            .ok_or_else(|| not_now("the leader's record is unknown"))?;
        let mut client = self
            .dialer
            .client(leader, &record, Lane::Control)
            .map_err(|error| not_now(error.to_string()))?;
        let request = pb::ProveFreshRequest {
            from: self.own.0,
            report: Some(self.fence.own_report().wire()),
            wall_ms: self.clocks.wall_ms(),
            state_digest: self.asked_digest(),
        };
        let response = client.prove_fresh(request).await.map_err(|status| {
            let told = status.message().to_owned();
            match status.code() {
                tonic::Code::FailedPrecondition => ProofRefused::NotThisNode(told),
                _ => not_now(told),
            }
        })?;
        let response = response.into_inner();
        let read_index = required(response.read_index, "prove_fresh.read_index")
            .and_then(read_log_id)
            .map_err(|error| not_now(error.to_string()))?;
        Ok(ReadIndex {
            read_index,
            freshness_ms: response.freshness_ms,
            compare_at: response.compare_at.map(Revision),
        })
    }

    /// What the leader asked to be told of, if this node has it.
    fn asked_digest(&self) -> Option<pb::StateDigest> {
        let at = (*self.compare_at.lock())?;
        let digest = self.published.marks.at(at)?;
        Some(peer_codec::state_digest(at, &digest))
    }

    /// This node's own word, while it leads.
    fn compare_own(&self) {
        let at = self.comparison.asked();
        if let Some((at, digest)) = at.and_then(|at| Some((at, self.published.marks.at(at)?))) {
            self.comparison.hear(self.own, at, digest);
        }
    }

    /// Begins to ask for everybody's digest at the newest revision where digests are
    /// taken down.
    pub(crate) fn begin_comparison(&self) {
        if let Some(at) = self.published.marks.newest() {
            self.comparison.ask(at);
        }
    }

    /// What most voters had there; once.
    pub(crate) fn compared(&self) -> Option<(Revision, [u8; 32])> {
        let voters: Vec<_> = voters_of(&self.raft).collect();
        self.comparison.settle(&voters)
    }

    /// The read index for `from`, if this node leads and a quorum says so now.
    ///
    /// Always ReadIndex: a lease would trust that clocks agree.
    pub(crate) async fn answer(
        &self,
        from: NodeNumber,
        process: Process,
        wall_ms: u64,
    ) -> Result<ReadIndex, ProofRefused> {
        self.judge_clock(from, wall_ms)?;
        let freshness_ms = self
            .freshness_ms()
            .ok_or_else(|| not_now("the cluster has not been born"))?;
        self.may_be_fresh(from)?;
        // First: a change that is applied here later finds this holder, and the read
        // index of one that finds it not is no earlier.
        self.record(from, process, freshness_ms)?;
        #[cfg(simulation)]
        if is_made(Mutation::NoQuorum) {
            let read_index = self.published.position.read().last;
            return Ok(ReadIndex {
                read_index: read_index.ok_or_else(|| not_now("nothing was applied"))?,
                freshness_ms,
                compare_at: self.comparison.asked(),
            });
        }
        let taken = self.leadership.read_index(PROOF_LIMIT).await;
        let read_index = taken.map_err(|why| not_now(why.to_string()))?;
        #[cfg(simulation)]
        if is_made(Mutation::RecordLate) {
            let late = self.fence.record(from, process, freshness_ms);
            late.map_err(|why| not_now(why.to_string()))?;
        }
        Ok(ReadIndex {
            read_index,
            freshness_ms,
            compare_at: self.comparison.asked(),
        })
    }

    fn record(
        &self,
        from: NodeNumber,
        process: Process,
        freshness_ms: u64,
    ) -> Result<(), ProofRefused> {
        #[cfg(simulation)]
        if is_made(Mutation::RecordLate) {
            return Ok(());
        }
        self.fence
            .record(from, process, freshness_ms)
            .map_err(|why| ProofRefused::NotThisNode(format!("of node {from}, {why}")))
    }

    /// A node that retires serves no more: so W after its retirement was committed
    /// nothing that it could still accept is outstanding, and it can be taken out.
    fn may_be_fresh(&self, node: NodeNumber) -> Result<(), ProofRefused> {
        let refused = |why: &str| Err(ProofRefused::NotThisNode(format!("node {node} {why}")));
        match self.published.state.read().node(node) {
            #[cfg(simulation)]
            Some(_) if is_made(Mutation::RetiringServes) => Ok(()),
            None => refused("is not admitted"),
            Some(record) if record.retiring || record.removed_at.is_some() => {
                refused("is being removed")
            }
            Some(_) => Ok(()),
        }
    }

    /// Whoever's clock is alone with its time gets no proof, this node itself not
    /// excepted: it would hold lifetimes against the wrong hour.
    fn judge_clock(&self, from: NodeNumber, wall_ms: u64) -> Result<(), ProofRefused> {
        let now = self.clocks.boot();
        if from != self.own {
            self.skew.hear(from, wall_ms, now);
        }
        let own = (self.own, self.clocks.wall_ms());
        if self.skew.is_alone(from, own, voters_of(&self.raft), now) {
            return Err(ProofRefused::NotThisNode(format!(
                "the clock of node {from} is more than {MAX_SKEW_MS} ms from those of most \
                 voters; set it"
            )));
        }
        Ok(())
    }

    fn freshness_ms(&self) -> Option<u64> {
        let settings = self.published.directory.settings()?;
        Some(settings.freshness_ms)
    }

    /// Waits for a proof that begins after this call, shared with whoever else
    /// waits for one.
    pub(crate) async fn prove_now(&self, within: Duration) -> Result<(), Unproved> {
        let next = self.next_proof(within);
        self.wanted.notify_one();
        next.await
    }

    /// Waits for a proof that begins after this call: at the next tick, or when that is
    /// long, after [`PATIENCE`], shared with whoever else waits.
    pub(crate) fn next_proof(
        &self,
        within: Duration,
    ) -> impl Future<Output = Result<(), Unproved>> + Send + use<> {
        let called_at = self.clocks.boot();
        let (mut proved, wanted) = (self.proved.subscribe(), self.wanted.clone());
        async move {
            let patience = PATIENCE.min(within);
            let mut begun_after = async |within| {
                let proof = proved.wait_for(|at| at.is_some_and(|at| at >= called_at));
                tokio::time::timeout(within, proof)
                    .await
                    .map(|proof| proof.is_ok())
            };
            let outcome = match begun_after(patience).await {
                Err(_) => {
                    wanted.notify_one();
                    begun_after(within.saturating_sub(patience)).await
                }
                outcome => outcome,
            };
            match outcome {
                Ok(true) => Ok(()),
                Ok(false) | Err(_) => Err(Unproved),
            }
        }
    }
}

fn not_now(reason: impl Into<String>) -> ProofRefused {
    ProofRefused::NotNow(reason.into())
}
