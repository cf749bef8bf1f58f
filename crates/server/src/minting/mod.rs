//! From a request to a token, out of this node's own state: no consensus round,
//! no forwarding, no database.
//!
//! - [`authorise`]: what the request may have. Pure.
//! - [`Minter`]: the order in which a mint looks at the node's state, the signature,
//!   and the record.
//! - [`Turns`]: in which order the principals that wait are served.

mod authorise;
mod minter;
#[cfg(test)]
mod tests;
mod turns;

pub(crate) use authorise::Wanted;
pub(crate) use minter::{Bearer, MintError, Minter};
pub(crate) use turns::Turns;
