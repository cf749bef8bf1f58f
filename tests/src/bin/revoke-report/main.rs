//! From a revocation to the last acceptance, over all nodes and verifiers: healthy, with
//! the leader killed, a node cut off, a node paused. `make revoke-report` writes the
//! page and the figure.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod commits;
mod failover;
mod page;
mod plot;
mod scene;
mod scenes;
mod spans;

use std::{path::PathBuf, process::ExitCode};

use clap::Parser;

use crate::{page::Report, scene::Scene, scenes::KINDS};

#[derive(Parser)]
#[command(about = "Measures how long a revoked token is still accepted, and plots it")]
struct Arguments {
    /// Revocations of a healthy cluster
    #[arg(long, env = "CHANCERY_REVOCATIONS", default_value_t = 200)]
    revocations: usize,
    /// Revocations under each fault
    #[arg(long, env = "CHANCERY_REVOCATIONS_UNDER_FAULTS", default_value_t = 30)]
    faulty: usize,
    /// Leaders killed under load
    #[arg(long, default_value_t = 10)]
    leaders: usize,
    /// Where the page and the figure are written
    #[arg(long, default_value = "docs")]
    docs: PathBuf,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let report = runtime.block_on(measure(&arguments));
    std::fs::create_dir_all(&arguments.docs).unwrap();
    plot::draw(&report, &arguments.docs.join("revocation.svg"));
    let page = arguments.docs.join("revocation-report.md");
    std::fs::write(&page, report.to_markdown()).unwrap();
    println!("\n{}\n{} is written", report.to_markdown(), page.display());
    if report.is_kept() {
        ExitCode::SUCCESS
    } else {
        println!("NOT as promised");
        ExitCode::FAILURE
    }
}

async fn measure(arguments: &Arguments) -> Report {
    let mut scene = Scene::set_up().await;
    let commits = commits::measure(&scene, arguments.revocations).await;
    let mut series = Vec::new();
    for kind in KINDS {
        let count = match kind {
            scenes::Kind::Healthy => arguments.revocations,
            _ => arguments.faulty,
        };
        println!("{kind}: {count} revocations");
        series.push((kind, scenes::run(&mut scene, kind, count).await));
    }
    println!("{} leaders killed under load", arguments.leaders);
    let failovers = failover::measure(&mut scene, arguments.leaders).await;
    scene.end().await;
    Report {
        commits,
        series,
        failovers,
    }
}
