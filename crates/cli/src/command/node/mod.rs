//! `chancery node`: nodes, from their request to their state.

mod add;
mod admission;
mod demote;
mod list;
mod patience;
mod promote;
mod readmit;
mod remove;
mod renew;
mod replace;
pub mod request;
mod status;
mod transfer;

use chancery_client::{Client, v1};
use clap::Subcommand;

use crate::{failure::Failure, output::Output};

/// How many nodes the cluster has, those that were removed apart.
pub(super) async fn members(client: &Client) -> Result<usize, chancery_client::Error> {
    let nodes = add::status(client).await?.nodes;
    let removed = |node: &&v1::Node| node.standing() == v1::node::Standing::Removed;
    Ok(nodes.len() - nodes.iter().filter(removed).count())
}

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
    /// Make a learner a voter, once it has caught up
    ///
    /// An odd number of voters is best: of 3, one may fail; of 5, two. A learner mints and checks
    /// as a voter does. One that was revoked, with `epoch revoke --node` or `remove --compromised`,
    /// gets no vote: it comes back with new keys by `readmit`, or goes with `remove`.
    Promote(promote::PromoteArgs),
    /// Make a voter a learner
    ///
    /// It is refused, with the arithmetic, where too few of the voters that are left answer.
    Demote(demote::DemoteArgs),
    /// Let a voter lead, before work on the machine of the one that does
    Transfer(transfer::TransferArgs),
    /// Take a node out for good
    ///
    /// In order: it signs no more, what it signed stays valid until it expires, it stops serving, and
    /// is then taken out of the membership. With --lost, where it does not answer and never will.
    /// With --compromised, where it may be in other hands: all that it signed is dead at once. Its
    /// number is never given again; its process ends by itself with exit code 3 once a peer has told
    /// it.
    Remove(remove::RemoveArgs),
    /// Where the operator is: put another node in the place of an old one
    ///
    /// It is `add`, `promote` and `remove` in a row, and waits in between until the new node serves.
    /// Interrupted at any step, the same command goes on there.
    Replace(replace::ReplaceArgs),
    /// Where the operator is: take back a node that was revoked, with new keys
    ///
    /// Make them with `chancery node request` in a directory of their own, with the node's name and
    /// addresses. A node that was removed for good does not come back: make a new one of its machine.
    Readmit(readmit::ReadmitArgs),
    /// Ask each node how it is
    ///
    /// A node that joins, or comes back after a long time, shows how many entries it is
    /// behind, and how far the snapshot has come that brings it up. One that has no
    /// state yet knows no caller: the leader says it for it.
    Status(status::StatusArgs),
    /// List the nodes
    List(list::ListArgs),
}

impl NodeCommand {
    pub async fn run(&self, output: Output) -> Result<(), Failure> {
        match self {
            Self::Request(args) => request::run(args, output),
            Self::Add(args) => add::run(args, output).await,
            Self::Renew(args) => renew::run(args, output).await,
            Self::Promote(args) => promote::run(args, output).await,
            Self::Demote(args) => demote::run(args, output).await,
            Self::Transfer(args) => transfer::run(args, output).await,
            Self::Remove(args) => remove::run(args, output).await,
            Self::Replace(args) => replace::run(args, output).await,
            Self::Readmit(args) => readmit::run(args, output).await,
            Self::Status(args) => status::run(args, output).await,
            Self::List(args) => list::run(args, output).await,
        }
    }
}
