//! `chancery node`: nodes, from their request to their state.

mod add;
mod list;
mod promote;
mod renew;
pub mod request;
mod status;

use clap::Subcommand;

use crate::{failure::Failure, output::Output};

/// Nodes.
#[derive(Debug, Subcommand)]
pub enum NodeCommand {
    /// On a new node: make its keys, and the request file for the operator
    Request(request::RequestArgs),
    /// Where the operator is: admit a node as a learner, and make its admission file
    Add(add::AddArgs),
    /// Where the operator is: make a fresh admission file, with a server certificate that lasts 90
    /// days more
    Renew(renew::RenewArgs),
    /// Make a learner that has caught up a voter
    Promote(promote::PromoteArgs),
    /// Ask each node how it is
    ///
    /// A node that joins, or comes back after a long time, shows how many entries it is
    /// behind, and how far the snapshot has come that brings it up. One that has no
    /// state yet knows no caller: the leader says it for it.
    Status(status::StatusArgs),
    /// List the nodes that were admitted
    List(list::ListArgs),
}

impl NodeCommand {
    pub async fn run(&self, output: Output) -> Result<(), Failure> {
        match self {
            Self::Request(args) => request::run(args, output),
            Self::Add(args) => add::run(args, output).await,
            Self::Renew(args) => renew::run(args, output).await,
            Self::Promote(args) => promote::run(args, output).await,
            Self::Status(args) => status::run(args, output).await,
            Self::List(args) => list::run(args, output).await,
        }
    }
}
