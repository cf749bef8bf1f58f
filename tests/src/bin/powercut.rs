//! Power cuts, round by round: `make powercut ROUNDS=100`, `FROM=` goes on.
//!
//! A cluster lives for ten rounds, so that its disks have a past. What was counted is
//! added to one log, whose sums are printed at the end, over all runs.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use std::{path::PathBuf, process::ExitCode};

use chancery_tests::{
    ledger::Ledger,
    powercut::round::{Counts, Rig},
};
use clap::Parser;

/// Rounds that a cluster lives for.
const LIFE: u64 = 10;

#[derive(Parser)]
#[command(about = "Real processes whose disks lose what was not synced")]
struct Arguments {
    /// How many rounds
    #[arg(long, env = "ROUNDS", default_value_t = 100)]
    rounds: u64,
    /// The first
    #[arg(long, env = "FROM", default_value_t = 0)]
    from: u64,
    /// Where the log is, and what a failing round leaves
    #[arg(long, env = "CHANCERY_POWERCUT_OUT", default_value = "target/powercut")]
    out: PathBuf,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let mut ledger = Ledger::<Counts>::open(&arguments.out.join("rounds.jsonl"), arguments.from);
    let (mut round, end) = (arguments.from, arguments.from + arguments.rounds);
    while round < end {
        let next = ((round / LIFE + 1) * LIFE).min(end);
        life(round..next, &arguments.out, &mut ledger);
        round = next;
    }
    let mut sum = Counts::default();
    for counts in ledger.all() {
        sum.add(counts);
    }
    println!("powercut, over all of {}: {sum}", ledger.path().display());
    if sum.is_clean() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// The rounds of one cluster; after one that failed another lives on.
fn life(rounds: std::ops::Range<u64>, out: &std::path::Path, ledger: &mut Ledger<Counts>) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let mut rig: Option<Rig> = None;
    for round in rounds {
        let (kept, out) = (rig.take(), out.to_owned());
        let ended = runtime.block_on(async move {
            let running = tokio::spawn(async move {
                let mut rig = match kept {
                    Some(rig) => rig,
                    None => Rig::set_up(out).await,
                };
                let (counts, _) = rig.round(round).await;
                (rig, counts)
            });
            running.await
        });
        match ended {
            Ok((kept, counts)) => {
                rig = Some(kept);
                ledger.add(round, counts);
            }
            Err(error) => {
                println!("round {round}: FAILED: {error}");
                let failed = Counts {
                    failed: 1,
                    ..Counts::default()
                };
                ledger.add(round, failed);
            }
        }
    }
}
