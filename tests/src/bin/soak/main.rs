//! A cluster of three real processes under everything at once for as long as it is
//! told, then under abuse: whether memory stays flat, and whether those who pay keep
//! their latency.
//!
//! `make soak` runs it for an hour. It ends with what was seen, and with a failure
//! when memory grew, when anything failed that should not have, or when abuse slowed
//! the others down.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod abuse;
mod flood;
mod load;
mod nodes;
mod payers;
mod plot;
mod rig;
mod samples;
mod tally;

use std::{path::PathBuf, process::ExitCode, time::Duration};

use clap::{Parser, Subcommand};
use rustix::process::{Resource, getrlimit, setrlimit};

use crate::{rig::Rig, samples::Sampler, tally::Tally};

/// How often the nodes are looked at under the load, and under abuse.
const LOOK_EVERY: Duration = Duration::from_secs(10);
const LOOK_CLOSELY: Duration = Duration::from_secs(1);

#[derive(Parser)]
#[command(about = "Three nodes under load for long, then under abuse")]
struct Arguments {
    #[command(flatten)]
    run: Run,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(clap::Args, Clone)]
struct Run {
    /// How long the mixed load lasts; 0: none
    #[arg(long, env = "CHANCERY_SOAK_MINUTES", default_value_t = 60.0)]
    minutes: f64,
    /// Mints a second, over all nodes
    #[arg(long, env = "CHANCERY_SOAK_RATE", default_value_t = 300)]
    rate: u32,
    /// Agents, each with connections of its own
    #[arg(long, env = "CHANCERY_SOAK_AGENTS", default_value_t = 300)]
    agents: usize,
    /// Where samples and logs are written
    #[arg(long, env = "CHANCERY_SOAK_OUT", default_value = "target/soak")]
    out: PathBuf,
    /// Phases of abuse, by name, with commas between; `none`: no abuse
    #[arg(long, env = "CHANCERY_SOAK_ABUSE", default_value = "all")]
    abuse: String,
}

#[derive(Subcommand)]
enum Command {
    /// One flood, in a process of its own, until standard input ends
    #[command(hide = true)]
    Flood(flood::Order),
}

fn main() -> ExitCode {
    open_many_files();
    let arguments = Arguments::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    match arguments.command {
        Some(Command::Flood(order)) => {
            runtime.block_on(flood::run(order));
            ExitCode::SUCCESS
        }
        None if runtime.block_on(run(arguments.run)) => ExitCode::SUCCESS,
        None => ExitCode::FAILURE,
    }
}

/// As many as this process and its children may.
fn open_many_files() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).unwrap();
}

/// Whether all was well.
async fn run(run: Run) -> bool {
    std::fs::create_dir_all(&run.out).unwrap();
    say("three nodes, keys that rotate every 30 s, tokens that live for a minute");
    let rig = Rig::set_up(&run).await;
    let tally = Tally::default();
    let mut well = true;
    let length = Duration::from_secs_f64(run.minutes * 60.0);
    if !length.is_zero() {
        say("what has a bound is filled up to it");
        well &= load::warm_up::run(&rig).await;
        say(&format!(
            "{} agents, {} mints a second and everything else, for {} minutes",
            run.agents, run.rate, run.minutes
        ));
        let sampler = Sampler::begin(&rig, LOOK_EVERY, &run.out.join("samples.csv"));
        load::run(&rig, &run, length, &tally).await;
        let samples = sampler.end();
        plot::draw(&samples, length);
        well &= plot::verdict(&samples, length);
        tally.print();
        well &= tally.is_clean();
    }
    if run.abuse != "none" {
        let sampler = Sampler::begin(&rig, LOOK_CLOSELY, &run.out.join("abuse.csv"));
        well &= abuse::run(&rig, &run, &sampler).await;
        sampler.end();
    }
    rig.keep_logs(&run.out);
    say(if well { "soak: ok" } else { "soak: NOT ok" });
    well
}

/// Tells how it goes.
fn say(what: &str) {
    println!("{what}");
}
