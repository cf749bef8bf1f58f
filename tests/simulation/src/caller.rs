//! In the place of the server's callers: whoever calls is a verifier.

#[path = "../../../crates/server/src/caller/refusal.rs"]
mod refusal;

pub use refusal::refuse;

/// A verifier: they are all one principal's.
pub struct Identity;

/// Who holds something.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Holder;

impl Holder {
    pub const fn of(_: &Identity) -> Self {
        Self
    }
}
