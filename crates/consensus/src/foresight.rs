//! Outcomes that need no entry of the log: of a request that was decided before, and
//! of one that can only be rejected. So a flood of bad commands fills no log.
//!
//! ```text
//!  command ─► decided before? ────────────────────────► its first outcome
//!                 │ no
//!                 ▼
//!             sent before? ────────────────── yes ──► the log
//!                 │ no
//!                 ▼
//!             rejected, as the state is here? ── no ──► the log
//!                 │ yes
//!                 ▼
//!             a proof of freshness, begun now ── none ► the log
//!                 │
//!                 ▼
//!             rejected still? ── yes ─────────────────► the rejection, not committed
//! ```
//!
//! The proof is what makes the rejection true: it was judged by a state that holds
//! everything that was committed when the command came, even if this node leads no
//! more. The proofs are those that the node makes at each tick anyway.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use chancery_authority::{Foreseen, Reason, Rejection, RequestKey, Stamped};
use parking_lot::Mutex;

use crate::{freshness::Prover, outcome::Outcome, published::Published};

/// How long a proof is waited for: several ticks. Without one, the log tells.
const PROOF_WAIT: Duration = Duration::from_millis(500);

/// Rejections that are remembered, at about 300 bytes each.
const MAX_TOLD: usize = 1 << 17;

/// The judgement before the log, on the node that leads.
pub(crate) struct Foresight {
    published: Arc<Published>,
    prover: Arc<Prover>,
    told: Mutex<Told>,
    /// Requests on their way into the log from here, and how often each: of these the
    /// log tells, for one that was sent again must not be told no while its first copy
    /// is still to be applied.
    in_flight: Arc<Mutex<BTreeMap<RequestKey, usize>>>,
}

/// A request on its way into the log, until this is dropped.
pub(crate) struct InFlight {
    key: RequestKey,
    all: Arc<Mutex<BTreeMap<RequestKey, usize>>>,
}

impl InFlight {
    /// Whether another copy is on its way: then this one may not be told no.
    fn has_another(&self) -> bool {
        let copies = self.all.lock().get(&self.key).copied();
        copies.is_some_and(|copies| copies > 1)
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        let mut all = self.all.lock();
        if let Some(copies) = all.get_mut(&self.key) {
            *copies = copies.saturating_sub(1);
            if *copies == 0 {
                all.remove(&self.key);
            }
        }
    }
}

impl Foresight {
    pub(crate) fn new(published: Arc<Published>, prover: Arc<Prover>) -> Self {
        Self {
            published,
            prover,
            told: Mutex::default(),
            in_flight: Arc::default(),
        }
    }

    /// Begins to count a request as on its way.
    pub(crate) fn in_flight(&self, stamped: &Stamped) -> InFlight {
        let (key, all) = (key_of(stamped), self.in_flight.clone());
        let mut copies = all.lock();
        let count = copies.entry(key.clone()).or_default();
        *count = count.saturating_add(1);
        drop(copies);
        InFlight { key, all }
    }

    /// The outcome of a command that would change nothing; `None` when the log has
    /// to tell: of one that was sent before, so that no leader carries out a copy of it
    /// after its sender was told no. `own` is the request itself, on its way since
    /// before this was asked, so that of two copies at least one sees the other.
    pub(crate) async fn outcome(
        &self,
        stamped: &Stamped,
        own: &InFlight,
        retried: bool,
    ) -> Option<Outcome> {
        let doubtful = match self.published.state.read().foresee(stamped) {
            Foreseen::Decided { revision, outcome } => return Some(decided(revision, outcome)),
            Foreseen::Rejected { remembered, .. } => {
                self.was_told(stamped) || !(retried && remembered)
            }
            Foreseen::Open => self.was_told(stamped),
        };
        if !doubtful
            || own.has_another()
            || self.prover.next_proof(PROOF_WAIT).await.is_err()
            || own.has_another()
        {
            return None;
        }
        self.judged(stamped, retried)
    }

    /// Whether this leader has rejected it, without the log.
    fn was_told(&self, stamped: &Stamped) -> bool {
        self.told.lock().of(stamped).is_some()
    }

    /// By a state that was proved to be current after the command came.
    fn judged(&self, stamped: &Stamped, retried: bool) -> Option<Outcome> {
        let state = self.published.state.read();
        let foreseen = state.foresee(stamped);
        if let Foreseen::Decided { revision, outcome } = foreseen {
            return Some(decided(revision, outcome));
        }
        let mut told = self.told.lock();
        let rejection = match (told.of(stamped), foreseen) {
            (Some(rejection), _) => rejection,
            (
                None,
                Foreseen::Rejected {
                    rejection,
                    remembered,
                },
            ) => {
                if remembered && retried {
                    return None;
                }
                if remembered {
                    told.remember(stamped, rejection.clone(), state.request_floor_ms());
                }
                rejection
            }
            (None, Foreseen::Open | Foreseen::Decided { .. }) => return None,
        };
        tracing::info!(
            actor = %stamped.meta.actor,
            via = %stamped.meta.via,
            reason = rejection.code(),
            "a command was rejected before the log"
        );
        Some(Outcome {
            revision: state.revision(),
            verdict: Err(rejection),
        })
    }
}

fn decided(
    revision: chancery_credential::Revision,
    verdict: Result<chancery_authority::Answer, Rejection>,
) -> Outcome {
    Outcome { revision, verdict }
}

/// The rejections that were told and are in no log: a copy of the request that comes
/// late, by another way, is not carried out after its sender was told no. As long as
/// a request is remembered, and there is room; what was told first goes first, so that
/// nobody pushes others out by the time that a request claims.
#[derive(Default)]
struct Told {
    rejections: BTreeMap<RequestKey, ([u8; 32], Rejection)>,
    /// Each of them once, in the order in which they were told.
    order: VecDeque<RequestKey>,
}

impl Told {
    fn of(&self, stamped: &Stamped) -> Option<Rejection> {
        let (digest, rejection) = self.rejections.get(&key_of(stamped))?;
        if *digest == stamped.meta.digest {
            return Some(rejection.clone());
        }
        // As if it stood in the log: an id names one command.
        let time_ms = stamped.meta.request.time_ms;
        Some(Rejection::new(Reason::RequestReused, time_ms))
    }

    fn remember(&mut self, stamped: &Stamped, rejection: Rejection, floor_ms: u64) {
        let key = key_of(stamped);
        let told = (stamped.meta.digest, rejection);
        if self.rejections.insert(key.clone(), told).is_none() {
            self.order.push_back(key);
        }
        while let Some(first) = self.order.front() {
            if first.id.time_ms >= floor_ms && self.rejections.len() <= MAX_TOLD {
                return;
            }
            self.rejections.remove(first);
            self.order.pop_front();
        }
    }
}

fn key_of(stamped: &Stamped) -> RequestKey {
    RequestKey {
        id: stamped.meta.request,
        actor: stamped.meta.actor.clone(),
    }
}
