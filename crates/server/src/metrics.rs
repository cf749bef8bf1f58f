//! The first metrics: base units, bounded labels, never an id of anybody.

use std::sync::Arc;

use chancery_authority::IssuerStanding;
use chancery_consensus::Consensus;
use chancery_revocation::Clock;
use metrics::{Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use thiserror::Error;

use crate::{
    clock::SystemClock, recent::Recent, start::broken_rules, status::NodeStatus,
    subscriptions::Subscriptions,
};

/// The process has a recorder already.
#[derive(Debug, Error)]
#[error("metrics cannot be recorded: {0}")]
pub struct MetricsError(String);

/// Bounds of what is measured in seconds: from a memory write to a disk that hangs.
const SECONDS: [f64; 14] = [
    0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0,
];

/// Installs the recorder of the process and describes every metric.
pub(crate) fn install() -> Result<PrometheusHandle, MetricsError> {
    let handle = PrometheusBuilder::new()
        .set_buckets(&SECONDS)
        .map_err(|error| MetricsError(error.to_string()))?
        .install_recorder()
        .map_err(|error| MetricsError(error.to_string()))?;
    describe_counter!("chancery_mints_total", "Tokens minted by this node.");
    describe_counter!(
        "chancery_mint_refusals_total",
        "Mints refused by this node, by reason."
    );
    describe_counter!(
        "chancery_tokens_beyond_total",
        "Tokens judged whose revision no proof reached: forged, or of another cluster."
    );
    describe_counter!(
        "chancery_signing_keys_exposed_total",
        "Signing keys made in memory that the system would not protect wholly: see the log."
    );
    describe_edge();
    describe_records();
    describe_log();
    describe_gauge!(
        "chancery_freshness_age_seconds",
        Unit::Seconds,
        "How old this node's state can be at most; absent before the first proof."
    );
    describe_gauge!("chancery_applied_revision", "The last log entry applied.");
    describe_gauge!("chancery_raft_term", "The Raft term this node is in.");
    describe_gauge!("chancery_is_leader", "1 while this node leads.");
    describe_gauge!(
        "chancery_issuers",
        "Issuers that have not expired, by state."
    );
    describe_gauge!(
        "chancery_revoked_tokens",
        "Tokens revoked by their id whose issuers have not expired."
    );
    describe_gauge!(
        "chancery_members",
        "Nodes that replicate, by whether they vote."
    );
    describe_gauge!(
        "chancery_subscribers",
        "Watchers of revocations connected to this node."
    );
    describe_gauge!(
        "chancery_verifiers",
        "Verifiers that can still serve by what this node answered them."
    );
    describe_gauge!(
        "chancery_verifiers_applied_revision",
        "What all of them have applied; absent until this process is old enough to know."
    );
    describe_gauge!("chancery_agents", "Agents registered.");
    describe_gauge!("chancery_ready", "1 while new callers should come here.");
    Ok(handle)
}

fn describe_log() {
    describe_histogram!(
        "chancery_commit_seconds",
        Unit::Seconds,
        "From the append of a command on the leader until it is committed and applied there."
    );
    describe_histogram!(
        "chancery_apply_seconds",
        Unit::Seconds,
        "One batch of entries, from the log into the state and to the readers."
    );
    describe_histogram!(
        "chancery_log_sync_seconds",
        Unit::Seconds,
        "One write of the log that waits for the disk."
    );
    describe_counter!(
        "chancery_log_entries_synced_total",
        "Entries that this node's log has synced."
    );
    describe_counter!(
        "chancery_log_syncs_total",
        "Syncs of this node's log; entries that wait share one."
    );
    describe_gauge!("chancery_log_entries", "Entries in the log on this disk.");
    describe_gauge!(
        "chancery_database_bytes",
        Unit::Bytes,
        "About how much a database keeps: in its tables, or on the way there."
    );
    describe_gauge!(
        "chancery_memory_bytes",
        Unit::Bytes,
        "About how much memory is taken by what grows to a bound of its own, by part."
    );
}

fn describe_records() {
    describe_counter!(
        "chancery_records_written_total",
        "Records of mints that are in this node's files."
    );
    describe_counter!(
        "chancery_records_bytes_total",
        Unit::Bytes,
        "Bytes written of records of mints."
    );
    describe_counter!(
        "chancery_records_dropped_total",
        "Records of mints that found no room; the files count them as gaps."
    );
    describe_gauge!(
        "chancery_records_waiting",
        "Records of mints that wait to be written."
    );
    describe_gauge!(
        "chancery_settings_broken",
        "Rules of this build that the stored settings break: see `chancery settings explain`."
    );
    describe_gauge!(
        "chancery_records_behind",
        "1 while records of mints are not in the file in time."
    );
}

fn describe_edge() {
    describe_gauge!("chancery_connections", "Callers connected now.");
    describe_gauge!(
        "chancery_handshakes",
        "TLS handshakes of callers under way."
    );
    describe_counter!(
        "chancery_connections_refused_total",
        "Connections closed for a bound of this node, by reason."
    );
    describe_counter!(
        "chancery_handshakes_failed_total",
        "TLS handshakes that were not completed, by reason."
    );
    describe_counter!(
        "chancery_requests_refused_total",
        "Requests refused before any service saw them, by reason."
    );
    describe_gauge!(
        "chancery_server_certificate_remaining_seconds",
        Unit::Seconds,
        "How long the server certificate is still valid."
    );
}

/// What is read when somebody asks.
#[derive(Clone)]
pub(crate) struct Gauges {
    pub(crate) consensus: Consensus,
    pub(crate) status: NodeStatus,
    pub(crate) recent: Arc<Recent>,
    pub(crate) subscriptions: Arc<Subscriptions>,
}

impl Gauges {
    #[expect(clippy::cast_precision_loss, reason = "a gauge is a float")]
    pub(crate) fn read(&self) {
        let view = self.consensus.view();
        let age = view
            .freshness()
            .and_then(|proof| SystemClock.now().boot.since(proof.as_of));
        if let Some(age) = age {
            gauge!("chancery_freshness_age_seconds").set(age.as_secs_f64());
        }
        gauge!("chancery_applied_revision").set(view.revision().0 as f64);
        let status = self.consensus.status();
        gauge!("chancery_raft_term").set(status.term as f64);
        gauge!("chancery_is_leader").set(if status.leader == Some(status.node) {
            1.0
        } else {
            0.0
        });
        self.read_members(&status);
        self.read_registry();
        self.read_settings();
        self.read_databases(&status);
        let health = self.status.health();
        gauge!("chancery_ready").set(if health.ready() { 1.0 } else { 0.0 });
        gauge!("chancery_records_waiting").set(self.status.records.waiting() as f64);
        gauge!("chancery_records_behind").set(if health.records_behind { 1.0 } else { 0.0 });
    }

    fn read_settings(&self) {
        let settings = self.consensus.directory().settings();
        let broken = settings.map_or(0, |settings| broken_rules(&settings).len());
        gauge!("chancery_settings_broken").set(float(broken as u64));
    }

    fn read_members(&self, status: &chancery_consensus::Status) {
        let voters = status.members.iter().filter(|member| member.voter).count();
        let learners = status.members.len().saturating_sub(voters);
        gauge!("chancery_members", "standing" => "voter").set(float(voters as u64));
        gauge!("chancery_members", "standing" => "learner").set(float(learners as u64));
    }

    fn read_registry(&self) {
        let (mut open, mut retired, mut revoked, mut tokens) = (0, 0, 0, 0_usize);
        let agents = self.consensus.read_state(|state| {
            for issuer in state.issuers() {
                match issuer.standing {
                    IssuerStanding::Open => open += 1,
                    IssuerStanding::Retired(_) => retired += 1,
                    IssuerStanding::Revoked(_) => revoked += 1,
                }
                tokens = tokens.saturating_add(state.revoked_tokens(issuer.number));
            }
            state.agent_count()
        });
        gauge!("chancery_issuers", "state" => "open").set(float(open));
        gauge!("chancery_issuers", "state" => "retired").set(float(retired));
        gauge!("chancery_issuers", "state" => "revoked").set(float(revoked));
        gauge!("chancery_revoked_tokens").set(float(tokens as u64));
        gauge!("chancery_agents").set(float(agents as u64));
    }

    fn read_databases(&self, status: &chancery_consensus::Status) {
        let entries = status.last_log.0.saturating_sub(status.purged.0);
        gauge!("chancery_log_entries").set(float(entries));
        if let Some(log) = self.consensus.log_statistics() {
            counter!("chancery_log_entries_synced_total").absolute(log.entries);
            counter!("chancery_log_syncs_total").absolute(log.syncs);
            gauge!("chancery_database_bytes", "database" => "log").set(float(log.footprint.kept()));
            gauge!("chancery_memory_bytes", "part" => "log_memtables")
                .set(float(log.footprint.memtables));
        }
        if let Some(state) = self.consensus.state_footprint() {
            gauge!("chancery_database_bytes", "database" => "state").set(float(state.kept()));
            gauge!("chancery_memory_bytes", "part" => "state_memtables")
                .set(float(state.memtables));
            // One cache for both databases.
            gauge!("chancery_memory_bytes", "part" => "block_cache").set(float(state.block_cache));
        }
        let now = SystemClock::boot();
        if let Some(known) = self.subscriptions.known(now) {
            gauge!("chancery_verifiers_applied_revision").set(float(known.0));
        }
        let verifiers = self.subscriptions.count(now);
        gauge!("chancery_verifiers").set(float(verifiers as u64));
        gauge!("chancery_memory_bytes", "part" => "recent_changes")
            .set(float(self.recent.weight() as u64));
    }
}

#[expect(clippy::cast_precision_loss, reason = "a gauge is a float")]
const fn float(number: u64) -> f64 {
    number as f64
}
