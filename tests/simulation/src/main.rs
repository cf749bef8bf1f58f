//! A whole cluster on one thread and simulated time, from a seed: the real consensus,
//! authority, keeper, issuers and judge, over a network, disks and clocks that fail.
//! `docs/simulation.md` says what is simulated, what is not, and how to replay.
//!
//! Only a build under `--cfg simulation` has anything of it: `make sim` makes that.

#![cfg_attr(
    simulation,
    allow(
        missing_docs,
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        reason = "a simulator that is wrong has to stop"
    )
)]

#[cfg(simulation)]
mod board;
#[cfg(simulation)]
mod caller;
#[cfg(simulation)]
mod client;
#[cfg(simulation)]
mod clock;
#[cfg(simulation)]
mod cluster;
#[cfg(simulation)]
mod command;
#[cfg(simulation)]
mod crew;
#[cfg(simulation)]
mod entropy;
#[cfg(simulation)]
mod faults;
#[cfg(simulation)]
mod machine;
#[cfg(simulation)]
mod membership;
#[cfg(simulation)]
mod network;
#[cfg(simulation)]
mod node;
#[cfg(simulation)]
mod operators;
#[cfg(simulation)]
mod oracle;
#[cfg(simulation)]
mod plan;
#[cfg(simulation)]
mod service;
#[cfg(simulation)]
mod trace;
#[cfg(simulation)]
mod truth;
#[cfg(simulation)]
mod verifier;
#[cfg(simulation)]
mod watching;
#[cfg(simulation)]
mod world;

// The server's own, which asks `crate::clock` for the time.
#[cfg(simulation)]
#[allow(dead_code, reason = "the server has more uses of it")]
#[path = "../../../crates/server/src/issuance/mod.rs"]
mod issuance;
#[cfg(simulation)]
#[path = "../../../crates/server/src/keeper/mod.rs"]
mod keeper;
#[cfg(simulation)]
#[allow(dead_code, reason = "the server has more uses of it")]
#[path = "../../../crates/server/src/minting/authorise.rs"]
mod minting;
#[cfg(simulation)]
#[allow(dead_code, reason = "the server has more uses of it")]
#[path = "../../../crates/server/src/recent.rs"]
mod recent;
#[cfg(simulation)]
#[allow(dead_code, reason = "the server has more uses of it")]
#[path = "../../../crates/server/src/subscriptions/mod.rs"]
mod subscriptions;

#[cfg(simulation)]
fn main() -> std::process::ExitCode {
    command::run()
}

#[cfg(not(simulation))]
fn main() -> std::process::ExitCode {
    eprintln!("this build simulates nothing: `make sim` makes and runs the one that does");
    std::process::ExitCode::from(2)
}
