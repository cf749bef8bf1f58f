//! Many tasks at one node that does as it is told.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use chancery_wire::v1::{
    MintRequest, MintResponse, MintStreamRequest, MintStreamResponse, Refusal, VerifyRequest,
    VerifyResponse,
    mint_stream_response::Outcome,
    token_service_server::{TokenService, TokenServiceServer},
};
use futures::{Stream, StreamExt, future::join_all};
use hyper_util::rt::TokioIo;
use tokio::sync::{Semaphore, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{
    Code, Request, Response, Status, Streaming,
    transport::{Endpoint, Server},
};

use crate::{error::reason_of, lane::Lane};

/// What an audience may ask the node to do instead of minting.
const REFUSE: &str = "refuse";
const END: &str = "end";
const SWAP: &str = "swap";

#[derive(Clone)]
struct FakeNode {
    alone: Arc<AtomicUsize>,
    streams: Arc<AtomicUsize>,
    /// Answers that may be given over streams.
    answers: Arc<Semaphore>,
    takes_streams: bool,
}

impl FakeNode {
    /// A node that answers at once, and the way to it.
    fn ready(takes_streams: bool) -> (Self, Arc<Lane>) {
        Self::answering(Semaphore::MAX_PERMITS, takes_streams)
    }

    fn answering(answers: usize, takes_streams: bool) -> (Self, Arc<Lane>) {
        let node = Self {
            alone: Arc::default(),
            streams: Arc::default(),
            answers: Arc::new(Semaphore::new(answers)),
            takes_streams,
        };
        let (connections, accepted) = mpsc::channel(1);
        let incoming = ReceiverStream::new(accepted).map(Ok::<_, std::io::Error>);
        let service = TokenServiceServer::new(node.clone());
        tokio::spawn(
            Server::builder()
                .add_service(service)
                .serve_with_incoming(incoming),
        );
        let endpoint = Endpoint::from_static("http://node");
        let channel = endpoint.connect_with_connector_lazy(tower::service_fn(move |_| {
            let connections = connections.clone();
            async move {
                let (ours, theirs) = tokio::io::duplex(1 << 16);
                let accepted = connections.send(theirs).await;
                accepted.map_err(std::io::Error::other)?;
                Ok::<_, std::io::Error>(TokioIo::new(ours))
            }
        }));
        (node, Arc::new(Lane::over(channel)))
    }

    fn opened(&self) -> usize {
        self.streams.load(Ordering::Relaxed)
    }

    fn alone(&self) -> usize {
        self.alone.load(Ordering::Relaxed)
    }

    async fn answer(&self, message: MintStreamRequest) -> Result<MintStreamResponse, Status> {
        let MintStreamRequest { sequence, request } = message;
        let audience = request.unwrap_or_default().audience;
        let permit = self.answers.acquire().await;
        permit.unwrap().forget();
        let refusal = || Refusal {
            code: Code::PermissionDenied.into(),
            reason: "SCOPE_NOT_GRANTED".to_owned(),
            ..Refusal::default()
        };
        let outcome = match audience.as_str() {
            END => return Err(Status::unavailable("going")),
            REFUSE => Outcome::Refusal(refusal()),
            _ => Outcome::Response(minted(&audience)),
        };
        Ok(MintStreamResponse {
            sequence: sequence + u64::from(audience == SWAP),
            outcome: Some(outcome),
        })
    }
}

fn minted(audience: &str) -> MintResponse {
    MintResponse {
        token_id: audience.to_owned(),
        ..MintResponse::default()
    }
}

#[tonic::async_trait]
impl TokenService for FakeNode {
    async fn mint(&self, request: Request<MintRequest>) -> Result<Response<MintResponse>, Status> {
        self.alone.fetch_add(1, Ordering::Relaxed);
        Ok(Response::new(minted(&request.get_ref().audience)))
    }

    type MintStreamStream = Pin<Box<dyn Stream<Item = Result<MintStreamResponse, Status>> + Send>>;

    async fn mint_stream(
        &self,
        request: Request<Streaming<MintStreamRequest>>,
    ) -> Result<Response<Self::MintStreamStream>, Status> {
        self.streams.fetch_add(1, Ordering::Relaxed);
        if !self.takes_streams {
            return Err(Status::resource_exhausted("enough streams"));
        }
        let node = self.clone();
        let answers = request.into_inner().then(move |message| {
            let node = node.clone();
            async move { node.answer(message?).await }
        });
        Ok(Response::new(Box::pin(answers)))
    }

    async fn verify(&self, _: Request<VerifyRequest>) -> Result<Response<VerifyResponse>, Status> {
        Err(Status::unimplemented("not of a test"))
    }
}

fn wanted(audience: &str) -> MintRequest {
    MintRequest {
        audience: audience.to_owned(),
        ..MintRequest::default()
    }
}

/// What came of a mint: the audience that the token is for, or the refusal.
async fn mint(lane: &Lane, audience: &str) -> Result<String, Status> {
    let answer = lane.mint(wanted(audience)).await;
    answer.map(|response| response.token_id)
}

/// Begins a mint, until it waits for its answer.
async fn begin(
    lane: &Arc<Lane>,
    audience: &'static str,
) -> tokio::task::JoinHandle<Result<String, Status>> {
    let lane = lane.clone();
    let begun = tokio::spawn(async move { mint(&lane, audience).await });
    tokio::task::yield_now().await;
    begun
}

#[tokio::test]
async fn a_mint_that_is_alone_opens_no_stream() {
    let (node, lane) = FakeNode::ready(true);
    for _ in 0..3 {
        assert_eq!(mint(&lane, "a").await.unwrap(), "a");
    }
    assert_eq!((node.alone(), node.opened()), (3, 0));
}

#[tokio::test]
async fn the_mints_of_many_tasks_share_a_few_streams_and_each_gets_its_own_answer() {
    let (node, lane) = FakeNode::ready(true);
    for _ in 0..3 {
        let audiences: Vec<String> = (0..2_000).map(|number| number.to_string()).collect();
        let mints = audiences.iter().map(|audience| mint(&lane, audience));
        let minted: Vec<String> = join_all(mints)
            .await
            .into_iter()
            .map(Result::unwrap)
            .collect();
        assert_eq!(minted, audiences);
    }
    assert!(
        (1..=4).contains(&node.opened()),
        "{} streams",
        node.opened()
    );
    assert_eq!(node.alone(), 1, "the very first, which had no company");
}

#[tokio::test]
async fn a_refusal_answers_its_request_and_ends_nothing() {
    let (node, lane) = FakeNode::ready(true);
    let audiences = ["a", "b", REFUSE, "c", REFUSE, "d"];
    for _ in 0..3 {
        let answers = join_all(audiences.map(|audience| mint(&lane, audience))).await;
        for (audience, answer) in audiences.iter().zip(answers).skip(1) {
            match answer {
                Ok(token) => assert_eq!(token, *audience),
                Err(status) => {
                    assert_eq!((*audience, status.code()), (REFUSE, Code::PermissionDenied));
                    assert_eq!(reason_of(&status).as_deref(), Some("SCOPE_NOT_GRANTED"));
                }
            }
        }
    }
    assert_eq!(node.opened(), 1);
}

#[tokio::test]
async fn who_gives_up_disturbs_nobody() {
    let (node, lane) = FakeNode::answering(0, true);
    // Company for all others, so that they share a stream.
    let mut waiting = vec![("first", begin(&lane, "first").await)];
    for audience in ["a", "b", "c", "d"] {
        waiting.push((audience, begin(&lane, audience).await));
    }
    for (audience, task) in &waiting {
        if ["a", "c"].contains(audience) {
            task.abort();
        }
    }
    node.answers.add_permits(10_000);
    for (audience, task) in waiting {
        match task.await {
            Ok(answer) => assert_eq!(answer.unwrap(), audience),
            Err(gone) => assert!(gone.is_cancelled() && ["a", "c"].contains(&audience)),
        }
    }
    // What was given up keeps no room: a window's worth and more goes on.
    let mints = (0..1_000).map(|_| mint(&lane, "again"));
    assert!(join_all(mints).await.iter().all(Result::is_ok));
    assert!(node.opened() <= 4, "{} streams", node.opened());
}

#[tokio::test]
async fn a_stream_that_is_lost_loses_what_waits_and_the_next_is_opened() {
    let (node, lane) = FakeNode::ready(true);
    let audiences = ["a", "b", END, "c"];
    let answers = join_all(audiences.map(|audience| mint(&lane, audience))).await;
    let codes: Vec<Code> = answers
        .iter()
        .map(|answer| answer.as_ref().map_or_else(Status::code, |_| Code::Ok))
        .collect();
    // The retry policy sends them again, to another node.
    let lost = Code::Unavailable;
    assert_eq!(codes, [Code::Ok, Code::Ok, lost, lost]);
    let answers = join_all(["d", "e"].map(|audience| mint(&lane, audience))).await;
    assert!(answers.iter().all(Result::is_ok));
    assert_eq!(node.opened(), 2);
}

#[tokio::test]
async fn a_node_that_answers_out_of_order_is_not_believed() {
    let (_, lane) = FakeNode::ready(true);
    let audiences = ["a", SWAP, "b"];
    let answers = join_all(audiences.map(|audience| mint(&lane, audience))).await;
    assert_eq!(answers[0].as_ref().unwrap(), "a");
    for answer in &answers[1..] {
        let status = answer.as_ref().unwrap_err();
        assert!(status.message().contains("out of order"), "{status}");
    }
}

#[tokio::test]
async fn where_no_stream_is_to_be_had_each_mint_goes_alone() {
    let (node, lane) = FakeNode::ready(false);
    for _ in 0..2 {
        let answers = join_all((0..50).map(|_| mint(&lane, "a"))).await;
        assert!(answers.iter().all(Result::is_ok));
    }
    assert_eq!(node.alone(), 100);
    assert_eq!(
        node.opened(),
        1,
        "and it is not asked for one again and again"
    );
}
