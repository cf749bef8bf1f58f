//! The load: mints, checks, registrations, revocations, suspensions and resumptions at
//! every node, each written down with what it was answered.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
    time::Duration,
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chancery_client::{Client, Error, Identity, RetryPolicy, draw_request_id, v1};
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;
use v1::{
    agent_service_client::AgentServiceClient, cluster_service_client::ClusterServiceClient,
    revocation_service_client::RevocationServiceClient, token_service_client::TokenServiceClient,
};

use super::recorder::{Recorder, Session, outcome, revision};
use crate::{
    agent::{AUDIENCE, Agent, OWNER, add_owner, register, wanted},
    cluster::Cluster,
    dice::Dice,
    history::{Deed, Outcome, Place, Registration, Report, Seen, Subject, Verb},
};

/// Owners of which all that is held is revoked now and then.
const FICKLE_OWNER: &str = "travel";
/// Agents that are suspended and resumed all along.
const FICKLE: usize = 4;
/// Agents that are left alone.
const STEADY: usize = 4;
/// Tokens that checks choose from.
const TOKENS: usize = 64;
/// How long an answer may take that is not worth waiting for.
const IMPATIENT: Duration = Duration::from_millis(900);
/// How long a command is tried. It spans an election and the fence.
const PATIENT: Duration = Duration::from_secs(15);

/// How often everything is asked.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// Checks at each node.
    pub check: Duration,
    /// Mints at each node.
    pub mint: Duration,
    /// Registrations.
    pub register: Duration,
    /// Revocations, of which every other is a suspension or of a whole subject.
    pub revoke: Duration,
}

impl Pace {
    /// What two cores bear beside four nodes.
    pub const MODEST: Self = Self {
        check: Duration::from_millis(12),
        mint: Duration::from_millis(40),
        register: Duration::from_millis(50),
        revoke: Duration::from_millis(100),
    };
}

/// A token, and whether something was said to end it.
#[derive(Clone)]
struct Held {
    token: String,
    id: String,
    agent: String,
    certificate: Vec<u8>,
}

struct Caller {
    agent: Agent,
    owner: &'static str,
    certificate: Vec<u8>,
}

/// What all tasks of the load share.
pub struct Load {
    /// Where it is written down.
    pub recorder: Arc<Recorder>,
    pace: Pace,
    name: String,
    steady: Vec<Arc<Caller>>,
    fickle: Vec<Arc<Caller>>,
    living: Mutex<VecDeque<Held>>,
    ended: Mutex<VecDeque<Held>>,
    /// The newest state that a registration was acknowledged with.
    newest: Mutex<String>,
    operator: String,
    operator_certificate: String,
    root: String,
    apis: Vec<String>,
}

impl Load {
    /// Registers who is needed, and gives the load.
    pub async fn set_up(cluster: &Cluster, recorder: Arc<Recorder>, pace: Pace) -> Arc<Self> {
        Self::set_up_named(cluster, recorder, pace, "").await
    }

    /// The same; what all agents' names begin with is another for each load of a cluster.
    pub async fn set_up_named(
        cluster: &Cluster,
        recorder: Arc<Recorder>,
        pace: Pace,
        name: &str,
    ) -> Arc<Self> {
        let operator = cluster.operator();
        for owner in [OWNER, FICKLE_OWNER] {
            add_owner(&operator, owner).await;
        }
        let identity = cluster.operator_identity();
        let mut load = Self {
            recorder,
            pace,
            name: name.to_owned(),
            steady: Vec::new(),
            fickle: Vec::new(),
            living: Mutex::default(),
            ended: Mutex::default(),
            newest: Mutex::default(),
            operator: identity.private_key_pem().to_string(),
            operator_certificate: identity.certificate_pem(),
            root: cluster.root(),
            apis: cluster.nodes.iter().map(crate::node::Node::api).collect(),
        };
        for number in 0..STEADY {
            let path = format!("{name}steady/{number}");
            load.steady.push(enrol(&operator, &path, OWNER).await);
        }
        for number in 0..FICKLE {
            let owner = if number % 2 == 0 { OWNER } else { FICKLE_OWNER };
            let path = format!("{name}fickle/{number}");
            load.fickle.push(enrol(&operator, &path, owner).await);
        }
        Arc::new(load)
    }

    /// Begins all of it. The tasks end when the recorder is told to.
    pub fn begin(self: &Arc<Self>, seed: u64) -> JoinSet<()> {
        let mut tasks = JoinSet::new();
        for position in 0..self.apis.len() {
            let seed = seed.wrapping_mul(31).wrapping_add(position as u64);
            tasks.spawn(self.clone().check_on(position, seed));
            tasks.spawn(self.clone().mint_on(position));
            tasks.spawn(self.clone().observe(position));
        }
        tasks.spawn(self.clone().register_on());
        for lane in 0..2 {
            tasks.spawn(self.clone().revoke_on(seed ^ lane));
        }
        for position in 0..self.fickle.len() {
            tasks.spawn(self.clone().suspend_and_resume(position, seed));
        }
        tasks
    }

    fn client(&self, positions: &[usize], identity: Identity, deadline: Duration) -> Client {
        Client::new(chancery_client::Config {
            endpoints: positions.iter().map(|at| self.apis[*at].clone()).collect(),
            root: self.root.clone(),
            identity: Some(identity),
            retry: RetryPolicy {
                deadline,
                try_timeout: deadline.min(Duration::from_secs(6)),
                ..RetryPolicy::default()
            },
        })
        .unwrap()
    }

    fn operator(&self) -> Identity {
        Identity::from_pem(&self.operator, Some(&self.operator_certificate)).unwrap()
    }

    /// The operator at one node, without patience.
    fn operator_at(&self, position: usize) -> Session {
        let client = self.client(&[position], self.operator(), IMPATIENT);
        Session::new(&self.recorder, Place::Node(position as u64 + 1), client)
    }

    /// The operator at whichever node answers, another one first each time.
    fn operator_over_all(&self, first: usize) -> Session {
        let count = self.apis.len();
        let positions: Vec<usize> = (0..count).map(|at| (first + at) % count).collect();
        let client = self.client(&positions, self.operator(), PATIENT);
        Session::new(&self.recorder, Place::Cluster, client)
    }

    fn pace(every: Duration) -> tokio::time::Interval {
        let mut pace = tokio::time::interval(every);
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        pace
    }

    async fn check_on(self: Arc<Self>, position: usize, seed: u64) {
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
    fn choose(&self, dice: &mut Dice) -> Option<Held> {
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

    /// All agents in turn, those that may not mint too.
    async fn mint_on(self: Arc<Self>, position: usize) {
        let place = Place::Node(position as u64 + 1);
        let callers: Vec<_> = self.steady.iter().chain(&self.fickle).cloned().collect();
        let sessions: Vec<Session> = callers
            .iter()
            .map(|caller| {
                let client = self.client(&[position], caller.agent.identity(), IMPATIENT);
                Session::new(&self.recorder, place, client)
            })
            .collect();
        let mut pace = Self::pace(self.pace.mint);
        for turn in 0.. {
            pace.tick().await;
            if self.recorder.is_over() {
                return;
            }
            let which = turn % callers.len();
            self.mint(&sessions[which], &callers[which]).await;
        }
    }

    async fn mint(&self, session: &Session, caller: &Caller) -> Option<Held> {
        let tried = session
            .call(|channel| async move { TokenServiceClient::new(channel).mint(wanted()).await })
            .await;
        let minted = tried.answer.as_ref().ok()?;
        let deed = Deed::Minted {
            token: minted.token_id.clone(),
            agent: caller.agent.id.clone(),
            owner: caller.owner.to_owned(),
            rev: rev(&minted.token),
        };
        let held = Held {
            token: minted.token.clone(),
            id: minted.token_id.clone(),
            agent: caller.agent.id.clone(),
            certificate: caller.certificate.clone(),
        };
        self.recorder.note(session.operation(&tried, None, deed));
        keep(&self.living, held.clone());
        Some(held)
    }

    /// What a node says of itself, as often as it may lead.
    async fn observe(self: Arc<Self>, position: usize) {
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

    async fn register_on(self: Arc<Self>) {
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
                self.newest.lock().unwrap().clone_from(&committed.consistency_token);
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
    async fn revoke_on(self: Arc<Self>, seed: u64) {
        let session = self.operator_over_all(1);
        let mut dice = Dice::of(seed);
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
                    self.revoke_held(&session, Subject::Owner(FICKLE_OWNER.to_owned())).await;
                }
                _ => self.revoke(&session, held).await,
            }
        }
    }

    /// From before it is known to be ended, so that races are seen.
    fn end(&self, held: Held) {
        keep(&self.ended, held);
    }

    async fn revoke(&self, session: &Session, held: Held) {
        let id = held.id.clone();
        let request = v1::RevokeRequest {
            meta: meta(v1::Wait::Nodes),
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
        self.note_end(session, &tried, Subject::Token(id), Verb::Revoke, outcome);
    }

    async fn revoke_held(&self, session: &Session, subject: Subject) {
        let request = v1::RevokeHeldRequest {
            meta: meta(v1::Wait::Nodes),
            subject: wire(&subject),
        };
        let tried = session
            .call(|channel| {
                let request = request.clone();
                async move { RevocationServiceClient::new(channel).revoke_held(request).await }
            })
            .await;
        let outcome = outcome(&tried.answer, |answer| answer.committed.clone());
        self.note_end(session, &tried, subject, Verb::RevokeHeld, outcome);
    }

    fn note_end<T>(
        &self,
        session: &Session,
        tried: &super::recorder::Tried<T>,
        subject: Subject,
        verb: Verb,
        outcome: Outcome,
    ) {
        let deed = Deed::Ended {
            subject,
            verb,
            outcome,
        };
        self.recorder.note(session.operation(tried, None, deed));
    }

    /// One agent, again and again.
    async fn suspend_and_resume(self: Arc<Self>, position: usize, seed: u64) {
        let caller = &self.fickle[position];
        let subject = Subject::Agent(caller.agent.id.clone());
        let session = self.operator_over_all(position);
        let mut dice = Dice::of(seed ^ (position as u64) << 8);
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
            self.note_end(&session, &tried, subject.clone(), Verb::Suspend, suspended);
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

async fn enrol(operator: &Client, path: &str, owner: &'static str) -> Arc<Caller> {
    let agent = Agent::unregistered(path, owner);
    register(operator, agent.spec()).await.unwrap();
    let certificate = agent.identity().certificate_thumbprint().as_bytes().to_vec();
    Arc::new(Caller {
        agent,
        owner,
        certificate,
    })
}

fn keep(pool: &Mutex<VecDeque<Held>>, held: Held) {
    let mut pool = pool.lock().unwrap();
    pool.push_back(held);
    if pool.len() > TOKENS {
        pool.pop_front();
    }
}

async fn pause(dice: &mut Dice) {
    tokio::time::sleep(Duration::from_millis(100 + dice.below(900))).await;
}

/// The `rev` of a token.
fn rev(token: &str) -> u64 {
    let claims = token.split('.').nth(1).unwrap();
    let claims = URL_SAFE_NO_PAD.decode(claims).unwrap();
    let claims: serde_json::Value = serde_json::from_slice(&claims).unwrap();
    claims["rev"].as_u64().unwrap()
}

fn meta(wait: v1::Wait) -> Option<v1::CommandMeta> {
    Some(v1::CommandMeta {
        request_id: draw_request_id().ok(),
        reason: "under faults".to_owned(),
        wait: wait.into(),
        wait_at_most: Some(prost_types::Duration {
            seconds: 5,
            nanos: 0,
        }),
    })
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
