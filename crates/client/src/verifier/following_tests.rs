//! A verifier over streams: to nodes that answer, fall silent, and come back.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::{
    pin::Pin,
    sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
};

use chancery_credential::{Claims, ConsistencyToken, Lineage, Revision};
use futures::{Stream, StreamExt, stream};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming, transport::Endpoint};

use super::{
    fixture::{AUDIENCE, claims, token},
    *,
};
use crate::{endpoints::Endpoints, retry::RetryPolicy};
use chancery_wire::v1::{
    self,
    revocation_service_server::{RevocationService, RevocationServiceServer},
    watch_response::Event,
};

/// How long a condition may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A node of a cluster whose issuer 1 was opened at revision 5.
#[derive(Default)]
struct FakeNode {
    revision: AtomicU64,
    is_silent: AtomicBool,
    answered: AtomicUsize,
    /// What the last watcher began with.
    since: Mutex<String>,
}

impl FakeNode {
    fn at(revision: u64) -> Arc<Self> {
        let node = Self::default();
        node.revision.store(revision, Ordering::SeqCst);
        Arc::new(node)
    }

    fn state(&self) -> (u64, String) {
        let revision = self.revision.load(Ordering::SeqCst);
        let lineage = Lineage {
            generation: 1,
            random: 7,
        };
        let token = ConsistencyToken {
            lineage,
            revision: Revision(revision),
        };
        (revision, token.to_string())
    }

    /// The terms, then everything that is in force or nothing that changed.
    fn beginning(&self, since: &str) -> Vec<Event> {
        *self.since.lock() = since.to_owned();
        let (revision, consistency_token) = self.state();
        let terms = Event::Terms(v1::Terms {
            max_age_ms: 5_000,
            rho_percent: 10,
            leeway_s: 2,
            ttl_cap_s: 900,
            issuer: claims().iss,
            trust_domain: "example.org".to_owned(),
            consistency_token: consistency_token.clone(),
        });
        let told = match since.parse::<ConsistencyToken>() {
            Ok(since) => Event::Delta(v1::ViewDelta {
                previous: since.revision.0,
                revision,
                changes: Vec::new(),
                consistency_token,
            }),
            Err(_) => Event::Snapshot(v1::ViewSnapshot {
                changes: vec![fixture::opened(1)],
                last: true,
                revision,
                consistency_token,
            }),
        };
        vec![terms, told]
    }

    fn answer(&self, ping: v1::Ping) -> Option<Event> {
        if self.is_silent.load(Ordering::SeqCst) {
            return None;
        }
        self.answered.fetch_add(1, Ordering::SeqCst);
        Some(Event::Pong(v1::Pong {
            sent: ping.sent,
            revision: self.state().0,
            age_us: 1_000,
            max_age_ms: 5_000,
        }))
    }
}

struct Service(Arc<FakeNode>);

type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[tonic::async_trait]
impl RevocationService for Service {
    async fn revoke(
        &self,
        _: Request<v1::RevokeRequest>,
    ) -> Result<Response<v1::RevokeResponse>, Status> {
        Err(Status::unimplemented("a fake"))
    }

    async fn revoke_held(
        &self,
        _: Request<v1::RevokeHeldRequest>,
    ) -> Result<Response<v1::RevokeHeldResponse>, Status> {
        Err(Status::unimplemented("a fake"))
    }

    async fn await_enforced(
        &self,
        _: Request<v1::AwaitEnforcedRequest>,
    ) -> Result<Response<v1::AwaitEnforcedResponse>, Status> {
        Err(Status::unimplemented("a fake"))
    }

    async fn check(
        &self,
        _: Request<v1::CheckRequest>,
    ) -> Result<Response<v1::CheckResponse>, Status> {
        Err(Status::unimplemented("a fake"))
    }

    type CheckStreamStream = Answers<v1::CheckStreamResponse>;

    async fn check_stream(
        &self,
        _: Request<Streaming<v1::CheckStreamRequest>>,
    ) -> Result<Response<Self::CheckStreamStream>, Status> {
        Err(Status::unimplemented("a fake"))
    }

    async fn list_changes(
        &self,
        _: Request<v1::ListChangesRequest>,
    ) -> Result<Response<v1::ListChangesResponse>, Status> {
        Err(Status::unimplemented("a fake"))
    }

    type WatchStream = Answers<v1::WatchResponse>;

    async fn watch(
        &self,
        request: Request<Streaming<v1::WatchRequest>>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let mut requests = request.into_inner();
        let first = requests.message().await?.unwrap();
        let node = self.0.clone();
        let beginning = stream::iter(node.beginning(&first.since));
        let answers = requests.filter_map(move |request| {
            let ping = request.ok().and_then(|request| request.ping);
            std::future::ready(ping.and_then(|ping| node.answer(ping)))
        });
        let told = beginning.chain(answers).chain(stream::pending());
        Ok(Response::new(Box::pin(told.map(|event| {
            Ok(v1::WatchResponse { event: Some(event) })
        }))))
    }
}

/// A connection within this process.
fn channel(node: &Arc<FakeNode>) -> tonic::transport::Channel {
    let (connections, accepted) = mpsc::channel::<std::io::Result<tokio::io::DuplexStream>>(4);
    let server = tonic::transport::Server::builder()
        .add_service(RevocationServiceServer::new(Service(node.clone())))
        .serve_with_incoming(ReceiverStream::new(accepted));
    tokio::spawn(server);
    Endpoint::from_static("http://fake").connect_with_connector_lazy(tower::service_fn(move |_| {
        let connections = connections.clone();
        async move {
            let (near, far) = tokio::io::duplex(64 * 1024);
            let sent = connections.send(Ok(far)).await;
            sent.map_err(|_| std::io::Error::other("the node is gone"))?;
            Ok::<_, std::io::Error>(TokioIo::new(near))
        }
    }))
}

fn verifier(nodes: &[Arc<FakeNode>]) -> Verifier {
    let channels = nodes.iter().map(channel).collect();
    let endpoints = Arc::new(Endpoints::over(channels));
    Verifier::follow_over(endpoints, RetryPolicy::default(), VerifierConfig::default())
}

async fn until(what: &str, condition: impl Fn() -> bool) {
    let looking = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let outcome = tokio::time::timeout(PATIENCE, looking).await;
    assert!(outcome.is_ok(), "it was never so that {what}");
}

/// A token of now, of this revision.
fn minted_at(revision: u64) -> String {
    let now = SystemClock.now().wall;
    token(&Claims {
        iat: now - 1,
        exp: now + 200,
        rev: Revision(revision),
        ..claims()
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_follows_a_node_that_answers_judges_by_itself() {
    let node = FakeNode::at(20);
    let verifier = verifier(std::slice::from_ref(&node));
    verifier.ready(PATIENCE).await.unwrap();
    let ledger = Expectations::of(AUDIENCE.parse().unwrap());
    let accepted = verifier
        .verify(&minted_at(20), &ledger, &Proof::default())
        .await;
    assert_eq!(accepted.unwrap().standing().revision, Revision(20));

    // Ahead of the view: it asks, and is answered from where the node is now.
    node.revision.store(30, Ordering::SeqCst);
    let accepted = verifier
        .verify(&minted_at(25), &ledger, &Proof::default())
        .await;
    assert_eq!(accepted.unwrap().standing().revision, Revision(30));
    let beyond = verifier
        .verify(&minted_at(31), &ledger, &Proof::default())
        .await;
    assert!(matches!(beyond, Err(Rejected::Refused(_))), "{beyond:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_falls_silent_is_left_for_one_that_answers() {
    let nodes = [FakeNode::at(20), FakeNode::at(20)];
    let verifier = verifier(&nodes);
    verifier.ready(PATIENCE).await.unwrap();
    let [silent, other] = &nodes;
    assert_eq!(other.answered.load(Ordering::SeqCst), 0);
    silent.is_silent.store(true, Ordering::SeqCst);
    until("the other was asked", || {
        other.answered.load(Ordering::SeqCst) > 0
    })
    .await;
    assert_eq!(
        *other.since.lock(),
        other.state().1,
        "it goes on where it was"
    );
    assert!(verifier.age().is_some());

    // Neither answers: it ends by itself, whatever is still connected.
    other.is_silent.store(true, Ordering::SeqCst);
    until("it accepted nothing", || verifier.age().is_none()).await;
    silent.is_silent.store(false, Ordering::SeqCst);
    until("it was back", || verifier.age().is_some()).await;
}
