//! The nemesis, round by round: `make nemesis ROUNDS=100`, `FROM=` goes on.
//!
//! Each round is a cluster of its own and follows from its number. What was counted is
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
    nemesis::{
        Tally,
        load::Pace,
        round::{Setup, run},
    },
    network::Network,
};
use clap::Parser;

#[derive(Parser)]
#[command(about = "Real processes under everything that can go wrong on one machine")]
struct Arguments {
    /// How many rounds
    #[arg(long, env = "ROUNDS", default_value_t = 100)]
    rounds: u64,
    /// The first
    #[arg(long, env = "FROM", default_value_t = 0)]
    from: u64,
    /// Faults of a round
    #[arg(long, default_value_t = 3)]
    steps: usize,
    /// Links are cut by proxies, also where namespaces are permitted
    #[arg(long)]
    proxies: bool,
    /// Where the log is, and what a failing round leaves
    #[arg(long, env = "CHANCERY_NEMESIS_OUT", default_value = "target/nemesis")]
    out: PathBuf,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let mut ledger = Ledger::<Tally>::open(&arguments.out.join("rounds.jsonl"), arguments.from);
    for round in arguments.from..arguments.from + arguments.rounds {
        let tally = one(round, &arguments);
        ledger.add(round, tally);
    }
    let mut sum = Tally::default();
    for tally in ledger.all() {
        sum.add(tally);
    }
    println!("nemesis, over all of {}: {sum}", ledger.path().display());
    if sum.is_clean() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// A round on a runtime of its own, so that nothing of it goes on.
fn one(round: u64, arguments: &Arguments) -> Tally {
    let setup = Setup {
        steps: arguments.steps,
        voters: 3,
        pace: Pace::MODEST,
        out: arguments.out.clone(),
    };
    let proxies = arguments.proxies;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let ended = runtime.block_on(async move {
        let running = tokio::spawn(async move {
            let network = if proxies {
                Network::of_proxies()
            } else {
                Network::that_can_be_cut()
            };
            run(round, &setup, network).await
        });
        running.await
    });
    match ended {
        Ok(outcomes) => outcomes.tally,
        Err(error) => {
            println!("round {round}: FAILED: {error}");
            Tally {
                failed: 1,
                ..Tally::default()
            }
        }
    }
}
