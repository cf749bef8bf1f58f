//! Putting a node's consensus together: the directory, the state in it, Raft over
//! both, and then the doors, in an order in which nobody meets a half of it.

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64},
    },
    time::Duration,
};

use chancery_authority::Settings;
use chancery_credential::Revision;
use chancery_revocation::View;
use chancery_storage::{DataDirectory, LogStore as Log, StateStore};
use parking_lot::Mutex;
use tokio::{
    sync::{Semaphore, watch},
    task::JoinHandle,
};

use crate::{
    comparison::Comparison,
    consensus::{Consensus, Inner, Post, Running},
    disk_work::on_a_thread,
    error::StartError,
    fence::{Asking, Awaited, Fence, Process, Reporter},
    foresight::Foresight,
    freshness::Prover,
    history::{HistoryBounds, Readers},
    leadership::Leadership,
    log_store::LogStore,
    membership::{Members, departure::Departures},
    options::{Options, Timing, default_tick, raft_config},
    peers::{
        book::PeerBook, dialer::Dialer, introduction::Introduction, network::Networks,
        serve::serve, service::Peers,
    },
    propose::Proposer,
    published::Published,
    raft::{Raft, StoredMembership},
    release::{Hold, pair},
    skew::Skew,
    state_machine::{Loaded, StateMachine, load},
    transfers::Transfers,
};

/// What stands on disk, read.
struct Opened {
    directory: DataDirectory,
    log: Log,
    store: StateStore,
    published: Arc<Published>,
    hold: Hold,
}

impl Consensus {
    /// Opens the data directory, loads the state, and takes part in the cluster.
    /// Everything runs on the runtime that this is called on.
    ///
    /// # Errors
    /// [`StartError`]: whose fault it is and what to do.
    pub async fn start(options: Options) -> Result<Self, StartError> {
        let (hold, released) = pair();
        let opened = open(&options, hold).await?;
        let node = options.identity.node;
        let membership = opened.published.position.read().membership.clone();
        check_own_key(&options, &membership)?;

        let book = Arc::new(PeerBook::new(options.admission, membership));
        let dialer = Arc::new(Dialer::new(options.peer.clone(), options.transport.clone()));

        let transfers = Arc::new(Transfers::default());
        let awaited = Arc::new(Awaited::default());
        let networks = Networks {
            own: node,
            dialer: dialer.clone(),
            book: book.clone(),
            transfers: transfers.clone(),
            awaited: awaited.clone(),
        };
        let raft = build_raft(
            &opened,
            &options.identity,
            options.timing,
            options.compaction,
            options.history,
            networks.clone(),
        )
        .await?;
        let leadership = Arc::new(Leadership::new(node, raft.clone(), networks));
        book.follow(raft.metrics());
        book.remember(opened.published.clone());

        let Opened {
            directory,
            log,
            store,
            published,
            hold,
        } = opened;
        let skew = Arc::new(Skew::default());
        let fence = Arc::new(Fence {
            own: node,
            process: Process {
                incarnation: options.identity.incarnation,
                start: directory.start(),
                random: options.process,
            },
            raft: raft.clone(),
            published: published.clone(),
            clocks: options.clocks.clone(),
            verifiers: options.verifiers,
            awaited: awaited.clone(),
            table: Mutex::default(),
            reported: watch::Sender::default(),
        });
        let reporter = Arc::new(Reporter {
            own: node,
            fence: fence.clone(),
            book: book.clone(),
            dialer: dialer.clone(),
            wanted: watch::Sender::new(Revision(0)),
        });
        let asking = Asking {
            own: node,
            fence: fence.clone(),
            book: book.clone(),
            dialer: dialer.clone(),
        };
        let prover = Arc::new(Prover {
            own: node,
            fence: fence.clone(),
            raft: raft.clone(),
            leadership: leadership.clone(),
            published: published.clone(),
            book: book.clone(),
            dialer: dialer.clone(),
            clocks: options.clocks.clone(),
            skew: skew.clone(),
            comparison: Comparison::default(),
            compare_at: Mutex::new(None),
            default_tick: default_tick(options.timing),
            proved: watch::Sender::new(None),
            sleeping: watch::Sender::new(Duration::ZERO),
            wanted: Arc::default(),
            trouble: Mutex::new(None),
            heard: AtomicU64::new(0),
            withdrawn: AtomicBool::new(false),
        });
        let proposer = Arc::new(Proposer {
            own: node,
            raft: raft.clone(),
            published: published.clone(),
            book: book.clone(),
            dialer: dialer.clone(),
            clocks: options.clocks.clone(),
            entropy: options.entropy,
            skew: skew.clone(),
            foresight: Foresight::new(published.clone(), prover.clone()),
            awaited,
        });
        let members = Arc::new(Members {
            own: node,
            raft: raft.clone(),
            leadership,
            published: published.clone(),
            book: book.clone(),
            dialer: dialer.clone(),
            clocks: options.clocks,
            turn: tokio::sync::Mutex::new(()),
            departures: Departures::default(),
            skew,
        });
        let introduction = Introduction {
            own: node,
            book: book.clone(),
            dialer: dialer.clone(),
            proved: prover.proved.subscribe(),
        };
        let history = Mutex::new(Some((store.clone(), hold.clone())));
        let stopping = watch::Sender::new(false);
        let peers = Peers {
            raft: raft.clone(),
            book,
            store,
            prover: prover.clone(),
            proposer: proposer.clone(),
            fence,
            reporter: reporter.clone(),
            asking: Arc::default(),
            members: members.clone(),
            receiving: Arc::new(Semaphore::new(1)),
            transfers: transfers.clone(),
            _hold: hold,
        };
        let server = serve(
            peers,
            &options.peer,
            options.transport,
            stopping.subscribe(),
        )?;
        raft.run();
        let deserted = watch::Sender::new(false);
        let tasks = vec![
            post(&deserted, server),
            post(&deserted, prover.clone().run()),
            post(&deserted, reporter.clone().run()),
            post(&deserted, prover.fence.clone().begin_each_term()),
            post(&deserted, introduction.run()),
            post(&deserted, members.clone().end_what_was_begun()),
            post(&deserted, members.clone().lead_by_no_lone_clock()),
        ];
        let inner = Inner {
            node,
            peer_public_key: options.peer.spki().to_vec(),
            raft,
            published,
            prover,
            proposer,
            members,
            reporter,
            asking,
            history,
            readers: Readers::default(),
            dialer,
            failure: directory.failure().clone(),
            log: log.gauge(),
            transfers,
            stopping,
            deserted,
            running: Mutex::new(Some(Running { tasks, released })),
        };
        Ok(Self {
            inner: Arc::new(inner),
        })
    }
}

/// A task that ends only when the node does.
fn post(
    deserted: &watch::Sender<bool>,
    task: impl Future<Output = ()> + Send + 'static,
) -> JoinHandle<()> {
    let post = Post(deserted.clone());
    tokio::spawn(async move {
        let _post = post;
        task.await;
    })
}

/// Opens and reads what is on disk, off the runtime's own threads.
async fn open(options: &Options, hold: Hold) -> Result<Opened, StartError> {
    let (path, identity) = (options.directory.clone(), options.identity);
    let reading = on_a_thread(move || {
        let directory = DataDirectory::open(path, &identity.marker())?;
        let (log, store) = directory.open_stores()?;
        let loaded = load(store.rows(), store.applied(), identity.lineage)?;
        Ok::<_, StartError>((directory, log, store, loaded))
    });
    let (directory, log, store, Loaded { state, position }) =
        reading.await.map_err(StartError::State)??;
    let view = Arc::new(View::new(options.identity.lineage));
    let consumers = options.consumers.clone();
    let published = Arc::new(Published::new(
        view,
        consumers,
        options.event_capacity.max(1),
    ));
    published
        .replace(state, position)
        .map_err(|error| StartError::State(std::io::Error::other(error)))?;
    Ok(Opened {
        directory,
        log,
        store,
        published,
        hold,
    })
}

async fn build_raft(
    opened: &Opened,
    identity: &crate::options::DirectoryIdentity,
    timing: Timing,
    compaction: crate::options::Compaction,
    history: HistoryBounds,
    networks: Networks,
) -> Result<Raft, StartError> {
    let settings = opened.published.directory.settings();
    let timing = settings.map_or(timing, |settings| replicated(&settings));
    let config = raft_config(identity.lineage, timing, compaction)?;
    let log_store = LogStore::new(
        opened.log.clone(),
        Some(opened.store.clone()),
        opened.hold.clone(),
    );
    let state_machine = StateMachine::new(
        opened.published.clone(),
        opened.store.clone(),
        Some(opened.log.flushed().clone()),
        identity.lineage,
        not_before(opened),
        history,
        opened.hold.clone(),
    )?;
    Raft::build(
        identity.node.0,
        Arc::new(config),
        networks,
        log_store,
        state_machine,
    )
    .await
    .map_err(|error| StartError::Raft(error.to_string()))
}

/// Through where the log has forgotten its entries, or will have when Raft has
/// started: it cuts a log that ends before a snapshot that was installed.
fn not_before(opened: &Opened) -> u64 {
    let purged = opened.log.purged().map_or(0, |purged| purged.index);
    let last = opened.log.last_index().unwrap_or(purged);
    let applied = opened.store.applied().map_or(0, |applied| applied.index);
    if last < applied { applied } else { purged }
}

fn replicated(settings: &Settings) -> Timing {
    Timing {
        heartbeat_ms: settings.heartbeat_ms,
        election_min_ms: settings.election_min_ms,
        election_max_ms: settings.election_max_ms,
        tick_ms: settings.tick_ms,
    }
}

/// A node that comes with another key than its peers have pinned would be turned
/// away by all of them; better told here. One that was readmitted has another key
/// than in the membership that it knows, and an admission file that is newer.
fn check_own_key(options: &Options, membership: &StoredMembership) -> Result<(), StartError> {
    let node = options.identity.node;
    let changed_at = membership.log_id().map_or(0, |changed| changed.index);
    match membership.get_node(&node.0) {
        _ if changed_at < options.admission.as_of.0 => Ok(()),
        Some(record) if record.peer_public_key != options.peer.spki() => {
            Err(StartError::OtherKey(node))
        }
        _ => Ok(()),
    }
}
