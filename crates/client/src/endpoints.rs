//! The nodes that a client may turn to, and which one it prefers.

use std::time::Instant;

use chancery_wire::v1;
use thiserror::Error;
use tonic::transport::Channel;

use crate::{
    connection,
    identity::SharedIdentity,
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
}

/// All of them. A failure moves every later call to another node, so that one dead
/// node costs a client one failed try and not one a call.
pub(crate) struct Endpoints {
    nodes: Vec<Node>,
    preference: Preference,
    seen: Seen,
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
                Ok(Node {
                    address: address.clone(),
                    channel: connection::channel(address, tls.clone())?,
                })
            })
            .collect::<Result<_, InvalidEndpoint>>()?;
        Ok(Self {
            preference: Preference::over(nodes.len()),
            seen: Seen::default(),
            nodes,
            counters: Counters::default(),
        })
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
    pub(crate) fn leave(&self, position: usize) {
        self.preference
            .turn(position, Blemish::Failed, Instant::now());
    }

    /// Turns away from the node that minted this, if it says that it settles.
    pub(crate) fn minted(&self, position: usize, response: &v1::MintResponse) {
        if response.settling {
            let now = Instant::now();
            self.seen.note(&response.consistency_token, now);
            self.preference.turn(position, Blemish::Settling, now);
        }
    }

    /// `request`, so that no other node answers it from before what was seen.
    pub(crate) fn continuing(&self, request: v1::MintRequest) -> v1::MintRequest {
        self.seen.after(request, Instant::now())
    }
}
