//! Whether a credential is in force: the view of what was opened and revoked, and
//! one pure judgement over it.
//!
//! It never does IO, reads a clock or draws randomness: the clock is an argument
//! ([`Clock`]), and what is revoked arrives as [`Change`]s.
//!
//! ```text
//!  one writer                             View                         any number of readers
//!  publish_changes ──► issuers, watermarks, revoked ids, floor, time ──► judge, check,
//!  (other consumers)                                                      judge_facts, begin
//!  publish_revision ─────► view revision, revision (Release) ───────────►   (never block)
//!  prove_fresh ──────────────► freshness (Release) ─────────────────────►
//! ```
//!
//! - [`View`]: `change`, `issuers`, `watermarks`, `publication` (its writer),
//!   `snapshot`, `serving` (the order in which a reader looks);
//! - the judgement: `judge`, `signed` (without checking a signature again), its rules in
//!   `inquiry`, `facts`, `verdict`, `reason`;
//! - time: `clock`, `freshness`;
//! - `memory`: atomics and tables, and under `cfg(loom)` their models.

#![forbid(unsafe_code)]

mod change;
mod clock;
mod facts;
mod freshness;
mod inquiry;
mod issuers;
mod judge;
#[cfg(not(loom))]
mod memory;
/// Modelled memory, so that a test can weaken it.
#[cfg(loom)]
pub mod memory;
mod publication;
mod reason;
mod serving;
mod signed;
mod snapshot;
mod verdict;
mod view;
mod watermarks;

pub use change::{Change, Delta, Gap, InstallError, Snapshot};
pub use clock::{BootTime, Clock, Now};
pub use facts::Facts;
pub use freshness::{Freshness, Stale};
pub use issuers::{Issuer, IssuerState};
pub use judge::{Expectations, Limits, Proof, check, judge, judge_facts};
pub use reason::Reason;
pub use serving::{Current, Serving};
pub use signed::{SignedToken, judge_signing};
pub use verdict::{Behind, Standing, Verdict};
pub use view::View;
