//! Whose keys count as peers' right now, and which number each proves.

use std::{
    collections::BTreeSet,
    fmt,
    sync::{Arc, OnceLock},
};

use chancery_authority::MAX_NODES;
use chancery_credential::{NodeNumber, Revision};
use openraft::{alias::WatchReceiverOf, async_runtime::watch::WatchReceiver};
use parking_lot::RwLock;

use crate::{
    peer_record::PeerRecord,
    published::Published,
    raft::{LogId, Metrics, StoredMembership, Types},
};

/// The nodes that this node was told of in its admission file.
#[derive(Debug, Clone, Default)]
pub struct Admission {
    /// Number and record of each peer that the operator named.
    pub peers: Vec<(NodeNumber, PeerRecord)>,
    /// The revision that the file was made at. Its peers count beside the members
    /// if this node's own membership is older when it starts: it replays the log
    /// from its beginning, or was away for long, and comes by memberships that do not
    /// know those who lead now.
    pub as_of: Revision,
}

/// Somebody whom this node's own log does not know as a member yet.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Told {
    number: NodeNumber,
    record: PeerRecord,
    /// An admission file does not say who votes: there everybody does.
    votes: bool,
    /// The peer that says so; none: the admission file.
    by: Option<NodeNumber>,
}

/// Of whom one peer tells, at most: a cluster has no more nodes.
const MOST_OF_ONE: usize = MAX_NODES;
/// Of whom those tell together who are no members themselves as far as this node knows.
const MOST_OF_STRANGERS: usize = 4 * MAX_NODES;

/// The pinned keys: those of the effective membership, the uncommitted one
/// included, and of whom this node was told beside it, by its admission file and by
/// peers, until it has proved itself fresh: from then on its own log says who is a
/// member, and nobody's word has to stand for it.
///
/// It is asked at each handshake and again at each request, so that a node that
/// leaves the membership is out on connections that it had.
pub(crate) struct PeerBook {
    told: RwLock<Vec<Told>>,
    /// What the state machine had applied when this process started.
    at_start: Arc<StoredMembership>,
    metrics: OnceLock<WatchReceiverOf<Types, Metrics>>,
    /// The state, which remembers those who were removed.
    published: OnceLock<Arc<Published>>,
}

impl fmt::Debug for PeerBook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PeerBook(told of {})", self.told.read().len())
    }
}

impl PeerBook {
    pub(crate) fn new(admission: Admission, at_start: StoredMembership) -> Self {
        let is_older = |changed: LogId| changed.index < admission.as_of.0;
        let admitted = if at_start.log_id().is_none_or(is_older) {
            admission.peers
        } else {
            Vec::new()
        };
        let told = admitted.into_iter().map(|(number, record)| Told {
            number,
            record,
            votes: true,
            by: None,
        });
        Self {
            told: RwLock::new(told.collect()),
            at_start: Arc::new(at_start),
            metrics: OnceLock::new(),
            published: OnceLock::new(),
        }
    }

    /// From here on it is known who was removed.
    pub(crate) fn remember(&self, published: Arc<Published>) {
        // A second call would bring the same state again.
        let _ = self.published.set(published);
    }

    /// Whether the key `spki` is that of a node that was removed for good, and is
    /// therefore nobody's, whatever this node was told.
    pub(crate) fn was_removed(&self, spki: &[u8]) -> bool {
        self.published.get().is_some_and(|published| {
            let state = published.state.read();
            (state.nodes()).any(|node| node.removed_at.is_some() && node.peer_key.spki() == spki)
        })
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
            let told = self.told.read();
            let told = told
                .iter()
                .find(|told| told.record.peer_public_key == spki)?;
            // A number that the membership gives to another key is that key's alone.
            let known = membership.get_node(&told.number.0);
            (known.is_none() && !self.was_removed(spki)).then_some(told.number)
        })
    }

    /// Where a peer is reached and which key it must prove.
    pub(crate) fn record_of(&self, number: NodeNumber) -> Option<PeerRecord> {
        let member = self.membership().get_node(&number.0).cloned();
        member.or_else(|| {
            let told = self.told.read();
            // The latest word on it.
            let told = told.iter().rev().find(|told| told.number == number)?;
            Some(told.record.clone())
        })
    }

    /// Whether `number` may be led by: only a voter is ever elected. One that this
    /// node knows as a learner, because it was away meanwhile, is introduced first.
    pub(crate) fn may_lead(&self, number: NodeNumber) -> bool {
        self.membership().voter_ids().any(|voter| voter == number.0)
            || (self.told.read().iter()).any(|told| told.number == number && told.votes)
    }

    /// Everybody who counts, this node itself too.
    pub(crate) fn all(&self) -> Vec<(NodeNumber, PeerRecord)> {
        let membership = self.membership();
        let members = membership
            .nodes()
            .map(|(number, record)| (NodeNumber(*number), record.clone()));
        let told = self.told.read();
        // Once, however many say so.
        let mut seen = BTreeSet::new();
        let others = told
            .iter()
            .filter(|told| membership.get_node(&told.number.0).is_none())
            .filter(|told| seen.insert((told.number, &told.record.peer_public_key)))
            .map(|told| (told.number, told.record.clone()));
        members.chain(others).collect()
    }

    /// Takes in what a peer that counts says of its membership. It grants that peer
    /// nothing: who counts could have sent entries that say the same. What several
    /// say counts together, and each has room of its own for its latest word, so that one
    /// that lies keeps out no other.
    ///
    /// Gives whether it was news.
    pub(crate) fn introduce(&self, by: NodeNumber, membership: &StoredMembership) -> bool {
        let own = self.membership();
        let says = said(by, membership, &own);
        let mut told = self.told.write();
        let before = told.iter().filter(|told| told.by == Some(by));
        if before.eq(&says) {
            return false;
        }
        told.retain(|told| told.by != Some(by));
        let is_member = |told: &Told| told.by.is_none_or(|by| own.get_node(&by.0).is_some());
        let strangers = told.iter().filter(|told| !is_member(told)).count();
        let room = if own.get_node(&by.0).is_some() {
            MOST_OF_ONE
        } else {
            MOST_OF_STRANGERS.saturating_sub(strangers)
        };
        told.extend(says.into_iter().take(room));
        true
    }

    /// This node has proved itself fresh: it has caught up with who leads.
    pub(crate) fn forget_told(&self) {
        if !self.told.read().is_empty() {
            self.told.write().clear();
        }
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

/// What `by` says that is not in this node's `own` membership.
fn said(by: NodeNumber, membership: &StoredMembership, own: &StoredMembership) -> Vec<Told> {
    let is_voter = |of: &StoredMembership, number: u64| of.voter_ids().any(|it| it == number);
    let news = membership.nodes().filter_map(|(number, record)| {
        let votes = is_voter(membership, *number);
        let promoted = votes && !is_voter(own, *number);
        let known = own.get_node(number) == Some(record) && !promoted;
        (!known).then(|| Told {
            number: NodeNumber(*number),
            record: record.clone(),
            votes,
            by: Some(by),
        })
    });
    news.take(MOST_OF_ONE).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::collections::BTreeMap;

    use openraft::Membership;

    use super::*;
    use crate::raft::{CommittedLeaderId, LogId};

    const ONE: NodeNumber = NodeNumber(1);
    const TWO: NodeNumber = NodeNumber(2);

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
    fn a_peer_introduces_those_who_came_meanwhile() {
        let book = PeerBook::new(Admission::default(), membership(7, &[1, 2]));
        assert!(!book.introduce(ONE, &membership(6, &[1, 2])), "no news");
        assert!(book.introduce(ONE, &membership(30, &[1, 2, 4])));
        assert_eq!(known(&book), [1, 2, 4]);
        assert!(!book.introduce(ONE, &membership(30, &[1, 2, 4])), "no news");
        assert_eq!(book.all().len(), 3);
        book.forget_told();
        assert_eq!(known(&book), [1, 2], "its own log says who is a member now");
    }

    #[test]
    fn a_peer_that_lies_keeps_out_no_other() {
        let book = PeerBook::new(Admission::default(), membership(7, &[1, 2]));
        let mut lie = record(4);
        lie.peer_public_key = record(5).peer_public_key;
        let voters = BTreeSet::from([1, 4]);
        let nodes = BTreeMap::from([(1, record(1)), (4, lie)]);
        let lying = Membership::new(vec![voters], nodes).unwrap();
        let at = *membership(u64::MAX - 1, &[1]).log_id();
        assert!(book.introduce(ONE, &StoredMembership::new(at, lying)));
        // And all whom it makes up: as many as there can be of it.
        let mut nodes: BTreeMap<u64, PeerRecord> = BTreeMap::new();
        for number in 100..3_000_u64 {
            let mut made_up = record(1);
            made_up.peer_public_key = number.to_be_bytes().to_vec();
            nodes.insert(number, made_up);
        }
        let made_up = Membership::new(vec![BTreeSet::from([100])], nodes).unwrap();
        let made_up = StoredMembership::new(at, made_up);
        assert!(book.introduce(ONE, &made_up));
        assert!(
            book.introduce(NodeNumber(100), &made_up),
            "in another's name"
        );
        assert!(book.all().len() <= 2 + MAX_NODES);
        assert!(book.introduce(TWO, &membership(30, &[1, 2, 4])));
        assert_eq!(
            book.number_of(&record(4).peer_public_key),
            Some(NodeNumber(4))
        );
        assert_eq!(book.record_of(NodeNumber(4)), Some(record(4)));
    }

    #[test]
    fn who_is_known_as_a_learner_leads_nobody() {
        let nodes: BTreeMap<u64, PeerRecord> = (1..=3).map(|n| (n, record(n))).collect();
        let with_voters = |voters: &[u64]| {
            let voters: BTreeSet<u64> = voters.iter().copied().collect();
            let members = Membership::new(vec![voters], nodes.clone()).unwrap();
            StoredMembership::new(*membership(7, &[1]).log_id(), members)
        };
        let book = PeerBook::new(Admission::default(), with_voters(&[1]));
        assert!(book.may_lead(NodeNumber(1)));
        assert!(!book.may_lead(NodeNumber(2)), "a learner");
        assert!(!book.may_lead(NodeNumber(4)), "nobody");
        assert!(
            book.introduce(ONE, &with_voters(&[1, 2])),
            "promoted meanwhile"
        );
        assert!(book.may_lead(NodeNumber(2)));
        assert!(!book.may_lead(NodeNumber(3)));
        let joining = PeerBook::new(admission(3, &[1, 2]), StoredMembership::default());
        assert!(joining.may_lead(NodeNumber(2)), "the file names who may");
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
