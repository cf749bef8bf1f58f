//! Why consensus does not start, and why it ends.

/// Consensus did not start. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The data directory.
    #[error(transparent)]
    Storage(#[from] chancery_storage::Error),
    /// What stands in it.
    #[error(
        "the data directory cannot be used: {0}. If its disk is damaged, begin again on another: \
         the node is admitted anew, under a number of its own"
    )]
    State(#[from] std::io::Error),
    /// Raft's times.
    #[error("Raft cannot run with these times ({0}): correct the settings")]
    Timing(String),
    /// The peer key.
    #[error("the peer key cannot be used ({0}): give the key file that belongs to this node")]
    PeerKey(#[from] rustls::Error),
    /// The members know this node by another key.
    #[error(
        "the cluster knows node {0} by another key: give the key file that belongs to this node, \
         or remove the node and admit it anew"
    )]
    OtherKey(chancery_credential::NodeNumber),
    /// Raft refused what it found.
    #[error("Raft cannot start on this data directory: {0}")]
    Raft(String),
}

/// Raft or its storage has died. The process must end: what it would go on to say
/// rests on nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "consensus has ended on this node ({0}): start the process again; if it ends again, the disk or the build is at fault"
)]
pub struct Ended(pub(crate) String);

/// This node is a member no more, and never again under its number.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "node {node} was removed from the cluster for good, say its peers ({}): it does not start \
     again; to use this machine, make a new node of it, in another directory and with keys of its \
     own, by `chancery node request`, `chancery node add` and `chancery join`",
    numbers(.by)
)]
pub struct Removed {
    /// This node.
    pub node: chancery_credential::NodeNumber,
    /// Who says so.
    pub by: Vec<chancery_credential::NodeNumber>,
}

fn numbers(by: &[chancery_credential::NodeNumber]) -> String {
    let numbers: Vec<_> = by.iter().map(ToString::to_string).collect();
    numbers.join(", ")
}

/// The first node could not begin the cluster.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BirthError {
    /// Only node 1 of an empty log can.
    #[error("this node cannot begin a cluster: {0}")]
    NotHere(String),
    /// The command that begins the lineage.
    #[error(transparent)]
    Propose(#[from] crate::outcome::ProposeError),
}

impl From<crate::state_machine::Unfit> for StartError {
    fn from(unfit: crate::state_machine::Unfit) -> Self {
        Self::State(unfit.into())
    }
}
