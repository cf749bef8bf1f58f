//! What verifiers cost a node: `cargo run --release --bin verifiers -- [verifiers] [seconds]`.
//!
//! One node, each verifier on a connection of its own. Prints what the node takes of the
//! processor and of memory for each, at rest and while something is revoked ten times a
//! second, and how long a revocation takes to all of them.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout
)]

use std::{
    fs,
    time::{Duration, Instant},
};

use chancery_client::{Client, Config, Identity, RetryPolicy, Verifier, VerifierConfig, meta, v1};
use chancery_tests::{
    agent::{AUDIENCE, Agent, mint},
    call,
    cluster::Cluster,
};
use v1::{
    principal_service_client::PrincipalServiceClient,
    revocation_service_client::RevocationServiceClient,
};

/// Verifiers of one service: fewer than a principal may have streams.
const OF_ONE: usize = 200;
/// Clock ticks of a second in /proc (sysconf(_SC_CLK_TCK) on Linux).
const TICKS: f64 = 100.0;

/// What the node has taken so far.
struct Taken {
    cpu: f64,
    at: Instant,
    rss_kib: f64,
}

fn taken(pid: u32) -> Taken {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let (_, rest) = stat.rsplit_once(") ").unwrap();
    let fields: Vec<&str> = rest.split(' ').collect();
    let ticks = |field: usize| -> f64 { fields.get(field).unwrap().parse().unwrap() };
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let rss = status.lines().find(|line| line.starts_with("VmRSS:"));
    let rss = rss.unwrap().split_whitespace().nth(1).unwrap();
    Taken {
        cpu: (ticks(11) + ticks(12)) / TICKS,
        at: Instant::now(),
        rss_kib: rss.parse().unwrap(),
    }
}

async fn service(cluster: &Cluster, name: &str) -> (String, String) {
    let identity = Identity::generate().unwrap();
    let request = v1::AddServiceRequest {
        meta: meta("measuring").unwrap(),
        name: name.to_owned(),
        audiences: vec![AUDIENCE.to_owned()],
        public_keys: vec![identity.public_key().to_vec()],
    };
    call!(
        cluster.operator(),
        PrincipalServiceClient::add_service,
        request
    )
    .unwrap();
    (
        identity.private_key_pem().to_string(),
        identity.certificate_pem(),
    )
}

/// The share of one processor that was taken since.
fn load(before: &Taken, pid: u32) -> f64 {
    let now = taken(pid);
    (now.cpu - before.cpu) / (now.at - before.at).as_secs_f64()
}

#[tokio::main]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let mut number = |default| {
        let given = arguments.next();
        given.map_or(default, |given| given.parse().expect("a number"))
    };
    let (count, seconds) = (number(1_000), number(30));
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let all = rustix::process::Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    rustix::process::setrlimit(rustix::process::Resource::Nofile, all).unwrap();

    let cluster = Cluster::of(1).await;
    let pid = cluster.nodes.first().unwrap().pid().unwrap();
    let agent = Agent::register(&cluster, "measured").await;
    let minting = agent.at(&cluster, &[0]);
    let span = Duration::from_secs(seconds as u64);
    let alone = taken(pid);
    tokio::time::sleep(span).await;
    let idle = load(&alone, pid);

    let mut verifiers = Vec::new();
    let mut key = (String::new(), String::new());
    for number in 0..count {
        if number % OF_ONE == 0 {
            key = service(&cluster, &format!("shop-{}", number / OF_ONE)).await;
        }
        let client = Client::new(Config {
            endpoints: vec![cluster.nodes.first().unwrap().api()],
            root: cluster.root(),
            identity: Some(Identity::from_pem(&key.0, Some(&key.1)).unwrap()),
            retry: RetryPolicy::default(),
        })
        .unwrap();
        let verifier = Verifier::follow(&client, VerifierConfig::default());
        verifier.ready(Duration::from_secs(60)).await.unwrap();
        verifiers.push(verifier);
    }
    let before = taken(pid);
    tokio::time::sleep(span).await;
    let at_rest = load(&before, pid);
    let memory = (taken(pid).rss_kib - alone.rss_kib) / count as f64;

    let before = taken(pid);
    let mut revoked = 0;
    let mut slowest = Duration::ZERO;
    while before.at.elapsed() < span {
        let token = mint(&minting).await.unwrap();
        let request = v1::RevokeRequest {
            meta: meta("measuring").unwrap(),
            credential: Some(v1::revoke_request::Credential::Token(token.token)),
        };
        let asked = Instant::now();
        call!(cluster.operator(), RevocationServiceClient::revoke, request).unwrap();
        revoked += 1;
        slowest = slowest.max(asked.elapsed());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let busy = load(&before, pid);
    let stale = verifiers.iter().filter(|one| one.age().is_none()).count();
    let each = |load: f64| (load - idle) / count as f64 * 1e6;
    println!("verifiers               {count}, of which stale {stale}");
    println!("memory of each          {memory:.1} KiB");
    println!("processor, node alone   {:.2} % of one", idle * 100.0);
    println!(
        "processor, at rest      {:.2} % of one, {:.0} µs/s each",
        at_rest * 100.0,
        each(at_rest)
    );
    println!(
        "processor, {revoked} revocations in {seconds} s  {:.2} % of one, {:.0} µs/s each; slowest {slowest:?}",
        busy * 100.0,
        each(busy)
    );
}
