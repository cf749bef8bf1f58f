//! What applying an entry answers to whoever proposed it on this node.

use crate::{never_serialised::never_serialised, outcome::Outcome};

/// The response type of the Raft log.
#[derive(Debug, Clone)]
pub(crate) enum Reply {
    /// A command was applied, or rejected, which is an outcome too.
    Outcome(Outcome),
    /// A blank or membership entry: the revision moved, nothing else.
    Advanced,
}

never_serialised!(Reply);
