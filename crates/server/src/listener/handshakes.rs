//! The handshakes of callers under way, with the gauge that tells of them.

use std::{net::IpAddr, sync::Arc};

use chancery_consensus::{Place, Places, owned_as_one};

use super::limits::Limits;

/// Those that have begun and not ended.
pub(super) struct Handshakes(Arc<Places<IpAddr>>);

/// One of them; dropping it ends it.
#[must_use]
pub(super) struct Handshake(Place<IpAddr>);

impl Handshakes {
    pub(super) fn within(limits: &Limits) -> Self {
        let (most, of_address) = (limits.handshakes, limits.handshakes_per_address);
        Self(Places::within(most, of_address))
    }

    pub(super) fn begin(&self, address: IpAddr) -> Handshake {
        metrics::gauge!("chancery_handshakes").increment(1.0);
        Handshake(self.0.take(owned_as_one(address)))
    }
}

impl Handshake {
    /// Resolves when its place was needed for another.
    pub(super) async fn given_up(&self) {
        self.0.given_up().await;
    }
}

impl Drop for Handshake {
    fn drop(&mut self) {
        metrics::gauge!("chancery_handshakes").decrement(1.0);
    }
}
