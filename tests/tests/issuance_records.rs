//! Every mint leaves a record: over real nodes, read with `chancery records` as an
//! auditor reads them.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsString,
    fs::{self, File},
    io::{Read, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    process::Command,
};

use chancery_client::Client;
use chancery_credential::TokenId;
use chancery_tests::{
    agent::{AUDIENCE, Agent, mint, wanted},
    chancery::{json, run},
    cluster::Cluster,
    node::Node,
    until::until,
};
use serde_json::Value;

/// What `records verify` says of a node, which may be running.
fn verified(node: &Node) -> Value {
    let directory = node.directory();
    let arguments = ["records", "verify", "--data-dir", path(&directory)];
    json(&directory, &arguments)
}

/// The ids that `records find` gives.
fn found(node: &Node, filters: &[&str]) -> BTreeSet<String> {
    let records = lines(node, filters);
    let ids = records.iter().map(|record| text(record, "token_id"));
    let found: BTreeSet<String> = ids.collect();
    assert_eq!(found.len(), records.len(), "each once");
    found
}

fn lines(node: &Node, filters: &[&str]) -> Vec<Value> {
    let directory = node.directory();
    let find = ["records", "find", "--data-dir", path(&directory)];
    let arguments = [&find[..], filters, &["--output", "json"]].concat();
    let output = run(&directory, &arguments);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{filters:?}: {said}");
    let text = String::from_utf8(output.stdout).unwrap();
    let lines = text.lines().map(|line| serde_json::from_str(line).unwrap());
    lines.collect()
}

fn text(value: &Value, member: &str) -> String {
    value[member].as_str().unwrap().to_owned()
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Mints over a stream until one is refused, or `count` are. Gives their ids, and
/// the reason.
async fn mint_over_stream(client: &Client, count: u64) -> (Vec<String>, Option<String>) {
    let mut stream = client.mint_stream().await.unwrap();
    let mut minted = Vec::new();
    for _ in 0..count {
        stream.send(wanted()).await.unwrap();
        match stream.receive().await.unwrap().1 {
            Ok(token) => minted.push(token.token_id),
            Err(refusal) => return (minted, Some(refusal.reason)),
        }
    }
    (minted, None)
}

/// Under which issuer a token was minted.
fn issuer(token_id: &str) -> u32 {
    token_id.parse::<TokenId>().unwrap().issuer().0
}

fn names(gap: &Value, issuer: u32) -> bool {
    let issuers = gap["issuers"].as_array().unwrap();
    issuers.iter().any(|named| *named == issuer)
}

/// Three agents, one by one and over streams, on one node; then it stops.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_crash_records_and_tokens_are_equal() {
    let mut cluster = Cluster::of(1).await;
    let mut tokens: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut minting = Vec::new();
    for (number, owner) in ["payments", "payments", "travel"].into_iter().enumerate() {
        let agent = Agent::register_for(&cluster, &format!("agent-{number}"), owner).await;
        let client = agent.at(&cluster, &[0]);
        minting.push(tokio::spawn(async move {
            let (mut minted, refused) = mint_over_stream(&client, 400).await;
            assert_eq!(refused, None);
            for _ in 0..100 {
                minted.push(mint(&client).await.unwrap().token_id);
            }
            (agent.id.clone(), minted)
        }));
    }
    let mut one = None;
    for task in minting {
        let (agent, minted) = task.await.unwrap();
        one = minted.last().cloned();
        tokens.insert(agent, minted.into_iter().collect());
    }
    let all: BTreeSet<String> = tokens.values().flatten().cloned().collect();
    assert_eq!(all.len(), 1_500);

    // Nobody waits for a stop to read them.
    until("they were in the file", || async {
        (verified(&cluster.nodes[0])["records"] == 1_500).then_some(())
    })
    .await;
    assert_eq!(cluster.nodes[0].stop(), Some(0));
    let node = &cluster.nodes[0];
    let report = verified(node);
    assert_eq!(report["intact"], true, "{report}");
    assert_eq!(report["records"], 1_500, "{report}");
    assert_eq!(report["gaps"], Value::Array(Vec::new()));
    assert_eq!(report["segments"][0]["ends"], "closed");
    assert_eq!(found(node, &[]), all);

    for (agent, ids) in &tokens {
        assert_eq!(found(node, &["--agent", agent]), *ids);
    }
    let agents: Vec<&String> = tokens.keys().collect();
    let of_payments: BTreeSet<String> = tokens[agents[0]]
        .union(&tokens[agents[1]])
        .cloned()
        .collect();
    assert_eq!(found(node, &["--owner", "payments"]), of_payments);
    let both = ["--owner", "payments", "--agent", agents[2]];
    assert!(found(node, &both).is_empty(), "all filters have to hold");
    assert_eq!(found(node, &["--audience", AUDIENCE]), all);
    assert!(found(node, &["--audience", "https://other.example/v1"]).is_empty());
    assert_eq!(found(node, &["--since", "1h"]), all);
    assert!(found(node, &["--until", "1h"]).is_empty());
    let one = one.unwrap();
    let [record] = &lines(node, &["--token-id", &one])[..] else {
        panic!("there is one record of {}", one);
    };
    assert_eq!(text(record, "subject"), *agents[2]);
    assert_eq!(record["owners"], serde_json::json!(["travel"]));
    assert_eq!(record["bound"], true);
    assert_eq!(record["node"], 1);

    // A table for people says the same.
    let table = run(
        &node.directory(),
        &["records", "find", "records", "--token-id", &one],
    );
    let table = String::from_utf8(table.stdout).unwrap();
    assert!(table.contains(&one) && table.contains("travel"), "{table}");

    let segment = node.directory().join("records/00000000000000000001.seg");
    let mut bytes = fs::read(&segment).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 4;
    fs::write(&segment, &bytes).unwrap();
    for command in ["verify", "find"] {
        let output = run(&node.directory(), &["records", command, "records"]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(
            said.contains("[CHAIN_BROKEN]") && said.contains("segment 1, byte "),
            "{said}"
        );
    }
}

/// Killed under load, twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_kill_what_is_missing_lies_in_a_gap_that_names_the_issuer() {
    let mut cluster = Cluster::of(1).await;
    let agent = Agent::register(&cluster, "killed").await;
    let mut given: Vec<(u64, String)> = Vec::new();
    for _ in 0..2 {
        let client = agent.at(&cluster, &[0]);
        let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
        let minting = tokio::spawn(async move {
            let mut stream = client.mint_stream().await.unwrap();
            loop {
                // Several are under way when the process is killed.
                for _ in 0..8 {
                    if stream.send(wanted()).await.is_err() {
                        return;
                    }
                }
                for _ in 0..8 {
                    let Ok((_, answer)) = stream.receive().await else {
                        return;
                    };
                    tell.send((now_ms(), answer.unwrap().token_id)).unwrap();
                }
            }
        });
        let before = given.len();
        while given.len() < before + 500 {
            given.push(told.recv().await.unwrap());
        }
        cluster.nodes[0].kill();
        minting.await.unwrap();
        while let Some(last) = told.recv().await {
            given.push(last);
        }
        cluster.nodes[0].start();
        cluster.serving(0).await;
    }
    assert_eq!(cluster.nodes[0].stop(), Some(0));

    let node = &cluster.nodes[0];
    let report = verified(node);
    assert_eq!(report["intact"], true, "{report}");
    let gaps = report["gaps"].as_array().unwrap();
    assert_eq!(gaps.len(), 2, "{report}");
    let found = found(node, &[]);
    let missing = given.iter().filter(|(_, id)| !found.contains(id));
    let missing: Vec<_> = missing.collect();
    for (answered_ms, id) in &missing {
        let gap = gaps.iter().find(|gap| names(gap, issuer(id)));
        let gap = gap.unwrap_or_else(|| panic!("no gap names the issuer of {id}: {report}"));
        assert_eq!(gap["cause"], "crash");
        let [from_ms, to_ms] = ["from_ms", "to_ms"].map(|end| gap[end].as_u64().unwrap());
        let within = from_ms <= *answered_ms && *answered_ms <= to_ms;
        assert!(within, "{answered_ms}: {gap}");
    }
    let records = gaps.iter().map(|gap| gap["records"].as_u64().unwrap());
    assert!(missing.len() as u64 <= records.sum());
    // They name the issuer also when nothing was lost.
    for (gap, (_, id)) in gaps.iter().zip([&given[0], &given[given.len() - 1]]) {
        assert!(names(gap, issuer(id)), "{id}: {gap}");
    }
}

fn now_ms() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    u64::try_from(since.unwrap().as_millis()).unwrap()
}

/// A small disk of its own for a node's records. Taken away when the test ends,
/// however it does.
struct SmallDisk(PathBuf);

impl SmallDisk {
    /// `None` without the right to mount: what a full disk does is then shown by the
    /// server's own tests alone, over a disk that is made to fail.
    fn mount(at: PathBuf) -> Option<Self> {
        let options = [
            "-t",
            "tmpfs",
            "-o",
            "size=128k,mode=700",
            "tmpfs",
            path(&at),
        ];
        let mounted = Command::new("mount").args(options).output();
        let mounted = mounted.is_ok_and(|output| output.status.success());
        if !mounted {
            let by = "crates/server/src/records/tests/disk_faults.rs";
            eprintln!("nothing can be mounted here: a full disk is shown by {by} only");
        }
        mounted.then_some(Self(at))
    }

    fn make_room(&self) {
        let options = ["-o", "remount,size=64m", path(&self.0)];
        let remounted = Command::new("mount").args(options).status().unwrap();
        assert!(remounted.success());
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount")
            .args(["--lazy", path(&self.0)])
            .status();
    }
}

/// Status and body of `GET path` of the admin listener.
fn get(address: &str, path: &str) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect(address).ok()?;
    let request = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some((status, body.to_owned()))
}

/// The value of a metric without labels.
fn metric(node: &Node, name: &str) -> f64 {
    let (_, metrics) = get(&node.admin(), "/metrics").unwrap();
    let line = metrics
        .lines()
        .find_map(|line| line.strip_prefix(&format!("{name} ")));
    line.unwrap_or_else(|| panic!("{name}: {metrics}"))
        .parse()
        .unwrap()
}

/// The files of a directory.
fn contents(directory: &Path) -> Vec<(OsString, Vec<u8>)> {
    let files = fs::read_dir(directory).unwrap().map(Result::unwrap);
    files
        .map(|file| (file.file_name(), fs::read(file.path()).unwrap()))
        .collect()
}

/// A node with the setting, whose records lie on a small disk.
async fn on_a_small_disk(setting: &str) -> Option<(Cluster, SmallDisk, Client)> {
    let flags = ["--jwks-max-age", "1s", "--records-when-behind", setting];
    let mut cluster = Cluster::found(&flags).await;
    let agent = Agent::register(&cluster, "busy").await;
    assert_eq!(cluster.nodes[0].stop(), Some(0));
    let records = cluster.nodes[0].directory().join("records");
    let former = contents(&records);
    let disk = SmallDisk::mount(records.clone())?;
    for (name, bytes) in former {
        fs::write(records.join(name), bytes).unwrap();
    }
    let configuration = cluster.nodes[0].configuration();
    let mut file = File::options().append(true).open(configuration).unwrap();
    writeln!(file, "[records]\nwaiting = 1024").unwrap();
    cluster.nodes[0].start();
    cluster.serving(0).await;
    let client = agent.at(&cluster, &[0]);
    Some((cluster, disk, client))
}

async fn until_ready(node: &Node) {
    until("the node was ready again", || async {
        (get(&node.admin(), "/readyz")?.0 == 200).then_some(())
    })
    .await;
}

fn assert_says_that_it_is_behind(node: &Node) {
    let (status, body) = get(&node.admin(), "/readyz").unwrap();
    assert_eq!(status, 503);
    assert!(body.contains("records behind"), "{body}");
    assert_eq!(metric(node, "chancery_records_behind"), 1.0);
    let log = fs::read_to_string(node.log()).unwrap();
    let said = log.matches("records of mints cannot be written").count();
    assert_eq!(said, 1, "once, not for every record");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_refuses_mints_until_there_is_room() {
    let Some((mut cluster, disk, client)) = on_a_small_disk("refuse").await else {
        return;
    };
    let (mut given, refused) = mint_over_stream(&client, 100_000).await;
    assert_eq!(refused.as_deref(), Some("AUDIT_BEHIND"));
    until("the node said that it is behind", || async {
        let (_, body) = get(&cluster.nodes[0].admin(), "/readyz")?;
        body.contains("records behind").then_some(())
    })
    .await;
    assert_says_that_it_is_behind(&cluster.nodes[0]);
    disk.make_room();
    until_ready(&cluster.nodes[0]).await;
    let (again, refused) = mint_over_stream(&client, 100).await;
    assert_eq!(refused, None, "without a restart");
    given.extend(again);
    assert_eq!(cluster.nodes[0].stop(), Some(0));

    let report = verified(&cluster.nodes[0]);
    assert_eq!(report["intact"], true, "{report}");
    assert_eq!(report["gaps"], Value::Array(Vec::new()), "{report}");
    assert_eq!(report["records"], given.len(), "{report}");
    assert_eq!(found(&cluster.nodes[0], &[]), given.into_iter().collect());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_drops_records_and_counts_them_where_that_is_the_setting() {
    let Some((mut cluster, disk, client)) = on_a_small_disk("drop").await else {
        return;
    };
    let (mut given, refused) = mint_over_stream(&client, 8_000).await;
    assert_eq!(refused, None);
    until("the node said that it is behind", || async {
        let (_, body) = get(&cluster.nodes[0].admin(), "/readyz")?;
        body.contains("records behind").then_some(())
    })
    .await;
    assert_says_that_it_is_behind(&cluster.nodes[0]);
    disk.make_room();
    until_ready(&cluster.nodes[0]).await;
    let dropped = metric(&cluster.nodes[0], "chancery_records_dropped_total");
    let (again, refused) = mint_over_stream(&client, 100).await;
    assert_eq!(refused, None);
    given.extend(again);
    assert_eq!(cluster.nodes[0].stop(), Some(0));

    let node = &cluster.nodes[0];
    let report = verified(node);
    assert_eq!(report["intact"], true, "{report}");
    let gaps = report["gaps"].as_array().unwrap();
    let missing: u64 = gaps
        .iter()
        .map(|gap| gap["records"].as_u64().unwrap())
        .sum();
    assert!(
        missing > 0 && dropped == missing as f64,
        "{dropped}: {report}"
    );
    for gap in gaps {
        assert_eq!(
            (&gap["cause"], &gap["exact"]),
            (&Value::from("dropped"), &Value::from(true))
        );
        assert!(names(gap, issuer(&given[0])), "{gap}");
    }
    let records = report["records"].as_u64().unwrap();
    assert_eq!(records + missing, given.len() as u64, "{report}");
    let given: BTreeSet<String> = given.into_iter().collect();
    assert!(found(node, &[]).is_subset(&given));
}
