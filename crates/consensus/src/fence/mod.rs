//! The fence: when a change is in force on every node.
//!
//! A change that is committed is in force where it is applied. A node that has not
//! applied it may go by a proof of freshness that it was given before. So the leader
//! takes down who is given a proof, before it asks for the read index, and knows that a
//! change is in force everywhere once each of those has reported it as applied, or its
//! proof has run out: for W at most after the later of the commit and the moment that
//! this leader began to lead. Commits never wait, only the word ENFORCED does.
//!
//! - `table`, `process`: who may hold a proof, and how far each has come; pure;
//! - `enforcement`: what is told of a change;
//! - `report`: a node says how far it has come, at once while somebody waits;
//! - `asking`: the same word from any node.

mod asking;
mod enforcement;
mod process;
mod report;
mod table;
mod verifiers;

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use chancery_authority::MAX_NODES;
use chancery_credential::{KeyThumbprint, NodeNumber, Revision};
#[cfg(simulation)]
use chancery_mutation::{Mutation, is_made};
use openraft::async_runtime::watch::WatchReceiver as _;
use parking_lot::Mutex;
use tokio::sync::watch;

pub(crate) use asking::Asking;
pub use enforcement::{Enforcement, EnforcementState, Wait};
pub(crate) use process::Process;
pub(crate) use report::Reporter;
use table::{Beginning, Outstanding, Table};
pub(crate) use table::{NoHolder, Report};
pub use verifiers::{NoVerifiers, Verifiers};

use crate::{clock::Clocks, published::Published, raft::Raft, status::leader_of};

/// The longest that a wait goes without a look: verifiers run out by themselves.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Counts who waits for a change to be in force: as long as somebody does, followers are
/// told to report at once.
#[derive(Debug, Default)]
pub(crate) struct Awaited(AtomicUsize);

impl Awaited {
    pub(crate) fn is_awaited(&self) -> bool {
        self.0.load(Ordering::Relaxed) > 0
    }

    /// Somebody waits until this is dropped.
    pub(crate) fn begin(self: &Arc<Self>) -> Awaiting {
        self.0.fetch_add(1, Ordering::Relaxed);
        Awaiting(self.clone())
    }
}

#[derive(Debug)]
pub(crate) struct Awaiting(Arc<Awaited>);

impl Drop for Awaiting {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The fence as this node keeps it, which counts while it leads.
pub(crate) struct Fence {
    pub(crate) own: NodeNumber,
    pub(crate) process: Process,
    pub(crate) raft: Raft,
    pub(crate) published: Arc<Published>,
    pub(crate) clocks: Arc<dyn Clocks>,
    pub(crate) verifiers: Arc<dyn Verifiers>,
    pub(crate) awaited: Arc<Awaited>,
    pub(crate) table: Mutex<Table>,
    /// Moves when somebody reported something new.
    pub(crate) reported: watch::Sender<()>,
}

impl Fence {
    /// Takes down that a process may be given a proof that lasts `freshness_ms` from when
    /// it asked, which it has done already. To be called before its read index is asked
    /// for.
    ///
    /// # Errors
    /// [`NoHolder`]: it must get none.
    pub(crate) fn record(
        &self,
        node: NodeNumber,
        process: Process,
        freshness_ms: u64,
    ) -> Result<(), NoHolder> {
        let Some(settings) = self.published.directory.settings() else {
            // Before the birth nothing is served.
            return Ok(());
        };
        let key = self.key_of(node);
        let mut table = self.table.lock();
        self.begin(&mut table);
        if let Some(key) = key {
            table.known_by(node, key);
        }
        let now = self.clocks.boot();
        let outlives = Duration::from_millis(settings.times_kappa(freshness_ms));
        #[cfg(simulation)]
        let outlives = if is_made(Mutation::NoKappa) {
            Duration::from_millis(freshness_ms)
        } else {
            outlives
        };
        // Under the lock, so that it ascends.
        let applied = self.published.revision();
        table.record(node, process, applied, now, now.plus(outlives))
    }

    /// A process says how far it has come.
    pub(crate) fn hear(&self, node: NodeNumber, report: Report) {
        let key = self.key_of(node);
        let mut table = self.table.lock();
        if let Some(key) = key {
            table.known_by(node, key);
        }
        let is_news = table.hear(node, report);
        drop(table);
        if is_news {
            self.reported.send_replace(());
        }
    }

    /// A process has withdrawn its proofs, and asks for none again: it says so to the
    /// leader of `term`. Gives whether this node is that leader and has taken it down.
    pub(crate) fn end(&self, node: NodeNumber, report: Report, term: u64) -> bool {
        let mut table = self.table.lock();
        if !self.begin(&mut table) {
            return false;
        }
        let is_ended = table.end(node, report, term, self.clocks.boot());
        drop(table);
        self.reported.send_replace(());
        is_ended
    }

    /// Begins the table of each term that this node leads as soon as it can, until
    /// dropped.
    pub(crate) async fn begin_each_term(self: Arc<Self>) {
        let mut applied = self.published.applied();
        let mut seen = None;
        loop {
            let term = self.applied_term();
            // Once a term: the metrics may be late, and whoever needs the table sees to it.
            if term != seen && self.begin(&mut self.table.lock()) {
                seen = term;
            }
            if applied.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    fn key_of(&self, node: NodeNumber) -> Option<KeyThumbprint> {
        let state = self.published.state.read();
        Some(state.node(node)?.peer_key.thumbprint())
    }

    /// How far this process has come.
    pub(crate) fn own_report(&self) -> Report {
        // The verifiers first: what they know was published before.
        let known = self.verifiers.known(self.clocks.boot());
        let applied = self.published.revision();
        #[cfg(simulation)]
        let applied = if is_made(Mutation::ReportAppended) {
            let appended = self.raft.metrics().borrow_watched().last_log_index;
            applied.max(Revision(appended.unwrap_or(0)))
        } else {
            applied
        };
        Report {
            process: self.process,
            applied,
            verifiers: known.map(|known| known.min(applied)),
        }
    }

    /// Waits until `revision` is in force as far as `wait` says, or `within` has passed,
    /// and says how far it has come; `None` if this node does not lead, or has not
    /// applied it in that time.
    pub(crate) async fn wait(
        &self,
        revision: Revision,
        wait: Wait,
        within: Duration,
    ) -> Option<Enforcement> {
        let began = self.clocks.boot();
        let _awaiting = self.awaited.begin();
        if !self.published.reach(revision, within).await {
            return None;
        }
        let outstanding = self.outstanding(revision)?;
        let (mut reported, mut verifiers) = (self.reported.subscribe(), self.verifiers.changes());
        loop {
            reported.mark_unchanged();
            verifiers.mark_unchanged();
            let told = self.look(&outstanding);
            let passed = self.clocks.boot().since(began).unwrap_or_default();
            let left = within.saturating_sub(passed);
            if told.reaches(wait) || left.is_zero() {
                return Some(told);
            }
            // Others report to whoever leads now.
            if leader_of(&self.raft) != Some(self.own) {
                return None;
            }
            let next = told.next(wait).unwrap_or(left).min(left).min(LOOK_EVERY);
            tokio::select! {
                () = moved(&mut reported) => {}
                () = moved(&mut verifiers) => {}
                // Rounded up, so that it does not wake just before.
                () = tokio::time::sleep(next + Duration::from_millis(1)) => {}
            }
        }
    }

    fn look(&self, outstanding: &Outstanding) -> Enforcement {
        let own = self.own_report();
        let mut table = self.table.lock();
        table.hear(self.own, own);
        let now = self.clocks.boot();
        Enforcement::of(table.look(outstanding, now), now)
    }

    /// The rows as they are now that this node has applied the revision; `None` unless it
    /// leads: another gives proofs then, of which this node knows nothing.
    fn outstanding(&self, revision: Revision) -> Option<Outstanding> {
        let settings = self.published.directory.settings()?;
        let verifiers_outlive =
            Duration::from_millis(settings.times_kappa(settings.longest_v_max_ms()));
        let mut table = self.table.lock();
        if !self.begin(&mut table) {
            return None;
        }
        let applied = self.published.revision();
        Some(table.outstanding(revision, applied, self.clocks.boot(), verifiers_outlive))
    }

    /// Begins the table of a term that this node leads, once it has applied that term's
    /// first entry: before, its state may lack a node that another leader admitted. Gives
    /// whether the table is of the term that was applied last.
    ///
    /// An entry of this node's own term that is applied says that it was elected in it, and
    /// nobody else committed anything there: so what the metrics say of it late is still
    /// true. Proofs of later terms have later read indices.
    fn begin(&self, table: &mut Table) -> bool {
        let Some(term) = self.applied_term() else {
            return false;
        };
        let leads = {
            let metrics = self.raft.metrics();
            let metrics = metrics.borrow_watched();
            metrics.current_leader == Some(self.own.0) && metrics.current_term == term
        };
        if !leads {
            return false;
        }
        if table.is_of(term) {
            return true;
        }
        // Settings and nodes of one state: it holds all that was decided before the term.
        let state = self.published.state.read();
        let Some(settings) = state.settings() else {
            return false;
        };
        let nodes = state.nodes();
        let beginning = Beginning {
            term,
            now: self.clocks.boot(),
            outlives: Duration::from_millis(settings.w_ms()),
        };
        #[cfg(simulation)]
        let beginning = Beginning {
            outlives: if is_made(Mutation::TermForgets) {
                Duration::ZERO
            } else {
                beginning.outlives
            },
            ..beginning
        };
        let nodes: Vec<_> = nodes
            .map(|node| (node.number, node.removed_at.is_none()))
            .collect();
        // Where no more fit in, one that was removed long ago was forgotten when another
        // came: its verifiers may still go by what it told them.
        let forgotten = (nodes.len() >= MAX_NODES).then_some((NodeNumber(0), false));
        table.begin(&beginning, nodes.into_iter().chain(forgotten));
        true
    }

    /// The term of what was applied last, if it is an entry of this node's own.
    fn applied_term(&self) -> Option<u64> {
        let position = self.published.position.read();
        let leader = position.last.as_ref()?.committed_leader_id();
        (leader.node_id == self.own.0).then_some(leader.term)
    }
}

/// Resolves when something moved, never when nobody is left to move it.
async fn moved<T>(changes: &mut watch::Receiver<T>) {
    if changes.changed().await.is_err() {
        std::future::pending::<()>().await;
    }
}
