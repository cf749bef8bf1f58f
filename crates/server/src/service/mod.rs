//! The public API: one file a gRPC service, and what they share.
//!
//! A service parses its request into the model's types, asks the node's own
//! state or proposes a command, and writes the answer. Who may call what was
//! decided before, in the caller layer; what a command may do is judged again
//! when it is applied.

mod agent_messages;
mod agents;
mod batch;
mod changes;
mod cluster;
mod command;
mod consistency;
mod conversation;
mod enforcement;
mod facts;
mod feed;
#[cfg(any(test, fuzzing))]
#[allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]
pub(crate) mod fuzz_targets;
mod grant_sets;
mod history;
mod history_filter;
mod in_force;
mod keys;
mod membership;
mod on_its_own;
mod page;
mod parse;
mod principals;
mod refusals;
mod revocation;
pub(crate) mod session;
mod settings;
mod tokens;
mod verdict;
mod watch;

use tonic::{Request, Status};

use chancery_consensus::Consensus;

use std::sync::Arc;

use crate::{
    caller::Caller,
    clock::SystemClock,
    minting::{Minter, Turns},
    recent::Recent,
    status::NodeStatus,
    subscriptions::Subscriptions,
};

pub(crate) use agents::Agents;
pub(crate) use changes::Page;
pub(crate) use cluster::Clusters;
pub(crate) use grant_sets::GrantSets;
pub(crate) use history::Histories;
pub(crate) use keys::Keys;
pub(crate) use principals::Principals;
pub(crate) use revocation::Revocations;
pub(crate) use settings::SettingsDesk;
pub(crate) use tokens::Tokens;

/// The caller that the layer made out, and the message.
fn split<T>(request: Request<T>) -> Result<(Caller, T), Status> {
    let caller = Caller::of(&request)?.clone();
    Ok((caller, request.into_inner()))
}

/// What every service has of its node.
pub(crate) struct Desk {
    pub(crate) consensus: Consensus,
    pub(crate) minter: Minter<SystemClock>,
    /// For whatever signs, or checks a signature.
    pub(crate) turns: Turns,
    pub(crate) status: NodeStatus,
    pub(crate) recent: Arc<Recent>,
    pub(crate) subscriptions: Arc<Subscriptions>,
}
