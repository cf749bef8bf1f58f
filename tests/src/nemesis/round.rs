//! One round: a cluster of its own, load, faults, peace, and the judgement.

use std::{
    fmt::Write,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use futures::future::join_all;

use super::{
    Tally,
    fault::{Step, plan},
    load::{Load, Pace},
    recorder::Recorder,
    rig::Rig,
};
use crate::{
    cluster::Cluster,
    history::{Complaint, Deed, History, Moment, Outcome, Place, Promises, Violation},
    network::Network,
    until::until,
};

/// What every node promises unless it is told otherwise.
pub const PROMISES: Promises = Promises {
    f: Duration::from_secs(2),
    v: Duration::from_secs(5),
    kappa: 1.1 / 0.9,
    slack: Duration::from_millis(500),
};
/// How often the harness looks whether it is late itself.
const LOOK: Duration = Duration::from_millis(10);

/// How a round is set up.
#[derive(Debug, Clone)]
pub struct Setup {
    /// Faults of it.
    pub steps: usize,
    /// Voters; a learner is one more.
    pub voters: usize,
    /// How much load.
    pub pace: Pace,
    /// Where a failing round leaves what was seen.
    pub out: PathBuf,
}

/// What became of a round.
#[derive(Debug)]
pub struct Outcomes {
    /// What was counted.
    pub tally: Tally,
    /// What was broken.
    pub violations: Vec<Violation>,
}

/// Runs a round.
///
/// # Panics
/// When the cluster does not come back once everything is healed.
pub async fn run(round: u64, setup: &Setup, network: Network) -> Outcomes {
    let began = Moment::now();
    let steps = plan(round, setup.steps);
    let mut rig = Rig::set_up(setup.voters, network, &steps).await;
    let recorder = Arc::new(Recorder::default());
    let load = Load::set_up(&rig.cluster, recorder.clone(), setup.pace).await;
    let lateness = tokio::spawn(lateness(recorder.clone()));
    let mut tasks = load.begin(round);

    let mut told = String::new();
    for Step { fault, hold, rest } in &steps {
        let what = rig.inflict(*fault, *hold, round).await;
        let _ = write!(told, "; {what}");
        tokio::time::sleep(*rest).await;
    }
    rig.heal().await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    recorder.end();
    while let Some(task) = tasks.join_next().await {
        task.unwrap();
    }
    let late = lateness.await.unwrap();
    converge(&rig.cluster).await;
    let history = read_back(&rig.cluster, &load, recorder.take()).await;

    let promises = Promises {
        slack: PROMISES.slack + late,
        ..PROMISES
    };
    let mut violations = history.judge(&promises);
    violations.extend(late_for_good(&rig.cluster, &load).await);
    let mut tally = count(&history);
    tally.rounds = 1;
    tally.faults = steps.len() as u64;
    tally.seconds = Moment::now().since(began).as_secs_f64();
    tally.violations = violations.len() as u64;
    println!(
        "round {round}{told}: {tally}; harness late by {:.0} ms at most",
        late.as_secs_f64() * 1_000.0
    );
    for violation in &violations {
        println!("  VIOLATION {violation}");
    }
    if !violations.is_empty() {
        keep(round, &setup.out, &rig.cluster, &history);
    }
    Outcomes { tally, violations }
}

/// By how much the harness's own timers were late at most.
async fn lateness(recorder: Arc<Recorder>) -> Duration {
    let mut most = Duration::ZERO;
    while !recorder.is_over() {
        let before = Moment::now();
        tokio::time::sleep(LOOK).await;
        most = most.max(Moment::now().since(before).saturating_sub(LOOK));
    }
    most
}

/// All nodes serve, and have one state.
pub async fn converge(cluster: &Cluster) {
    for position in 0..cluster.nodes.len() {
        cluster.serving(position).await;
    }
    until("all nodes had the same state", || async {
        let asking = (0..cluster.nodes.len()).map(|position| cluster.status(position));
        let all: Result<Vec<_>, _> = join_all(asking).await.into_iter().collect();
        let all = all.ok()?;
        let mut pairs = all.windows(2);
        pairs
            .all(|pair| pair[0].state_digest == pair[1].state_digest)
            .then_some(())
    })
    .await;
}

/// What is not in force although all is well again.
async fn late_for_good(cluster: &Cluster, load: &Load) -> Vec<Violation> {
    let asking = (0..cluster.nodes.len()).map(|position| load.newest_is_enforced(position));
    let told = join_all(asking).await.into_iter();
    let late = told.filter_map(Result::err).map(|by| Violation {
        complaint: Complaint::FenceLate,
        by,
    });
    late.collect()
}

async fn read_back(cluster: &Cluster, load: &Load, mut history: History) -> History {
    let registered = history.operations.iter().filter_map(|operation| {
        let Deed::Registered { agent, outcome } = &operation.deed else {
            return None;
        };
        outcome.revision().map(|_| agent.clone())
    });
    let registered: Vec<String> = registered.collect();
    let reading = (0..cluster.nodes.len()).map(|position| load.read_back(position, &registered));
    join_all(reading).await;
    history.append(load.recorder.take());
    history
}

fn count(history: &History) -> Tally {
    let mut tally = Tally {
        operations: history.operations.len() as u64,
        ..Tally::default()
    };
    for operation in &history.operations {
        match &operation.deed {
            Deed::Accepted { .. } if matches!(operation.place, Place::Verifier(_)) => {
                tally.accepted_in_verifiers += 1;
            }
            Deed::Accepted { .. } => tally.accepted += 1,
            Deed::Rejected { .. } => tally.rejected += 1,
            Deed::Minted { .. } => tally.minted += 1,
            Deed::Read { .. } => tally.read += 1,
            Deed::Registered { outcome, .. }
            | Deed::Ended { outcome, .. }
            | Deed::Resumed { outcome, .. } => {
                tally.acknowledged += u64::from(outcome.revision().is_some());
                tally.unknown += u64::from(*outcome == Outcome::Unknown);
                tally.enforced += u64::from(outcome.is_enforced());
                let in_verifiers = matches!(outcome, Outcome::EnforcedInVerifiers(_));
                tally.enforced_in_verifiers += u64::from(in_verifiers);
            }
            Deed::Asked => {}
        }
    }
    tally
}

/// What was seen and what the nodes said, for who looks into it.
fn keep(round: u64, out: &Path, cluster: &Cluster, history: &History) {
    let out = out.join(format!("round-{round}"));
    std::fs::create_dir_all(&out).unwrap();
    let mut text = String::new();
    for operation in &history.operations {
        let _ = writeln!(text, "{operation:?}");
    }
    for report in &history.reports {
        let _ = writeln!(text, "{report:?}");
    }
    std::fs::write(out.join("history"), text).unwrap();
    for node in &cluster.nodes {
        let _ = std::fs::copy(node.log(), out.join(format!("{}.log", node.name)));
    }
    println!("  what was seen is in {}", out.display());
}
