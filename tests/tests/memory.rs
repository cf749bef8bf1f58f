//! Signing keys in the memory of a process that runs: while one signs it lies in
//! locked, undumped memory and nowhere else, whatever the libraries did with it; once
//! it is retired or revoked it lies nowhere.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use std::{
    fs,
    io::{PipeWriter, Read, Write},
    net::TcpStream,
    path::Path,
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chancery_client::Client;
use chancery_credential::SigningKey;
use chancery_tests::{
    agent::{Agent, mint, wanted},
    chancery::{json, succeed},
    cluster::Cluster,
    jwks,
    memory::{Found, KeyParts, search},
    until::until,
};
use sha2::{Digest, Sha256};

/// The program that makes its keys of what it is given.
const PROGRAM: &str = env!("CARGO_BIN_EXE_serve-given-seeds");
const SEEDS: usize = 8;

/// A node whose keys this test can look for, and an agent that mints there.
struct Node {
    cluster: Cluster,
    client: Client,
    agent: Agent,
    seeds: Vec<[u8; 32]>,
    /// What was signed last, of which the nonces are looked for.
    signed: Vec<Vec<u8>>,
    /// Held: when it closes, the process ends.
    _giving: PipeWriter,
}

impl Node {
    async fn with(arguments: &[&str]) -> Self {
        let mut cluster = Cluster::of(1).await;
        assert_eq!(cluster.nodes[0].stop(), Some(0));
        let entropy = cluster.path().display().to_string();
        let seeds: Vec<[u8; 32]> = (0..SEEDS)
            .map(|number| Sha256::digest(format!("{entropy} {number}")).into())
            .collect();
        let (given, mut giving) = std::io::pipe().unwrap();
        giving.write_all(seeds.as_flattened()).unwrap();
        cluster.nodes[0].start_as(Path::new(PROGRAM), arguments, given);
        cluster.serving(0).await;
        let agent = Agent::register(&cluster, "agent").await;
        Self {
            client: agent.at(&cluster, &[0]),
            cluster,
            agent,
            seeds,
            signed: Vec::new(),
            _giving: giving,
        }
    }

    /// Has the key sign on every thread that serves: by single calls over many
    /// connections at once, and over a stream.
    async fn sign(&mut self) {
        self.signed.clear();
        let many = (0..16).map(|_| {
            let client = self.agent.at(&self.cluster, &[0]);
            async move {
                let mut tokens = Vec::new();
                for _ in 0..8 {
                    tokens.push(mint(&client).await.unwrap().token.to_string());
                }
                tokens
            }
        });
        let many = futures::future::join_all(many).await;
        let mut stream = self.client.mint_stream().await.unwrap();
        stream.send(wanted()).await.unwrap();
        let streamed = stream.receive().await.unwrap().1.unwrap();
        let mut tokens = many.concat();
        tokens.push(streamed.token.to_string());
        self.signed = tokens
            .iter()
            .map(|token| token.rsplit_once('.').unwrap().0.as_bytes().to_vec())
            .collect();
    }

    /// The issuer that signs, and which seed gives the key that is published for it.
    async fn signing(&self) -> (u32, usize) {
        let issuer = self.cluster.status(0).await.unwrap().issuer.unwrap();
        let shown = json(
            &self.cluster.path(),
            &["epoch", "show", "--profile", "profile"],
        );
        let shown = shown.as_array().unwrap().iter();
        let kid = shown
            .filter(|shown| shown["number"] == issuer)
            .map(|shown| shown["key_id"].as_str().unwrap().to_owned())
            .next()
            .unwrap();
        let (_, keys) = jwks::fetch(&self.cluster.nodes[0].api(), &self.cluster.root()).await;
        let keys: serde_json::Value = serde_json::from_str(&keys).unwrap();
        let keys = keys["keys"].as_array().unwrap().iter();
        let published = keys
            .filter(|key| key["kid"] == kid)
            .map(|key| URL_SAFE_NO_PAD.decode(key["x"].as_str().unwrap()).unwrap())
            .next()
            .expect("the issuer's key is published");
        let seed = self
            .seeds
            .iter()
            .position(|seed| SigningKey::from_seed(seed).public().as_bytes()[..] == published);
        (
            issuer,
            seed.expect("the key was made of a seed that was given"),
        )
    }

    /// Waits until another issuer than `former` signs.
    async fn another_signs(&self, former: u32) -> (u32, usize) {
        until("another issuer signed", || async {
            let issuer = self.cluster.status(0).await.ok()?.issuer?;
            (issuer != former).then_some(())
        })
        .await;
        self.signing().await
    }

    /// All that is left of a key, and of what it signed.
    fn found(&self, seed: usize) -> Vec<Found> {
        let signed: Vec<&[u8]> = self.signed.iter().map(Vec::as_slice).collect();
        let parts = KeyParts::of(&self.seeds[seed], &signed);
        search(self.cluster.nodes[0].pid().unwrap(), &parts)
    }

    fn log(&self) -> String {
        fs::read_to_string(self.cluster.nodes[0].log()).unwrap()
    }

    fn order(&self, arguments: &[&str]) {
        let with = ["--reason", "a test", "--profile", "profile"];
        succeed(&self.cluster.path(), &[arguments, &with].concat());
    }
}

fn lies_where_it_should(found: &[Found]) {
    assert!(!found.is_empty(), "the key that signs is found");
    let elsewhere: Vec<&Found> = found
        .iter()
        .filter(|found| !found.mapping.is_locked() || !found.mapping.is_undumped())
        .collect();
    assert!(elsewhere.is_empty(), "{elsewhere:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_lies_in_locked_memory_while_it_signs_and_nowhere_once_it_is_retired() {
    let mut node = Node::with(&[]).await;
    node.sign().await;
    let (first, seed) = node.signing().await;
    lies_where_it_should(&node.found(seed));

    node.order(&["epoch", "rotate", "--emergency"]);
    let (second, next) = node.another_signs(first).await;
    assert_eq!(node.found(seed), [], "retired by a rotation");
    node.sign().await;
    lies_where_it_should(&node.found(next));

    node.order(&["epoch", "revoke", "--issuer", &second.to_string()]);
    let (_, last) = node.another_signs(second).await;
    assert_eq!(node.found(next), [], "revoked");
    node.sign().await;
    lies_where_it_should(&node.found(last));

    node.cluster.nodes[0].signal(rustix::process::Signal::TERM);
    until("the node had drained", || async {
        node.log().contains("drained, and waiting").then_some(())
    })
    .await;
    for gone in [seed, next, last] {
        assert_eq!(node.found(gone), [], "retired by a drain");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_may_lock_no_memory_says_so_and_signs_and_wipes_all_the_same() {
    let mut node = Node::with(&["--no-locked-memory"]).await;
    node.sign().await;
    assert!(
        node.log().contains("it may be swapped out"),
        "{}",
        node.log()
    );
    let exposed = metric(
        &node.cluster.nodes[0].admin(),
        "chancery_signing_keys_exposed_total",
    );
    assert_eq!(exposed.as_deref(), Some("1"));

    let (first, seed) = node.signing().await;
    let found = node.found(seed);
    assert!(!found.is_empty());
    for found in found {
        assert!(
            found.mapping.is_undumped() && !found.mapping.is_locked(),
            "{found:?}"
        );
    }
    node.order(&["epoch", "rotate", "--emergency"]);
    node.another_signs(first).await;
    assert_eq!(node.found(seed), []);
}

fn metric(admin: &str, name: &str) -> Option<String> {
    let mut stream = TcpStream::connect(admin).unwrap();
    let request = format!("GET /metrics HTTP/1.1\r\nhost: {admin}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let value = answer
        .lines()
        .find_map(|line| line.strip_prefix(&format!("{name} ")));
    value.map(str::to_owned)
}

/// `chancery serve` itself, of which every other process of its user is told nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_is_never_dumped() {
    let cluster = Cluster::of(1).await;
    let pid = cluster.nodes[0].pid().unwrap();
    let limits = fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
    let core = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max core file size"))
        .unwrap();
    let core: Vec<&str> = core.split_whitespace().take(2).collect();
    assert_eq!(core, ["0", "0"], "{limits}");
    if !rustix::process::geteuid().is_root() {
        let memory = fs::File::open(format!("/proc/{pid}/mem"));
        assert!(memory.is_err(), "its own parent may not read its memory");
    }
}
