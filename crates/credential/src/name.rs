//! Names of owners, grant sets and principals: one rule for all.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// Longest name, in bytes.
const MAX_NAME_BYTES: usize = 128;

/// Why a text is no name.
#[derive(Copy, Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing there.
    #[error("a name is needed, and this one is empty")]
    Empty,
    /// More than 128 bytes.
    #[error("a name has at most 128 characters")]
    TooLong,
    /// A character that names do not have.
    #[error("a name is made of the characters A-Z a-z 0-9 . _ @ -")]
    Character,
}

pub(crate) fn check(text: &str) -> Result<(), NameError> {
    if text.is_empty() {
        return Err(NameError::Empty);
    }
    if text.len() > MAX_NAME_BYTES {
        return Err(NameError::TooLong);
    }
    let allowed =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'@' | b'-');
    if !text.bytes().all(allowed) {
        return Err(NameError::Character);
    }
    Ok(())
}

/// A checked, shared, immutable text: everything but its own rule.
macro_rules! checked_text {
    ($(#[$doc:meta])* $name:ident, $check:path, $error:ty) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = $error;

            fn from_str(text: &str) -> Result<Self, $error> {
                $check(text)?;
                Ok(Self(Arc::from(text)))
            }
        }

        impl TryFrom<&str> for $name {
            type Error = $error;

            fn try_from(text: &str) -> Result<Self, $error> {
                text.parse()
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), self.0)
            }
        }
    };
}

pub(crate) use checked_text;

checked_text! {
    /// Who answers for an agent. 1 to 128 of `[A-Za-z0-9._@-]`.
    OwnerName, check, NameError
}

checked_text! {
    /// A named set of grants. 1 to 128 of `[A-Za-z0-9._@-]`.
    GrantSetName, check, NameError
}

checked_text! {
    /// An operator or a service. 1 to 128 of `[A-Za-z0-9._@-]`.
    PrincipalName, check, NameError
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn names_are_plain() {
        for good in ["a", "payments@example.com", "Team_7-x.y", &"x".repeat(128)] {
            assert_eq!(good.parse::<OwnerName>().unwrap().as_str(), good);
        }
        for (bad, error) in [
            ("", NameError::Empty),
            (&*"x".repeat(129), NameError::TooLong),
            ("a b", NameError::Character),
            ("a/b", NameError::Character),
            ("a\n", NameError::Character),
            ("é", NameError::Character),
            ("*", NameError::Character),
        ] {
            assert_eq!(bad.parse::<GrantSetName>(), Err(error), "{bad:?}");
        }
    }
}
