//! What is proposed, and what becomes of it.

use chancery_authority::{Actor, Answer, Command, Rejection, RequestId};
use chancery_credential::{KeyThumbprint, NodeNumber, Revision};

/// A command on its way to the log. The node that serves it is recorded as `via`,
/// the digest of the request is computed, and the leader stamps it: none of these
/// is the caller's to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proposal {
    /// What is asked.
    pub command: Command,
    /// By whom.
    pub actor: Actor,
    /// The key that the actor's handshake proved; absent for nodes.
    pub key: Option<KeyThumbprint>,
    /// The revision at which the actor was judged.
    pub authorised_at: Revision,
    /// Why, for the record.
    pub reason: String,
    /// The same for each attempt at the same request.
    pub request: RequestId,
    /// Whether an earlier attempt may still be on its way. Its outcome is then
    /// remembered by all nodes, a rejection too.
    pub retried: bool,
    /// Whether the caller waits until it is in force: nodes then say at once that they
    /// have applied it.
    pub awaited: bool,
}

/// What became of a command: it was carried out and stands in the log, or it was
/// refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The revision that holds the change or the refusal; of a request that was
    /// carried out before, the revision of that time. Of a refusal that needed no
    /// entry, the state that it was judged by.
    pub revision: Revision,
    /// The answer, or why it was refused: final for this request either way.
    pub verdict: Result<Answer, Rejection>,
}

/// A proposal came to no outcome.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProposeError {
    /// It cannot enter the log as it is. Nothing was appended.
    #[error(
        "the command has {bytes} bytes, and at most {limit} go into the log: ask for less at once"
    )]
    TooLarge {
        /// Of the command, encoded.
        bytes: usize,
        /// The most that is accepted.
        limit: usize,
    },
    /// The leader does not take it from this node. Nothing was appended.
    #[error("the leader refused to take the command: {0}")]
    Refused(String),
    /// No leader took it within the time. Nothing was appended.
    #[error(
        "no leader took the command in time ({reason}): send it again, with the same request id"
    )]
    Unavailable {
        /// What was in the way last.
        reason: String,
        /// Who leads, if it is known and was not this node.
        leader: Option<NodeNumber>,
    },
    /// It may have been appended.
    #[error(
        "whether the command was carried out is not known ({0}): send it again, with the same \
         request id, and it is carried out once"
    )]
    Unknown(String),
    /// This node is stopping.
    #[error("this node is stopping: send the command to another, with the same request id")]
    Stopped,
}
