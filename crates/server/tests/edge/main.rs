//! The edge of a node, in one process: real TCP, real TLS, real HTTP/2, a
//! registry that the tests write, and a service that says who called.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod bounds;
mod certificate;
mod drain;
mod handshake;
mod http2;
mod standing;
mod support;
mod table;
