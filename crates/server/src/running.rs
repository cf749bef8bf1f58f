//! What runs beside consensus, begun in order and stopped in the order in which
//! nothing is lost.

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use chancery_authority::WhenBehind;
use chancery_consensus::Consensus;
use tokio::{net::TcpListener, runtime::Runtime};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{error, info};

use crate::{
    admin::{self, Admin},
    admission::InstalledNode,
    caller::Callers,
    clock::SystemClock,
    config::Config,
    issuance::{DrawSeed, IssuerManager, Signer},
    keeper,
    listener::{Limits, Listener},
    metrics::{self, Gauges},
    minting::{Minter, Turns},
    node::Threads,
    open_files,
    rate::Rates,
    records::{self, Author, BootId, RECORDS_DIRECTORY, Records, RecordsError},
    registry::{self, Principals},
    routes,
    serve_error::ServeError,
    service::Desk,
    start::Followers,
    status::NodeStatus,
    tls,
};

/// How long the last records may take to be written: the writer gives up before.
const LAST_RECORDS: Duration = Duration::from_secs(6);
/// How long stopping may take after the listener has drained.
const LAST_WORDS: Duration = Duration::from_secs(5);

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

/// What runs beside consensus, and how to stop it in order.
pub(crate) struct Running {
    draining: Draining,
    stop_listener: CancellationToken,
    stop_issuer: CancellationToken,
    stop_rest: CancellationToken,
    /// A task ended that runs as long as the node, by a panic perhaps: without it the
    /// node is not what it says it is.
    pub(crate) deserted: CancellationToken,
    listener: TaskTracker,
    issuer: TaskTracker,
    rest: TaskTracker,
    records: Records,
}

impl Running {
    pub(crate) async fn start(
        config: &Config,
        installed: &InstalledNode,
        process: u64,
        draw_seed: DrawSeed,
        consensus: &Consensus,
        Followers {
            recent,
            subscriptions,
        }: Followers,
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
        subscriptions.serve(consensus.view().clone(), SystemClock::boot());
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
            recent: recent.clone(),
            subscriptions: subscriptions.clone(),
        });
        let (routes, reporter) = routes::all(desk)?;
        let gauges = Gauges {
            consensus: consensus.clone(),
            status: status.clone(),
            recent,
            subscriptions,
        };
        running.serve_admin(config, gauges, api).await?;

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
        gauges: Gauges,
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
            status: gauges.status.clone(),
            prometheus: metrics::install()?,
            gauges,
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
    pub(crate) async fn drain(self) {
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
    let issuers_of = |former: Option<u64>| {
        consensus.read_state(|state| {
            let issuers = state.issuers_of(node);
            let is_former = |opened_by: u64| match former {
                Some(former) => opened_by == former,
                None => opened_by != process,
            };
            let of_former = issuers.filter(|issuer| is_former(issuer.process));
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
