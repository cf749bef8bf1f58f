//! Somebody works with the cluster all along: mints at every serving node through
//! the SDK, tokens held against every serving node, registrations.

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use chancery_client::{Client, Error, Idempotence, Identity, Minted, v1};
use chancery_tests::{
    agent::{AUDIENCE, Agent, OWNER, register, wanted},
    cluster::{Cluster, TRUST_DOMAIN, patient},
    until::until,
};
use tokio::{sync::watch, task::JoinHandle, time::MissedTickBehavior};
use v1::token_service_client::TokenServiceClient;

/// Mints a second that are offered to each serving node, unless [`RATE`] says
/// otherwise.
const MINTS_A_SECOND: u32 = 100;
/// Set, it is how many mints a second are offered to each serving node.
const RATE: &str = "CHANCERY_MEMBERSHIP_RATE";
/// Mints of one node under way at once; more are not offered on a machine that is
/// too slow for the rate.
const UNDER_WAY: usize = 512;
/// Tokens that wait to be verified.
const NEWEST: usize = 64;
/// How often the newest token of each node is held against every serving node.
const VERIFY_EVERY: Duration = Duration::from_millis(200);
/// How often something is registered.
const REGISTER_EVERY: Duration = Duration::from_millis(100);

/// What the load was answered.
#[derive(Debug, Default)]
pub struct Tally {
    pub offered: AtomicUsize,
    /// What was due and not offered: too many were under way.
    pub not_offered: AtomicUsize,
    pub minted: AtomicUsize,
    /// First tries that got no answer; the SDK tried again.
    pub failed_first_tries: AtomicU64,
    under_way: AtomicUsize,
    pub verified: AtomicUsize,
    /// What the SDK gave up, and what was refused.
    pub failed: Mutex<Vec<String>>,
    /// The registrations that were acknowledged, and the last consistency token.
    pub written: Mutex<(Vec<String>, String)>,
}

impl Tally {
    fn fail(&self, what: String) {
        self.failed.lock().unwrap().push(what);
    }
}

/// The load, and who serves it.
pub struct Load {
    pub tally: Arc<Tally>,
    serving: watch::Sender<Vec<usize>>,
    tasks: Vec<JoinHandle<()>>,
    agent: Agent,
    clients: Vec<Arc<Client>>,
    newest: Arc<Mutex<Vec<Minted>>>,
    /// The positions of nodes that may stop serving at any moment.
    leaving: Arc<Mutex<BTreeSet<usize>>>,
}

impl Load {
    /// Begins at the first node.
    pub async fn begin(cluster: &Cluster) -> Self {
        let mut load = Self {
            tally: Arc::default(),
            serving: watch::Sender::new(vec![0]),
            tasks: Vec::new(),
            agent: Agent::register(cluster, "busy").await,
            clients: Vec::new(),
            newest: Arc::default(),
            leaving: Arc::default(),
        };
        load.serve(cluster, &[0]);
        load
    }

    /// From here on these nodes serve. Each gets its own stream of mints, from a client
    /// that prefers it and knows the others.
    pub fn serve(&mut self, cluster: &Cluster, serving: &[usize]) {
        self.serving.send_replace(serving.to_vec());
        for first in serving {
            let others = serving.iter().filter(|other| *other != first);
            let order: Vec<usize> = std::iter::once(first).chain(others).copied().collect();
            let client = Arc::new(self.agent.at(cluster, &order));
            self.clients.push(client.clone());
            self.spawn(serving, |load| {
                mint_on(client, load.tally.clone(), load.newest.clone())
            });
        }
        let operator = |positions: &[usize]| {
            cluster.client(positions, Some(cluster.operator_identity()), patient())
        };
        let verifiers = serving
            .iter()
            .map(|position| (*position, operator(&[*position])))
            .collect();
        let certificate = self.agent.identity().certificate_thumbprint();
        let certificate = certificate.as_bytes().to_vec();
        self.spawn(serving, |load| {
            verify_on(
                verifiers,
                certificate,
                load.leaving.clone(),
                load.tally.clone(),
                load.newest.clone(),
            )
        });
        let registrar = operator(serving);
        self.spawn(serving, |load| register_on(registrar, load.tally.clone()));
    }

    /// Mints are offered to this node as before; what it says of tokens is not asked
    /// any more.
    pub fn leave(&self, position: usize) {
        self.leaving.lock().unwrap().insert(position);
    }

    /// Runs until others serve, or all is over.
    fn spawn<F>(&mut self, serving: &[usize], work: impl FnOnce(&Self) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let mut now = self.serving.subscribe();
        let (mine, work) = (serving.to_vec(), work(self));
        self.tasks.push(tokio::spawn(async move {
            tokio::select! {
                () = work => {}
                _ = now.wait_for(|serving| *serving != mine) => {}
            }
        }));
    }

    /// Ends it. What was under way is answered first, for it counts too.
    pub async fn end(self) -> Arc<Tally> {
        self.serving.send_replace(Vec::new());
        for task in self.tasks {
            task.await.unwrap();
        }
        until("every mint was answered", || async {
            (self.tally.under_way.load(Ordering::Relaxed) == 0).then_some(())
        })
        .await;
        for client in self.clients {
            let failed = client.statistics().failed_first_tries;
            let all = &self.tally.failed_first_tries;
            all.fetch_add(failed, Ordering::Relaxed);
        }
        self.tally
    }
}

fn rate() -> u32 {
    std::env::var(RATE).map_or(MINTS_A_SECOND, |rate| rate.parse().unwrap())
}

async fn mint_on(client: Arc<Client>, tally: Arc<Tally>, newest: Arc<Mutex<Vec<Minted>>>) {
    let places = Arc::new(tokio::sync::Semaphore::new(UNDER_WAY));
    let mut beat = tokio::time::interval(Duration::from_secs(1) / rate());
    // What was due while this task waited for its turn is offered then.
    beat.set_missed_tick_behavior(MissedTickBehavior::Burst);
    loop {
        beat.tick().await;
        let Ok(place) = places.clone().try_acquire_owned() else {
            tally.not_offered.fetch_add(1, Ordering::Relaxed);
            continue;
        };
        tally.offered.fetch_add(1, Ordering::Relaxed);
        let (client, tally, newest) = (client.clone(), tally.clone(), newest.clone());
        tally.under_way.fetch_add(1, Ordering::Relaxed);
        // On its own, so that the end of this stream cuts none short.
        tokio::spawn(async move {
            let _place = place;
            match client.mint(wanted()).await {
                Ok(minted) => {
                    tally.minted.fetch_add(1, Ordering::Relaxed);
                    let mut newest = newest.lock().unwrap();
                    if newest.len() < NEWEST {
                        newest.push(minted);
                    }
                }
                Err(error) => tally.fail(format!("a mint: {error}")),
            }
            tally.under_way.fetch_sub(1, Ordering::Relaxed);
        });
    }
}

/// Every token that is taken, at every node that serves.
async fn verify_on(
    verifiers: Vec<(usize, Client)>,
    certificate: Vec<u8>,
    leaving: Arc<Mutex<BTreeSet<usize>>>,
    tally: Arc<Tally>,
    newest: Arc<Mutex<Vec<Minted>>>,
) {
    loop {
        tokio::time::sleep(VERIFY_EVERY).await;
        let tokens = std::mem::take(&mut *newest.lock().unwrap());
        // A few of what came meanwhile, from whichever nodes.
        let every = tokens.len().div_ceil(4).max(1);
        for minted in tokens.into_iter().step_by(every) {
            for (position, verifier) in &verifiers {
                if leaving.lock().unwrap().contains(position) {
                    continue;
                }
                match verified(verifier, &minted, &certificate).await {
                    Ok(None) => drop(tally.verified.fetch_add(1, Ordering::Relaxed)),
                    Ok(Some(reason)) => {
                        tally.fail(format!("node {} refused a token: {reason}", position + 1));
                    }
                    Err(error) => {
                        tally.fail(format!("node {} verified nothing: {error}", position + 1));
                    }
                }
            }
        }
    }
}

async fn verified(
    verifier: &Client,
    minted: &Minted,
    certificate: &[u8],
) -> Result<Option<String>, Error> {
    let request = v1::VerifyRequest {
        token: minted.token.clone(),
        audience: AUDIENCE.to_owned(),
        certificate_sha256: certificate.to_vec(),
        min_revision: minted.consistency_token.clone(),
    };
    let response = verifier
        .call(Idempotence::Repeatable, |channel| {
            let request = request.clone();
            async move { TokenServiceClient::new(channel).verify(request).await }
        })
        .await?;
    Ok(match response.verdict() {
        v1::verify_response::Verdict::Valid => None,
        _ => Some(response.reason),
    })
}

async fn register_on(registrar: Client, tally: Arc<Tally>) {
    loop {
        tokio::time::sleep(REGISTER_EVERY).await;
        let identity = Identity::generate().unwrap();
        let id = format!(
            "spiffe://{TRUST_DOMAIN}/written/{}",
            hex::encode(&identity.public_key()[27..43])
        );
        let spec = v1::AgentSpec {
            id: id.clone(),
            owners: vec![OWNER.to_owned()],
            public_keys: vec![identity.public_key().to_vec()],
            ..v1::AgentSpec::default()
        };
        match register(&registrar, spec).await {
            Ok(response) => {
                let mut written = tally.written.lock().unwrap();
                written.0.push(id);
                written.1 = response.committed.unwrap().consistency_token;
            }
            // Not acknowledged, so nothing is promised of it.
            Err(Error::Unavailable { .. } | Error::Unknown { .. }) => {}
            Err(error) => tally.fail(format!("a registration: {error}")),
        }
    }
}
