//! The load: mints, checks, registrations, revocations, suspensions and resumptions at
//! every node, each written down with what it was answered.

mod commands;
mod mints;
mod questions;
mod verifiers;

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
    time::Duration,
};

use chancery_client::{Client, Identity, RetryPolicy};
use chancery_credential::CertificateThumbprint;
use tokio::{task::JoinSet, time::MissedTickBehavior};

use super::recorder::{Recorder, Session};
use crate::{
    agent::{Agent, OWNER, add_owner, register},
    cluster::Cluster,
    history::Place,
};

/// Owners of which all that is held is revoked now and then.
const FICKLE_OWNER: &str = "travel";
/// Agents that are suspended and resumed all along.
const FICKLE: usize = 4;
/// Verifiers that follow the cluster.
const VERIFIERS: u32 = 2;
/// Agents that are left alone.
const STEADY: usize = 4;
/// Tokens that checks choose from.
const TOKENS: usize = 64;
/// How long an answer may take that is not worth waiting for.
const IMPATIENT: Duration = Duration::from_millis(900);
/// How long an answer may take that waits for the fence.
const WAITING: Duration = Duration::from_secs(2);
/// How long a command is tried. It spans an election and the fence.
const PATIENT: Duration = Duration::from_secs(15);

/// How often everything is asked.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// Checks at each node.
    pub check: Duration,
    /// Mints at each node.
    pub mint: Duration,
    /// Registrations.
    pub register: Duration,
    /// Revocations, of which every third is of a whole subject.
    pub revoke: Duration,
}

impl Pace {
    /// What two cores bear beside four nodes.
    pub const MODEST: Self = Self {
        check: Duration::from_millis(12),
        mint: Duration::from_millis(40),
        register: Duration::from_millis(50),
        revoke: Duration::from_millis(100),
    };
}

/// A token that was minted, and what it takes to have it checked.
#[derive(Clone)]
struct Held {
    token: String,
    id: String,
    agent: String,
    certificate: Vec<u8>,
}

impl Held {
    fn thumbprint(&self) -> CertificateThumbprint {
        CertificateThumbprint::from_bytes(self.certificate.as_slice().try_into().unwrap())
    }
}

struct Caller {
    agent: Agent,
    owner: &'static str,
    certificate: Vec<u8>,
}

/// What all tasks of the load share.
pub struct Load {
    /// Where it is written down.
    pub recorder: Arc<Recorder>,
    pace: Pace,
    name: String,
    steady: Vec<Arc<Caller>>,
    fickle: Vec<Arc<Caller>>,
    living: Mutex<VecDeque<Held>>,
    ended: Mutex<VecDeque<Held>>,
    /// The newest state that a registration was acknowledged with.
    newest: Mutex<String>,
    operator: String,
    operator_certificate: String,
    root: String,
    apis: Vec<String>,
}

impl Load {
    /// Registers who is needed, and gives the load.
    pub async fn set_up(cluster: &Cluster, recorder: Arc<Recorder>, pace: Pace) -> Arc<Self> {
        Self::set_up_named(cluster, recorder, pace, "").await
    }

    /// The same; what all agents' names begin with is another for each load of a cluster.
    pub async fn set_up_named(
        cluster: &Cluster,
        recorder: Arc<Recorder>,
        pace: Pace,
        name: &str,
    ) -> Arc<Self> {
        let operator = cluster.operator();
        for owner in [OWNER, FICKLE_OWNER] {
            add_owner(&operator, owner).await;
        }
        let identity = cluster.operator_identity();
        let mut load = Self {
            recorder,
            pace,
            name: name.to_owned(),
            steady: Vec::new(),
            fickle: Vec::new(),
            living: Mutex::default(),
            ended: Mutex::default(),
            newest: Mutex::default(),
            operator: identity.private_key_pem().to_string(),
            operator_certificate: identity.certificate_pem(),
            root: cluster.root(),
            apis: cluster.nodes.iter().map(crate::node::Node::api).collect(),
        };
        for number in 0..STEADY {
            let path = format!("{name}steady/{number}");
            load.steady.push(enrol(&operator, &path, OWNER).await);
        }
        for number in 0..FICKLE {
            let owner = if number % 2 == 0 { OWNER } else { FICKLE_OWNER };
            let path = format!("{name}fickle/{number}");
            load.fickle.push(enrol(&operator, &path, owner).await);
        }
        Arc::new(load)
    }

    /// Begins all of it. The tasks end when the recorder is told to.
    pub fn begin(self: &Arc<Self>, seed: u64) -> JoinSet<()> {
        let mut tasks = JoinSet::new();
        for position in 0..self.apis.len() {
            let seed = seed.wrapping_mul(31).wrapping_add(position as u64);
            tasks.spawn(self.clone().check_on(position, seed));
            tasks.spawn(self.clone().mint_on(position));
            tasks.spawn(self.clone().observe(position));
        }
        for number in 0..VERIFIERS {
            let seed = seed.wrapping_mul(37).wrapping_add(number.into());
            tasks.spawn(self.clone().verify_in(number, seed));
        }
        tasks.spawn(self.clone().register_on());
        for lane in 0..2 {
            tasks.spawn(self.clone().revoke_on(seed ^ lane));
        }
        for position in 0..self.fickle.len() {
            tasks.spawn(self.clone().suspend_and_resume(position, seed));
        }
        tasks
    }

    fn client(&self, positions: &[usize], identity: Identity, deadline: Duration) -> Client {
        Client::new(chancery_client::Config {
            endpoints: positions.iter().map(|at| self.apis[*at].clone()).collect(),
            root: self.root.clone(),
            identity: Some(identity),
            retry: RetryPolicy {
                deadline,
                try_timeout: deadline.min(Duration::from_secs(6)),
                ..RetryPolicy::default()
            },
        })
        .unwrap()
    }

    fn operator(&self) -> Identity {
        Identity::from_pem(&self.operator, Some(&self.operator_certificate)).unwrap()
    }

    /// The operator at one node, without patience.
    fn operator_at(&self, position: usize) -> Session {
        let client = self.client(&[position], self.operator(), IMPATIENT);
        Session::new(&self.recorder, Place::Node(position as u64 + 1), client)
    }

    /// The same, with the patience that waiting for the fence takes.
    fn waiting_at(&self, position: usize) -> Session {
        let client = self.client(&[position], self.operator(), WAITING);
        Session::new(&self.recorder, Place::Node(position as u64 + 1), client)
    }

    /// The operator at whichever node answers, another one first each time.
    fn operator_over_all(&self, first: usize) -> Session {
        let count = self.apis.len();
        let positions: Vec<usize> = (0..count).map(|at| (first + at) % count).collect();
        let client = self.client(&positions, self.operator(), PATIENT);
        Session::new(&self.recorder, Place::Cluster, client)
    }

    fn pace(every: Duration) -> tokio::time::Interval {
        let mut pace = tokio::time::interval(every);
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        pace
    }
}

async fn enrol(operator: &Client, path: &str, owner: &'static str) -> Arc<Caller> {
    let agent = Agent::unregistered(path, owner);
    register(operator, agent.spec()).await.unwrap();
    let certificate = agent
        .identity()
        .certificate_thumbprint()
        .as_bytes()
        .to_vec();
    Arc::new(Caller {
        agent,
        owner,
        certificate,
    })
}

fn keep(pool: &Mutex<VecDeque<Held>>, held: Held) {
    let mut pool = pool.lock().unwrap();
    pool.push_back(held);
    if pool.len() > TOKENS {
        pool.pop_front();
    }
}
