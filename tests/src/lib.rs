//! What the tests over real processes share: the `chancery` binary as an operator
//! runs it, nodes that can be killed and started again, callers over the SDK.
//!
//! It reaches into no process: everything goes through the command line, the
//! public API and the files that an operator sees. The one thing that it chooses,
//! for a node inside the test's own process or in `serve-given-seeds`, is the entropy
//! of its signing keys.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

pub mod agent;
pub mod call;
pub mod chancery;
pub mod cluster;
pub mod dice;
pub mod history;
pub mod http;
pub mod https;
pub mod inside;
pub mod jwks;
pub mod ledger;
pub mod memory;
pub mod method;
pub mod nemesis;
pub mod network;
pub mod node;
pub mod peer;
pub mod powercut;
pub mod preload;
pub mod small_disk;
pub mod spans;
pub mod tls;
pub mod trace;
pub mod until;
pub mod verify;
