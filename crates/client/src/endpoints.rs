//! The nodes that a client may turn to, and which one it prefers.

use std::sync::Arc;

use chancery_revocation::BootTime;
use chancery_wire::v1;
use thiserror::Error;
use tonic::{Status, transport::Channel};

use crate::{
    clock::SystemClock,
    connection,
    error::{Refusal, reason_of},
    identity::SharedIdentity,
    lane::Lane,
    preference::{Blemish, Preference},
    seen::Seen,
    statistics::Counters,
};

/// Why a client cannot be made of its configuration.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum InvalidEndpoint {
    /// No endpoint at all.
    #[error("no endpoint is given: name at least one node, as `host:port`")]
    None,
    /// An endpoint cannot be understood.
    #[error("endpoint `{0}` cannot be used ({1}): expected `host:port`")]
    Address(String, String),
    /// The root certificate cannot be read.
    #[error("the cluster's root certificate cannot be read ({0}): expected X.509 in PEM")]
    Root(String),
    /// The TLS configuration cannot be made.
    #[error("TLS cannot be set up with this identity: {0}")]
    Tls(String),
}

/// One node.
pub(crate) struct Node {
    pub(crate) address: String,
    pub(crate) channel: Channel,
    pub(crate) lane: Lane,
}

/// All of them. A failure moves every later call to another node, so that one dead
/// node costs a client one failed try and not one a call.
pub(crate) struct Endpoints {
    nodes: Vec<Node>,
    preference: Preference,
    pub(crate) seen: Arc<Seen>,
    pub(crate) counters: Counters,
}

impl Endpoints {
    pub(crate) fn new(
        addresses: &[String],
        roots: &str,
        identity: &SharedIdentity,
    ) -> Result<Self, InvalidEndpoint> {
        if addresses.is_empty() {
            return Err(InvalidEndpoint::None);
        }
        let tls = connection::tls(roots, identity)?;
        let nodes: Vec<_> = addresses
            .iter()
            .map(|address| {
                let channel = connection::channel(address, tls.clone())?;
                Ok(Node {
                    address: address.clone(),
                    lane: Lane::over(channel.clone()),
                    channel,
                })
            })
            .collect::<Result<_, InvalidEndpoint>>()?;
        Ok(Self {
            preference: Preference::over(nodes.len()),
            seen: Arc::default(),
            nodes,
            counters: Counters::default(),
        })
    }

    /// Over connections that a test made, or a simulation.
    #[cfg(any(test, simulation))]
    pub(crate) fn over(channels: Vec<Channel>) -> Self {
        let nodes: Vec<_> = channels
            .into_iter()
            .map(|channel| Node {
                address: "not told".to_owned(),
                lane: Lane::over(channel.clone()),
                channel,
            })
            .collect();
        Self {
            preference: Preference::over(nodes.len()),
            seen: Arc::default(),
            nodes,
            counters: Counters::default(),
        }
    }

    /// How many there are; at least one.
    pub(crate) fn len(&self) -> usize {
        self.nodes.len()
    }

    /// The node to turn to now, with the position that [`Self::leave`] takes.
    pub(crate) fn preferred(&self) -> Option<(usize, &Node)> {
        let position = self.preference.position();
        self.nodes.get(position).map(|node| (position, node))
    }

    /// Turns away from a node that failed.
    pub(crate) fn leave(&self, position: usize, now: BootTime) {
        self.preference.turn(position, Blemish::Failed, now);
    }

    /// One try of a mint at the node at `position`, which does not answer from before
    /// what was seen.
    pub(crate) async fn mint_at(
        &self,
        position: usize,
        request: v1::MintRequest,
    ) -> Result<v1::MintResponse, Status> {
        let node = self.nodes.get(position);
        let lane = &node.ok_or_else(|| Status::internal("no such node"))?.lane;
        if !request.min_revision.is_empty() {
            return lane.mint_alone(request).await;
        }
        let (continuing, carried) = self.seen.carried(request.clone());
        match lane.mint(continuing).await {
            // The caller asked for no revision, and is not refused for one.
            Err(status) if carried && self.is_of_another_life(&status) => lane.mint(request).await,
            answer => answer,
        }
    }

    /// Takes note of what the node at `position` minted, and turns away from it if it
    /// says that it settles.
    pub(crate) fn minted(&self, position: usize, response: &v1::MintResponse) {
        self.seen.note(&response.consistency_token);
        if response.settling {
            self.preference
                .turn(position, Blemish::Settling, SystemClock::boot());
        }
    }

    /// Takes note of a refusal that a stream was told: what was seen of a cluster that is
    /// not the one that answers is asked of it no more.
    pub(crate) fn told(&self, refusal: Refusal) -> Refusal {
        if names_another_life(&refusal.reason) {
            self.seen.forget();
        }
        refusal
    }

    /// Whether the cluster was restored, or is another, since anything was seen of it:
    /// that is forgotten then, and nothing else was wrong with the call.
    pub(crate) fn is_of_another_life(&self, status: &Status) -> bool {
        let other = reason_of(status).is_some_and(|reason| names_another_life(&reason));
        other && self.seen.forget()
    }
}

fn names_another_life(reason: &str) -> bool {
    matches!(reason, "OTHER_LINEAGE" | "REVISION_UNKNOWN")
}
