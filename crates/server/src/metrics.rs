//! The first metrics: base units, bounded labels, never an id of anybody.

use chancery_consensus::Consensus;
use chancery_revocation::Clock;
use metrics::{Unit, describe_counter, describe_gauge, gauge};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use thiserror::Error;

use crate::{clock::SystemClock, status::NodeStatus};

/// The process has a recorder already.
#[derive(Debug, Error)]
#[error("metrics cannot be recorded: {0}")]
pub struct MetricsError(String);

/// Installs the recorder of the process and describes every metric.
pub(crate) fn install() -> Result<PrometheusHandle, MetricsError> {
    let handle = PrometheusBuilder::new()
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
    describe_gauge!(
        "chancery_freshness_age_seconds",
        Unit::Seconds,
        "How old this node's state can be at most; absent before the first proof."
    );
    describe_gauge!("chancery_applied_revision", "The last log entry applied.");
    describe_gauge!("chancery_raft_term", "The Raft term this node is in.");
    describe_gauge!("chancery_is_leader", "1 while this node leads.");
    describe_gauge!("chancery_issuers", "Issuers that have not expired.");
    describe_gauge!("chancery_agents", "Agents registered.");
    describe_gauge!("chancery_ready", "1 while new callers should come here.");
    Ok(handle)
}

fn describe_edge() {
    describe_gauge!("chancery_connections", "Callers connected now.");
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
        let (issuers, agents) = self
            .consensus
            .read_state(|state| (state.issuers().count(), state.agent_count()));
        gauge!("chancery_issuers").set(issuers as f64);
        gauge!("chancery_agents").set(agents as f64);
        gauge!("chancery_ready").set(if self.status.health().ready() {
            1.0
        } else {
            0.0
        });
    }
}
