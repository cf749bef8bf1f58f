//! Who it was that a command names by a number alone: a number says little to who reads
//! it years later, when the node is gone and its record forgotten.

use chancery_authority::{Command, State};

/// Name and peer key of the node that a command is about, as they are before it.
pub(crate) fn named(state: &State, command: &Command) -> Vec<String> {
    let number = match command {
        Command::RevokeNode(number)
        | Command::RetireNode(number)
        | Command::RemoveNode { node: number, .. }
        | Command::SeatNode { node: number, .. }
        | Command::ReadmitNode { node: number, .. } => *number,
        _ => return Vec::new(),
    };
    let Some(node) = state.node(number) else {
        return Vec::new();
    };
    vec![
        format!("node:{}", node.name),
        format!("key:{}", node.peer_key.thumbprint()),
    ]
}
