//! The accept loop.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response};
use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::body::Body;
use tower::{Layer, Service};
use tracing::{info, warn};

use super::connection::{self, Slots, Terms};
use super::handshakes::Handshakes;
use super::limits::Limits;
use crate::caller::Callers;

/// The pause after the system refused a connection for want of something that
/// only time gives back: file descriptors, memory.
const PAUSE: Duration = Duration::from_millis(100);

/// A bound port that serves when [`serve`](Self::serve) is called.
pub struct Listener {
    tcp: TcpListener,
    tls: Arc<ServerConfig>,
    limits: Limits,
}

/// How a listener ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Drained {
    /// Connections that had not ended what they began when the time was up.
    pub cut: usize,
}

impl Listener {
    /// Binds `address`.
    ///
    /// # Errors
    ///
    /// What the system says: the port is taken, or the address is not this
    /// machine's.
    pub async fn bind(
        address: SocketAddr,
        tls: Arc<ServerConfig>,
        limits: Limits,
    ) -> io::Result<Self> {
        Ok(Self {
            tcp: TcpListener::bind(address).await?,
            tls,
            limits,
        })
    }

    /// The address that it is bound to.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.tcp.local_addr()
    }

    /// Serves `service` behind the caller layer until `drain` is cancelled; then
    /// accepts nothing more, ends every stream, lets requests finish within
    /// [`Limits::drain`], and returns.
    pub async fn serve<S>(self, service: S, callers: Callers, drain: CancellationToken) -> Drained
    where
        S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>
            + Clone
            + Send
            + 'static,
        S::Future: Send,
    {
        let Self { tcp, tls, limits } = self;
        let terms = Terms {
            acceptor: TlsAcceptor::from(tls),
            callers: callers.clone(),
            limits,
            drain: drain.clone(),
            cut: CancellationToken::new(),
        };
        let service = callers.layer().layer(service);
        let connections = TaskTracker::new();
        let gate = Gate::new(&limits);
        while let Some((tcp, remote, slots)) = gate.next(&tcp, &drain).await {
            connections.spawn(connection::serve(
                terms.clone(),
                service.clone(),
                tcp,
                remote,
                slots,
            ));
        }
        drop(tcp);
        callers.drain();
        connections.close();
        let in_time = tokio::time::timeout(limits.drain, connections.wait())
            .await
            .is_ok();
        let cut = if in_time { 0 } else { connections.len() };
        terms.cut.cancel();
        connections.wait().await;
        info!(cut, "listener drained");
        Drained { cut }
    }
}

/// Who gets in.
struct Gate {
    handshakes: Handshakes,
    connections: Arc<Semaphore>,
}

type Entered = (TcpStream, SocketAddr, Slots);

impl Gate {
    fn new(limits: &Limits) -> Self {
        Self {
            handshakes: Handshakes::within(limits),
            connections: Arc::new(Semaphore::new(limits.connections)),
        }
    }

    /// The next connection that finds a place; `None` when draining.
    async fn next(&self, tcp: &TcpListener, drain: &CancellationToken) -> Option<Entered> {
        loop {
            let entered = tokio::select! {
                biased;
                () = drain.cancelled() => return None,
                entered = self.enter(tcp) => entered,
            };
            if entered.is_some() {
                return entered;
            }
        }
    }

    async fn enter(&self, tcp: &TcpListener) -> Option<Entered> {
        let (tcp, remote) = match tcp.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                pause_after(&error).await;
                return None;
            }
        };
        let Ok(connection) = self.connections.clone().try_acquire_owned() else {
            return refused("full");
        };
        // Without it, a small answer waits for the acknowledgement of the last.
        tcp.set_nodelay(true).ok()?;
        let slots = Slots {
            handshake: self.handshakes.begin(remote.ip()),
            connection,
        };
        Some((tcp, remote, slots))
    }
}

fn refused(reason: &'static str) -> Option<Entered> {
    metrics::counter!("chancery_connections_refused_total", "reason" => reason).increment(1);
    None
}

/// A connection that failed before it was accepted is its own affair. Anything
/// else would fail again at once.
async fn pause_after(error: &io::Error) {
    let own_affair = matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::Interrupted
    );
    if !own_affair {
        let _ = refused("system");
        warn!(%error, "no connection can be accepted; raise the limit of open files (LimitNOFILE)");
        tokio::time::sleep(PAUSE).await;
    }
}
