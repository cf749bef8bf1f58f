//! The witness that a signature was checked.

use std::ops::Deref;

/// A value whose signature verified under the key that it names. Only this crate
/// makes one, so a function that takes `Verified<T>` cannot be handed anything
/// unchecked. It says nothing about time, audience or revocation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified<T>(T);

impl<T> Verified<T> {
    pub(crate) const fn witness(value: T) -> Self {
        Self(value)
    }

    /// The value without its witness.
    #[must_use]
    pub fn into_inner(self) -> T {
        self.0
    }
}

impl<T> Deref for Verified<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}
