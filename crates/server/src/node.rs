//! A node, from its files to its last answer.
//!
//! ```text
//! keys, admission ─► runtimes ─► consensus ─► birth (the first node, once)
//!                                    └─► issuers, keeper, listener, admin
//! stop ─► not ready ─► listener drains ─► records closed ─► issuer wiped and retired
//!      ─► consensus
//! ```

use std::{
    future::Future,
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use chancery_authority::WhenBehind;
use chancery_consensus::{Consensus, Consumer, StartError};
use thiserror::Error;
use tokio::{net::TcpListener, runtime::Runtime};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{error, info};

use crate::{
    admin::{self, Admin},
    admission::{AdmissionError, InstalledNode},
    caller::Callers,
    clock::SystemClock,
    config::{Config, ConfigError},
    issuance::{DrawSeed, IssuerManager, Signer},
    keeper,
    listener::{Limits, Listener},
    metrics::{self, Gauges, MetricsError},
    minting::{Minter, Turns},
    open_files,
    rate::Rates,
    recent::Recent,
    records::{self, Author, BootId, RECORDS_DIRECTORY, Records, RecordsError},
    registry::{self, Principals},
    routes::{self, ReflectionError},
    service::{Desk, Snapshots},
    start,
    status::NodeStatus,
    tls,
};

/// How long the last records may take to be written: the writer gives up before.
const LAST_RECORDS: Duration = Duration::from_secs(6);
/// How long stopping may take after the listener has drained.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// Why a node does not serve.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ServeError {
    /// The configuration breaks one of its bounds.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The node's files are missing or not in order.
    #[error(transparent)]
    Admission(#[from] AdmissionError),
    /// The server certificate or key cannot be used.
    #[error("the server certificate cannot be used: {0}")]
    Identity(#[from] tls::IdentityError),
    /// TLS cannot be set up.
    #[error("TLS cannot be set up: {0}")]
    Tls(#[from] tls::ConfigError),
    /// The replicated state cannot be reached or read.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The birth of the cluster was not committed.
    #[error("the cluster could not be born: {0}")]
    Birth(String),
    /// A listener cannot be bound.
    #[error("`{key} = {address}` cannot be listened on: {source}")]
    Listen {
        /// The key of the configuration.
        key: &'static str,
        /// What stands there.
        address: std::net::SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The system gave no threads or no entropy.
    #[error("the system gave no {what}: {source}")]
    System {
        /// What was asked for.
        what: &'static str,
        /// What it said.
        source: io::Error,
    },
    /// Mints cannot be recorded.
    #[error(transparent)]
    Records(#[from] RecordsError),
    /// Metrics cannot be recorded.
    #[error(transparent)]
    Metrics(#[from] MetricsError),
    /// Reflection cannot be served.
    #[error(transparent)]
    Reflection(#[from] ReflectionError),
    /// The cluster removed this node for good.
    #[error(transparent)]
    Removed(chancery_consensus::Removed),
    /// Raft or its storage failed: what this node knows can be trusted no more.
    #[error("the node had to stop: {0}")]
    Fatal(String),
}

impl ServeError {
    /// Whether the same start would be refused again until somebody acts: who
    /// watches over the process must not start it once more.
    #[must_use]
    pub fn is_final(&self) -> bool {
        match self {
            Self::Admission(AdmissionError::Read { .. } | AdmissionError::Write { .. }) => false,
            Self::Admission(AdmissionError::Storage(error)) | Self::Start(error) => is_final(error),
            Self::Config(_)
            | Self::Admission(_)
            | Self::Tls(_)
            | Self::Reflection(_)
            | Self::Removed(_) => true,
            Self::Identity(error) => !matches!(error, tls::IdentityError::Unreadable { .. }),
            Self::Birth(_)
            | Self::Listen { .. }
            | Self::System { .. }
            | Self::Records(_)
            | Self::Metrics(_)
            | Self::Fatal(_) => false,
        }
    }
}

/// Whether it is what stands on the disk, or in the membership, that is refused,
/// and not a disk that failed to answer.
fn is_final(error: &StartError) -> bool {
    match error {
        StartError::OtherKey(_) | StartError::PeerKey(_) | StartError::Timing(_) => true,
        StartError::Storage(error) => is_damage(&error.clone().into()),
        StartError::State(error) => is_damage(error),
        StartError::Raft(_) => false,
    }
}

/// Storage says so of data that is damaged or missing.
fn is_damage(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::InvalidData | io::ErrorKind::NotFound
    )
}

/// Whether the node is on its way out.
#[derive(Debug, Clone, Default)]
pub(crate) struct Draining(Arc<AtomicBool>);

impl Draining {
    fn begin(&self) {
        self.0.store(true, Ordering::Release);
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

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
        raft: runtime("raft", config.raft_threads)?,
        api: runtime("api", config.api_threads)?,
    };
    let outcome = run(&config, installed, draw_seed, &threads, shutdown).await;
    threads.api.shutdown_background();
    threads.raft.shutdown_background();
    outcome
}

/// Apart from each other, so that serving at full load never delays a heartbeat.
struct Threads {
    raft: Runtime,
    api: Runtime,
}

fn runtime(name: &'static str, threads: usize) -> Result<Runtime, ServeError> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads)
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
    let recent = Arc::new(Recent::default());
    let consumers: Vec<Arc<dyn Consumer>> = vec![recent.clone()];
    let consensus = start::consensus(config, &installed, process, &threads.raft, consumers).await?;
    let starting = Running::start(
        config, &installed, process, draw_seed, &consensus, recent, threads,
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
    consensus.shutdown().await;
    info!("stopped");
    removed.map_or(Ok(()), |removed| Err(ServeError::Removed(removed)))
}

/// What runs beside consensus, and how to stop it in order.
struct Running {
    draining: Draining,
    stop_listener: CancellationToken,
    stop_issuer: CancellationToken,
    stop_rest: CancellationToken,
    /// A task ended that runs as long as the node, by a panic perhaps: without it the
    /// node is not what it says it is.
    deserted: CancellationToken,
    listener: TaskTracker,
    issuer: TaskTracker,
    rest: TaskTracker,
    records: Records,
}

impl Running {
    async fn start(
        config: &Config,
        installed: &InstalledNode,
        process: u64,
        draw_seed: DrawSeed,
        consensus: &Consensus,
        recent: Arc<Recent>,
        Threads { raft, api }: &Threads,
    ) -> Result<Self, ServeError> {
        let deserted = CancellationToken::new();
        let records = keep_records(config, process, consensus, &deserted)?;
        let running = Self {
            draining: Draining::default(),
            stop_listener: CancellationToken::new(),
            stop_issuer: CancellationToken::new(),
            stop_rest: CancellationToken::new(),
            deserted,
            listener: TaskTracker::new(),
            issuer: TaskTracker::new(),
            rest: TaskTracker::new(),
            records,
        };
        let signer = Arc::new(Signer::default());
        let status = NodeStatus {
            consensus: consensus.clone(),
            signer: signer.clone(),
            records: running.records.recorder().clone(),
            draining: running.draining.clone(),
        };
        let identity = tls::ServerIdentity::load(installed.server_identity_files())?;
        let (limits, bounds) = open_files::bounds();
        let public = bind_public(config, &identity, limits).await?;
        let callers = Callers::new(
            Arc::new(Principals(consensus.clone())),
            Arc::new(SystemClock),
            bounds,
            process,
        );
        let desk = Arc::new(Desk {
            consensus: consensus.clone(),
            minter: Minter {
                view: consensus.view().clone(),
                directory: consensus.directory().clone(),
                signer: signer.clone(),
                records: running.records.recorder().clone(),
                rates: Rates::new(SystemClock),
                clock: SystemClock,
            },
            turns: Turns::new(config.api_threads),
            status: status.clone(),
            snapshots: Snapshots::default(),
            recent,
        });
        let (routes, reporter) = routes::all(desk)?;
        running.serve_admin(config, &status, consensus, api).await?;

        let manager = IssuerManager {
            consensus: consensus.clone(),
            signer,
            peer_key: installed.peer_signing_key()?,
            process,
            draw_seed,
        };
        let issuing = running.posted(manager.run(running.stop_issuer.clone()));
        running.issuer.spawn_on(issuing, raft.handle());
        running.spawn(raft, keeper::keep(consensus.clone()));
        running.spawn(api, registry::ring(consensus.clone(), callers.clone()));
        running.spawn(api, routes::report_health(status, reporter));
        running.spawn(api, tls::follow_files(identity));
        let stop = running.stop_listener.clone();
        let listening = running.posted(async move {
            let _drained = public.serve(routes, callers, stop).await;
        });
        running.listener.spawn_on(listening, api.handle());
        info!(api = %config.api_listen, peers = %config.peer_listen, "serving");
        Ok(running)
    }

    /// Runs until everything stops.
    fn spawn(&self, runtime: &Runtime, task: impl Future<Output = ()> + Send + 'static) {
        let stop = self.stop_rest.clone();
        let until_stopped = self.posted(async move {
            tokio::select! {
                () = task => {}
                () = stop.cancelled() => {}
            }
        });
        self.rest.spawn_on(until_stopped, runtime.handle());
    }

    /// The task, whose end is noticed however it comes about.
    fn posted(
        &self,
        task: impl Future<Output = ()> + Send + 'static,
    ) -> impl Future<Output = ()> + Send + 'static {
        let post = self.deserted.clone().drop_guard();
        async move {
            let _post = post;
            task.await;
        }
    }

    async fn serve_admin(
        &self,
        config: &Config,
        status: &NodeStatus,
        consensus: &Consensus,
        api: &Runtime,
    ) -> Result<(), ServeError> {
        let address = config.admin_listen;
        let listener = TcpListener::bind(address)
            .await
            .map_err(|source| ServeError::Listen {
                key: "admin_listen",
                address,
                source,
            })?;
        let admin = Admin {
            status: status.clone(),
            prometheus: metrics::install()?,
            gauges: Gauges {
                consensus: consensus.clone(),
                status: status.clone(),
            },
        };
        let stop = self.stop_rest.clone();
        self.rest.spawn_on(
            async move {
                if let Err(error) = admin::serve(listener, admin, stop).await {
                    error!(%error, "the admin listener failed");
                }
            },
            api.handle(),
        );
        Ok(())
    }

    /// Stops in the order in which nothing is lost: new callers go elsewhere,
    /// calls under way finish and their records are written, then the key is wiped.
    async fn drain(self) {
        self.draining.begin();
        self.stop_listener.cancel();
        self.listener.close();
        self.listener.wait().await;
        let _ = tokio::time::timeout(LAST_RECORDS, self.records.close()).await;
        self.stop_issuer.cancel();
        self.issuer.close();
        let _ = tokio::time::timeout(LAST_WORDS, self.issuer.wait()).await;
        self.stop_rest.cancel();
        self.rest.close();
        let _ = tokio::time::timeout(LAST_WORDS, self.rest.wait()).await;
    }
}

/// Before anybody is served. The issuers of a former process of this node are those
/// that the state still knows.
fn keep_records(
    config: &Config,
    process: u64,
    consensus: &Consensus,
    deserted: &CancellationToken,
) -> Result<Records, RecordsError> {
    let node = consensus.node();
    let author = Author {
        node,
        lineage: consensus.view().lineage(),
        process,
        boot: BootId::current(),
    };
    let issuers_of = |former: u64| {
        consensus.read_state(|state| {
            let issuers = state.issuers_of(node);
            let of_former = issuers.filter(|issuer| issuer.process == former);
            of_former.map(|issuer| issuer.number).collect()
        })
    };
    let records = records::start(
        &config.data_dir.join(RECORDS_DIRECTORY),
        &config.records,
        config.api_threads,
        author,
        &issuers_of,
        deserted.clone().drop_guard(),
    )?;
    let settings = consensus.directory().settings();
    if settings.is_some_and(|settings| settings.records_when_behind == WhenBehind::Drop) {
        records.recorder().expect_drops();
    }
    Ok(records)
}

async fn bind_public(
    config: &Config,
    identity: &Arc<tls::ServerIdentity>,
    limits: Limits,
) -> Result<Listener, ServeError> {
    let address = config.api_listen;
    let limits = Limits {
        drain: Duration::from_secs(config.drain_seconds),
        ..limits
    };
    Listener::bind(address, tls::server_config(identity.clone())?, limits)
        .await
        .map_err(|source| ServeError::Listen {
            key: "api_listen",
            address,
            source,
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::RecordLimits;

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
