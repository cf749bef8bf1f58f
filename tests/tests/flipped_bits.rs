//! One flipped bit in each kind of file of a node: the process refuses, or goes on in
//! the very state that it had, and never serves another.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use std::{
    collections::BTreeMap,
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use chancery_client::v1;
use chancery_tests::{
    agent::{Agent, OWNER, mint, register},
    call,
    chancery::run,
    cluster::Cluster,
    dice::Dice,
    history::Moment,
    trace::files,
};
use serde_json::Value;
use v1::agent_service_client::AgentServiceClient;

/// How long a process may take to say what it makes of a bit, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);
const AGENTS: usize = 700;
/// Small segments and many snapshots, so that there is a file of each kind.
const CONFIGURATION: &str = "snapshot_every = 200\n\n[records]\nsegment_bytes = 1048576\n\
                             keep_bytes = 16777216\n";

/// What became of a node.
#[derive(Debug)]
enum Fate {
    /// It ended, with this code and these last words.
    Refused(i32, String),
    /// It serves the state that it had.
    Unharmed,
    /// It runs, and does not serve.
    Silent,
}

/// What a file is, by its name. `None`: nobody reads it, or it is the operator's text.
fn kind(below: &Path) -> Option<String> {
    let name = below.file_name()?.to_str()?;
    let below = below.strip_prefix("data").unwrap_or(below);
    let top = below.iter().next()?.to_str()?;
    let database = ["log", "state", "checkpoints"].contains(&top);
    let what = match name {
        "LOCK" | "node.toml" | "request.json" => return None,
        "LOG" => return None,
        _ if name.starts_with("LOG.old") => return None,
        _ if name.starts_with("MANIFEST") => "MANIFEST",
        _ if name.starts_with("OPTIONS") => "OPTIONS",
        _ if database && name.ends_with(".log") => "WAL",
        _ if name.ends_with(".sst") => "SST",
        _ if name.ends_with(".seg") => "segment",
        other => other,
    };
    Some(if database || top == "records" {
        format!("{top}: {what}")
    } else {
        what.to_owned()
    })
}

/// A node with a past, at rest.
struct Rig {
    cluster: Cluster,
    /// As they were before.
    agents: Vec<v1::Agent>,
    revision: u64,
    pristine: PathBuf,
}

impl Rig {
    async fn set_up() -> Self {
        let mut cluster = Cluster::of(1).await;
        assert_eq!(cluster.nodes[0].stop(), Some(0));
        let configuration = cluster.nodes[0].configuration();
        let mut configuration = fs::File::options()
            .append(true)
            .open(configuration)
            .unwrap();
        write!(configuration, "{CONFIGURATION}").unwrap();
        cluster.nodes[0].start();
        cluster.serving(0).await;
        let minting = Agent::register(&cluster, "minting").await;
        let operator = cluster.operator();
        let mut agents = Vec::new();
        for number in 0..AGENTS {
            let agent = Agent::unregistered(&format!("kept/{number}"), OWNER);
            let registered = register(&operator, agent.spec()).await.unwrap();
            agents.push(registered.agent.unwrap());
            if number % 10 == 0 {
                mint(&minting.at(&cluster, &[0])).await.unwrap();
            }
        }
        let revision = cluster.status(0).await.unwrap().revision;
        // As it was when it was killed: with a log to read again.
        cluster.nodes[0].kill();
        let pristine = cluster.path().join("pristine");
        copy(&cluster.nodes[0].directory(), &pristine);
        Self {
            cluster,
            agents,
            revision,
            pristine,
        }
    }

    /// The files by their kind.
    fn kinds(&self) -> BTreeMap<String, Vec<PathBuf>> {
        let mut kinds: BTreeMap<String, Vec<PathBuf>> = BTreeMap::new();
        for file in files(&self.pristine) {
            let below = file.strip_prefix(&self.pristine).unwrap().to_owned();
            if let Some(kind) = kind(&below) {
                kinds.entry(kind).or_default().push(below);
            }
        }
        kinds
    }

    /// Flips a bit of a file and starts the node.
    async fn flip(&mut self, below: &Path, bit: usize) -> Fate {
        let directory = self.cluster.nodes[0].directory();
        fs::remove_dir_all(&directory).unwrap();
        copy(&self.pristine, &directory);
        let mut content = fs::read(directory.join(below)).unwrap();
        content[bit / 8] ^= 1 << (bit % 8);
        fs::write(directory.join(below), content).unwrap();

        let log = self.cluster.nodes[0].log();
        let told_before = fs::read(&log).unwrap().len();
        self.cluster.nodes[0].start();
        let began = Moment::now();
        let fate = loop {
            if let Some(code) = self.cluster.nodes[0].ended() {
                let log = fs::read(&log).unwrap();
                let said = String::from_utf8_lossy(&log[told_before..]).into_owned();
                break Fate::Refused(code, said.lines().last().unwrap_or_default().to_owned());
            }
            if let Ok(status) = self.cluster.status(0).await
                && status.fresh
                && status.issuer.is_some()
            {
                assert!(status.revision > self.revision, "{}", below.display());
                self.read_back(below).await;
                break Fate::Unharmed;
            }
            if Moment::now().since(began) > PATIENCE {
                break Fate::Silent;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        };
        self.cluster.nodes[0].kill();
        fate
    }

    /// Every agent is there, as it was registered.
    async fn read_back(&self, below: &Path) {
        let operator = self.cluster.operator();
        for agent in &self.agents {
            let request = v1::GetRequest {
                id: agent.spec.as_ref().unwrap().id.clone(),
                min_revision: String::new(),
            };
            let found = call!(operator, AgentServiceClient::get, request);
            let found = found.unwrap_or_else(|error| panic!("{}: {error}", below.display()));
            assert_eq!(found.agent.as_ref(), Some(agent), "{}", below.display());
        }
    }

    /// Whether the auditor's command sees that records were changed.
    fn records_are_intact(&self) -> bool {
        let directory = self.cluster.nodes[0].directory();
        let data = directory.to_str().unwrap();
        let verify = ["records", "verify", "--data-dir", data, "--output", "json"];
        let output = run(&directory, &verify);
        let report = serde_json::from_slice::<Value>(&output.stdout);
        output.status.success() && report.is_ok_and(|report| report["intact"] == true)
    }
}

fn copy(from: &Path, to: &Path) {
    let copied = Command::new("cp")
        .args(["-a", "--"])
        .arg(from)
        .arg(to)
        .status();
    assert!(copied.unwrap().success());
}

/// Bits of each kind; more with `CHANCERY_FLIPS`.
fn flips() -> usize {
    std::env::var("CHANCERY_FLIPS").map_or(1, |flips| flips.parse().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flipped_bit_is_never_served() {
    let mut rig = Rig::set_up().await;
    let mut dice = Dice::of(4);
    let kinds = rig.kinds();
    for needed in [
        "log: WAL",
        "state: SST",
        "records: segment",
        "MARKER",
        "state: INSTALLED",
    ] {
        assert!(
            kinds.contains_key(needed),
            "there is no {needed} among {:?}",
            kinds.keys()
        );
    }
    let mut silent = Vec::new();
    for (kind, files) in kinds {
        for _ in 0..flips() {
            let below = &files[dice.position(files.len())];
            let length = fs::metadata(rig.pristine.join(below)).unwrap().len();
            if length == 0 {
                println!("{kind:24} {} is empty", below.display());
                continue;
            }
            let bit = usize::try_from(dice.below(length * 8)).unwrap();
            let fate = rig.flip(below, bit).await;
            println!("{kind:24} {} bit {bit}: {fate:?}", below.display());
            match fate {
                Fate::Refused(code, said) => {
                    assert_ne!(code, 0, "{kind}");
                    assert!(
                        said.contains("chancery: "),
                        "{kind}: it does not say why: {said}"
                    );
                }
                Fate::Unharmed if kind == "records: segment" => {
                    assert!(!rig.records_are_intact(), "{kind}: nobody noticed");
                }
                Fate::Unharmed => {}
                Fate::Silent => silent.push(format!("{kind}: {}, bit {bit}", below.display())),
            }
        }
    }
    assert!(silent.is_empty(), "neither refused nor served: {silent:?}");
}
