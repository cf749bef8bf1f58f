//! Members that come and go, as an operator moves them, over real processes.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod admissions;
mod departures;
mod growth;
mod load;
mod narrator;
mod seats;
