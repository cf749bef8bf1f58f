//! One round: load, the power goes, and the cluster comes back with all that it
//! acknowledged.

use std::{
    collections::{BTreeSet, HashMap},
    fmt, fs,
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use chancery_credential::TokenId;
use futures::future::join_all;
use rustix::process::Signal;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tempfile::TempDir;

use super::{Disk, Lost, journal};
use crate::{
    chancery::run,
    cluster::Cluster,
    dice::Dice,
    history::{Deed, History, Moment, Place, Violation},
    nemesis::{
        load::{Load, Pace},
        recorder::Recorder,
        round::{PROMISES, converge},
    },
    preload,
};

const NODES: usize = 3;
/// Few entries between snapshots and small segments, so that files come and go.
const CONFIGURATION: &str = "snapshot_every = 150\nhistory_mib = 1\n\n[records]\n\
                             segment_bytes = 1048576\nkeep_bytes = 16777216\n";
/// Many writes, few questions.
const PACE: Pace = Pace {
    check: Duration::from_millis(100),
    mint: Duration::from_millis(15),
    register: Duration::from_millis(12),
    revoke: Duration::from_millis(60),
};
/// Sessions of a round, so that those of another are others.
const SESSIONS: u32 = 1_000;

/// Counts, of a round or of many.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub struct Counts {
    /// Rounds that ended.
    pub rounds: u64,
    /// Rounds that did not.
    pub failed: u64,
    /// Disks that were cut.
    pub disks: u64,
    /// Changes of names that they lost.
    pub names: u64,
    /// Files that lost writes, and the writes.
    pub files: u64,
    /// See `files`.
    pub writes: u64,
    /// Pages that became zeros.
    pub holes: u64,
    /// Commands that were acknowledged.
    pub acknowledged: u64,
    /// Registrations that were read back, at each node.
    pub read: u64,
    /// Tokens that nodes had given out whose disks were cut, in all rounds so far.
    pub minted: u64,
    /// Those of them that are in a gap of the records.
    pub in_gaps: u64,
    /// What was broken.
    pub violations: u64,
    /// How long it took.
    pub seconds: f64,
}

impl Counts {
    /// Adds another's.
    pub fn add(&mut self, other: &Self) {
        self.rounds += other.rounds;
        self.failed += other.failed;
        self.disks += other.disks;
        self.names += other.names;
        self.files += other.files;
        self.writes += other.writes;
        self.holes += other.holes;
        self.acknowledged += other.acknowledged;
        self.read += other.read;
        self.minted += other.minted;
        self.in_gaps += other.in_gaps;
        self.violations += other.violations;
        self.seconds += other.seconds;
    }

    /// Whether nothing was broken.
    #[must_use]
    pub const fn is_clean(&self) -> bool {
        self.violations == 0 && self.failed == 0 && self.rounds > 0
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} rounds ({} failed), {} disks cut ({} names, {} writes of {} files, {} pages), {} \
             commands acknowledged, {} read back, {} tokens given ({} in gaps), {} violations, \
             {:.0} s",
            self.rounds,
            self.failed,
            self.disks,
            self.names,
            self.writes,
            self.files,
            self.holes,
            self.acknowledged,
            self.read,
            self.minted,
            self.in_gaps,
            self.violations,
            self.seconds
        )
    }
}

/// A cluster whose disks are followed.
pub struct Rig {
    cluster: Cluster,
    disks: Vec<Disk>,
    library: PathBuf,
    /// All that was seen of this cluster, over its rounds.
    history: History,
    registered: Vec<String>,
    out: PathBuf,
    round: u64,
    files: TempDir,
}

impl Drop for Rig {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.keep(self.round);
        }
    }
}

impl Rig {
    /// A cluster of three; what a failing round saw is left in `out`.
    pub async fn set_up(out: PathBuf) -> Self {
        let files = tempfile::tempdir().unwrap();
        let library = preload::compile("disk", files.path());
        let mut rig = Self {
            cluster: Cluster::of(NODES).await,
            disks: Vec::new(),
            library,
            history: History::default(),
            registered: Vec::new(),
            out,
            round: 0,
            files,
        };
        for position in 0..NODES {
            let node = &mut rig.cluster.nodes[position];
            assert_eq!(tokio::task::block_in_place(|| node.stop()), Some(0));
            let text = fs::read_to_string(node.configuration()).unwrap();
            fs::write(node.configuration(), text + CONFIGURATION).unwrap();
            let disk = Disk::synced(&node.directory());
            rig.disks.push(disk);
        }
        for position in 0..NODES {
            rig.start(position);
        }
        converge(&rig.cluster).await;
        rig
    }

    fn journal(&self, position: usize) -> PathBuf {
        self.files.path().join(format!("{position}.journal"))
    }

    fn start(&mut self, position: usize) {
        let journal = self.journal(position);
        let node = &mut self.cluster.nodes[position];
        let directory = node.directory();
        preload::follow_disk(node.place(), &self.library, &directory, &journal);
        node.start();
    }

    /// Runs a round.
    ///
    /// # Panics
    /// When the cluster does not come back.
    pub async fn round(&mut self, round: u64) -> (Counts, Vec<Violation>) {
        self.round = round;
        let began = Moment::now();
        let mut dice = Dice::of(round);
        let first = SESSIONS * u32::try_from(round % 1_000_000).unwrap();
        let before = self.history.operations.len();
        let recorder = Arc::new(Recorder::beginning_at(first));
        let name = format!("round-{round}/");
        let load = Load::set_up_named(&self.cluster, recorder.clone(), PACE, &name).await;
        let mut tasks = load.begin(round);
        tokio::time::sleep(Duration::from_millis(1_500 + dice.below(3_500))).await;

        let all = dice.chance(70);
        let cut = if all {
            (0..NODES).collect()
        } else {
            vec![dice.position(NODES)]
        };
        let lost = self.cut(&cut, &mut dice);
        if !all {
            // The others are a majority.
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        for position in &cut {
            self.start(*position);
        }
        for position in 0..NODES {
            self.cluster.serving(position).await;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
        recorder.end();
        while let Some(task) = tasks.join_next().await {
            task.unwrap();
        }
        converge(&self.cluster).await;
        self.read_back(&load).await;

        let mut violations = self.history.judge(&PROMISES);
        let mut counts = self.count(before, &lost, cut.len());
        for position in &cut {
            let (minted, in_gaps) = self.records(*position, &mut violations);
            counts.minted += minted;
            counts.in_gaps += in_gaps;
        }
        counts.violations = violations.len() as u64;
        counts.seconds = Moment::now().since(began).as_secs_f64();
        println!("round {round}, nodes {cut:?}: {counts}");
        for violation in &violations {
            println!("  VIOLATION {violation}");
        }
        if !violations.is_empty() {
            self.keep(round);
        }
        (counts, violations)
    }

    /// The power goes, for those at once; what their disks then hold takes the place of
    /// what they held.
    fn cut(&mut self, positions: &[usize], dice: &mut Dice) -> Lost {
        for position in positions {
            self.cluster.nodes[*position].signal(Signal::KILL);
        }
        let mut lost = Lost::default();
        for position in positions {
            self.cluster.nodes[*position].kill();
            let journal = fs::read(self.journal(*position)).unwrap();
            for call in journal::parse(&journal) {
                self.disks[*position].follow(call);
            }
            let directory = self.cluster.nodes[*position].directory();
            let target = directory.with_extension("cut");
            lost.add(&self.disks[*position].cut(&target, dice));
            // Kept until the next cut, for who looks into a failure.
            let before = directory.with_extension("before");
            let _ = fs::remove_dir_all(&before);
            fs::rename(&directory, &before).unwrap();
            fs::rename(&target, &directory).unwrap();
            self.disks[*position] = Disk::synced(&directory);
        }
        lost
    }

    async fn read_back(&mut self, load: &Load) {
        let seen = load.recorder.take();
        for operation in &seen.operations {
            if let Deed::Registered { agent, outcome } = &operation.deed
                && outcome.revision().is_some()
            {
                self.registered.push(agent.clone());
            }
        }
        self.history.append(seen);
        let reading = (0..NODES).map(|position| load.read_back(position, &self.registered));
        join_all(reading).await;
        self.history.append(load.recorder.take());
    }

    fn count(&self, before: usize, lost: &Lost, disks: usize) -> Counts {
        let acknowledged = self.history.operations[before..]
            .iter()
            .filter(|operation| {
                matches!(
                    &operation.deed,
                    Deed::Registered { outcome, .. }
                        | Deed::Ended { outcome, .. }
                        | Deed::Resumed { outcome, .. } if outcome.revision().is_some()
                )
            });
        Counts {
            rounds: 1,
            disks: disks as u64,
            names: lost.names as u64,
            files: lost.files as u64,
            writes: lost.writes as u64,
            holes: lost.holes as u64,
            acknowledged: acknowledged.count() as u64,
            read: (self.registered.len() * NODES) as u64,
            ..Counts::default()
        }
    }

    /// Every token that a node gave out is in its records, or in a gap that names its
    /// issuer. Gives how many there are, and how many of them are in gaps.
    fn records(&self, position: usize, violations: &mut Vec<Violation>) -> (u64, u64) {
        use crate::history::Complaint::LostWrite;
        let node = &self.cluster.nodes[position];
        let mut complain = |by: String| {
            violations.push(Violation {
                complaint: LostWrite,
                by,
            });
        };
        let directory = node.directory();
        let data = directory.to_str().unwrap();
        let output = run(
            &directory,
            &["records", "verify", "--data-dir", data, "--output", "json"],
        );
        let Ok(report) = serde_json::from_slice::<Value>(&output.stdout) else {
            complain(format!(
                "{}: records verify: {}",
                node.name,
                String::from_utf8_lossy(&output.stderr)
            ));
            return (0, 0);
        };
        if report["intact"] != true {
            complain(format!(
                "{}: its records are not intact: {report}",
                node.name
            ));
        }
        let output = run(
            &directory,
            &["records", "find", "--data-dir", data, "--output", "json"],
        );
        let found = String::from_utf8_lossy(&output.stdout);
        let found: BTreeSet<String> = found
            .lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok())
            .filter_map(|record| Some(record["token_id"].as_str()?.to_owned()))
            .collect();
        let named: BTreeSet<u64> = report["gaps"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|gap| gap["issuers"].as_array())
            .flatten()
            .filter_map(Value::as_u64)
            .collect();
        let (mut given, mut in_gaps) = (0, 0);
        let mut missing: HashMap<u64, u64> = HashMap::new();
        for operation in &self.history.operations {
            let Deed::Minted { token, .. } = &operation.deed else {
                continue;
            };
            if operation.place != Place::Node(position as u64 + 1) {
                continue;
            }
            given += 1;
            if !found.contains(token) {
                in_gaps += 1;
                let issuer = token.parse::<TokenId>().unwrap().issuer().0;
                if !named.contains(&u64::from(issuer)) {
                    *missing.entry(issuer.into()).or_default() += 1;
                }
            }
        }
        for (issuer, tokens) in missing {
            complain(format!(
                "{}: {tokens} tokens of issuer {issuer} are neither in its records nor in a gap",
                node.name
            ));
        }
        (given, in_gaps)
    }

    /// Leaves what was seen, for who looks into a failure.
    pub fn keep(&self, round: u64) {
        let out = self.out.join(format!("round-{round}"));
        let _ = fs::remove_dir_all(&out);
        fs::create_dir_all(&out).unwrap();
        for node in &self.cluster.nodes {
            let _ = fs::copy(node.log(), out.join(format!("{}.log", node.name)));
            for directory in [node.directory(), node.directory().with_extension("before")] {
                let _ = std::process::Command::new("cp")
                    .arg("-a")
                    .arg(&directory)
                    .arg(&out)
                    .status();
            }
        }
        for position in 0..NODES {
            let to = out.join(format!("{position}.journal"));
            let _ = fs::copy(self.journal(position), to);
        }
        println!("  what was seen is in {}", out.display());
    }
}
