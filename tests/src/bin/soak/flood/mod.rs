//! Floods, each in a process of its own: what is measured beside them is the nodes'
//! latency, not that of a runtime that they share with those who pay.
//!
//! A flood runs until its standard input ends, and then says in one line what it
//! counted.

mod deaf;
mod half_open;
mod idle;
mod rejected;

use std::{
    collections::BTreeMap,
    io::Read,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::Duration,
};

use chancery_client::Identity;
use chancery_tests::node::Node;
use serde::{Deserialize, Serialize};
use tokio::{
    net::{TcpSocket, TcpStream},
    time::{Interval, MissedTickBehavior},
};

use crate::rig::Rig;

/// A phase of abuse.
pub struct Kind {
    pub name: &'static str,
    pub what: &'static str,
    /// How long it lasts.
    pub seconds: u64,
}

pub const KINDS: [Kind; 7] = [
    Kind {
        name: "idle-tcp",
        what: "10,000 TCP connections of 200 addresses that send nothing, opened again when \
               they are closed (at most 500 a second)",
        seconds: 60,
    },
    Kind {
        name: "idle-tls",
        what: "10,000 strangers of 200 addresses that complete TLS and HTTP/2 and ask nothing, \
               again when they are closed (at most 100 a second)",
        seconds: 90,
    },
    Kind {
        name: "idle-agents",
        what: "10,000 connections of registered agents that ask nothing (at most 150 a second)",
        seconds: 100,
    },
    Kind {
        name: "deaf",
        what: "100 subscribers of a service that never read, half of them not even TCP, while \
               20 tokens are revoked a second",
        seconds: 100,
    },
    Kind {
        name: "half-open",
        what: "TLS handshakes of 200 addresses that stop after the ClientHello, 4,000 at a time \
               (at most 500 a second), and as many that hang up",
        seconds: 60,
    },
    Kind {
        name: "rejected",
        what: "an agent, an operator and a stranger that ask for what they may not have (at most \
               3,000 a second)",
        seconds: 60,
    },
    Kind {
        name: "rejected-uncapped",
        what: "the same as fast as they are answered, 192 at a time",
        seconds: 60,
    },
];

/// Which flood.
#[derive(clap::Args)]
pub struct Order {
    name: String,
    #[arg(long)]
    plan: PathBuf,
}

/// Whom to flood, and as whom.
#[derive(Serialize, Deserialize)]
pub struct Plan {
    apis: Vec<String>,
    root: String,
    agents: Vec<Key>,
    shop: Key,
    auditor: Key,
    #[serde(skip)]
    path: PathBuf,
}

#[derive(Serialize, Deserialize)]
struct Key {
    key: String,
    certificate: String,
}

impl Key {
    fn of(identity: &Identity) -> Self {
        Self {
            key: identity.private_key_pem().to_string(),
            certificate: identity.certificate_pem(),
        }
    }

    fn identity(&self) -> Identity {
        Identity::from_pem(&self.key, Some(&self.certificate)).unwrap()
    }
}

impl Plan {
    /// Writes it among the cluster's files, which end with the run.
    pub fn write(rig: &Rig) -> Self {
        let agents = rig.steady.iter().skip(30);
        let plan = Self {
            apis: rig.cluster.nodes.iter().map(Node::api).collect(),
            root: rig.cluster.root(),
            agents: agents.map(|it| Key::of(&it.agent.identity())).collect(),
            shop: Key::of(&rig.shop()),
            auditor: Key::of(&rig.auditor.identity()),
            path: rig.cluster.path().join("flood.json"),
        };
        std::fs::write(&plan.path, serde_json::to_vec(&plan).unwrap()).unwrap();
        plan
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    fn node(&self, number: usize) -> SocketAddr {
        self.apis[number % self.apis.len()].parse().unwrap()
    }
}

/// What a flood counted.
#[derive(Clone, Default)]
struct Counts(Arc<Mutex<BTreeMap<String, u64>>>);

impl Counts {
    fn one(&self, what: &str) {
        let mut counts = self.0.lock().unwrap();
        *counts.entry(what.to_owned()).or_default() += 1;
    }
}

/// Floods, until standard input ends.
pub async fn run(order: Order) {
    let plan = std::fs::read(order.plan).unwrap();
    let plan: Arc<Plan> = Arc::new(serde_json::from_slice(&plan).unwrap());
    let counts = Counts::default();
    match order.name.as_str() {
        "idle-tcp" => idle::tcp(&plan, &counts),
        "idle-tls" => idle::tls(&plan, &counts),
        "idle-agents" => idle::agents(&plan, &counts),
        "deaf" => deaf::watch(&plan, &counts),
        "half-open" => half_open::greet(&plan, &counts),
        "rejected" => rejected::ask(&plan, &counts, Some(3_000)),
        "rejected-uncapped" => rejected::ask(&plan, &counts, None),
        other => panic!("no flood is called {other}"),
    }
    let told = tokio::task::spawn_blocking(|| std::io::stdin().read(&mut [0]));
    let _ = told.await;
    let counts = counts.0.lock().unwrap().clone();
    println!("{}", serde_json::to_string(&counts).unwrap());
    std::process::exit(0);
}

/// A pace that many share.
#[derive(Clone)]
struct Pace(Arc<tokio::sync::Mutex<Interval>>);

impl Pace {
    fn a_second(rate: u32) -> Self {
        let mut pace = tokio::time::interval(Duration::from_secs(1) / rate);
        pace.set_missed_tick_behavior(MissedTickBehavior::Burst);
        Self(Arc::new(tokio::sync::Mutex::new(pace)))
    }

    async fn next(&self) {
        self.0.lock().await.tick().await;
    }
}

/// Connects to a node from one of 200 addresses.
async fn connect(plan: &Plan, number: usize) -> std::io::Result<TcpStream> {
    let host = u8::try_from(number % 200).unwrap() + 1;
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::new(Ipv4Addr::new(127, 1, 0, host).into(), 0))?;
    socket.connect(plan.node(number)).await
}
