//! The `chancery` binary as people and programs meet it: what it prints, what it
//! exits with, what it leaves on the disk, and what a node's administrator sees.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod changing;
mod dev;
mod exit_codes;
mod health;
mod hostile_text;
mod logging;
mod newcomer;
mod private_files;
mod reading;
mod renewal;
mod shell;
mod watching;
