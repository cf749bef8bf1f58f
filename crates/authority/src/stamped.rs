//! What travels with every command: who asks, through whom, why, as which
//! request, and the leader's stamp.

use chancery_credential::{KeyThumbprint, NodeNumber, PrincipalName, Revision, SpiffeId};
use std::fmt;

use crate::command::Command;

/// A command as it stands in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stamped {
    /// What is asked.
    pub command: Command,
    /// By whom.
    pub meta: Meta,
    /// When, by the leader's clock.
    pub stamp: Stamp,
}

/// Who asks, and as which request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Meta {
    /// Who asks.
    pub actor: Actor,
    /// The key that the actor's handshake proved. It has to be the actor's still
    /// when the command is applied. Absent only for nodes and birth.
    pub key: Option<KeyThumbprint>,
    /// The node that authenticated the actor.
    pub via: NodeNumber,
    /// The revision at which that node judged the actor.
    pub authorised_at: Revision,
    /// Why, for the record. At most 512 bytes.
    pub reason: String,
    /// Makes a retry harmless.
    pub request: RequestId,
    /// SHA-256 over the canonical bytes of what the client asked, without the
    /// stamp: tells a retry from another command under the same id.
    pub digest: [u8; 32],
}

/// Who sends a command.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Actor {
    /// A person or a tool of theirs.
    Operator(PrincipalName),
    /// A service; it reads, and no command is its.
    Service(PrincipalName),
    /// An agent, for its own tokens.
    Agent(SpiffeId),
    /// A node, for its own issuers; the leader's also as keeper.
    Node(NodeNumber),
    /// Whoever ran `init`: nobody was there before.
    Birth,
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Operator(name) => write!(f, "operator:{name}"),
            Self::Service(name) => write!(f, "service:{name}"),
            Self::Agent(id) => write!(f, "agent:{id}"),
            Self::Node(number) => write!(f, "node:{number}"),
            Self::Birth => f.write_str("birth"),
        }
    }
}

/// Names one request of one actor.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId {
    /// When it was first sent, milliseconds since the Unix epoch.
    pub time_ms: u64,
    /// Drawn by the client.
    pub random: [u8; 16],
}

/// What the leader adds. Public: nothing secret may be derived from it.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// Milliseconds since the Unix epoch.
    pub time_ms: u64,
    /// The same on every node that applies the command.
    pub entropy: [u8; 32],
}
