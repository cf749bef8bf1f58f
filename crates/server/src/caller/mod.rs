//! Who is calling, and whether they may: the one layer that every service sits
//! behind.
//!
//! A caller is the key that its TLS handshake proved, looked up in the
//! replicated registry. Nothing that a certificate says, and nothing that a
//! request claims, decides who it is.
//!
//! ```text
//!  handshake ──CallerKey──► Registry ──Registration──► permission table ──► service
//!                              ▲                             ▲
//!                              └── again for every message ──┘
//! ```
//!
//! The look-up and the rules run on every request and on every message of a
//! stream. A stream whose principal loses its standing ends at once, also when
//! nothing moves on it.
//!
//! - [`Callers`]: what the layer and the listener share; makes the layer.
//! - [`Caller`]: what a service finds in its request.
//! - [`permission`]: which caller may call which method.
//! - [`refuse`]: the one way to say no.

mod body;
mod bounds;
mod callers;
mod deadline;
#[cfg(any(test, fuzzing))]
#[allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]
pub(crate) mod fuzz_targets;
mod http_refusal;
mod identity;
mod judge;
mod layer;
pub mod permission;
mod previous_attempts;
mod refusal;
mod registry;
mod rejections;
mod request_id;
mod standing;
mod trace;

pub use bounds::{Bounds, Crowded, Place, Share};
pub(crate) use bounds::{Holder, Tally};
pub use callers::{Admitted, Callers};
pub(crate) use http_refusal::http_refusal;
pub use identity::{Caller, Identity};
pub use layer::{CallerLayer, CallerService};
pub use refusal::{DOMAIN, Refusal, refuse};
pub use registry::{Registration, Registry};
pub use request_id::REQUEST_ID;

/// A connection, as the listener made it out; it puts one into the extensions
/// of every request.
#[derive(Debug, Clone, Copy)]
pub struct Connection {
    /// Where it comes from: for the record, and for the bounds of strangers.
    pub remote: std::net::SocketAddr,
    /// What the handshake proved; `None` without a client certificate.
    pub proved: Option<crate::tls::CallerKey>,
}
