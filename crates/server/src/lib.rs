//! A node: it makes the threads, terminates TLS, knows its callers, mints,
//! answers, keeps, and drains.
//!
//! It never decides by itself what is in force: that is `chancery-revocation`'s
//! judgement over what `chancery-consensus` has applied.
//!
//! ```text
//!            listener ─► caller ─► service ─► minting ─► issuance (keys in memory)
//!  admission ┐                        │
//!  config    ┴► node ─► consensus ◄───┘      keeper, status, metrics, admin, jwks
//! ```
//!
//! - [`serve`] with a [`Config`]: run a node.
//! - [`forbid_dumps`]: before that, in the process that will.
//! - [`serve_drawing`]: the same, with seeds of signing keys that the caller drew.
//! - [`admission`]: how a node comes to be one.
//! - [`caller`], [`listener`], [`tls`]: the edge.
//! - [`records`]: what was minted; for auditors, over files alone.

#![forbid(unsafe_code)]

mod admin;
pub mod admission;
pub mod caller;
mod clock;
mod config;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
#[allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]
pub mod fuzz_targets;
mod hardening;
mod issuance;
mod jwks;
mod keeper;
pub mod listener;
mod metrics;
mod minting;
mod node;
mod open_files;
mod polling;
mod rate;
mod recent;
pub mod records;
mod registry;
mod routes;
mod running;
mod serve_error;
mod service;
mod start;
mod status;
#[cfg(test)]
mod story;
mod subscriptions;
pub mod tls;

pub use config::{Config, ConfigError};
pub use hardening::{HardeningError, forbid_dumps};
pub use issuance::DrawSeed;
pub use metrics::MetricsError;
pub use node::{serve, serve_drawing};
pub use routes::ReflectionError;
pub use serve_error::ServeError;
