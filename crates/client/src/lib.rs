//! The SDK of Chancery: several nodes behind one handle, mints and commands that
//! survive the loss of a node, and tokens verified in process.
//!
//! What a client was once answered stays true for it: each call says which state the
//! newest answer came from, and a node that is not that far waits, or another answers.
//!
//! It never sees the cluster's state, log or storage, and it never repeats a
//! command under a second request id: a retry is answered, not carried out again.
//!
//! ```text
//! Client ─► Endpoints ─► Connection (TLS 1.3, root pinned, own key proved)
//!    │          └ Preference: one node, the others after a failure or while it settles
//!    ├ Retry: what may be sent again, how often, until when
//!    ├ Lane, SharedStream: mints of many tasks over a few streams
//!    └ Verifier: a view that follows the cluster ─► Protect: a layer around services
//! ```
//!
//! - [`Client`]: mint, and every call of the public API.
//! - [`TokenSource`]: a token that is always at hand, minted anew in time and, after
//!   an order that ended those of many, not by all at once.
//! - [`MintStream`]: many mints over one stream, by hand.
//! - [`Verifier`]: tokens judged in this process; [`Protect`]: a service that only tokens
//!   open, for tonic and axum.
//! - [`Identity`]: the key that a caller proves.
//! - [`Statistics`]: calls, first tries that failed, retries.
//! - [`Error`]: refused (final), unavailable (nothing was done), unknown.

#![forbid(unsafe_code)]

mod attempt;
mod call;
mod client;
mod clock;
mod command;
mod connection;
mod endpoints;
mod error;
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
mod identity;
mod lane;
#[cfg(test)]
mod lane_tests;
mod mint_stream;
mod preference;
mod protect;
mod retry;
mod seen;
mod shared_stream;
mod statistics;
mod token_source;
mod verifier;

pub use attempt::Attempt;
pub use call::Idempotence;
pub use client::{Client, Config, Minted};
pub use clock::SystemClock;
pub use command::{draw_request_id, meta};
pub use endpoints::InvalidEndpoint;
pub use error::{Error, Refusal};
pub use identity::{Identity, InvalidIdentity};
pub use mint_stream::MintStream;
pub use protect::{ClientCertificate, Protect, Protected};
pub use retry::RetryPolicy;
pub use statistics::Statistics;
pub use token_source::{TokenPolicy, TokenSource};
pub use verifier::{
    Accepted, Expectations, NotReady, Rejected, Verifier, VerifierConfig, WhenStale,
};

pub use chancery_revocation::{BootTime, Clock, Now, Proof, Reason, Standing};

pub use chancery_wire::v1;
pub use tonic::transport::Channel;
