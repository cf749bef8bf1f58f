//! Scopes (RFC 6749 §3.3), and the patterns that grants name them by.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::name::checked_text;
use crate::pattern::Pattern;

const MAX_SCOPE_BYTES: usize = 128;

/// Why a text is no scope, no pattern of scopes, or no list of them.
#[derive(Copy, Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScopeError {
    /// Nothing there: also two spaces in a row, or one at an end.
    #[error("a scope is needed, and this one is empty; one space stands between two")]
    Empty,
    /// More than 128 bytes.
    #[error("a scope has at most 128 bytes")]
    TooLong,
    /// Outside RFC 6749's scope-token.
    #[error("a scope is made of visible ASCII characters other than \" and \\")]
    Character,
    /// `*` in a scope, or not at a pattern's end after `:`, `/` or `.`.
    #[error("* stands only in a pattern: alone, or at the end of one that ends in :* /* or .*")]
    Star,
    /// More than 64.
    #[error("at most 64 scopes go together")]
    TooMany,
}

fn check(text: &str) -> Result<(), ScopeError> {
    if text.is_empty() {
        return Err(ScopeError::Empty);
    }
    if text.len() > MAX_SCOPE_BYTES {
        return Err(ScopeError::TooLong);
    }
    let allowed = |byte: u8| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\';
    if !text.bytes().all(allowed) {
        return Err(ScopeError::Character);
    }
    if text.contains('*') {
        return Err(ScopeError::Star);
    }
    Ok(())
}

checked_text! {
    /// One scope: a scope-token of RFC 6749 §3.3, at most 128 bytes, no `*`.
    Scope, check, ScopeError
}

/// The scopes that a grant covers: one exactly, all that begin with a prefix that
/// ends in `:`, `/` or `.` (written with a `*` after it), or all (`*`).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ScopePattern(Pattern);

impl ScopePattern {
    /// Whether `scope` is one of them.
    #[must_use]
    pub fn matches(&self, scope: &Scope) -> bool {
        self.0.matches(scope.as_str())
    }

    /// Whether every scope that `other` matches is matched by `self`.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        self.0.covers(&other.0)
    }
}

impl FromStr for ScopePattern {
    type Err = ScopeError;

    fn from_str(text: &str) -> Result<Self, ScopeError> {
        Pattern::parse(text, b":/.", check, ScopeError::Star).map(Self)
    }
}

impl From<Scope> for ScopePattern {
    fn from(scope: Scope) -> Self {
        Self(Pattern::Exact(Arc::from(scope.as_str())))
    }
}

impl fmt::Display for ScopePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// A set of at most 64 scopes, kept sorted; may be empty. Text: separated by
/// single spaces.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Scopes(Vec<Scope>);

impl Scopes {
    /// The most that go together.
    pub const MAX: usize = 64;

    /// Sorts them and drops repetitions.
    ///
    /// # Errors
    ///
    /// [`ScopeError::TooMany`] for more than 64 different ones.
    pub fn new(scopes: impl IntoIterator<Item = Scope>) -> Result<Self, ScopeError> {
        let mut set: Vec<Scope> = scopes.into_iter().collect();
        set.sort_unstable();
        set.dedup();
        if set.len() > Self::MAX {
            return Err(ScopeError::TooMany);
        }
        Ok(Self(set))
    }

    /// In order.
    pub fn iter(&self) -> std::slice::Iter<'_, Scope> {
        self.0.iter()
    }

    /// In order.
    #[must_use]
    pub fn as_slice(&self) -> &[Scope] {
        &self.0
    }

    /// How many.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether `scope` is among them.
    #[must_use]
    pub fn contains(&self, scope: &Scope) -> bool {
        self.0.binary_search(scope).is_ok()
    }

    /// Whether `other` has all of them.
    #[must_use]
    pub fn is_subset_of(&self, other: &Self) -> bool {
        self.0.iter().all(|scope| other.contains(scope))
    }
}

impl<'a> IntoIterator for &'a Scopes {
    type Item = &'a Scope;
    type IntoIter = std::slice::Iter<'a, Scope>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl FromStr for Scopes {
    type Err = ScopeError;

    /// The empty text is the empty set.
    fn from_str(text: &str) -> Result<Self, ScopeError> {
        if text.is_empty() {
            return Ok(Self::default());
        }
        let scopes: Result<Vec<Scope>, ScopeError> = text.split(' ').map(str::parse).collect();
        Self::new(scopes?)
    }
}

impl fmt::Display for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, scope) in self.0.iter().enumerate() {
            if position > 0 {
                f.write_str(" ")?;
            }
            f.write_str(scope.as_str())?;
        }
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn scopes_are_a_sorted_set() {
        let scopes: Scopes = "write read write".parse().unwrap();
        assert_eq!(scopes.to_string(), "read write");
        assert_eq!(scopes, "read write".parse().unwrap());
        assert!(scopes.contains(&"read".parse().unwrap()));
        assert!(!scopes.is_subset_of(&"read".parse().unwrap()));
        assert!(Scopes::default().is_subset_of(&Scopes::default()));
        assert_eq!("".parse::<Scopes>().unwrap(), Scopes::default());
    }

    #[test]
    fn what_is_no_scope() {
        for (text, error) in [
            (" ", ScopeError::Empty),
            ("a  b", ScopeError::Empty),
            (" a", ScopeError::Empty),
            ("a ", ScopeError::Empty),
            ("a\tb", ScopeError::Character),
            ("a\"b", ScopeError::Character),
            ("a\\b", ScopeError::Character),
            ("é", ScopeError::Character),
            ("files:*", ScopeError::Star),
            ("*", ScopeError::Star),
            (&*"x".repeat(129), ScopeError::TooLong),
        ] {
            assert_eq!(text.parse::<Scopes>(), Err(error), "{text:?}");
        }
    }

    #[test]
    fn at_most_64_go_together() {
        let many = |count: usize| (0..count).map(|at| format!("s{at}").parse().unwrap());
        assert_eq!(Scopes::new(many(64)).unwrap().len(), 64);
        assert_eq!(Scopes::new(many(65)), Err(ScopeError::TooMany));
        assert!(Scopes::new(many(64).chain(many(64))).is_ok());
    }
}
