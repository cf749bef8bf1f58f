//! What the load and the observers saw, as it is written down.

use std::sync::{
    Mutex,
    atomic::{AtomicBool, AtomicU32, Ordering},
};

use chancery_client::{Attempt, Client, Error, Idempotence, v1};
use chancery_credential::ConsistencyToken;
use tonic::{Response, Status};

use crate::history::{Deed, History, Moment, Operation, Outcome, Place, Report, Seen};

/// A history that is being written, and whether to go on.
#[derive(Debug, Default)]
pub struct Recorder {
    history: Mutex<History>,
    sessions: AtomicU32,
    over: AtomicBool,
}

impl Recorder {
    /// One whose sessions are counted from `first`.
    #[must_use]
    pub fn beginning_at(first: u32) -> Self {
        Self {
            sessions: AtomicU32::new(first),
            ..Self::default()
        }
    }

    /// A session of its own.
    pub fn session(&self) -> u32 {
        self.sessions.fetch_add(1, Ordering::Relaxed)
    }

    /// Writes an operation down.
    pub fn note(&self, operation: Operation) {
        self.history.lock().unwrap().operations.push(operation);
    }

    /// Writes down what a node said of itself.
    pub fn report(&self, report: Report) {
        self.history.lock().unwrap().reports.push(report);
    }

    /// Ends the load.
    pub fn end(&self) {
        self.over.store(true, Ordering::Relaxed);
    }

    /// Whether the load has ended.
    pub fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    /// How many commands were acknowledged so far.
    pub fn acknowledged(&self) -> usize {
        let history = self.history.lock().unwrap();
        let operations = history.operations.iter();
        operations
            .filter(|operation| {
                matches!(
                    operation.deed,
                    Deed::Registered { outcome, .. } | Deed::Ended { outcome, .. }
                        if outcome.revision().is_some()
                )
            })
            .count()
    }

    /// All that was written down.
    pub fn take(&self) -> History {
        std::mem::take(&mut *self.history.lock().unwrap())
    }
}

/// A client whose tries are timed.
pub struct Session {
    /// Its number.
    pub number: u32,
    /// Whom it asks.
    pub place: Place,
    client: Client,
}

/// A call that was answered, or not.
pub struct Tried<T> {
    /// When the client began.
    pub begun: Moment,
    /// When the last try was sent.
    pub asked: Moment,
    /// When that was answered.
    pub ended: Moment,
    /// What came of it.
    pub answer: Result<T, Error>,
}

impl Session {
    /// A session over a client of its own.
    #[must_use]
    pub fn new(recorder: &Recorder, place: Place, client: Client) -> Self {
        Self {
            number: recorder.session(),
            place,
            client,
        }
    }

    /// Calls, with the SDK's failover and retries.
    pub async fn call<T, F, Fut>(&self, attempt: F) -> Tried<T>
    where
        F: Fn(Attempt) -> Fut,
        Fut: Future<Output = Result<Response<T>, Status>>,
    {
        let begun = Moment::now();
        let asked = Mutex::new(begun);
        let attempt = |channel| {
            *asked.lock().unwrap() = Moment::now();
            attempt(channel)
        };
        let answer = self.client.call(Idempotence::Repeatable, attempt).await;
        Tried {
            begun,
            asked: asked.into_inner().unwrap(),
            ended: Moment::now(),
            answer,
        }
    }

    /// An operation of this session. What is answered is asked for by its last try
    /// alone; a command by all of them.
    #[must_use]
    pub fn operation<T>(&self, tried: &Tried<T>, seen: Option<Seen>, deed: Deed) -> Operation {
        let is_command = matches!(
            deed,
            Deed::Registered { .. } | Deed::Ended { .. } | Deed::Resumed { .. }
        );
        let begun = if is_command { tried.begun } else { tried.asked };
        let ended = match &tried.answer {
            Ok(_) | Err(Error::Refused(_)) => Some(tried.ended),
            Err(_) => None,
        };
        Operation {
            session: self.number,
            place: self.place,
            begun,
            asked: tried.asked,
            ended,
            seen,
            deed,
        }
    }
}

/// The revision in a consistency token.
#[must_use]
pub fn revision(consistency_token: &str) -> Option<u64> {
    let token = consistency_token.parse::<ConsistencyToken>().ok()?;
    Some(token.revision.0)
}

/// What became of a command. That nothing was changed is a promise of the SDK, and
/// held against the cluster.
#[must_use]
pub fn outcome<T>(
    answer: &Result<T, Error>,
    committed: impl FnOnce(&T) -> Option<v1::Committed>,
) -> Outcome {
    match answer {
        Ok(answer) => committed(answer).map_or(Outcome::Unknown, |it| enforcement(&it)),
        Err(Error::Refused(_) | Error::Unavailable { .. }) => Outcome::Refused,
        Err(_) => Outcome::Unknown,
    }
}

fn enforcement(committed: &v1::Committed) -> Outcome {
    let Some(revision) = revision(&committed.consistency_token) else {
        return Outcome::Unknown;
    };
    let state = committed.enforcement.as_ref().map(v1::Enforcement::state);
    match state {
        Some(v1::EnforcementState::Enforced) => {
            let verifiers = committed
                .enforcement
                .as_ref()
                .is_some_and(|it| it.verifiers);
            if verifiers {
                Outcome::EnforcedInVerifiers(revision)
            } else {
                Outcome::Enforced(revision)
            }
        }
        Some(v1::EnforcementState::Committed) => Outcome::Committed(revision),
        Some(v1::EnforcementState::Unknown) | None => Outcome::Unknown,
    }
}
