//! What the layer and the listener share.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use chancery_revocation::Clock;
use tokio::sync::watch;
use tonic::Code;

use super::Connection;
use super::bounds::{Bounds, Crowded, Holder, Places, Tally};
use super::identity::Identity;
use super::layer::CallerLayer;
use super::permission::Shape;
use super::refusal::Refusal;
use super::registry::Registry;
use super::rejections::Rejections;
use super::request_id::RequestIds;
use crate::tls::CallerKey;

/// The registry, the bounds, and the bell that makes every stream look again.
/// Cheap to clone; all clones are one.
#[derive(Clone)]
pub struct Callers(Arc<Shared>);

pub(super) struct Shared {
    pub(super) registry: Arc<dyn Registry>,
    pub(super) request_ids: RequestIds,
    clock: Arc<dyn Clock + Send + Sync>,
    bounds: Bounds,
    connections: Arc<Tally>,
    requests: Arc<Tally>,
    streams: Arc<Tally>,
    batches: Arc<Tally>,
    pages: Arc<Tally>,
    pub(super) rejections: Rejections,
    bell: watch::Sender<()>,
    draining: AtomicBool,
}

/// The places of one connection.
#[derive(Debug)]
#[must_use]
pub struct Admitted {
    /// Whether its key was nobody's, or there was none.
    pub stranger: bool,
    _places: Places,
}

impl Callers {
    /// `process` is any number that tells this process from others; it begins
    /// the request ids.
    #[must_use]
    pub fn new(
        registry: Arc<dyn Registry>,
        clock: Arc<dyn Clock + Send + Sync>,
        bounds: Bounds,
        process: u64,
    ) -> Self {
        Self(Arc::new(Shared {
            registry,
            request_ids: RequestIds::new(process),
            rejections: Rejections::new(bounds.rejections, clock.clone()),
            clock,
            bounds,
            connections: Tally::new(),
            requests: Tally::new(),
            streams: Tally::new(),
            batches: Tally::new(),
            pages: Tally::new(),
            bell: watch::Sender::new(()),
            draining: AtomicBool::new(false),
        }))
    }

    /// The layer to put around every service.
    #[must_use]
    pub fn layer(&self) -> CallerLayer {
        CallerLayer::new(self.0.clone())
    }

    /// Makes every open stream look again whether its caller still stands. To
    /// be called after the registry has published a change by which somebody
    /// lost standing; too often does no harm.
    pub fn standing_changed(&self) {
        self.0.bell.send_replace(());
    }

    /// Ends every stream, and lets none begin: the node is stopping.
    pub fn drain(&self) {
        self.0.draining.store(true, Ordering::Release);
        self.0.bell.send_replace(());
    }

    /// A place for a connection whose handshake has proved `proved`.
    ///
    /// # Errors
    ///
    /// When its holder has as many as it may.
    pub fn admit(&self, proved: Option<&CallerKey>, address: IpAddr) -> Result<Admitted, Crowded> {
        let principal = self.0.principal(proved);
        let stranger = principal.is_none();
        let share = self.0.bounds.connections;
        let places = self.0.connections.share(share, principal, address)?;
        Ok(Admitted {
            stranger,
            _places: places,
        })
    }
}

impl Shared {
    /// Seconds since the Unix epoch.
    pub(super) fn now(&self) -> u64 {
        self.clock.now().wall
    }

    /// Rings when standings have to be looked at again.
    pub(super) fn news(&self) -> watch::Receiver<()> {
        self.bell.subscribe()
    }

    pub(super) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }

    /// Whom a refusal counts for: the principal whose key was proved, or else the
    /// strangers of the address.
    pub(super) fn asker(&self, connection: &Connection) -> Holder {
        let principal = self.principal(connection.proved.as_ref());
        principal.unwrap_or_else(|| Holder::at(connection.remote.ip()))
    }

    /// Whose key was proved.
    fn principal(&self, proved: Option<&CallerKey>) -> Option<Holder> {
        let known = self.registry.look_up(&proved?.key)?;
        Some(Holder::of(&known.identity))
    }

    /// Places for a request of `identity`. What anyone may call counts for the
    /// principal that calls it: it does not compete with strangers.
    pub(super) fn place(
        &self,
        identity: &Identity,
        connection: &Connection,
        shape: Shape,
    ) -> Result<Places, Refusal> {
        let (tally, share, what) = match shape {
            Shape::Streaming => (&self.streams, self.bounds.streams, "streams"),
            Shape::Batches => (&self.batches, self.bounds.batches, "streams of batches"),
            Shape::Pages | Shape::HttpPages => (&self.pages, self.bounds.pages, "pages of lists"),
            Shape::Unary | Shape::Http => (&self.requests, self.bounds.requests, "requests"),
        };
        let principal = match identity {
            Identity::Anyone => self.principal(connection.proved.as_ref()),
            known => Some(Holder::of(known)),
        };
        tally
            .share(share, principal, connection.remote.ip())
            .map_err(|Crowded { holder, bound }| {
                Refusal::new(
                    Code::ResourceExhausted,
                    "TOO_MANY_IN_FLIGHT",
                    format!(
                        "{bound} {what} of {holder} are in flight on this node, the most that it takes"
                    ),
                    "wait for answers before sending more, or use another node",
                )
            })
    }
}
