//! What the tests over real processes share: the `chancery` binary as an operator
//! runs it, nodes that can be killed and started again, callers over the SDK.
//!
//! It reaches into no process: everything goes through the command line, the
//! public API and the files that an operator sees.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

pub mod agent;
pub mod chancery;
pub mod cluster;
pub mod jwks;
pub mod node;
pub mod until;
