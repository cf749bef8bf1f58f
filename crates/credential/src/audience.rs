//! Audiences (RFC 7519 §4.1.3, RFC 8707), and the patterns that grants name them by.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::name::checked_text;
use crate::pattern::Pattern;

const MAX_AUDIENCE_BYTES: usize = 512;

/// Why a text is no audience, or no pattern of audiences.
#[derive(Copy, Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AudienceError {
    /// Nothing there.
    #[error("an audience is needed, and this one is empty")]
    Empty,
    /// More than 512 bytes.
    #[error("an audience has at most 512 bytes")]
    TooLong,
    /// A space, a control character, or one outside ASCII.
    #[error("an audience is made of visible ASCII characters, without spaces")]
    Character,
    /// `*` in an audience, or not at a pattern's end after `/` or `:`.
    #[error("* stands only in a pattern: alone, or at the end of one that ends in /* or :*")]
    Star,
}

fn check(text: &str) -> Result<(), AudienceError> {
    if text.is_empty() {
        return Err(AudienceError::Empty);
    }
    if text.len() > MAX_AUDIENCE_BYTES {
        return Err(AudienceError::TooLong);
    }
    if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(AudienceError::Character);
    }
    if text.contains('*') {
        return Err(AudienceError::Star);
    }
    Ok(())
}

checked_text! {
    /// Whom a token is for: 1 to 512 visible ASCII characters, no `*`. Compared
    /// byte by byte, never as a URL.
    Audience, check, AudienceError
}

/// The audiences that a grant covers: one exactly, all that begin with a prefix
/// that ends in `/` or `:` (written with a `*` after it), or all (`*`).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AudiencePattern(Pattern);

impl AudiencePattern {
    /// Whether `audience` is one of them.
    #[must_use]
    pub fn matches(&self, audience: &Audience) -> bool {
        self.0.matches(audience.as_str())
    }

    /// Whether every audience that `other` matches is matched by `self`.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        self.0.covers(&other.0)
    }
}

impl FromStr for AudiencePattern {
    type Err = AudienceError;

    fn from_str(text: &str) -> Result<Self, AudienceError> {
        Pattern::parse(text, b"/:", check, AudienceError::Star).map(Self)
    }
}

impl From<Audience> for AudiencePattern {
    fn from(audience: Audience) -> Self {
        Self(Pattern::Exact(Arc::from(audience.as_str())))
    }
}

impl fmt::Display for AudiencePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}
