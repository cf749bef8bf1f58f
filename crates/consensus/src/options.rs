//! What a node's consensus is started with.

use std::{path::PathBuf, sync::Arc, time::Duration};

use chancery_credential::{Lineage, NodeNumber};
use chancery_storage::{DataDirectory, Marker};
use openraft::{Config, SnapshotPolicy};

use crate::{
    clock::{Clocks, Entropy},
    consumer::Consumer,
    error::StartError,
    fence::Verifiers,
    history::HistoryBounds,
    peers::{book::Admission, tls::PeerIdentity, transport::Transport},
};

/// Whose a data directory is. It stands in the directory, which nobody else opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DirectoryIdentity {
    /// The cluster's log.
    pub lineage: Lineage,
    /// Handed out when the node was admitted, never reused.
    pub node: NodeNumber,
    /// Raised each time the node begins again with an empty directory.
    pub incarnation: u64,
}

impl DirectoryIdentity {
    pub(crate) fn marker(&self) -> Marker {
        let mut cluster = [0; 16];
        let (generation, random) = cluster.split_at_mut(8);
        generation.copy_from_slice(&self.lineage.generation.to_be_bytes());
        random.copy_from_slice(&self.lineage.random.to_be_bytes());
        Marker {
            cluster,
            node: self.node.0,
            incarnation: self.incarnation,
        }
    }

    /// Makes an empty data directory, once, when the node is admitted.
    ///
    /// # Errors
    /// There is one already, or it cannot be made.
    pub fn create_directory(&self, path: &std::path::Path) -> Result<(), StartError> {
        DataDirectory::create(path, &self.marker())?;
        Ok(())
    }

    /// Whose the directory at `path` is; `None` where no node ever was.
    ///
    /// # Errors
    /// The marker is there and cannot be read.
    pub fn of_directory(path: &std::path::Path) -> Result<Option<Self>, StartError> {
        let Some(marker) = DataDirectory::marker_at(path)? else {
            return Ok(None);
        };
        let (generation, random) = marker.cluster.split_at(8);
        let number = |bytes: &[u8]| {
            bytes
                .iter()
                .fold(0_u64, |number, byte| (number << 8) | u64::from(*byte))
        };
        Ok(Some(Self {
            lineage: Lineage {
                generation: number(generation),
                random: number(random),
            },
            node: NodeNumber(marker.node),
            incarnation: marker.incarnation,
        }))
    }
}

/// Raft's times before this node knows the replicated settings, which take their
/// place from the next start on (the tick: at once).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// How often a leader is heard.
    pub heartbeat_ms: u64,
    /// The shortest silence after which an election begins.
    pub election_min_ms: u64,
    /// The longest.
    pub election_max_ms: u64,
    /// How often this node proves that it is fresh.
    pub tick_ms: u64,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            heartbeat_ms: 60,
            election_min_ms: 300,
            election_max_ms: 500,
            tick_ms: 50,
        }
    }
}

/// When snapshots are made and the log is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Compaction {
    /// A snapshot after this many entries since the last one.
    pub entries_per_snapshot: u64,
    /// Entries kept behind a snapshot, so that a node that was away for a moment
    /// needs no snapshot.
    pub entries_kept: u64,
    /// Entries that are cut off at once, at least: fewer are not worth the trouble.
    pub entries_cut: u64,
    /// A node that is further behind gets a snapshot rather than entries.
    pub lag_for_snapshot: u64,
}

impl Default for Compaction {
    fn default() -> Self {
        Self {
            entries_per_snapshot: 50_000,
            entries_kept: 10_000,
            entries_cut: 1_024,
            lag_for_snapshot: 60_000,
        }
    }
}

/// All that a node brings. Threads and runtime are the caller's: everything here
/// runs on the runtime that [`Consensus::start`](crate::Consensus::start) is
/// called on.
pub struct Options {
    /// Whose directory, and so which node of which cluster this is.
    pub identity: DirectoryIdentity,
    /// Made by [`DirectoryIdentity::create_directory`].
    pub directory: PathBuf,
    /// Random, drawn when this process started.
    pub process: u64,
    /// The key that peers have pinned.
    pub peer: PeerIdentity,
    /// The peers that the operator named.
    pub admission: Admission,
    /// The listener for peers, and the way to theirs.
    pub transport: Arc<dyn Transport>,
    /// The clocks of this machine.
    pub clocks: Arc<dyn Clocks>,
    /// What stamps are drawn from.
    pub entropy: Arc<dyn Entropy>,
    /// The verifiers that go by this node's answers.
    pub verifiers: Arc<dyn Verifiers>,
    /// Told of each change before its revision is published, after the directory.
    pub consumers: Vec<Arc<dyn Consumer>>,
    /// Raft's times until the replicated settings are known.
    pub timing: Timing,
    /// How much of the history is kept.
    pub history: HistoryBounds,
    /// Snapshots and the length of the log.
    pub compaction: Compaction,
    /// Steps that a slow follower of the events may be behind before it misses
    /// some.
    pub event_capacity: usize,
}

/// openraft's configuration, and the promise that it is the one this crate was
/// built for.
///
/// # Errors
/// Times that do not fit together.
pub(crate) fn raft_config(
    lineage: Lineage,
    timing: Timing,
    compaction: Compaction,
) -> Result<Config, StartError> {
    let Timing {
        heartbeat_ms,
        election_min_ms,
        election_max_ms,
        ..
    } = timing;
    let config = Config {
        cluster_name: lineage.to_string(),
        heartbeat_interval: heartbeat_ms,
        election_timeout_min: election_min_ms,
        election_timeout_max: election_max_ms,
        enable_pre_vote: Some(true),
        enable_leader_restore: Some(false),
        quorum_loss_probe_interval: Some(election_max_ms.saturating_mul(2).max(1_000)),
        install_snapshot_timeout: 60_000,
        snapshot_policy: SnapshotPolicy::LogsSinceLast(compaction.entries_per_snapshot),
        replication_lag_threshold: compaction.lag_for_snapshot,
        max_in_snapshot_log_to_keep: compaction.entries_kept,
        purge_batch_size: compaction.entries_cut,
        max_payload_entries: 512,
        ..Config::default()
    }
    .validate()
    .map_err(|error| StartError::Timing(error.to_string()))?;
    // A leader that came back in its old term would lead without an election, and
    // the proofs of that term would count on nobody else having led.
    if config.enable_leader_restore == Some(false) && config.enable_pre_vote == Some(true) {
        Ok(config)
    } else {
        Err(StartError::Timing(
            "Raft's configuration is not the one that is safe here".into(),
        ))
    }
}

/// The tick before the replicated settings are known.
pub(crate) fn default_tick(timing: Timing) -> Duration {
    Duration::from_millis(timing.tick_ms)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_restarted_leader_has_to_be_elected() {
        let config =
            raft_config(Lineage::default(), Timing::default(), Compaction::default()).unwrap();
        assert_eq!(config.enable_leader_restore, Some(false));
        assert_eq!(config.enable_pre_vote, Some(true));
        assert_eq!(config.quorum_loss_probe_interval, Some(1_000));
        assert_eq!(config.install_snapshot_timeout, 60_000);
    }

    #[test]
    fn the_marker_tells_the_lineage_again() {
        let lineage = Lineage {
            generation: 3,
            random: u64::MAX - 5,
        };
        let identity = DirectoryIdentity {
            lineage,
            node: NodeNumber(7),
            incarnation: 2,
        };
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("data");
        assert_eq!(DirectoryIdentity::of_directory(&path).unwrap(), None);
        identity.create_directory(&path).unwrap();
        assert_eq!(
            DirectoryIdentity::of_directory(&path).unwrap(),
            Some(identity)
        );
    }
}
