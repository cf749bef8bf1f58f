//! The nemesis: real processes, everything that can go wrong on one machine, and a
//! judge of what was seen.
//!
//! ```text
//! plan(seed) ──► Rig (network, processes, disks, clocks)
//!                    ▲ faults
//! Load ── calls ─────┘
//!   └──► Recorder ──► history::judge
//! ```

pub mod fault;
pub mod load;
pub mod recorder;
pub mod rig;
pub mod round;
mod tally;

pub use tally::Tally;
