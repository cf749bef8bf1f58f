//! The signing keys of this process: made in locked memory, opened by command,
//! wiped when they retire.
//!
//! ```text
//! first proof ─► open ─► sign (settling until the rotation lead has passed)
//! new epoch   ─► open ─► the lead ─► sign with it, wipe and retire the former
//! revoked     ─► wipe at once ─► open another, if this node may
//! drain       ─► wipe ─► retire
//! ```

mod locked_page;
mod manager;
mod signer;

pub use manager::DrawSeed;
pub(crate) use manager::IssuerManager;
pub(crate) use signer::{ActiveIssuer, Signer};
