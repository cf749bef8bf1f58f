//! What is asked all the time, and once more at the end: whether tokens are in force,
//! how a node is, what it knows.

use std::{sync::Arc, time::Duration};

use chancery_client::{Error, v1};
use v1::{
    agent_service_client::AgentServiceClient, cluster_service_client::ClusterServiceClient,
    revocation_service_client::RevocationServiceClient, token_service_client::TokenServiceClient,
};

use super::{Held, Load, PATIENT};
use crate::{
    agent::AUDIENCE,
    dice::Dice,
    history::{Deed, Registration, Report, Seen},
    nemesis::recorder::{Session, revision},
};

impl Load {
    pub(super) async fn check_on(self: Arc<Self>, position: usize, seed: u64) {
        let session = self.operator_at(position);
        let mut dice = Dice::of(seed);
        let mut pace = Self::pace(self.pace.check);
        while !self.recorder.is_over() {
            pace.tick().await;
            if let Some(held) = self.choose(&mut dice) {
                self.check(&session, held, dice.chance(50)).await;
            }
        }
    }

    /// One of the last that were ended, or any other.
    pub(super) fn choose(&self, dice: &mut Dice) -> Option<Held> {
        let pools = [&self.ended, &self.living];
        let pool = pools[usize::from(dice.chance(40))].lock().unwrap();
        let last = pool.len().checked_sub(1)?;
        // Those that were ended last are asked for most.
        let back = dice.position(pool.len()).min(dice.position(pool.len()));
        pool.get(last - back).cloned()
    }

    /// Whether a token is in force, said by `Verify` or by `Check`.
    async fn check(&self, session: &Session, held: Held, by_verify: bool) {
        let accepted = Deed::Accepted {
            token: held.id.clone(),
        };
        let rejected = Deed::Rejected {
            token: held.id.clone(),
        };
        let note = |accepts: bool, token: &str, age_ms: u64| {
            let seen = revision(token).map(|revision| Seen {
                revision,
                age: Some(Duration::from_millis(age_ms)),
            });
            (if accepts { accepted } else { rejected }, seen)
        };
        if by_verify {
            let request = v1::VerifyRequest {
                token: held.token,
                audience: AUDIENCE.to_owned(),
                certificate_sha256: held.certificate,
                min_revision: String::new(),
            };
            let tried = session
                .call(|channel| {
                    let request = request.clone();
                    async move { TokenServiceClient::new(channel).verify(request).await }
                })
                .await;
            if let Ok(answer) = &tried.answer {
                let accepts = answer.verdict() == v1::verify_response::Verdict::Valid;
                let (deed, seen) = note(accepts, &answer.consistency_token, answer.age_ms);
                self.recorder.note(session.operation(&tried, seen, deed));
            }
        } else {
            let request = v1::CheckRequest {
                credential: Some(v1::check_request::Credential::Token(held.token)),
                min_revision: String::new(),
            };
            let tried = session
                .call(|channel| {
                    let request = request.clone();
                    async move { RevocationServiceClient::new(channel).check(request).await }
                })
                .await;
            if let Ok(answer) = &tried.answer {
                let (deed, seen) = note(answer.in_force, &answer.consistency_token, answer.age_ms);
                self.recorder.note(session.operation(&tried, seen, deed));
            }
        }
    }

    /// What a node says of itself, as often as it may lead.
    pub(super) async fn observe(self: Arc<Self>, position: usize) {
        let session = self.operator_at(position);
        let mut pace = Self::pace(Duration::from_millis(100));
        while !self.recorder.is_over() {
            pace.tick().await;
            self.look(&session).await;
        }
    }

    async fn look(&self, session: &Session) -> Option<v1::StatusResponse> {
        let tried = session
            .call(|channel| async move {
                let mut cluster = ClusterServiceClient::new(channel);
                cluster.status(v1::StatusRequest::default()).await
            })
            .await;
        let status = tried.answer.ok()?;
        self.recorder.report(Report {
            node: status.node,
            asked: tried.asked,
            seen: tried.ended,
            term: status.term,
            leader: status.leader,
            revision: status.revision,
            digest: status.state_digest.clone(),
        });
        Some(status)
    }

    /// Whether a node says, when all is well, that the newest change is in force; what
    /// it says otherwise.
    pub async fn newest_is_enforced(&self, position: usize) -> Result<(), String> {
        let client = self.client(&[position], self.operator(), PATIENT);
        let newest = self.newest.lock().unwrap().clone();
        let told = client
            .await_enforced(&newest, v1::Wait::Nodes, Duration::from_secs(8))
            .await;
        match told {
            Ok(told) if told.state() == v1::EnforcementState::Enforced => Ok(()),
            other => Err(format!("node {}: {other:?}", position + 1)),
        }
    }

    /// After the load: every registration that was acknowledged and every token that was
    /// ended, asked for at a node, and written down.
    pub async fn read_back(&self, position: usize, agents: &[String]) {
        let session = self.operator_at(position);
        for agent in agents {
            while !self.read(&session, agent).await {}
        }
        let ended: Vec<Held> = self.ended.lock().unwrap().iter().cloned().collect();
        for held in ended {
            self.check(&session, held, true).await;
        }
    }

    /// Whether it was answered.
    async fn read(&self, session: &Session, agent: &str) -> bool {
        let request = v1::GetRequest {
            id: agent.to_owned(),
            min_revision: self.newest.lock().unwrap().clone(),
        };
        let tried = session
            .call(|channel| {
                let request = request.clone();
                async move { AgentServiceClient::new(channel).get(request).await }
            })
            .await;
        let (found, seen) = match &tried.answer {
            Ok(answer) => {
                let found = answer.agent.as_ref();
                let found = found.map(|agent| Registration {
                    suspended: agent.suspended,
                });
                (found, revision(&answer.consistency_token))
            }
            // It does not say from which state; that is at least the one that was asked for.
            Err(Error::Refused(refusal)) if refusal.reason == "AGENT_UNKNOWN" => {
                (None, revision(&request.min_revision))
            }
            Err(_) => return false,
        };
        let seen = seen.map(|revision| Seen {
            revision,
            age: None,
        });
        let deed = Deed::Read {
            agent: agent.to_owned(),
            found,
        };
        self.recorder.note(session.operation(&tried, seen, deed));
        true
    }
}
