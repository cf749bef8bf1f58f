//! What runs on a machine: the real consensus, the server's keeper and issuer manager,
//! and mints and checks.

use std::{
    future::Future,
    path::PathBuf,
    pin::Pin,
    sync::{Arc, OnceLock},
};

use chancery_authority::{Event, State};
use chancery_consensus::{
    Admission, Compaction, Consensus, Consumer, DirectoryIdentity, Entropy, HistoryBounds, Options,
    Timing,
};
use chancery_credential::{NodeNumber, Revision};
use chancery_revocation::{BootTime, View};
use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::{
    board::Board,
    clock::MachineClock,
    cluster::{LINEAGE, peer_identity, peer_signer},
    issuance::{IssuerManager, Signer},
    keeper,
    network::{Door, Network},
    oracle::Oracle,
    recent::Recent,
    service::Service,
    subscriptions::Subscriptions,
    watching::{self, Desk},
};

/// Work for the process of a node.
pub type Job =
    Box<dyn FnOnce(Consensus) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + 'static>;

/// What a process is given.
pub struct Birthright {
    pub number: u64,
    pub root: PathBuf,
    pub clock: Arc<MachineClock>,
    pub network: Network,
    pub oracle: Arc<Mutex<Oracle>>,
    pub board: Board,
    /// Drawn for this process.
    pub seed: u64,
    pub compaction: Compaction,
    pub tick_ms: u64,
    pub service_pause_us: u64,
}

/// Whose data directory it is.
pub fn identity(number: u64) -> DirectoryIdentity {
    DirectoryIdentity {
        lineage: LINEAGE,
        node: NodeNumber(number),
        incarnation: 1,
    }
}

pub async fn run(given: Birthright) {
    let (number, oracle) = (given.number, given.oracle.clone());
    let watcher = Arc::new(Watcher {
        node: number,
        oracle: oracle.clone(),
        view: OnceLock::new(),
    });
    let followers = Followers {
        watcher: watcher.clone(),
        recent: Arc::default(),
        subscriptions: Arc::new(Subscriptions::new()),
    };
    let consensus = match Consensus::start(options(&given, &followers)).await {
        Ok(consensus) => consensus,
        Err(error) => {
            oracle
                .lock()
                .violated(format!("node {number} does not start: {error}"));
            return;
        }
    };
    // Nobody has set it before.
    let _ = watcher.view.set(consensus.view().clone());
    let since = BootTime(given.clock.boot_ns());
    followers
        .subscriptions
        .serve(consensus.view().clone(), since);
    let (jobs, mut work) = mpsc::unbounded_channel();
    given.board.came_up(number, consensus.clone(), jobs);
    begin_service(&given, &consensus);
    let desk = Desk::new(consensus.clone(), followers.recent, followers.subscriptions);
    let door = given.network.listen(number, Door::Api);
    tokio::spawn(watching::serve(desk, door));
    let mut ended = Box::pin(consensus.fatal());
    let mut removed = Box::pin(consensus.removed());
    loop {
        tokio::select! {
            job = work.recv() => match job {
                Some(job) => drop(tokio::spawn(job(consensus.clone()))),
                None => return,
            },
            why = &mut ended => {
                if !given.board.is_draining(number) {
                    oracle.lock().violated(format!("node {number}: {why}"));
                }
                return;
            }
            _ = &mut removed => {
                oracle.lock().note(format_args!("node {number} hears that it was removed"));
                given.board.is_gone(number);
                return;
            }
        }
    }
}

/// What is told of the log.
struct Followers {
    watcher: Arc<Watcher>,
    recent: Arc<Recent>,
    subscriptions: Arc<Subscriptions>,
}

fn options(given: &Birthright, followers: &Followers) -> Options {
    let (peers, as_of) = given.board.admission();
    Options {
        identity: identity(given.number),
        directory: given.root.clone(),
        process: given.seed,
        peer: peer_identity(given.number),
        admission: Admission { peers, as_of },
        transport: given.network.listen(given.number, Door::Peers),
        clocks: given.clock.clone(),
        entropy: Arc::new(Drawn(Mutex::new(fastrand::Rng::with_seed(given.seed)))),
        verifiers: followers.subscriptions.clone(),
        consumers: vec![
            followers.watcher.clone(),
            followers.recent.clone(),
            followers.subscriptions.clone(),
        ],
        timing: Timing {
            tick_ms: given.tick_ms,
            ..Timing::default()
        },
        history: HistoryBounds::default(),
        compaction: given.compaction,
        event_capacity: 256,
    }
}

fn begin_service(given: &Birthright, consensus: &Consensus) {
    let signer = Arc::new(Signer::default());
    let seeds = Mutex::new(fastrand::Rng::with_seed(given.seed ^ 1));
    let manager = IssuerManager {
        consensus: consensus.clone(),
        signer: signer.clone(),
        peer_key: peer_signer(given.number),
        process: given.seed,
        draw_seed: Box::new(move |seed| {
            seeds.lock().fill(seed);
            Ok(())
        }),
    };
    tokio::spawn(manager.run(CancellationToken::new()));
    tokio::spawn(keeper::keep(consensus.clone()));
    let service = Service {
        node: given.number,
        consensus: consensus.clone(),
        signer,
        clock: given.clock.clone(),
        oracle: given.oracle.clone(),
        random: fastrand::Rng::with_seed(given.seed ^ 2),
        pause_us: given.service_pause_us,
    };
    tokio::spawn(service.run());
}

struct Drawn(Mutex<fastrand::Rng>);

impl Entropy for Drawn {
    fn draw(&self) -> std::io::Result<[u8; 32]> {
        let mut drawn = [0; 32];
        self.0.lock().fill(&mut drawn);
        Ok(drawn)
    }
}

/// Sees what is published before the revision says so.
struct Watcher {
    node: u64,
    oracle: Arc<Mutex<Oracle>>,
    view: OnceLock<Arc<View>>,
}

impl Watcher {
    /// Whoever saw the revision now would look for what is not there yet.
    fn is_not_told_yet(&self, revision: Revision) {
        let told = self.view.get().map(|view| view.revision());
        if told.is_some_and(|told| told >= revision) {
            let node = self.node;
            self.oracle.lock().violated(format!(
                "node {node} publishes revision {revision} before the rest"
            ));
        }
    }
}

impl Consumer for Watcher {
    fn publish(&self, state: &State, revision: Revision, events: &[Event]) {
        self.is_not_told_yet(revision);
        let mut oracle = self.oracle.lock();
        oracle.applied(self.node, revision.0, state, events);
    }

    fn replace(&self, state: &State) {
        self.oracle.lock().replaced(self.node, state);
    }
}
