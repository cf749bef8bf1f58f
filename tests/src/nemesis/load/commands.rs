//! Registrations, revocations, suspensions and resumptions, at whichever node answers.

use std::{sync::Arc, time::Duration};

use chancery_client::{draw_request_id, v1};
use futures::stream::{FuturesUnordered, StreamExt};
use v1::{
    agent_service_client::AgentServiceClient, revocation_service_client::RevocationServiceClient,
};

use super::{FICKLE_OWNER, Held, Load, keep};
use crate::{
    agent::{Agent, OWNER},
    dice::Dice,
    history::{Deed, Operation, Outcome, Subject, Verb},
    nemesis::recorder::{Session, Tried, outcome},
};

/// How long an answer waits for the fence. After that every node is asked.
const WAIT_AT_MOST: prost_types::Duration = prost_types::Duration {
    seconds: 1,
    nanos: 0,
};
const BETWEEN_TRIES: Duration = Duration::from_millis(50);

impl Load {
    pub(super) async fn register_on(self: Arc<Self>) {
        let session = self.operator_over_all(0);
        let mut pace = Self::pace(self.pace.register);
        for turn in 0.. {
            pace.tick().await;
            if self.recorder.is_over() {
                return;
            }
            let agent = Agent::unregistered(&format!("{}probe/{turn}", self.name), OWNER);
            let request = v1::RegisterRequest {
                meta: meta(v1::Wait::Committed),
                agent: Some(agent.spec()),
            };
            let tried = session
                .call(|channel| {
                    let request = request.clone();
                    async move { AgentServiceClient::new(channel).register(request).await }
                })
                .await;
            if let Ok(Some(committed)) = tried.answer.as_ref().map(|it| it.committed.as_ref()) {
                self.newest
                    .lock()
                    .unwrap()
                    .clone_from(&committed.consistency_token);
            }
            let outcome = outcome(&tried.answer, |answer| answer.committed.clone());
            let deed = Deed::Registered {
                agent: agent.id.clone(),
                outcome,
            };
            self.recorder.note(session.operation(&tried, None, deed));
        }
    }

    /// Revokes single tokens, and all of a subject's now and then.
    pub(super) async fn revoke_on(self: Arc<Self>, seed: u64) {
        let mut dice = Dice::of(seed);
        let session = self.operator_over_all(dice.position(self.apis.len()));
        let mut pace = Self::pace(self.pace.revoke * 2);
        while !self.recorder.is_over() {
            pace.tick().await;
            let held = self.living.lock().unwrap().pop_back();
            let Some(held) = held else { continue };
            match dice.below(6) {
                0 => {
                    let subject = Subject::Agent(held.agent.clone());
                    self.end(held);
                    self.revoke_held(&session, subject).await;
                }
                1 => {
                    self.end(held);
                    self.revoke_held(&session, Subject::Owner(FICKLE_OWNER.to_owned()))
                        .await;
                }
                2 | 3 => self.revoke(&session, held, v1::Wait::Verifiers).await,
                _ => self.revoke(&session, held, v1::Wait::Nodes).await,
            }
        }
    }

    /// From before it is known to be ended, so that races are seen.
    fn end(&self, held: Held) {
        keep(&self.ended, held);
    }

    async fn revoke(&self, session: &Session, held: Held, wait: v1::Wait) {
        let id = held.id.clone();
        let request = v1::RevokeRequest {
            meta: meta(wait),
            credential: Some(v1::revoke_request::Credential::Token(held.token.clone())),
        };
        self.end(held);
        let tried = session
            .call(|channel| {
                let request = request.clone();
                async move { RevocationServiceClient::new(channel).revoke(request).await }
            })
            .await;
        let outcome = outcome(&tried.answer, |answer| answer.committed.clone());
        let deed = (Subject::Token(id), Verb::Revoke, outcome);
        self.note_end(session, tried, deed, wait).await;
    }

    async fn revoke_held(&self, session: &Session, subject: Subject) {
        let request = v1::RevokeHeldRequest {
            meta: meta(v1::Wait::Nodes),
            subject: wire(&subject),
        };
        let tried = session
            .call(|channel| {
                let request = request.clone();
                async move {
                    RevocationServiceClient::new(channel)
                        .revoke_held(request)
                        .await
                }
            })
            .await;
        let outcome = outcome(&tried.answer, |answer| answer.committed.clone());
        let deed = (subject, Verb::RevokeHeld, outcome);
        self.note_end(session, tried, deed, v1::Wait::Nodes).await;
    }

    /// Notes what was ended. What was answered as committed only is asked for until it
    /// is in force, as a client does that has to know.
    async fn note_end<T: HasCommitted>(
        &self,
        session: &Session,
        tried: Tried<T>,
        (subject, verb, outcome): (Subject, Verb, Outcome),
        wait: v1::Wait,
    ) {
        let deed = |outcome| Deed::Ended {
            subject: subject.clone(),
            verb,
            outcome,
        };
        let first = session.operation(&tried, None, deed(outcome));
        let committed = tried.answer.ok().and_then(|answer| answer.committed());
        let later = match (outcome, committed) {
            (Outcome::Committed(_), Some(committed)) => {
                self.await_enforced(&committed.consistency_token, wait)
                    .await
            }
            _ => None,
        };
        let operation = match (later, outcome.revision()) {
            (Some(asked), Some(revision)) => Operation {
                asked: asked.asked,
                ended: Some(asked.ended),
                deed: deed(match wait {
                    v1::Wait::Verifiers => Outcome::EnforcedInVerifiers(revision),
                    _ => Outcome::Enforced(revision),
                }),
                ..first
            },
            _ => first,
        };
        self.recorder.note(operation);
    }

    /// The first answer, of whichever node, that says that a change is in force; `None`
    /// when the load ended before.
    async fn await_enforced(
        &self,
        consistency_token: &str,
        wait: v1::Wait,
    ) -> Option<Tried<v1::AwaitEnforcedResponse>> {
        let sessions: Vec<Session> = (0..self.apis.len()).map(|at| self.waiting_at(at)).collect();
        let asking = sessions
            .iter()
            .map(|session| Box::pin(self.await_enforced_at(session, consistency_token, wait)));
        let mut asking: FuturesUnordered<_> = asking.collect();
        while let Some(answer) = asking.next().await {
            if answer.is_some() {
                return answer;
            }
        }
        None
    }

    async fn await_enforced_at(
        &self,
        session: &Session,
        consistency_token: &str,
        wait: v1::Wait,
    ) -> Option<Tried<v1::AwaitEnforcedResponse>> {
        let request = v1::AwaitEnforcedRequest {
            consistency_token: consistency_token.to_owned(),
            wait: wait.into(),
            wait_at_most: Some(WAIT_AT_MOST),
        };
        while !self.recorder.is_over() {
            let tried = session
                .call(|channel| {
                    let request = request.clone();
                    async move {
                        let mut revocations = RevocationServiceClient::new(channel);
                        revocations.await_enforced(request).await
                    }
                })
                .await;
            let told = tried.answer.as_ref().ok();
            let told = told.and_then(|answer| answer.enforcement.as_ref());
            if told.is_some_and(|told| reaches(told, wait)) {
                return Some(tried);
            }
            if tried.answer.is_err() {
                tokio::time::sleep(BETWEEN_TRIES).await;
            }
        }
        None
    }

    /// One agent, again and again.
    pub(super) async fn suspend_and_resume(self: Arc<Self>, position: usize, seed: u64) {
        let caller = &self.fickle[position];
        let subject = Subject::Agent(caller.agent.id.clone());
        let session = self.operator_over_all(position);
        let mut dice = Dice::of(seed ^ ((position as u64) << 8));
        while !self.recorder.is_over() {
            pause(&mut dice).await;
            let request = v1::SuspendRequest {
                meta: meta(v1::Wait::Nodes),
                subject: wire(&subject),
            };
            let tried = session
                .call(|channel| {
                    let request = request.clone();
                    async move { AgentServiceClient::new(channel).suspend(request).await }
                })
                .await;
            let suspended = outcome(&tried.answer, |answer| answer.committed.clone());
            let deed = (subject.clone(), Verb::Suspend, suspended);
            self.note_end(&session, tried, deed, v1::Wait::Nodes).await;
            pause(&mut dice).await;
            let request = v1::ResumeRequest {
                meta: meta(v1::Wait::Committed),
                subject: wire(&subject),
            };
            let tried = session
                .call(|channel| {
                    let request = request.clone();
                    async move { AgentServiceClient::new(channel).resume(request).await }
                })
                .await;
            let deed = Deed::Resumed {
                subject: subject.clone(),
                outcome: outcome(&tried.answer, |answer| answer.committed.clone()),
            };
            self.recorder.note(session.operation(&tried, None, deed));
        }
    }
}

async fn pause(dice: &mut Dice) {
    tokio::time::sleep(Duration::from_millis(100 + dice.below(900))).await;
}

fn meta(wait: v1::Wait) -> Option<v1::CommandMeta> {
    Some(v1::CommandMeta {
        request_id: draw_request_id().ok(),
        reason: "under faults".to_owned(),
        wait: wait.into(),
        wait_at_most: Some(WAIT_AT_MOST),
    })
}

fn reaches(told: &v1::Enforcement, wait: v1::Wait) -> bool {
    told.state() == v1::EnforcementState::Enforced
        && (told.verifiers || wait != v1::Wait::Verifiers)
}

/// What says how far it has come.
trait HasCommitted {
    fn committed(self) -> Option<v1::Committed>;
}

impl HasCommitted for v1::RevokeResponse {
    fn committed(self) -> Option<v1::Committed> {
        self.committed
    }
}

impl HasCommitted for v1::RevokeHeldResponse {
    fn committed(self) -> Option<v1::Committed> {
        self.committed
    }
}

impl HasCommitted for v1::SuspendResponse {
    fn committed(self) -> Option<v1::Committed> {
        self.committed
    }
}

fn wire(subject: &Subject) -> Option<v1::Subject> {
    use v1::subject::Subject as Wire;
    let subject = match subject {
        Subject::Token(_) => return None,
        Subject::Agent(id) => Wire::Agent(id.clone()),
        Subject::Owner(name) => Wire::Owner(name.clone()),
        Subject::Everything => Wire::Everything(true),
    };
    Some(v1::Subject {
        subject: Some(subject),
    })
}
