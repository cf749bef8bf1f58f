//! What verifiers follow: the server's own feed, its conversations and its roll of
//! verifiers, behind tonic's own HTTP/2. Only who calls is not made out.

#[allow(dead_code, reason = "the server has more uses of it")]
#[path = "../../../../crates/server/src/service/consistency.rs"]
mod consistency;
#[path = "../../../../crates/server/src/service/conversation.rs"]
mod conversation;
#[path = "../../../../crates/server/src/service/feed.rs"]
mod feed;
#[path = "../../../../crates/server/src/service/in_force.rs"]
mod in_force;
#[path = "../../../../crates/server/src/service/on_its_own.rs"]
mod on_its_own;
#[allow(dead_code, reason = "the server has more uses of it")]
#[path = "../../../../crates/server/src/service/parse.rs"]
mod parse;
#[path = "../../../../crates/server/src/minting/turns.rs"]
mod turns;
#[path = "../../../../crates/server/src/service/watch.rs"]
mod watch;

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use chancery_consensus::{Connection, Consensus, Transport as _};
use chancery_wire::v1::{
    self,
    revocation_service_server::{RevocationService, RevocationServiceServer},
};
use futures::{Stream, stream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tonic::{
    Request, Response, Status, Streaming,
    transport::server::{Connected, Server},
};

use crate::{caller::Identity, network::Wire, recent::Recent, subscriptions::Subscriptions};
use turns::Turns;

/// What the server's desk has, as far as a watcher's is concerned.
pub struct Desk {
    consensus: Consensus,
    turns: Turns,
    recent: Arc<Recent>,
    subscriptions: Arc<Subscriptions>,
}

impl Desk {
    pub fn new(
        consensus: Consensus,
        recent: Arc<Recent>,
        subscriptions: Arc<Subscriptions>,
    ) -> Self {
        Self {
            consensus,
            turns: Turns::new(2),
            recent,
            subscriptions,
        }
    }
}

/// Lets verifiers watch until the process ends.
pub async fn serve(desk: Desk, door: Arc<Wire>) {
    let connections = stream::unfold(door, |door| async move {
        let accepted = door.accept().await;
        Some((accepted.map(|(connection, _)| Accepted(connection)), door))
    });
    let service = RevocationServiceServer::new(Watched(Arc::new(desk)));
    let serving = Server::builder().add_service(service);
    // It ends with the process.
    let _ = serving.serve_with_incoming(connections).await;
}

struct Watched(Arc<Desk>);

type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

fn not_here<T>() -> Result<Response<T>, Status> {
    Err(Status::unimplemented("not in a simulation"))
}

#[tonic::async_trait]
impl RevocationService for Watched {
    type CheckStreamStream = Answers<v1::CheckStreamResponse>;
    type WatchStream = Answers<v1::WatchResponse>;

    async fn watch(
        &self,
        request: Request<Streaming<v1::WatchRequest>>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let mut requests = request.into_inner();
        let first = watch::first(&mut requests).await?;
        watch::may_ask(&self.0, first.max_age_ms)?;
        let since = watch::since(&self.0, &first.since).await?;
        let desk = self.0.clone();
        let told = watch::responses(desk, &Identity, first.max_age_ms, since, requests)?;
        Ok(Response::new(told))
    }

    async fn revoke(
        &self,
        _: Request<v1::RevokeRequest>,
    ) -> Result<Response<v1::RevokeResponse>, Status> {
        not_here()
    }

    async fn revoke_held(
        &self,
        _: Request<v1::RevokeHeldRequest>,
    ) -> Result<Response<v1::RevokeHeldResponse>, Status> {
        not_here()
    }

    async fn check(
        &self,
        _: Request<v1::CheckRequest>,
    ) -> Result<Response<v1::CheckResponse>, Status> {
        not_here()
    }

    async fn await_enforced(
        &self,
        _: Request<v1::AwaitEnforcedRequest>,
    ) -> Result<Response<v1::AwaitEnforcedResponse>, Status> {
        not_here()
    }

    async fn check_stream(
        &self,
        _: Request<Streaming<v1::CheckStreamRequest>>,
    ) -> Result<Response<Self::CheckStreamStream>, Status> {
        not_here()
    }

    async fn list_changes(
        &self,
        _: Request<v1::ListChangesRequest>,
    ) -> Result<Response<v1::ListChangesResponse>, Status> {
        not_here()
    }
}

/// A connection of which nothing is known.
struct Accepted(Box<dyn Connection>);

impl Connected for Accepted {
    type ConnectInfo = ();

    fn connect_info(&self) {}
}

impl AsyncRead for Accepted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl AsyncWrite for Accepted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}
