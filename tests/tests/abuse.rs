//! Those who connect and do not speak, subscribe and do not read, at a node as it is
//! run: they cost it a bounded amount of what it has, and keep nobody out.
//!
//! `make soak` does the same with thousands, and measures what others notice of it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use std::{
    fs::{self, Permissions},
    net::{IpAddr, Ipv4Addr, SocketAddr},
    os::unix::fs::PermissionsExt,
    process::Stdio,
    sync::Arc,
};

use chancery_client::{Client, meta, v1};
use chancery_tests::{
    agent::{AUDIENCE, Agent, OWNER, mint, register},
    call,
    chancery::binary,
    cluster::Cluster,
    http,
    until::until,
};
use rustix::process::{Resource, getrlimit, setrlimit};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::{TlsConnector, client::TlsStream};
use v1::{
    principal_service_client::PrincipalServiceClient,
    revocation_service_client::RevocationServiceClient,
};

/// More than any node of these stories shakes hands with at a time.
const SILENT: usize = 1_500;
/// Addresses that they come from.
const ADDRESSES: usize = 10;
/// What all of it may take, KiB: a tenth of what it would be without bounds.
const ROOM_KIB: u64 = 128 * 1024;

/// This process holds the other ends.
fn open_many_files() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).unwrap();
}

/// A connection from one of many addresses.
async fn connect(cluster: &Cluster, number: usize) -> TcpStream {
    let node: SocketAddr = cluster.nodes[0].api().parse().unwrap();
    let host = u8::try_from(number % ADDRESSES).unwrap() + 1;
    let socket = TcpSocket::new_v4().unwrap();
    let from = Ipv4Addr::new(127, 1, 0, host);
    socket.bind(SocketAddr::new(from.into(), 0)).unwrap();
    socket.connect(node).await.unwrap()
}

/// Connections on which nothing is ever said.
async fn say_nothing(cluster: &Cluster, count: usize) -> Vec<TcpStream> {
    let mut silent = Vec::new();
    for number in 0..count {
        silent.push(connect(cluster, number).await);
    }
    silent
}

fn metric(cluster: &Cluster, name: &str) -> f64 {
    let (_, text) = http::get(&cluster.nodes[0].admin(), "/metrics").unwrap();
    let value = text
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    value.map_or(0.0, |value| value.parse().unwrap())
}

fn rss_kib(cluster: &Cluster) -> u64 {
    let pid = cluster.nodes[0].pid().unwrap();
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let rss = line.unwrap().split_whitespace().next().unwrap();
    rss.parse().unwrap()
}

/// A service with a connection of its own.
async fn service(cluster: &Cluster) -> Client {
    let shop = Agent::unregistered("shop", OWNER);
    let request = v1::AddServiceRequest {
        meta: meta("a test").unwrap(),
        name: "shop".to_owned(),
        audiences: vec![AUDIENCE.to_owned()],
        public_keys: vec![shop.identity().public_key().to_vec()],
    };
    call!(
        cluster.operator(),
        PrincipalServiceClient::add_service,
        request
    )
    .unwrap();
    shop.at(cluster, &[0])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_neither_speaks_nor_reads_keeps_nobody_out_and_costs_little() {
    const WATCHERS: usize = 100;
    open_many_files();
    let cluster = Cluster::of(1).await;
    let agent = Agent::register(&cluster, "paying").await;
    let kept = agent.at(&cluster, &[0]);
    mint(&kept).await.unwrap();
    let shop = service(&cluster).await;
    let before = rss_kib(&cluster);

    let mut unread = Vec::new();
    for _ in 0..WATCHERS {
        let feed = until("there was a place for its snapshot", || async {
            let mut client = RevocationServiceClient::new(shop.channel().unwrap());
            let begin = tokio_stream::once(v1::WatchRequest::default());
            client.watch(begin).await.ok()
        });
        unread.push(feed.await);
    }
    let silent = say_nothing(&cluster, SILENT).await;
    // On a new connection, and with a key that the watchers are told nothing of.
    let newcomer = Agent::register(&cluster, "newcomer").await;
    mint(&newcomer.at(&cluster, &[0])).await.unwrap();
    mint(&kept).await.unwrap();
    until("no more were shaking hands than may", || async {
        (metric(&cluster, "chancery_handshakes") <= 1_024.0).then_some(())
    })
    .await;
    let watching = metric(&cluster, "chancery_subscribers");
    assert!(watching <= WATCHERS as f64, "{watching} subscribers");
    let grown = rss_kib(&cluster).saturating_sub(before);
    assert!(grown < ROOM_KIB, "it grew by {grown} KiB");

    drop((silent, unread));
    until("nothing of it was left", || async {
        let left = ["chancery_handshakes", "chancery_subscribers"];
        let left = left.map(|name| metric(&cluster, name));
        (left == [0.0, 0.0]).then_some(())
    })
    .await;
}

/// As many as a shell gives that is careful.
const FILES: usize = 700;

/// The node may open few files: its databases come first, and of what is left
/// strangers get no more than a part.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_may_open_few_files_lives_and_serves_who_is_known() {
    open_many_files();
    let mut cluster = Cluster::of(1).await;
    let agent = Agent::register(&cluster, "paying").await;
    assert_eq!(cluster.nodes[0].stop(), Some(0));
    let program = cluster.path().join("few-files");
    let script = format!(
        "#!/bin/sh\nulimit -n {FILES}\nexec {} serve --config \"$1\"\n",
        binary().display()
    );
    fs::write(&program, script).unwrap();
    fs::set_permissions(&program, Permissions::from_mode(0o755)).unwrap();
    cluster.nodes[0].start_as(&program, &[], Stdio::null());
    cluster.serving(0).await;

    let silent = say_nothing(&cluster, SILENT).await;
    let greeted = greet(&cluster, FILES).await;
    for number in 0..20 {
        mint(&agent.at(&cluster, &[0])).await.unwrap();
        let other = Agent::unregistered(&format!("other/{number}"), OWNER);
        register(&cluster.operator(), other.spec()).await.unwrap();
    }
    let name = "chancery_connections_refused_total{reason=\"system\"}";
    let without = metric(&cluster, name);
    assert!(without == 0.0, "{without} times it had no file left");
    let name = "chancery_connections_refused_total{reason=\"crowded\"}";
    let refused = metric(&cluster, name);
    assert!(refused > 0.0, "strangers got more than their part");
    drop((silent, greeted));
}

/// Strangers of many addresses that complete the handshake and ask nothing.
async fn greet(cluster: &Cluster, count: usize) -> Vec<Option<TlsStream<TcpStream>>> {
    let mut roots = RootCertStore::empty();
    let root = CertificateDer::from_pem_slice(cluster.root().as_bytes()).unwrap();
    roots.add(root).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let connector = TlsConnector::from(Arc::new(config));
    let name = ServerName::from(IpAddr::from(cluster.nodes[0].address));
    let mut greeted = Vec::new();
    for number in 0..count {
        let tcp = connect(cluster, number).await;
        greeted.push(connector.connect(name.clone(), tcp).await.ok());
    }
    greeted
}
