//! The server behind the listener for peers.

use std::{sync::Arc, time::Duration};

use chancery_wire::peer::peer_service_server::PeerServiceServer;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tonic::transport::Server;

use super::{
    limits::{MAX_MESSAGE_BYTES, MAX_STREAMS, STREAM_WINDOW},
    listener::incoming,
    service::Peers,
    tls::PeerIdentity,
    transport::Transport,
};

/// A peer that does not answer a ping is gone, and its place is another's.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(2);
const KEEPALIVE_LIMIT: Duration = Duration::from_secs(2);
/// Header lists of peers are short.
const MAX_HEADER_BYTES: u32 = 16 * 1024;

/// Serves peers until it is dropped or `stopping` says so.
///
/// # Errors
/// The key cannot serve TLS.
pub(crate) fn serve(
    peers: Peers,
    identity: &PeerIdentity,
    transport: Arc<dyn Transport>,
    stopping: watch::Receiver<bool>,
) -> Result<impl Future<Output = ()> + Send + 'static, rustls::Error> {
    let tls = identity.server_config(peers.book.clone())?;
    let acceptor = TlsAcceptor::from(Arc::new(tls));
    let book = peers.book.clone();
    let service = PeerServiceServer::new(peers)
        .max_decoding_message_size(MAX_MESSAGE_BYTES)
        .max_encoding_message_size(MAX_MESSAGE_BYTES);
    let router = Server::builder()
        .http2_keepalive_interval(Some(KEEPALIVE_INTERVAL))
        .http2_keepalive_timeout(Some(KEEPALIVE_LIMIT))
        .http2_max_header_list_size(MAX_HEADER_BYTES)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(STREAM_WINDOW)
        .max_concurrent_streams(MAX_STREAMS)
        .add_service(service);
    Ok(async move {
        let incoming = incoming(transport, acceptor, book, stopping);
        if let Err(error) = router.serve_with_incoming(incoming).await {
            tracing::error!(%error, "the listener for peers ended");
        }
    })
}
