//! A node as `chancery serve` runs it, whose signing keys are made of seeds that it
//! is given: 32 bytes of standard input for each key, read right to where the key
//! will lie. So who gives the seeds can look for the keys in this process, and
//! whatever is found was left there by a node.
//!
//! It stays when the node has drained, until standard input ends.

#![allow(clippy::unwrap_used)]

use std::{io, os::fd::AsFd, path::PathBuf, process::ExitCode};

use chancery_server::{Config, DrawSeed, serve_drawing};
use rustix::{
    process::{Resource, Rlimit, setrlimit},
    thread::{CapabilitySet, capabilities, set_capabilities},
};
use tokio::signal::unix::{SignalKind, signal};
use tracing::info;

/// What it says last, drained and with nothing left to do.
const DRAINED: &str = "drained, and waiting to be looked at";

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let configuration = PathBuf::from(arguments.next().unwrap());
    if arguments.any(|argument| argument == "--no-locked-memory") {
        forbid_locked_memory();
    }
    tracing_subscriber::fmt()
        .with_ansi(false)
        .with_writer(io::stderr)
        .init();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let config = Config::from_file(&configuration).unwrap();
    let served = runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate()).unwrap();
        let shutdown = async {
            terminate.recv().await;
        };
        serve_drawing(config, given(), shutdown).await
    });
    if let Err(error) = served {
        tracing::error!(%error, "the node failed");
        return ExitCode::FAILURE;
    }
    info!("{DRAINED}");
    let mut byte = [0];
    while rustix::io::read(io::stdin().as_fd(), &mut byte).is_ok_and(|read| read > 0) {}
    ExitCode::SUCCESS
}

/// Past every buffer, as the system's entropy comes.
fn given() -> DrawSeed {
    Box::new(|seed| {
        let mut filled = 0;
        while let Some(room) = seed.get_mut(filled..).filter(|room| !room.is_empty()) {
            match rustix::io::read(io::stdin().as_fd(), room)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                read => filled += read,
            }
        }
        Ok(())
    })
}

/// As on a machine where a process may lock none; root may always, unless it gives
/// the capability up.
fn forbid_locked_memory() {
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    setrlimit(Resource::Memlock, none).unwrap();
    let mut sets = capabilities(None).unwrap();
    sets.effective.remove(CapabilitySet::IPC_LOCK);
    set_capabilities(None, sets).unwrap();
}
