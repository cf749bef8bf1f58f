//! Every mint is on record: counted by those who were given the tokens, over a real
//! process, through batches; read with `chancery records` as an auditor reads.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use std::{
    collections::HashSet,
    fs,
    io::{BufRead, BufReader},
    os::unix::fs::FileExt,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use chancery_client::Client;
use chancery_credential::TokenId;
use chancery_tests::{
    agent::{Agent, wanted},
    chancery::{binary, json, run},
    cluster::Cluster,
    node::Node,
};
use serde::Deserialize;
use serde_json::Value;
use tokio::{
    sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
    task::JoinSet,
};

const AGENTS: usize = 8;
/// Requests that are under way on a stream at once.
const BATCH: usize = 64;
/// Sets how many mints the ignored test makes.
const MINTS: &str = "CHANCERY_MINTS";

/// What `records find` tells of a record, as far as it is asked here.
#[derive(Deserialize)]
struct Line {
    token_id: String,
}

/// Mints over one stream until `most` tokens were given, or the stream ends, and tells
/// of each.
async fn mint_over_stream(client: Client, most: usize, given: UnboundedSender<TokenId>) {
    let mut stream = client.mint_stream().await.unwrap();
    let mut left = most;
    while left > 0 {
        let batch = left.min(BATCH);
        for _ in 0..batch {
            if stream.send(wanted()).await.is_err() {
                return;
            }
        }
        for _ in 0..batch {
            let Ok((_, answer)) = stream.receive().await else {
                return;
            };
            given
                .send(answer.unwrap().token_id.parse().unwrap())
                .unwrap();
        }
        left -= batch;
    }
}

/// All agents at once. Gives those who mint, and what they were given.
fn begin(
    cluster: &Cluster,
    agents: &[Agent],
    each: usize,
) -> (JoinSet<()>, UnboundedReceiver<TokenId>) {
    let (tell, told) = unbounded_channel();
    let mut minting = JoinSet::new();
    for agent in agents {
        minting.spawn(mint_over_stream(
            agent.at(cluster, &[0]),
            each,
            tell.clone(),
        ));
    }
    (minting, told)
}

/// The ids that `records find` gives: each once, none kept but as its sixteen bytes.
fn found(node: &Node, filters: &[&str]) -> HashSet<TokenId> {
    let mut find = Command::new(binary())
        .args(["records", "find", "--output", "json", "--data-dir"])
        .arg(node.directory())
        .args(filters)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut found: HashSet<TokenId> = HashSet::new();
    for line in BufReader::new(find.stdout.take().unwrap()).lines() {
        let line: Line = serde_json::from_str(&line.unwrap()).unwrap();
        let id = line.token_id.parse().unwrap();
        assert!(found.insert(id), "{id} twice");
    }
    assert!(find.wait().unwrap().success());
    found
}

fn verified(node: &Node) -> Value {
    let directory = node.directory();
    let path = directory.to_str().unwrap();
    let report = json(&directory, &["records", "verify", "--data-dir", path]);
    assert_eq!(report["intact"], true, "{report}");
    report
}

/// A bit of one byte in the middle of a node's oldest segment. Gives where.
fn flip_a_byte(node: &Node) -> u64 {
    let path = node.directory().join("records/00000000000000000001.seg");
    let file = fs::File::options()
        .read(true)
        .write(true)
        .open(path)
        .unwrap();
    let middle = file.metadata().unwrap().len() / 2;
    let mut byte = [0];
    file.read_exact_at(&mut byte, middle).unwrap();
    file.write_all_at(&[byte[0] ^ 8], middle).unwrap();
    middle
}

fn say(what: &str, count: usize, began: Instant) -> Instant {
    let took = began.elapsed().max(Duration::from_millis(1));
    let each_second = count as f64 / took.as_secs_f64();
    println!("{what}: {count} in {took:.1?}, {each_second:.0} a second");
    Instant::now()
}

/// Three quarters of `mints` up to a stop, the rest up to a `kill -9` under load.
async fn every_one_of(mints: usize) {
    let mut cluster = Cluster::of(1).await;
    let mut agents = Vec::new();
    for number in 0..AGENTS {
        agents.push(Agent::register(&cluster, &format!("agent-{number}")).await);
    }
    let mut began = Instant::now();

    // Without a crash the counts are equal.
    let (minting, mut told) = begin(&cluster, &agents, mints * 3 / 4 / AGENTS);
    minting.join_all().await;
    let mut given = HashSet::new();
    while let Some(id) = told.recv().await {
        assert!(given.insert(id), "{id} was given twice");
    }
    began = say("tokens that were given", given.len(), began);
    assert_eq!(cluster.nodes[0].stop(), Some(0));
    let report = verified(&cluster.nodes[0]);
    began = say("records that hold together", given.len(), began);
    assert_eq!(report["records"], given.len());
    assert_eq!(report["gaps"], Value::Array(Vec::new()));
    assert!(found(&cluster.nodes[0], &[]) == given, "each is found");
    began = say("records that were found", given.len(), began);
    let of_one = found(&cluster.nodes[0], &["--agent", &agents[3].id]);
    assert_eq!(of_one.len(), given.len() / AGENTS);
    say("records of one agent that were found", of_one.len(), began);

    // After `kill -9` they differ by no more than the recorded gap.
    cluster.nodes[0].start();
    cluster.serving(0).await;
    let began = Instant::now();
    let before = given.len();
    let (minting, mut told) = begin(&cluster, &agents, usize::MAX);
    while given.len() < mints {
        given.insert(told.recv().await.unwrap());
    }
    cluster.nodes[0].kill();
    minting.join_all().await;
    while let Some(id) = told.recv().await {
        given.insert(id);
    }
    let began = say("tokens up to a kill", given.len() - before, began);
    cluster.nodes[0].start();
    cluster.serving(0).await;
    assert_eq!(cluster.nodes[0].stop(), Some(0));
    let report = verified(&cluster.nodes[0]);
    let gaps = report["gaps"].as_array().unwrap();
    let [gap] = &gaps[..] else {
        panic!("{report}");
    };
    assert_eq!(gap["cause"], "crash");
    let found = found(&cluster.nodes[0], &[]);
    assert_eq!(report["records"], found.len());
    let missing = given.difference(&found).count();
    let ungiven = found.difference(&given).count();
    say("tokens that were given in all", given.len(), began);
    println!(
        "{} records; {missing} missing, and the gap says at most {}; {ungiven} of tokens that \
         were under way",
        found.len(),
        gap["records"]
    );
    assert!(missing as u64 <= gap["records"].as_u64().unwrap(), "{gap}");
    // Those whose answer the kill cut off.
    assert!(ungiven <= AGENTS * BATCH, "{ungiven}");

    // One flipped byte is found.
    let at = flip_a_byte(&cluster.nodes[0]);
    let output = run(
        &cluster.nodes[0].directory(),
        &["records", "verify", "records"],
    );
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("[CHAIN_BROKEN]"), "{said}");
    let shown = said.split("segment 1, byte ").nth(1);
    let digits = shown.and_then(|shown| shown.split(':').next());
    let shown: u64 = digits.unwrap_or_else(|| panic!("{said}")).parse().unwrap();
    println!("a bit of byte {at} was flipped: {}", said.trim());
    assert!(shown <= at, "what is before it holds: {said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_one_of_some_thousand_mints_is_on_record() {
    every_one_of(4_000).await;
}

/// By itself, with its figures: `cargo test --workspace --test every_mint million --
/// --ignored --nocapture`. `CHANCERY_MINTS` makes it another number.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes minutes and half a gigabyte"]
async fn every_one_of_a_million_mints_is_on_record() {
    let mints = std::env::var(MINTS).map_or(1_000_000, |mints| mints.parse().unwrap());
    every_one_of(mints).await;
}
