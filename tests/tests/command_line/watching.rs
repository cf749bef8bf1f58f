//! `chancery watch`: what is in force, and then every change of it.

use std::process::Stdio;

use chancery_tests::{
    agent::{Agent, mint},
    chancery::{binary, succeed},
    cluster::Cluster,
};
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    process::{Child, ChildStdout, Command},
    time::{Duration, timeout},
};

/// How long a line may take on a busy machine before the test gives up.
const PATIENCE: Duration = Duration::from_secs(60);

/// A `watch` that runs until it is dropped.
struct Watch {
    lines: Lines<BufReader<ChildStdout>>,
    _process: Child,
}

impl Watch {
    fn start(cluster: &Cluster, further: &[&str]) -> Self {
        let mut process = Command::new(binary())
            .args(["watch", "--profile", "profile"])
            .args(further)
            .current_dir(cluster.path())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        Self {
            lines,
            _process: process,
        }
    }

    /// Reads on until a line is such.
    async fn until(&mut self, what: &str, is_such: impl Fn(&str) -> bool) -> String {
        let reading = async {
            loop {
                let line = self.lines.next_line().await.unwrap();
                let line = line.unwrap_or_else(|| panic!("it ended before {what}"));
                if is_such(&line) {
                    return line;
                }
            }
        };
        let read = timeout(PATIENCE, reading).await;
        read.unwrap_or_else(|_| panic!("within {PATIENCE:?} it never showed {what}"))
    }
}

fn change(line: &str) -> (String, String) {
    let line: Value = serde_json::from_str(line).unwrap();
    assert!(line["revision"].as_u64().is_some(), "{line}");
    let text = |name: &str| line[name].as_str().unwrap().to_owned();
    (text("change"), text("what"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watch_begins_with_what_is_in_force_and_shows_a_revocation() {
    let cluster = Cluster::of(1).await;
    let agent = Agent::register(&cluster, "watched").await;
    let minted = mint(&agent.at(&cluster, &[0])).await.unwrap();
    let token = cluster.path().join("token");
    std::fs::write(&token, &*minted.token).unwrap();

    let mut for_people = Watch::start(&cluster, &[]);
    let mut for_programs = Watch::start(&cluster, &["--output", "json"]);
    for_people
        .until("an issuer", |line| {
            line.contains("  issuer opened  issuer 1 of node 1")
        })
        .await;
    for_programs
        .until("an issuer", |line| {
            let (change, what) = change(line);
            change == "issuer opened" && what.starts_with("issuer 1 of node 1")
        })
        .await;

    let mut revoke = vec!["token", "revoke", "token", "--reason", "a test"];
    revoke.extend(["--profile", "profile"]);
    succeed(&cluster.path(), &revoke);
    let revoked = ("token revoked".to_owned(), minted.token_id.clone());
    for_programs
        .until("the revocation", |line| change(line) == revoked)
        .await;
    let revoked = format!("  token revoked  {}", minted.token_id);
    for_people
        .until("the revocation", |line| line.ends_with(&revoked))
        .await;

    // One that begins now is told of it with all else that is in force.
    Watch::start(&cluster, &[])
        .until("the revocation", |line| line.ends_with(&revoked))
        .await;
}
