//! One node's part in the replicated log: commands go in on any node, and come out
//! in the same order on every node, durable, published and proved fresh. The only
//! user of openraft.
//!
//! It never judges a credential, serves a client or reads a clock of its own.
//!
//! ```text
//!            propose ─► leader ─► log ─► quorum ─┐
//!  server ◄─────────────── answer ◄─ published ◄─ applied ◄─ flushed here
//!     ▲                              │ directory, consumers, view, then the revision
//!     └── view: fresh as of t0 ◄─────┴── proof: read index of the leader, each tick
//! ```
//!
//! - [`Consensus`]: start, propose, read, prove, membership, shutdown;
//! - `raft`, `command`, `reply`, `peer_record`: what openraft is told of our types;
//! - `codec`: everything that is stored or sent, as `chancery.log.v1`;
//! - `log_store`, `state_machine`, `published`: the log, the state, and the order
//!   in which readers see it;
//! - `peers`: TLS with pinned keys, the peer service, Raft's network;
//! - `history`: who asked for what, and what became of it;
//! - `comparison`: whether the nodes' states are the same;
//! - `fence`: when a change is in force on every node;
//! - `freshness`, `skew`, `propose`, `foresight`, `membership`, `birth`, `status`.

#![forbid(unsafe_code)]

mod birth;
mod clock;
mod codec;
mod command;
mod comparison;
mod consensus;
mod consumer;
mod disk_work;
mod error;
mod events;
mod fence;
mod foresight;
mod freshness;
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
mod history;
mod leadership;
mod log_store;
mod membership;
mod never_serialised;
mod options;
mod outcome;
mod peer_record;
mod peers;
mod propose;
mod published;
mod raft;
mod release;
mod reply;
mod skew;
mod start;
mod state_machine;
mod status;
#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]
mod storage_suite;
#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]
mod tests;
mod transfers;

pub use clock::{Clocks, Entropy, SystemClocks};
pub use consensus::Consensus;
pub use consumer::Consumer;
pub use error::{BirthError, Ended, Removed, StartError};
pub use events::{Events, Missed, Step};
pub use fence::{Enforcement, EnforcementState, NoVerifiers, Verifiers, Wait};
pub use freshness::Unproved;
pub use history::{HistoryBounds, HistoryEntry, HistoryPage, HistoryQuery};
pub use membership::{ChangeError, Departure, MembershipChange, Progress};
pub use options::{Compaction, DirectoryIdentity, Options, Timing};
pub use outcome::{Outcome, Proposal, ProposeError};
pub use peer_record::PeerRecord;
pub use peers::{
    book::Admission,
    places::{Place, Places, owned_as_one},
    tls::PeerIdentity,
    transport::{Connection, Later, TcpTransport, Transport},
};
pub use status::{Member, Status};
pub use transfers::SnapshotProgress;
