//! Whose keys count as peers' right now, and which number each proves.

use std::{
    fmt,
    sync::{Arc, OnceLock},
};

use chancery_credential::{NodeNumber, Revision};
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
    /// The revision that the file was made at. Its peers count beside the members
    /// as long as this node's own membership is older: a node that replays the log
    /// from its beginning, or that was away for long, comes by memberships that do
    /// not know those who lead now.
    pub as_of: Revision,
}

/// The pinned keys: those of the effective membership, the uncommitted one
/// included, and those that a newer [`Admission`] names.
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
        let older = membership
            .log_id()
            .is_none_or(|changed| changed.index < self.admission.as_of.0);
        older.then_some(self.admission.peers.as_slice())
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use openraft::Membership;

    use super::*;
    use crate::raft::{CommittedLeaderId, LogId};

    fn record(number: u64) -> PeerRecord {
        PeerRecord {
            name: format!("n{number}"),
            peer_address: format!("n{number}:1"),
            api_address: format!("n{number}:2"),
            peer_public_key: vec![u8::try_from(number).unwrap(); 4],
        }
    }

    /// The membership of `members` that was appended at `index`.
    fn membership(index: u64, members: &[u64]) -> StoredMembership {
        let voters: BTreeSet<u64> = members.iter().copied().collect();
        let nodes: BTreeMap<u64, PeerRecord> = members
            .iter()
            .map(|number| (*number, record(*number)))
            .collect();
        let log_id = LogId::new(
            CommittedLeaderId {
                term: 1,
                node_id: 1,
            },
            index,
        );
        StoredMembership::new(Some(log_id), Membership::new(vec![voters], nodes).unwrap())
    }

    fn admission(as_of: u64, peers: &[u64]) -> Admission {
        Admission {
            peers: peers
                .iter()
                .map(|number| (NodeNumber(*number), record(*number)))
                .collect(),
            as_of: Revision(as_of),
        }
    }

    /// Whose keys count, of 1 to 5.
    fn known(book: &PeerBook) -> Vec<u64> {
        (1..=5)
            .filter(|number| {
                book.number_of(&record(*number).peer_public_key) == Some(NodeNumber(*number))
            })
            .collect()
    }

    #[test]
    fn while_a_joining_node_replays_old_memberships_the_present_leader_counts() {
        let admission = admission(20, &[1, 2, 3]);
        let new = PeerBook::new(admission.clone(), StoredMembership::default());
        assert_eq!(known(&new), [1, 2, 3]);
        let replaying = PeerBook::new(admission.clone(), membership(5, &[1]));
        assert_eq!(known(&replaying), [1, 2, 3], "2 may lead by now");
        assert!(replaying.record_of(NodeNumber(3)).is_some());
        let joined = PeerBook::new(admission, membership(21, &[1, 2, 4]));
        assert_eq!(known(&joined), [1, 2, 4], "3 has left since");
    }

    #[test]
    fn a_fresh_admission_file_brings_back_a_node_that_knows_no_present_member() {
        let far_behind = membership(7, &[1, 2]);
        let left_alone = PeerBook::new(admission(3, &[1]), far_behind.clone());
        assert_eq!(known(&left_alone), [1, 2]);
        let readmitted = PeerBook::new(admission(90, &[4, 5]), far_behind);
        assert_eq!(known(&readmitted), [1, 2, 4, 5]);
    }

    #[test]
    fn a_number_of_the_membership_is_its_keys_alone() {
        let mut stale = admission(90, &[2]);
        if let Some((_, named)) = stale.peers.first_mut() {
            named.peer_public_key = record(5).peer_public_key;
        }
        let book = PeerBook::new(stale, membership(7, &[1, 2]));
        assert_eq!(book.number_of(&record(5).peer_public_key), None);
        assert_eq!(known(&book), [1, 2]);
    }
}
