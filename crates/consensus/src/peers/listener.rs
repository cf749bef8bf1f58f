//! The listener for peers: handshakes within a time limit, connections within a
//! number, and to each connection the number that its key proved.

use std::{
    net::IpAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use chancery_credential::NodeNumber;
use futures::Stream;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::{mpsc, watch},
    task::JoinSet,
    time::MissedTickBehavior,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::server::Connected;

use super::{
    book::PeerBook,
    places::{Place, Places, owned_as_one},
    transport::{Connection, Later, Transport},
};

/// How long a handshake may take; a peer needs one round trip and one signature.
pub(crate) const HANDSHAKE_LIMIT: Duration = Duration::from_secs(3);
/// Handshakes in flight, and of one address: who does not finish holds nobody up.
/// A peer opens four connections, and peers may share an address.
pub(crate) const HANDSHAKES: usize = 256;
const HANDSHAKES_OF_ADDRESS: usize = 64;
/// Established connections, and of one key: a peer opens four, and those that it lost
/// without a word are still here.
const CONNECTIONS: usize = 1_024;
const CONNECTIONS_OF_KEY: usize = 12;
/// How often it is seen whose keys still count.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How long to leave a listener alone that just failed (no file descriptors left).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Which key a connection proved. The number it stands for is looked up anew for
/// each request, because membership changes under open connections.
#[derive(Clone, Debug)]
pub(crate) struct ProvedKey(pub(crate) Arc<[u8]>);

impl ProvedKey {
    pub(crate) fn number(&self, book: &PeerBook) -> Option<NodeNumber> {
        book.number_of(&self.0)
    }
}

/// One connection, after its handshake.
pub(crate) struct PeerConnection {
    stream: TlsStream<Box<dyn Connection>>,
    key: ProvedKey,
    /// Ready when this node stops, or the key is no peer's any more: the connection then
    /// reads its end, and with it every request on it is over.
    hangup: Later<'static, ()>,
    _place: Place<Arc<[u8]>>,
}

impl Connected for PeerConnection {
    type ConnectInfo = ProvedKey;

    fn connect_info(&self) -> ProvedKey {
        self.key.clone()
    }
}

impl AsyncRead for PeerConnection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        if self.hangup.as_mut().poll(cx).is_ready() {
            // Polled again it would panic: from here on it is ready for good.
            self.hangup = Box::pin(std::future::ready(()));
            let gone = std::io::ErrorKind::ConnectionAborted;
            return Poll::Ready(Err(std::io::Error::new(gone, "this node hangs up")));
        }
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for PeerConnection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// What comes through the door, for `serve_with_incoming`. Dropping it closes the
/// door and ends the handshakes in flight.
pub(crate) fn incoming(
    transport: Arc<dyn Transport>,
    acceptor: TlsAcceptor,
    book: Arc<PeerBook>,
    stopping: watch::Receiver<bool>,
) -> impl Stream<Item = std::io::Result<PeerConnection>> + Send + 'static {
    let (sender, receiver) = mpsc::channel(HANDSHAKES);
    let door = tokio::spawn(accept(transport, acceptor, book, stopping, sender));
    WithDoor {
        incoming: ReceiverStream::new(receiver),
        door,
    }
}

struct WithDoor {
    incoming: ReceiverStream<std::io::Result<PeerConnection>>,
    door: tokio::task::JoinHandle<()>,
}

impl Stream for WithDoor {
    type Item = std::io::Result<PeerConnection>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Pin::new(&mut self.incoming).poll_next(cx)
    }
}

impl Drop for WithDoor {
    fn drop(&mut self) {
        self.door.abort();
    }
}

async fn accept(
    transport: Arc<dyn Transport>,
    acceptor: TlsAcceptor,
    book: Arc<PeerBook>,
    stopping: watch::Receiver<bool>,
    sender: mpsc::Sender<std::io::Result<PeerConnection>>,
) {
    let places = Places::<Arc<[u8]>>::within(CONNECTIONS, CONNECTIONS_OF_KEY);
    let mut look = tokio::time::interval(LOOK_EVERY);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut tasks = JoinSet::new();
    let shaking = Places::within(HANDSHAKES, HANDSHAKES_OF_ADDRESS);
    loop {
        let accepted = tokio::select! {
            accepted = transport.accept() => accepted,
            _ = look.tick() => {
                places.keep_those(|key| book.number_of(key).is_some());
                continue;
            }
        };
        let (connection, from) = match accepted {
            Ok(connection) => connection,
            Err(error) => {
                tracing::warn!(%error, "the listener for peers cannot accept; trying again");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let (acceptor, sender, places) = (acceptor.clone(), sender.clone(), places.clone());
        let stopping = stopping.clone();
        while tasks.try_join_next().is_some() {}
        let handshake = shaking.take(owned_as_one(from));
        tasks.spawn(async move {
            let Some(stream) = shake(acceptor, connection, handshake).await else {
                return;
            };
            let Some(key) = proved_key(&stream) else {
                return;
            };
            let place = places.take(key.0.clone());
            let hangup = hangup(stopping, place.given_up());
            let connection = PeerConnection {
                stream,
                key,
                hangup,
                _place: place,
            };
            // The receiver is gone only when the listener is shutting down.
            let _ = sender.send(Ok(connection)).await;
        });
    }
}

/// Resolves when this node stops, or the connection's place is taken from it.
fn hangup(
    mut stopping: watch::Receiver<bool>,
    given_up: impl Future<Output = ()> + Send + 'static,
) -> Later<'static, ()> {
    Box::pin(async move {
        tokio::select! {
            // Whoever could say so being gone is the same news.
            _ = stopping.wait_for(|stopping| *stopping) => {}
            () = given_up => {}
        }
    })
}

async fn shake(
    acceptor: TlsAcceptor,
    connection: Box<dyn Connection>,
    handshake: Place<IpAddr>,
) -> Option<TlsStream<Box<dyn Connection>>> {
    let shaken = tokio::time::timeout(HANDSHAKE_LIMIT, acceptor.accept(connection));
    let shaken = tokio::select! {
        shaken = shaken => shaken,
        () = handshake.given_up() => {
            tracing::debug!("a handshake on the listener for peers made room for another");
            return None;
        }
    };
    match shaken {
        Ok(Ok(stream)) => Some(stream),
        Ok(Err(error)) => {
            tracing::debug!(%error, "a handshake on the listener for peers failed");
            None
        }
        Err(_) => {
            tracing::debug!("a handshake on the listener for peers took too long");
            None
        }
    }
}

fn proved_key(stream: &TlsStream<Box<dyn Connection>>) -> Option<ProvedKey> {
    let (_, session) = stream.get_ref();
    let shown = session.peer_certificates()?.first()?;
    Some(ProvedKey(Arc::from(shown.as_ref())))
}
