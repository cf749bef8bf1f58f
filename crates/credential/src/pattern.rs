//! What audience and scope patterns have in common.

use std::fmt;
use std::sync::Arc;

/// A set of texts. A prefix ends in a separator, so that `files:*` is about
/// `files` and not about `filesystem`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Pattern {
    /// That text.
    Exact(Arc<str>),
    /// Every text that goes on after this prefix.
    Under(Arc<str>),
    /// Every text.
    Any,
}

impl Pattern {
    /// `check` says whether a text without star may stand for itself; `star` is
    /// the error for a star elsewhere than after one of `separators`.
    pub(crate) fn parse<E>(
        text: &str,
        separators: &[u8],
        check: impl Fn(&str) -> Result<(), E>,
        star: E,
    ) -> Result<Self, E> {
        if text == "*" {
            return Ok(Self::Any);
        }
        let Some(prefix) = text.strip_suffix('*') else {
            check(text)?;
            return Ok(Self::Exact(Arc::from(text)));
        };
        check(prefix)?;
        match prefix.as_bytes().last() {
            Some(last) if separators.contains(last) => Ok(Self::Under(Arc::from(prefix))),
            _ => Err(star),
        }
    }

    pub(crate) fn matches(&self, text: &str) -> bool {
        match self {
            Self::Exact(exact) => **exact == *text,
            Self::Under(prefix) => text.len() > prefix.len() && text.starts_with(&**prefix),
            Self::Any => true,
        }
    }

    /// Whether every text that `other` matches is matched by `self`.
    pub(crate) fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Any, _) => true,
            (_, Self::Any) => false,
            (_, Self::Exact(text)) => self.matches(text),
            (Self::Under(wide), Self::Under(narrow)) => narrow.starts_with(&**wide),
            (Self::Exact(_), Self::Under(_)) => false,
        }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(text) => f.write_str(text),
            Self::Under(prefix) => write!(f, "{prefix}*"),
            Self::Any => f.write_str("*"),
        }
    }
}
