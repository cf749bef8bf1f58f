//! What a node begins with: its process number, its consensus, and, on the first
//! node, once, the birth of the cluster.

use std::{sync::Arc, time::Duration};

use chancery_authority::{Inequality, RequestId, Settings};
use chancery_consensus::{
    Admission, Clocks, Compaction, Consensus, Entropy, HistoryBounds, Options, PeerIdentity,
    PeerRecord, SystemClocks, TcpTransport, Timing,
};
use tokio::runtime::Runtime;
use tracing::{error, info};

use crate::{
    admission::InstalledNode, clock::SystemClock, config::Config, issuance::DrawSeed,
    recent::Recent, serve_error::ServeError, subscriptions::Subscriptions,
};

/// Steps of the log that what follows it in this process may be behind before it looks
/// at the state instead: several batches. Watchers read what is kept in `recent`.
const EVENT_CAPACITY: usize = 1_024;
/// How long the first node waits for its own birth.
const BIRTH_WAIT: Duration = Duration::from_secs(30);

/// The system's entropy.
#[derive(Debug, Clone, Copy)]
struct SystemEntropy;

impl Entropy for SystemEntropy {
    fn draw(&self) -> std::io::Result<[u8; 32]> {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes)?;
        Ok(bytes)
    }
}

/// A number that tells this process from every other of this node.
pub(crate) fn draw_process() -> Result<u64, ServeError> {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).map_err(|error| ServeError::System {
        what: "entropy",
        source: error.into(),
    })?;
    Ok(u64::from_be_bytes(bytes))
}

/// Seeds of signing keys.
pub(crate) fn seeds() -> DrawSeed {
    Box::new(|seed| Ok(getrandom::fill(seed)?))
}

/// What of this process follows the state, or is asked what it knows of it.
pub(crate) struct Followers {
    pub(crate) recent: Arc<Recent>,
    pub(crate) subscriptions: Arc<Subscriptions>,
}

/// Opens the node's databases and takes part in the cluster, on Raft's own
/// runtime.
pub(crate) async fn consensus(
    config: &Config,
    installed: &InstalledNode,
    process: u64,
    raft: &Runtime,
    followers: &Followers,
) -> Result<Consensus, ServeError> {
    let options = options(config, installed, process, raft, followers).await?;
    let consensus = raft
        .spawn(Consensus::start(options))
        .await
        .map_err(|error| ServeError::Fatal(error.to_string()))??;
    if let Err(error) = birth(installed, &consensus).await {
        consensus.shutdown().await;
        return Err(error);
    }
    if let Some(settings) = consensus.directory().settings() {
        say_broken(&settings);
    }
    Ok(consensus)
}

/// What the stored settings break of this build's rules: those that another build
/// allowed. Nothing that was changed by this build ever does.
pub(crate) fn broken_rules(settings: &Settings) -> Vec<Inequality> {
    let mut rules = settings.rules();
    rules.retain(|rule| !rule.holds);
    rules
}

/// Loud, and no more: a node that refused to start would turn a stricter build into an
/// outage of the cluster, node by node as it is upgraded.
fn say_broken(settings: &Settings) {
    for rule in broken_rules(settings) {
        error!(
            setting = rule.setting, %rule,
            "the cluster's settings break a rule of this build, and are served as they are: see \
             `chancery settings explain`, and change them with `chancery settings set`"
        );
    }
}

async fn options(
    config: &Config,
    installed: &InstalledNode,
    process: u64,
    raft: &Runtime,
    followers: &Followers,
) -> Result<Options, ServeError> {
    let address = config.peer_listen;
    let transport = raft
        .spawn(async move { TcpTransport::bind(&address.to_string()).await })
        .await
        .map_err(|error| ServeError::Fatal(error.to_string()))?
        .map_err(|source| ServeError::Listen {
            key: "peer_listen",
            address,
            source,
        })?;
    Ok(Options {
        identity: installed.admission().identity(),
        directory: installed.data_directory(),
        process,
        peer: peer_identity(installed.keys().peer_pkcs8())?,
        admission: admission(installed),
        transport: Arc::new(transport),
        clocks: Arc::new(SystemClocks) as Arc<dyn Clocks>,
        entropy: Arc::new(SystemEntropy),
        verifiers: followers.subscriptions.clone(),
        consumers: vec![followers.recent.clone(), followers.subscriptions.clone()],
        timing: Timing::default(),
        history: HistoryBounds {
            bytes: config.history_mib << 20,
            age: Duration::from_secs(config.history_days.saturating_mul(86_400)),
        },
        compaction: compaction(config.snapshot_every),
        event_capacity: EVENT_CAPACITY,
    })
}

fn peer_identity(pkcs8: &[u8]) -> Result<PeerIdentity, ServeError> {
    PeerIdentity::from_pkcs8(pkcs8)
        .map_err(|error| ServeError::Start(chancery_consensus::StartError::PeerKey(error)))
}

/// The peers that the operator named, and when that was.
fn admission(installed: &InstalledNode) -> Admission {
    let peers = installed.admission().peers.iter().map(|peer| {
        let record = PeerRecord {
            name: peer.name.clone(),
            peer_address: peer.peer_address.clone(),
            api_address: peer.api_address.clone(),
            peer_public_key: peer.public_key.spki().to_vec(),
        };
        (peer.number, record)
    });
    Admission {
        peers: peers.collect(),
        as_of: installed.admission().as_of,
    }
}

/// The log keeps a fifth of a snapshot's distance, so that a node that was away
/// for a moment needs none.
fn compaction(snapshot_every: u64) -> Compaction {
    Compaction {
        entries_per_snapshot: snapshot_every,
        entries_kept: snapshot_every / 5,
        lag_for_snapshot: snapshot_every.saturating_mul(6) / 5,
        ..Compaction::default()
    }
}

/// The first node begins the lineage; asked for again after an interruption, it
/// goes on where it was.
async fn birth(installed: &InstalledNode, consensus: &Consensus) -> Result<(), ServeError> {
    let Some(birth) = installed.admission().birth()? else {
        return Ok(());
    };
    if consensus.read_state(chancery_authority::State::is_born) {
        return Ok(());
    }
    let mut random = [0; 16];
    getrandom::fill(&mut random).map_err(|error| ServeError::System {
        what: "entropy",
        source: error.into(),
    })?;
    let request = RequestId {
        time_ms: SystemClock::wall_ms(),
        random,
    };
    let outcome = consensus
        .birth(birth, request, BIRTH_WAIT)
        .await
        .map_err(|error| ServeError::Birth(error.to_string()))?;
    match outcome.verdict {
        Ok(_) => {
            info!(lineage = %consensus.view().lineage(), "the cluster is born");
            Ok(())
        }
        // It was born between the look and the proposal: the log was behind.
        Err(rejection) if rejection.code() == "ALREADY_BORN" => Ok(()),
        Err(rejection) => Err(ServeError::Birth(rejection.to_string())),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;

    #[test]
    fn settings_that_another_build_allowed_are_told_of_rule_by_rule() {
        let domain = "test.example".parse().unwrap();
        let mut settings = Settings::new(domain, "https://chancery.test.example");
        assert_eq!(broken_rules(&settings), []);
        settings.ttl_cap_s = 7_200;
        let broken = broken_rules(&settings);
        assert_eq!(broken[0].setting, "ttl_cap_s", "{broken:?}");
    }
}
