//! A node, from its files to its last answer.
//!
//! ```text
//! keys, admission ─► runtimes ─► consensus ─► birth (the first node, once)
//!                                    └─► issuers, keeper, listener, admin
//! stop ─► not ready ─► listener drains ─► records closed ─► issuer wiped and retired
//!      ─► consensus
//! ```

use std::{future::Future, sync::Arc};

use chancery_authority::MAX_NODES;
use tokio::runtime::Runtime;
use tracing::{error, info};

use crate::{
    admission::InstalledNode,
    config::Config,
    issuance::DrawSeed,
    recent::Recent,
    running::Running,
    serve_error::ServeError,
    start::{self, Followers},
    subscriptions::Subscriptions,
};

/// Runs a node until `shutdown` resolves, then drains it. Its signing keys are
/// made of the system's entropy.
///
/// # Errors
/// Every [`ServeError`]. After [`ServeError::Fatal`] the process has to end.
pub async fn serve(
    config: Config,
    shutdown: impl Future<Output = ()> + Send,
) -> Result<(), ServeError> {
    serve_drawing(config, start::seeds(), shutdown).await
}

/// As [`serve`], with the seeds of its signing keys drawn by the caller: who chose
/// them can look for the keys wherever they must not be.
///
/// # Errors
/// As [`serve`].
pub async fn serve_drawing(
    config: Config,
    draw_seed: DrawSeed,
    shutdown: impl Future<Output = ()> + Send,
) -> Result<(), ServeError> {
    config.validate()?;
    let installed = InstalledNode::load(&config.data_dir)?;
    let threads = Threads {
        raft: runtime("raft", config.raft_threads, RAFT_BLOCKING)?,
        api: runtime("api", config.api_threads, API_BLOCKING)?,
    };
    let outcome = run(&config, installed, draw_seed, &threads, shutdown).await;
    threads.api.shutdown_background();
    threads.raft.shutdown_background();
    outcome
}

/// Threads of the API's that may wait for the disk, or for a name's address: the history
/// is read by four of them at a time.
const API_BLOCKING: usize = 16;
/// Threads of Raft's that may: a snapshot to each of [`MAX_NODES`] takes one for as long
/// as it lasts, and must keep no log from its sync.
const RAFT_BLOCKING: usize = 2 * MAX_NODES;

/// Apart from each other, so that serving at full load never delays a heartbeat.
pub(crate) struct Threads {
    pub(crate) raft: Runtime,
    pub(crate) api: Runtime,
}

fn runtime(name: &'static str, threads: usize, blocking: usize) -> Result<Runtime, ServeError> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads)
        .max_blocking_threads(blocking)
        .thread_name(name)
        .enable_all()
        .build()
        .map_err(|source| ServeError::System {
            what: "threads",
            source,
        })
}

async fn run(
    config: &Config,
    installed: InstalledNode,
    draw_seed: DrawSeed,
    threads: &Threads,
    shutdown: impl Future<Output = ()> + Send,
) -> Result<(), ServeError> {
    let process = start::draw_process()?;
    let followers = Followers {
        recent: Arc::new(Recent::default()),
        subscriptions: Arc::new(Subscriptions::new()),
    };
    let starting = start::consensus(config, &installed, process, &threads.raft, &followers);
    let consensus = starting.await?;
    let starting = Running::start(
        config, &installed, process, draw_seed, &consensus, followers, threads,
    );
    let running = match starting.await {
        Ok(running) => running,
        Err(error) => {
            consensus.shutdown().await;
            return Err(error);
        }
    };
    let removed = tokio::select! {
        () = shutdown => {
            info!("stopping");
            None
        }
        removed = consensus.removed() => {
            error!(%removed, "stopping for good");
            Some(removed)
        }
        reason = consensus.fatal() => {
            error!(%reason, "the node stops: what it knows can be trusted no more");
            return Err(ServeError::Fatal(reason.to_string()));
        }
        () = running.deserted.cancelled() => {
            error!("the node stops: a task that runs as long as it does has ended");
            return Err(ServeError::Fatal("a task of the node has ended".to_owned()));
        }
    };
    running.drain().await;
    consensus.give_back().await;
    consensus.shutdown().await;
    info!("stopped");
    removed.map_or(Ok(()), |removed| Err(ServeError::Removed(removed)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{config::ConfigError, records::RecordLimits};

    #[tokio::test]
    async fn nobody_is_served_by_a_configuration_that_was_made_by_hand_and_is_out_of_bounds() {
        let config = Config {
            data_dir: "/nonexistent".into(),
            api_listen: ([127, 0, 0, 1], 0).into(),
            peer_listen: ([127, 0, 0, 1], 0).into(),
            admin_listen: ([0, 0, 0, 0], 0).into(),
            api_threads: 1,
            raft_threads: 1,
            snapshot_every: 100,
            history_mib: 1,
            history_days: 1,
            drain_seconds: 0,
            records: RecordLimits::default(),
        };
        let outcome = serve(config, std::future::pending()).await;
        assert!(
            matches!(
                outcome,
                Err(ServeError::Config(ConfigError::AdminNotLoopback(_)))
            ),
            "{outcome:?}"
        );
    }
}
