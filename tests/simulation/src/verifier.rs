//! What runs on a verifier's machine: the SDK's own verifier, which follows the cluster
//! over connections of its own, and judges what bearers bring.

use std::{sync::Arc, time::Duration};

use chancery_client::{Expectations, Proof, Rejected, Verifier, VerifierConfig};
use chancery_consensus::{Connection, Transport as _};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use tonic::transport::{Channel, Endpoint};

use crate::{
    clock::MachineClock,
    network::{Door, Network, address_of},
    oracle::{Minted, Moments, Oracle},
};

/// Their machines have the numbers from here on.
pub const VERIFIERS: u64 = 200;
/// As of the SDK's connections.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(5);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// What a process is given.
pub struct Birthright {
    pub number: u64,
    pub clock: Arc<MachineClock>,
    pub network: Network,
    pub oracle: Arc<Mutex<Oracle>>,
    pub seed: u64,
    /// The nodes that it knows, in the order in which it turns to them.
    pub nodes: Vec<u64>,
    /// V as it asks for it; none: the cluster's.
    pub max_age_ms: Option<u64>,
    pub pause_us: u64,
}

pub async fn run(given: Birthright) {
    let mut random = fastrand::Rng::with_seed(given.seed);
    let channels = given.nodes.iter().map(|node| channel(&given, *node));
    let config = VerifierConfig {
        max_age: given.max_age_ms.map(Duration::from_millis),
        clock: given.clock.clone(),
        ..VerifierConfig::default()
    };
    let verifier = Verifier::follow_simulated(channels.collect(), config);
    let given = Arc::new(given);
    loop {
        let pause = random.u64(given.pause_us / 2..given.pause_us * 2);
        tokio::time::sleep(Duration::from_micros(pause)).await;
        let is_fresh = verifier.age().is_some();
        let signed = {
            let mut oracle = given.oracle.lock();
            oracle.verifies(given.number, is_fresh);
            oracle.signed(&mut random)
        };
        if let Some(minted) = signed {
            tokio::spawn(verify(given.clone(), verifier.clone(), minted));
        }
    }
}

/// One call of a bearer: it may wait for the view to catch up.
async fn verify(given: Arc<Birthright>, verifier: Verifier, minted: Minted) {
    let began_us = given.oracle.lock().true_us;
    let expected = Expectations::of(minted.claims.aud.clone());
    let token = minted.token.as_deref().unwrap_or_default();
    let verdict = verifier.verify(token, &expected, &Proof::default()).await;
    let boot_ns = given.clock.boot_ns();
    let mut oracle = given.oracle.lock();
    oracle.counts.verifications += 1;
    match verdict {
        Ok(accepted) => {
            let moments = Moments { boot_ns, began_us };
            let verifier = (given.number, given.max_age_ms);
            oracle.verified(verifier, &minted, accepted.standing(), moments);
        }
        Err(Rejected::Stale) => oracle.counts.stale += 1,
        Err(_) => {}
    }
}

/// As the SDK makes its own, but for TLS.
fn channel(given: &Birthright, node: u64) -> Channel {
    let address = address_of(node, Door::Api);
    let wire = Arc::new(given.network.plug(given.number));
    let endpoint = Endpoint::from_shared(format!("http://{address}")).expect("an address");
    endpoint
        .http2_keep_alive_interval(KEEPALIVE_INTERVAL)
        .keep_alive_timeout(KEEPALIVE_TIMEOUT)
        .keep_alive_while_idle(true)
        .connect_with_connector_lazy(tower::service_fn(move |_| {
            let (wire, address) = (wire.clone(), address.clone());
            async move {
                let dialled = tokio::time::timeout(CONNECT_TIMEOUT, wire.dial(&address)).await;
                let dialled: Box<dyn Connection> =
                    dialled.map_err(|_| std::io::Error::from(std::io::ErrorKind::TimedOut))??;
                Ok::<_, std::io::Error>(TokioIo::new(dialled))
            }
        }))
}
