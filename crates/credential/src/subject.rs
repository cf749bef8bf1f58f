//! What a verb covers.

use std::fmt;
use std::str::FromStr;

use crate::name::{GrantSetName, NameError, OwnerName};
use crate::spiffe::{SpiffeId, SpiffeIdError};

/// Whose credentials a suspension or a watermark covers.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Subject {
    /// What this agent holds, and what it acts in.
    Agent(SpiffeId),
    /// What every agent of this owner holds.
    Owner(OwnerName),
    /// What was minted under this grant set.
    GrantSet(GrantSetName),
    /// Every credential of the cluster.
    Everything,
}

/// Why a text names no subject.
#[derive(Copy, Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SubjectError {
    /// No known kind.
    #[error("a subject is agent:<SPIFFE ID>, owner:<name>, grant-set:<name> or everything")]
    Kind,
    /// The agent's id.
    #[error("the agent: {0}")]
    Agent(#[from] SpiffeIdError),
    /// The owner's or the set's name.
    #[error("the name: {0}")]
    Name(#[from] NameError),
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Agent(id) => write!(f, "agent:{id}"),
            Self::Owner(name) => write!(f, "owner:{name}"),
            Self::GrantSet(name) => write!(f, "grant-set:{name}"),
            Self::Everything => f.write_str("everything"),
        }
    }
}

impl FromStr for Subject {
    type Err = SubjectError;

    /// The inverse of `Display`.
    fn from_str(text: &str) -> Result<Self, SubjectError> {
        if text == "everything" {
            return Ok(Self::Everything);
        }
        match text.split_once(':') {
            Some(("agent", id)) => Ok(Self::Agent(id.parse()?)),
            Some(("owner", name)) => Ok(Self::Owner(name.parse()?)),
            Some(("grant-set", name)) => Ok(Self::GrantSet(name.parse()?)),
            _ => Err(SubjectError::Kind),
        }
    }
}

impl From<SpiffeId> for Subject {
    fn from(id: SpiffeId) -> Self {
        Self::Agent(id)
    }
}

impl From<OwnerName> for Subject {
    fn from(name: OwnerName) -> Self {
        Self::Owner(name)
    }
}

impl From<GrantSetName> for Subject {
    fn from(name: GrantSetName) -> Self {
        Self::GrantSet(name)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_text_names_the_kind() {
        for text in [
            "agent:spiffe://example.org/a",
            "owner:agent",
            "grant-set:owner",
            "everything",
        ] {
            assert_eq!(text.parse::<Subject>().unwrap().to_string(), text);
        }
        for text in [
            "",
            "Everything",
            "everything:",
            "spiffe://example.org/a",
            "x:y",
        ] {
            assert_eq!(text.parse::<Subject>(), Err(SubjectError::Kind));
        }
        assert_eq!(
            "agent:spiffe://example.org".parse::<Subject>(),
            Err(SubjectError::Agent(SpiffeIdError::NoPath))
        );
        assert_eq!(
            "owner:".parse::<Subject>(),
            Err(SubjectError::Name(NameError::Empty))
        );
    }
}
