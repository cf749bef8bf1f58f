//! Issuance records: which token was given to whom, on whose account, for whom.
//! Every mint leaves one in this node's own files, hash-chained, within 100 ms.
//!
//! ```text
//! minter ─► Recorder (a bounded lane a thread, no lock, no syscall)
//!               └─► writer, a thread of its own ─► segment files, DIR/records
//!                        └─► syncer, another                 │
//!                                            verify, find ◄──┘  (here, or of a copy)
//! ```
//!
//! - `format`: what stands in the files, written and read in one place;
//! - `Recorder`: the hand-over; a token leaves after its record was handed over;
//! - `writer`, `recover`: what is written, and what a start finds and says;
//! - [`verify()`], [`find()`]: for auditors, over files alone.

mod behind;
mod boot;
mod disk;
mod find;
mod format;
#[cfg(any(test, fuzzing))]
#[allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]
pub(crate) mod fuzz_targets;
mod issued;
mod kept;
mod lanes;
mod limits;
mod outage;
mod read;
mod recorder;
mod recover;
mod segment;
mod start;
mod syncer;
mod tail;
#[cfg(test)]
mod tests;
mod verify;
mod walk;
mod writer;

pub(crate) use boot::BootId;
pub use find::{Filter, Found, find};
pub use format::{Cause, Gap};
pub(crate) use issued::Issued;
pub use limits::RecordLimits;
pub(crate) use recorder::{Recorder, Unrecorded};
pub use start::RecordsError;
pub(crate) use start::{Author, Records, start};
pub use verify::{Report, SegmentReport, verify};
pub use walk::{Damage, Standing};

/// The directory of a node's records, within its own.
pub const RECORDS_DIRECTORY: &str = "records";
