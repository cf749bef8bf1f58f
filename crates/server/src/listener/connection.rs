//! One connection: its handshake, and the requests on it.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::{HttpService, service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use thiserror::Error;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tower::{Service, ServiceExt};
use tracing::debug;

use super::handshakes::Handshake;
use super::idle::{Activity, Sending};
use super::limits::Limits;
use crate::caller::{Callers, Connection};
use crate::tls::{ALPN_H2, CallerKey};

/// What all connections of a listener share.
#[derive(Clone)]
pub(super) struct Terms {
    pub(super) acceptor: TlsAcceptor,
    pub(super) callers: Callers,
    pub(super) limits: Limits,
    /// End what was begun, begin nothing.
    pub(super) drain: CancellationToken,
    /// End now.
    pub(super) cut: CancellationToken,
}

/// What a connection holds: for its handshake, and for all its life.
pub(super) struct Slots {
    pub(super) handshake: Handshake,
    pub(super) connection: OwnedSemaphorePermit,
}

/// Serves one connection to its end.
pub(super) async fn serve<S>(
    terms: Terms,
    service: S,
    tcp: TcpStream,
    remote: SocketAddr,
    slots: Slots,
) where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>
        + Clone
        + Send
        + 'static,
    S::Future: Send,
{
    let Slots {
        handshake,
        connection: _held,
    } = slots;
    let accepted = tokio::select! {
        () = terms.drain.cancelled() => return,
        () = handshake.given_up() => Err(Failure::GivenUp),
        accepted = shake_hands(&terms, tcp) => accepted,
    };
    drop(handshake);
    let (mut tls, proved) = match accepted {
        Ok(accepted) => accepted,
        Err(failure) => {
            metrics::counter!("chancery_handshakes_failed_total", "reason" => failure.reason())
                .increment(1);
            return debug!(%remote, %failure, "handshake failed");
        }
    };
    let admitted = match terms.callers.admit(proved.as_ref(), remote.ip()) {
        Ok(admitted) => admitted,
        Err(crowded) => {
            metrics::counter!("chancery_connections_refused_total", "reason" => "crowded")
                .increment(1);
            debug!(%remote, %crowded, "connection refused");
            drop(tokio::time::timeout(terms.limits.linger, tls.shutdown()).await);
            return;
        }
    };
    metrics::gauge!("chancery_connections").increment(1.0);
    let idle = if admitted.stranger {
        terms.limits.stranger_idle
    } else {
        terms.limits.idle
    };
    speak(&terms, service, tls, Connection { remote, proved }, idle).await;
    metrics::gauge!("chancery_connections").decrement(1.0);
    drop(admitted);
}

/// Why a handshake came to nothing.
#[derive(Debug, Error)]
enum Failure {
    #[error("it took too long")]
    TooSlow,
    #[error("its place was needed for one that began later")]
    GivenUp,
    #[error(transparent)]
    Refused(std::io::Error),
    #[error("the client's certificate cannot be read")]
    Unreadable,
}

impl Failure {
    /// The label of its counter.
    fn reason(&self) -> &'static str {
        match self {
            Self::TooSlow => "time",
            Self::GivenUp => "crowded",
            Self::Refused(_) => "tls",
            Self::Unreadable => "certificate",
        }
    }
}

async fn shake_hands(
    terms: &Terms,
    tcp: TcpStream,
) -> Result<(TlsStream<TcpStream>, Option<CallerKey>), Failure> {
    let tls = tokio::time::timeout(terms.limits.handshake_time, terms.acceptor.accept(tcp))
        .await
        .map_err(|_| Failure::TooSlow)?
        .map_err(Failure::Refused)?;
    let proved = match tls.get_ref().1.peer_certificates().and_then(<[_]>::first) {
        // A certificate was presented, so the caller is its key or nobody.
        Some(certificate) => Some(CallerKey::of(certificate).ok_or(Failure::Unreadable)?),
        None => None,
    };
    Ok((tls, proved))
}

async fn speak<S>(
    terms: &Terms,
    inner: S,
    tls: TlsStream<TcpStream>,
    connection: Connection,
    idle: Duration,
) where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>
        + Clone
        + Send
        + 'static,
    S::Future: Send,
{
    let activity = Arc::new(Activity::default());
    let is_h2 = tls.get_ref().1.alpn_protocol() == Some(ALPN_H2);
    let io = TokioIo::new(tls);
    let service = {
        let activity = activity.clone();
        service_fn(move |request| answer(inner.clone(), activity.clone(), connection, request))
    };
    let ended = if is_h2 {
        run(
            terms,
            &activity,
            idle,
            http2_of(&terms.limits).serve_connection(io, service),
        )
        .await
    } else {
        run(
            terms,
            &activity,
            idle,
            http1_of(&terms.limits).serve_connection(io, service),
        )
        .await
    };
    if let Err(error) = ended {
        debug!(remote = %connection.remote, %error, "connection ended");
    }
}

async fn answer<S>(
    inner: S,
    activity: Arc<Activity>,
    connection: Connection,
    request: Request<Incoming>,
) -> Result<Response<Sending>, Infallible>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
{
    let in_flight = activity.begin();
    let mut request = request.map(Body::new);
    request.extensions_mut().insert(connection);
    let response = inner.oneshot(request).await?;
    Ok(response.map(|body| in_flight.until_sent(body)))
}

/// Drives a connection until it ends, is idle or stalled for too long, or the node
/// stops.
async fn run<C>(
    terms: &Terms,
    activity: &Activity,
    idle: Duration,
    connection: C,
) -> Result<(), hyper::Error>
where
    C: Closable,
{
    let mut connection = pin!(connection);
    tokio::select! {
        ended = connection.as_mut() => return ended,
        () = activity.idle(idle) => {}
        () = activity.stalled(terms.limits.send_time) => {}
        () = terms.drain.cancelled() => {}
    }
    connection.as_mut().close();
    // A node that stops waits for its own, longer, limit and then cuts.
    let linger = async {
        if terms.drain.is_cancelled() {
            std::future::pending::<()>().await;
        }
        tokio::time::sleep(terms.limits.linger).await;
    };
    tokio::select! {
        ended = connection.as_mut() => ended,
        () = linger => Ok(()),
        () = terms.cut.cancelled() => Ok(()),
    }
}

/// A connection that can be told to end what it began and begin nothing.
trait Closable: Future<Output = Result<(), hyper::Error>> {
    fn close(self: Pin<&mut Self>);
}

impl<S> Closable for http2::Connection<TokioIo<TlsStream<TcpStream>>, S, TokioExecutor>
where
    S: HttpService<Incoming, ResBody = Sending, Error = Infallible>,
    S::Future: Send + 'static,
{
    fn close(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

impl<S> Closable for http1::Connection<TokioIo<TlsStream<TcpStream>>, S>
where
    S: HttpService<Incoming, ResBody = Sending, Error = Infallible>,
{
    fn close(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

fn http2_of(limits: &Limits) -> http2::Builder<TokioExecutor> {
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.streams)
        .max_header_list_size(limits.header_bytes)
        .max_frame_size(limits.frame_bytes)
        .initial_stream_window_size(limits.stream_window)
        .initial_connection_window_size(limits.connection_window)
        .max_send_buf_size(limits.send_buffer)
        .max_pending_accept_reset_streams(limits.pending_accept_resets)
        .max_local_error_reset_streams(limits.local_error_resets)
        .keep_alive_interval(limits.ping_every)
        .keep_alive_timeout(limits.ping_time);
    builder
}

fn http1_of(limits: &Limits) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(limits.http1_head_time)
        .max_buf_size(
            usize::try_from(limits.header_bytes)
                .unwrap_or(usize::MAX)
                .max(8192),
        )
        .max_headers(64)
        .keep_alive(true);
    builder
}
