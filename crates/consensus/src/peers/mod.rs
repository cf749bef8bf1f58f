//! Nodes among themselves: gRPC over TLS 1.3 with pinned keys both ways, on a
//! listener of its own.
//!
//! ```text
//!  Networks, Prover, Proposer ─► Dialer ── entries ───┐
//!                                      ├── control ───┼─► TLS (pinned key) ─► listener ─► Peers
//!                                      └── snapshots ─┘         of the peer    PeerBook: whose key
//! ```

pub(crate) mod book;
pub(crate) mod dialer;
pub(crate) mod dismissal;
pub(crate) mod introduction;
pub(crate) mod limits;
pub(crate) mod listener;
pub(crate) mod network;
pub(crate) mod places;
mod receive_snapshot;
mod send_snapshot;
pub(crate) mod serve;
pub(crate) mod service;
pub(crate) mod tls;
pub(crate) mod transport;
