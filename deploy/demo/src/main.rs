//! `demo`: three nodes as three processes, as an operator would start them; a
//! load of mints; the loss of the leader in the middle of it; a revocation and a
//! suspension. Everything it prints was measured, and its last line is
//! `demo: ok` only if all of it was as promised.
//!
//! It uses the `chancery` binary beside it, and the SDK for the load. It never
//! touches a process that it did not start, and none of its own outlives it.

#![forbid(unsafe_code)]

mod agent;
mod chancery;
mod cluster;
mod failover;
mod load;
mod process;
mod refusals;
mod say;

use std::{error::Error, process::ExitCode};

use tokio::signal::unix::{SignalKind, signal};

use crate::{chancery::Chancery, cluster::Cluster};

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

fn main() -> ExitCode {
    let outcome = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(Into::into)
        .and_then(|runtime| runtime.block_on(demo()));
    match outcome {
        Ok(()) => {
            println!("demo: ok");
            ExitCode::SUCCESS
        }
        Err(error) => {
            println!("demo: failed: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Tells the story, unless somebody ends it before. Either way the nodes are
/// stopped when their handles go.
async fn demo() -> Outcome<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hang_up = signal(SignalKind::hangup())?;
    let place = tempfile::Builder::new()
        .prefix("chancery-demo-")
        .tempdir()?;
    let told = tokio::select! {
        told = story(place.path()) => told,
        _ = terminate.recv() => Err("terminated".into()),
        _ = interrupt.recv() => Err("interrupted".into()),
        _ = hang_up.recv() => Err("hung up".into()),
    };
    told.map_err(|error| {
        let kept = place.keep();
        format!(
            "{error}\n  the nodes' logs are kept: {}/node-*/log",
            kept.display()
        )
        .into()
    })
}

async fn story(place: &std::path::Path) -> Outcome<()> {
    let chancery = Chancery::beside_this(place)?;
    say::chapter("Three nodes, each with keys of its own");
    let mut cluster = Cluster::found(&chancery).await?;
    cluster.wait_until_settled().await?;
    say::seen("all have settled: no verifier's cache is older than their issuers");

    say::chapter("An agent: minted for on one node, verified on another");
    agent::register(&chancery).await?;
    agent::mint_and_verify(&chancery, &cluster).await?;

    say::chapter("The leader is killed under load");
    failover::run(&chancery, &mut cluster).await?;

    say::chapter("The killed node comes back");
    cluster.restart_killed().await?;

    say::chapter("A token is revoked: every node refuses it");
    refusals::after_revoking(&chancery, &cluster).await?;

    say::chapter("The agent is suspended: every node refuses all it holds, and mints no more");
    refusals::after_suspending(&chancery, &cluster).await
}
