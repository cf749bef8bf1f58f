//! Phases of abuse, and what those who pay notice of each: their latency before it,
//! during it and after it, in one run.

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Write},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use crate::{
    Run,
    flood::{KINDS, Kind, Plan},
    load::{Load, revocations::revoke},
    nodes::Metrics,
    payers::{Latency, Payers, Way},
    rig::Rig,
    samples::Sampler,
    say,
    tally::Tally,
};

/// How long it is calm before and after a phase.
const CALM: Duration = Duration::from_secs(30);
/// And how long what was left open may take to be noticed.
const SETTLE: Duration = Duration::from_secs(15);
/// Changes of the view that go on all along.
const CHANGES_A_SECOND: u32 = 20;
/// How many times its own calm a latency may become.
const FACTOR: f64 = 2.0;
/// Below this a difference is the scheduler's, milliseconds.
const NOISE: f64 = 5.0;
/// How often a phase is tried on a machine that is not steady.
const TRIES: usize = 3;
/// What a node may grow by under any abuse, MiB.
const ROOM_MIB: u64 = 512;
/// Counters of what was turned away.
const TURNED_AWAY: [&str; 4] = [
    "chancery_connections_refused_total",
    "chancery_handshakes_failed_total",
    "chancery_requests_refused_total",
    "chancery_mint_refusals_total",
];

/// All phases, or those named; whether each was borne.
pub async fn run(rig: &Rig, run: &Run, sampler: &Sampler) -> bool {
    let plan = Plan::write(rig);
    let tally = Tally::default();
    let load = Load::new(rig, 0, &tally);
    let payers = Payers::begin(rig);
    let mut well = true;
    let phases = async {
        say(
            "\nUnder abuse. Floods run in processes of their own, at nice 5 and at a pace that is \
             said; they, the payers and the nodes share the machine's cores.",
        );
        for kind in KINDS {
            if run.abuse == "all" || run.abuse.split(',').any(|name| name == kind.name) {
                well &= phase(&kind, &plan, &payers, sampler).await;
            }
        }
        load.end();
    };
    tokio::join!(phases, revoke(&load, CHANGES_A_SECOND));
    tally.print();
    well && tally.is_clean()
}

/// One phase, again when the machine was busy with something else meanwhile.
async fn phase(kind: &Kind, plan: &Plan, payers: &Payers, sampler: &Sampler) -> bool {
    let mut tries = 1..=TRIES;
    loop {
        let outcome = try_phase(kind, plan, payers, sampler).await;
        let last = tries.next() == Some(TRIES);
        match outcome {
            Borne::Unsteady if !last => say("  the machine was not steady: once more"),
            Borne::Unsteady => {
                say("  the machine was never steady, so nothing is shown");
                return false;
            }
            Borne::Well => return true,
            Borne::Not => return false,
        }
    }
}

/// How a phase was borne.
#[derive(PartialEq, Eq)]
enum Borne {
    Well,
    Not,
    /// It was no calmer after than during it, or not as before.
    Unsteady,
}

async fn try_phase(kind: &Kind, plan: &Plan, payers: &Payers, sampler: &Sampler) -> Borne {
    tokio::time::sleep(SETTLE).await;
    let calm = Instant::now();
    tokio::time::sleep(CALM).await;
    let before = sampler.metrics();
    let began = Instant::now();
    let flood = Flood::begin(kind, plan);
    tokio::time::sleep(Duration::from_secs(kind.seconds)).await;
    let held = sampler.metrics();
    let ended = Instant::now();
    let told = tokio::task::spawn_blocking(|| flood.end()).await.unwrap();
    let after = sampler.metrics();
    tokio::time::sleep(SETTLE).await;
    let calm_again = Instant::now();
    tokio::time::sleep(CALM).await;
    let end = Instant::now();

    say(&format!("\n{}: {}", kind.name, kind.what));
    say(&format!("  the flood counted: {told}"));
    say(&format!(
        "  the nodes turned away: {}",
        turned_away(&before, &after)
    ));
    say(&format!("  held at its end, by node: {}", holding(&held)));
    say(&format!(
        "  processors that the nodes used: {:.2} before, {:.2} during, {:.2} after",
        sampler.cpu_between(calm, began),
        sampler.cpu_between(began, ended),
        sampler.cpu_between(calm_again, end),
    ));
    let bounded = tell_memory(sampler, calm, began, ended);
    let (mut steady, mut well) = (true, true);
    for (way, name) in [
        (Way::Kept, "kept connections"),
        (Way::Anew, "new connections"),
    ] {
        let spans = Spans {
            before: payers.latency(way, calm, began),
            during: payers.latency(way, began, ended),
            after: payers.latency(way, calm_again, end),
        };
        spans.tell(name);
        steady &= spans.is_steady();
        well &= spans.is_borne();
        if spans.failed() > 0 {
            return Borne::Not;
        }
    }
    match (bounded, well, steady) {
        (false, ..) => Borne::Not,
        (true, true, _) => Borne::Well,
        (true, false, false) => Borne::Unsteady,
        (true, false, true) => Borne::Not,
    }
}

/// The most that each node took, and whether that was bounded.
fn tell_memory(sampler: &Sampler, calm: Instant, began: Instant, ended: Instant) -> bool {
    let before = sampler.most_between(calm, began);
    let during = sampler.most_between(began, ended);
    let mib = |kib: &[u64]| -> Vec<u64> { kib.iter().map(|kib| kib / 1024).collect() };
    say(&format!(
        "  RSS at most, MiB, by node: {:?}; before: {:?}",
        mib(&during),
        mib(&before)
    ));
    let mut grew = during.iter().zip(&before);
    grew.all(|(during, before)| during.saturating_sub(*before) / 1024 <= ROOM_MIB)
}

/// The latency of one kind of payers before, during and after a phase.
struct Spans {
    before: Latency,
    during: Latency,
    after: Latency,
}

impl Spans {
    fn tell(&self, name: &str) {
        let (before, during, after) = (&self.before, &self.during, &self.after);
        say(&format!(
            "  {name}: median ms {:.1}, {:.1}, {:.1}: x{:.2} {}; p99 ms {:.1}, {:.1}, {:.1}: x{:.2} {}; \
             {} mints during it, {} failed of all",
            before.median,
            during.median,
            after.median,
            during.median / before.median,
            said(within(during.median, before.median)),
            before.p99,
            during.p99,
            after.p99,
            during.p99 / before.p99,
            said(within(during.p99, before.p99)),
            during.count,
            self.failed(),
        ));
    }

    fn is_borne(&self) -> bool {
        within(self.during.median, self.before.median)
    }

    /// Before and after it the same was done, and should have taken the same.
    fn is_steady(&self) -> bool {
        let (before, after) = (self.before.median, self.after.median);
        within(after, before) && within(before, after)
    }

    const fn failed(&self) -> usize {
        self.before.failed + self.during.failed + self.after.failed
    }
}

fn within(now: f64, calm: f64) -> bool {
    now <= (calm * FACTOR).max(calm + NOISE)
}

const fn said(well: bool) -> &'static str {
    if well { "OK" } else { "NOT" }
}

/// What the counters grew by, over all nodes.
fn turned_away(before: &[Metrics], after: &[Metrics]) -> String {
    let mut grown = BTreeMap::<&str, f64>::new();
    for (before, after) in before.iter().zip(after) {
        for (name, value) in after {
            if TURNED_AWAY.iter().any(|counter| name.starts_with(counter)) {
                let more = value - before.get(name).copied().unwrap_or(0.0);
                *grown.entry(name).or_default() += more;
            }
        }
    }
    grown.retain(|_, more| *more > 0.0);
    let told: Vec<String> = grown
        .iter()
        .map(|(name, more)| format!("{} {more}", name.trim_start_matches("chancery_")))
        .collect();
    if told.is_empty() {
        "nothing".to_owned()
    } else {
        told.join(", ")
    }
}

fn holding(nodes: &[Metrics]) -> String {
    let of = |name: &str| -> Vec<f64> {
        let values = nodes.iter().map(|metrics| metrics.get(name).copied());
        values.map(|value| value.unwrap_or(0.0)).collect()
    };
    format!(
        "connections {:?}, subscribers {:?}",
        of("chancery_connections"),
        of("chancery_subscribers")
    )
}

/// A flood under way, in a process of its own.
struct Flood(Child);

impl Flood {
    fn begin(kind: &Kind, plan: &Plan) -> Self {
        let child = Command::new("nice")
            .args(["-n", "5"])
            .arg(std::env::current_exe().unwrap())
            .args(["flood", kind.name, "--plan"])
            .arg(plan.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        Self(child)
    }

    /// Ends it, and gives what it counted.
    fn end(mut self) -> String {
        drop(self.0.stdin.take().map(|mut stdin| stdin.flush()));
        let mut told = String::new();
        let mut stdout = BufReader::new(self.0.stdout.take().unwrap());
        let _ = stdout.read_line(&mut told);
        self.0.wait().unwrap();
        told.trim().to_owned()
    }
}

impl Drop for Flood {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
