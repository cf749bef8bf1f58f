//! The cluster, and who asks it all the time whether a token is in force.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use chancery_client::{
    Client, Expectations, Proof, RetryPolicy, Verifier, VerifierConfig, draw_request_id, v1,
};
use chancery_credential::CertificateThumbprint;
use chancery_tests::{
    agent::{AUDIENCE, Agent, mint},
    cluster::Cluster,
    history::{Moment, Outcome, Place},
    nemesis::recorder::{Recorder, Session, Tried, outcome},
    network::Network,
    until::until,
};
use tokio::task::JoinSet;
use v1::{
    revocation_service_client::RevocationServiceClient, token_service_client::TokenServiceClient,
};

pub const NODES: usize = 3;
/// Verifiers that follow the cluster, each another node first.
const VERIFIERS: u32 = 2;
const EVERYBODY: usize = NODES + VERIFIERS as usize;
/// Who asks at each node, one after another without a pause to speak of.
const LANES: usize = 2;
const BREATH: Duration = Duration::from_millis(1);

/// A token that everybody asks for.
#[derive(Clone)]
struct Watched {
    number: usize,
    token: String,
    certificate: Vec<u8>,
}

/// What the watchers share.
#[derive(Default)]
struct Board {
    watched: Mutex<Option<Watched>>,
    /// When the last acceptance began of each token at each place.
    accepted: Mutex<BTreeMap<(usize, Place), Moment>>,
    over: AtomicBool,
}

impl Board {
    fn note(&self, number: usize, place: Place, asked: Moment) {
        let mut accepted = self.accepted.lock().unwrap();
        let last = accepted.entry((number, place)).or_default();
        *last = asked.max(*last);
    }
}

/// All of it.
pub struct Scene {
    pub cluster: Cluster,
    pub agent: Agent,
    recorder: Recorder,
    board: Arc<Board>,
    watchers: JoinSet<()>,
    turn: usize,
}

/// A token on its way to its end.
pub struct Target {
    number: usize,
    token: String,
}

impl Scene {
    pub async fn set_up() -> Self {
        let network = Network::that_can_be_cut();
        let settings = ["--jwks-max-age", "1s"];
        let mut cluster = Cluster::found_on(network, &settings, |_| {}).await;
        for _ in 1..NODES {
            let joined = cluster.join_as(|_| {}).await;
            cluster.promote(joined).await;
        }
        let agent = Agent::register(&cluster, "watched").await;
        let (recorder, board) = (Recorder::default(), Arc::<Board>::default());
        let mut watchers = JoinSet::new();
        for position in 0..NODES {
            for _ in 0..LANES {
                let operator = at(&cluster, &[position], Duration::from_millis(700));
                let place = Place::Node(position as u64 + 1);
                let session = Session::new(&recorder, place, operator);
                watchers.spawn(watch(board.clone(), session));
            }
        }
        for number in 0..VERIFIERS {
            let first = usize::try_from(number).unwrap();
            let positions: Vec<usize> = (0..NODES).map(|at| (first + at) % NODES).collect();
            let operator = at(&cluster, &positions, Duration::from_millis(700));
            let verifier = Verifier::follow(&operator, VerifierConfig::default());
            watchers.spawn(verify(board.clone(), verifier, Place::Verifier(number)));
        }
        Self {
            cluster,
            agent,
            recorder,
            board,
            watchers,
            turn: 0,
        }
    }

    pub async fn end(mut self) {
        self.board.over.store(true, Ordering::Relaxed);
        while self.watchers.join_next().await.is_some() {}
    }

    /// Mints a token that everybody then accepts.
    pub async fn aim(&mut self) -> Target {
        self.turn += 1;
        let number = self.turn;
        let client = self.agent.at(&self.cluster, &[number % NODES]);
        let minted = mint(&client).await.unwrap();
        let certificate = self.agent.identity().certificate_thumbprint();
        *self.board.watched.lock().unwrap() = Some(Watched {
            number,
            token: minted.token.clone(),
            certificate: certificate.as_bytes().to_vec(),
        });
        until("everybody accepted the token", || async {
            let accepted = self.board.accepted.lock().unwrap();
            let places = accepted.keys().filter(|(token, _)| *token == number);
            (places.count() == EVERYBODY).then_some(())
        })
        .await;
        Target {
            number,
            token: minted.token,
        }
    }

    /// The operator over all nodes, one that need not lead first.
    pub fn operator(&self) -> Session {
        let positions: Vec<usize> = (0..NODES).map(|at| (at + self.turn) % NODES).collect();
        let client = at(&self.cluster, &positions, Duration::from_secs(15));
        Session::new(&self.recorder, Place::Cluster, client)
    }

    /// When the last acceptance of a token began, at a node and in a verifier.
    pub fn last_acceptances(&self, target: &Target) -> (Moment, Moment) {
        let accepted = self.board.accepted.lock().unwrap();
        let last = |in_verifiers: bool| {
            let there = accepted.iter().filter(|((token, place), _)| {
                *token == target.number && matches!(place, Place::Verifier(_)) == in_verifiers
            });
            there.map(|(_, began)| *began).max().unwrap_or_default()
        };
        (last(false), last(true))
    }

    /// Forgets what the watchers saw so far.
    pub fn forget(&self) {
        *self.board.watched.lock().unwrap() = None;
        self.board.accepted.lock().unwrap().clear();
    }
}

fn at(cluster: &Cluster, positions: &[usize], deadline: Duration) -> Client {
    let retry = RetryPolicy {
        deadline,
        try_timeout: deadline.min(Duration::from_secs(6)),
        ..RetryPolicy::default()
    };
    cluster.client(positions, Some(cluster.operator_identity()), retry)
}

async fn watch(board: Arc<Board>, session: Session) {
    while !board.over.load(Ordering::Relaxed) {
        let watched = board.watched.lock().unwrap().clone();
        if let Some(watched) = watched {
            let request = v1::VerifyRequest {
                token: watched.token,
                audience: AUDIENCE.to_owned(),
                certificate_sha256: watched.certificate,
                min_revision: String::new(),
            };
            let tried = session
                .call(|channel| {
                    let request = request.clone();
                    async move { TokenServiceClient::new(channel).verify(request).await }
                })
                .await;
            let accepts = tried
                .answer
                .as_ref()
                .is_ok_and(|answer| answer.verdict() == v1::verify_response::Verdict::Valid);
            if accepts {
                board.note(watched.number, session.place, tried.asked);
            }
        }
        tokio::time::sleep(BREATH).await;
    }
}

async fn verify(board: Arc<Board>, verifier: Verifier, place: Place) {
    let expected = Expectations::of(AUDIENCE.parse().unwrap());
    while !board.over.load(Ordering::Relaxed) {
        let watched = board.watched.lock().unwrap().clone();
        if let Some(watched) = watched {
            let certificate = watched.certificate.as_slice().try_into().unwrap();
            let proof = Proof {
                certificate: Some(CertificateThumbprint::from_bytes(certificate)),
            };
            let asked = Moment::now();
            if verifier
                .verify(&watched.token, &expected, &proof)
                .await
                .is_ok()
            {
                board.note(watched.number, place, asked);
            }
        }
        tokio::time::sleep(BREATH).await;
    }
}

/// Revokes a token, and gives what it was answered.
pub async fn revoke(
    operator: &Session,
    target: &Target,
    wait: v1::Wait,
) -> (Tried<v1::RevokeResponse>, Outcome) {
    let request = v1::RevokeRequest {
        meta: Some(v1::CommandMeta {
            request_id: draw_request_id().ok(),
            reason: "measured".to_owned(),
            wait: wait.into(),
            wait_at_most: Some(prost_types::Duration {
                seconds: 6,
                nanos: 0,
            }),
        }),
        credential: Some(v1::revoke_request::Credential::Token(target.token.clone())),
    };
    let tried = operator
        .call(|channel| {
            let request = request.clone();
            async move { RevocationServiceClient::new(channel).revoke(request).await }
        })
        .await;
    let outcome = outcome(&tried.answer, |answer| answer.committed.clone());
    (tried, outcome)
}

impl Target {
    /// One that nobody watches.
    pub const fn of(token: String) -> Self {
        Self { number: 0, token }
    }
}
