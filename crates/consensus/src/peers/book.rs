//! Whose keys count as peers' right now, and which number each proves.

use std::{
    fmt,
    sync::{Arc, OnceLock},
};

use chancery_credential::NodeNumber;
use openraft::{alias::WatchReceiverOf, async_runtime::watch::WatchReceiver};

use crate::{
    peer_record::PeerRecord,
    raft::{Metrics, StoredMembership, Types},
};

/// The nodes that this node was told of in its admission file.
#[derive(Debug, Clone, Default)]
pub struct Admission {
    /// Number and record of each peer that the operator named.
    pub peers: Vec<(NodeNumber, PeerRecord)>,
    /// The file is newer than this directory's membership: its peers count beside
    /// the members until a newer membership arrives. Without it they count only
    /// while this node knows no membership at all.
    pub readmission: bool,
}

/// The pinned keys: those of the effective membership, the uncommitted one
/// included, and where the [`Admission`] says so those that it names.
///
/// It is asked at each handshake and again at each request, so that a node that
/// leaves the membership is out on connections that it had.
pub(crate) struct PeerBook {
    admission: Admission,
    /// What the state machine had applied when this process started.
    at_start: Arc<StoredMembership>,
    metrics: OnceLock<WatchReceiverOf<Types, Metrics>>,
}

impl fmt::Debug for PeerBook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PeerBook(admitted {})", self.admission.peers.len())
    }
}

impl PeerBook {
    pub(crate) fn new(admission: Admission, at_start: StoredMembership) -> Self {
        Self {
            admission,
            at_start: Arc::new(at_start),
            metrics: OnceLock::new(),
        }
    }

    /// From here on the membership is what Raft says it is.
    pub(crate) fn follow(&self, metrics: WatchReceiverOf<Types, Metrics>) {
        // A second call would bring the same receiver again.
        let _ = self.metrics.set(metrics);
    }

    /// The number that the key `spki` proves, if it is a peer's.
    pub(crate) fn number_of(&self, spki: &[u8]) -> Option<NodeNumber> {
        if spki.is_empty() {
            return None;
        }
        let membership = self.membership();
        let member = membership
            .nodes()
            .find(|(_, record)| record.peer_public_key == spki)
            .map(|(number, _)| NodeNumber(*number));
        member.or_else(|| {
            let admitted = self.admitted(&membership)?;
            let (number, _) = admitted.iter().find(|(_, r)| r.peer_public_key == spki)?;
            // A number that the membership gives to another key is that key's alone.
            membership.get_node(&number.0).is_none().then_some(*number)
        })
    }

    /// Where a peer is reached and which key it must prove.
    pub(crate) fn record_of(&self, number: NodeNumber) -> Option<PeerRecord> {
        let membership = self.membership();
        membership.get_node(&number.0).cloned().or_else(|| {
            let admitted = self.admitted(&membership)?;
            admitted
                .iter()
                .find(|(n, _)| *n == number)
                .map(|(_, record)| record.clone())
        })
    }

    fn admitted(&self, membership: &StoredMembership) -> Option<&[(NodeNumber, PeerRecord)]> {
        let unknown = membership.nodes().next().is_none();
        let unchanged = membership.log_id() == self.at_start.log_id();
        (unknown || (self.admission.readmission && unchanged))
            .then_some(self.admission.peers.as_slice())
    }

    /// Raft tells of none until its core has started: until then, the one at start.
    fn membership(&self) -> Arc<StoredMembership> {
        let told = self
            .metrics
            .get()
            .map(|metrics| metrics.borrow_watched().membership_config.clone())
            .filter(|membership| membership.log_id().is_some());
        told.unwrap_or_else(|| self.at_start.clone())
    }
}
