//! Verifiers that follow real nodes: what a feed tells them, and how old they may think
//! that their view is.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod feed;
mod sdk;
