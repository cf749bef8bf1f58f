//! What the layer and the listener share.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use chancery_revocation::Clock;
use thiserror::Error;
use tokio::sync::watch;
use tonic::Code;

use super::bounds::{Bounds, Holder, Place, Tally};
use super::identity::Identity;
use super::layer::CallerLayer;
use super::permission::Shape;
use super::refusal::Refusal;
use super::registry::Registry;
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
    bell: watch::Sender<()>,
    draining: AtomicBool,
}

/// A connection is refused: its holder has as many as it may.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{holder} has {bound} connections already; close some, or use more streams on one")]
pub struct Crowded {
    holder: String,
    bound: u32,
}

/// The places of one connection.
#[derive(Debug)]
#[must_use]
pub struct Admitted {
    /// Whether its key was nobody's, or there was none.
    pub stranger: bool,
    _places: [Option<Place>; 2],
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
            clock,
            bounds,
            connections: Tally::new(),
            requests: Tally::new(),
            streams: Tally::new(),
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
        let Shared {
            registry,
            bounds,
            connections,
            ..
        } = &*self.0;
        let known = proved.and_then(|proved| registry.look_up(&proved.key));
        let take = |holder: Holder, name: &dyn std::fmt::Display, bound: u32| {
            connections.take(holder, bound).ok_or_else(|| Crowded {
                holder: name.to_string(),
                bound,
            })
        };
        if let Some(known) = known {
            let holder = Holder::of(&known.identity);
            let place = take(holder, &known.identity, bounds.connections_per_principal)?;
            return Ok(Admitted {
                stranger: false,
                _places: [Some(place), None],
            });
        }
        let of_address = take(
            Holder::at(address),
            &address,
            bounds.stranger_connections_per_address,
        )?;
        let of_all = take(Holder::Strangers, &"the world", bounds.stranger_connections)?;
        Ok(Admitted {
            stranger: true,
            _places: [Some(of_address), Some(of_all)],
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

    /// A place for a request of `identity`.
    pub(super) fn place(&self, identity: &Identity, shape: Shape) -> Result<Place, Refusal> {
        let (tally, bound, what) = match (identity, shape) {
            (Identity::Anyone, _) => (
                &self.requests,
                self.bounds.stranger_requests,
                "requests of strangers",
            ),
            (_, Shape::Streaming) => (&self.streams, self.bounds.streams_per_principal, "streams"),
            _ => (
                &self.requests,
                self.bounds.requests_per_principal,
                "requests",
            ),
        };
        tally.take(Holder::of(identity), bound).ok_or_else(|| {
            Refusal::new(
                Code::ResourceExhausted,
                "TOO_MANY_IN_FLIGHT",
                format!(
                    "{identity} has {bound} {what} in flight on this node, the most that it may"
                ),
                "wait for answers before sending more, or use another node",
            )
        })
    }
}
