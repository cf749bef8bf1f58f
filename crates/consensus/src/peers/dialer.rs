//! Connections to peers: opened when first used, pinned to the key in the peer's
//! record, reused by everybody who talks to that peer, opened anew after a loss.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use chancery_credential::NodeNumber;
use chancery_wire::peer::peer_service_client::PeerServiceClient;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use rustls::pki_types::ServerName;
use tokio_rustls::TlsConnector;
use tonic::transport::{Channel, Endpoint, Uri};

use super::{
    dismissal::{Attentive, Dismissals},
    limits::{MAX_MESSAGE_BYTES, STREAM_WINDOW},
    tls::PeerIdentity,
    transport::Transport,
};
use crate::peer_record::PeerRecord;

/// TCP and TLS together: a peer that takes longer is as good as unreachable.
const CONNECT_LIMIT: Duration = Duration::from_millis(750);
/// A connection that lost its other half is given up after the sum of both, so
/// that a healed partition is not waited for by TCP's growing timeouts.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(1);
const KEEPALIVE_LIMIT: Duration = Duration::from_secs(2);
/// Sent as SNI by nobody and compared by nobody; rustls asks for one.
const ANY_NAME: &str = "peer.chancery.invalid";

/// One for each kind of traffic, so that a snapshot or a full batch of entries
/// never stands in front of a heartbeat or a proof.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Lane {
    /// Entries.
    Entries,
    /// Heartbeats, votes, proofs, forwarded commands.
    Control,
    /// Snapshots.
    Snapshots,
    /// Questions whether a change is in force, of which each is long on its way.
    Fence,
}

/// A client for one peer over one lane. Cheap to clone.
pub(crate) type PeerClient = PeerServiceClient<Channel>;

/// All connections of this node to its peers.
pub(crate) struct Dialer {
    identity: PeerIdentity,
    transport: Arc<dyn Transport>,
    open: Mutex<BTreeMap<(NodeNumber, Lane), (PeerRecord, PeerClient)>>,
    dismissals: Dismissals,
}

impl Dialer {
    pub(crate) fn new(identity: PeerIdentity, transport: Arc<dyn Transport>) -> Self {
        Self {
            identity,
            transport,
            open: Mutex::new(BTreeMap::new()),
            dismissals: Dismissals::default(),
        }
    }

    /// Who ended this node's handshakes because it was removed.
    pub(crate) const fn dismissals(&self) -> &Dismissals {
        &self.dismissals
    }

    /// Connects anew when `number` is next talked to over `lane`: a handshake says
    /// what an old connection does not.
    pub(crate) fn hang_up(&self, number: NodeNumber, lane: Lane) {
        self.open.lock().remove(&(number, lane));
    }

    /// The connection to `number` over `lane`; another one once its record changed.
    ///
    /// # Errors
    /// The record states an address or a key that cannot be one.
    pub(crate) fn client(
        &self,
        number: NodeNumber,
        record: &PeerRecord,
        lane: Lane,
    ) -> Result<PeerClient, UnusableRecord> {
        let mut open = self.open.lock();
        if let Some((known, client)) = open.get(&(number, lane))
            && known == record
        {
            return Ok(client.clone());
        }
        let client = self.connect(number, record)?;
        open.insert((number, lane), (record.clone(), client.clone()));
        Ok(client)
    }

    fn connect(
        &self,
        number: NodeNumber,
        record: &PeerRecord,
    ) -> Result<PeerClient, UnusableRecord> {
        let unusable = |reason: String| UnusableRecord { number, reason };
        let tls = self
            .identity
            .client_config(&record.peer_public_key)
            .map_err(|error| unusable(error.to_string()))?;
        let name = ServerName::try_from(ANY_NAME).map_err(|error| unusable(error.to_string()))?;
        let connector = TlsConnector::from(Arc::new(tls));
        let transport = self.transport.clone();
        let address: Arc<str> = Arc::from(record.peer_address.as_str());
        let dismissals = self.dismissals.clone();
        let dial = tower::service_fn(move |_: Uri| {
            let (connector, transport) = (connector.clone(), transport.clone());
            let (address, name) = (address.clone(), name.clone());
            let dismissals = dismissals.clone();
            async move {
                let connection = transport.dial(&address).await?;
                let connected = connector.connect(name, connection).await;
                let stream = connected.inspect_err(|error| dismissals.look_at(number, error))?;
                std::io::Result::Ok(TokioIo::new(Attentive {
                    stream,
                    peer: number,
                    dismissals,
                }))
            }
        });
        let endpoint = Endpoint::from_shared(format!("http://{}", record.peer_address))
            .map_err(|error| unusable(error.to_string()))?
            .connect_timeout(CONNECT_LIMIT)
            .http2_keep_alive_interval(KEEPALIVE_INTERVAL)
            .keep_alive_timeout(KEEPALIVE_LIMIT)
            .keep_alive_while_idle(true)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(STREAM_WINDOW);
        Ok(
            PeerServiceClient::new(endpoint.connect_with_connector_lazy(dial))
                .max_decoding_message_size(MAX_MESSAGE_BYTES)
                .max_encoding_message_size(MAX_MESSAGE_BYTES),
        )
    }
}

/// A peer's record cannot be used to reach it.
#[derive(Debug, thiserror::Error)]
#[error(
    "node {number} cannot be reached by its record ({reason}); correct its peer address or key"
)]
pub(crate) struct UnusableRecord {
    number: NodeNumber,
    reason: String,
}
