//! Read indices, and a quorum's own word that this node still led when each was taken
//! (Raft §6.4).
//!
//! ```text
//!  asked ──► vote, read index, membership ──► each voter takes an empty append of that vote
//!  (whoever asked by now is served)            a quorum did, and the membership is the same
//! ```
//!
//! A voter that takes the append has promised itself to no later leader by then. So all
//! that was committed before the first of them was asked is at or below the read index.
//!
//! openraft confirms its own read indices by when the last append was *sent* that each
//! follower answered, and takes an answer for that of later appends which end at the same
//! entry. So acknowledgements that lay in the buffers of a leader which stood still, while
//! another was elected, can make a quorum (docs/decisions/0025).

use std::{
    collections::{BTreeMap, BTreeSet},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use chancery_credential::NodeNumber;
#[cfg(simulation)]
use chancery_mutation::{Mutation, is_made};
use futures::{
    FutureExt as _,
    future::{BoxFuture, Shared},
};
use openraft::{
    LinearizerOption,
    async_runtime::watch::WatchReceiver as _,
    network::{RPCOption, RaftNetworkV2 as _},
    raft::{AppendEntriesRequest, AppendEntriesResponse},
};
use tokio::{
    sync::{Mutex, mpsc},
    time::Sleep,
};

use crate::{
    peer_record::PeerRecord,
    peers::network::{Network, Networks},
    raft::{LogId, Raft, StoredMembership, Vote},
};

/// How long one round waits for a quorum.
const ROUND_LIMIT: Duration = Duration::from_secs(1);
/// Between the beginnings of two rounds: whoever comes meanwhile shares the next.
const GAP: Duration = Duration::from_millis(5);
/// Probes of one voter that are under way at most.
const MOST_PROBES: usize = 8;
/// How long a voter is left alone that could not be reached.
const REST: Duration = Duration::from_millis(50);

/// Why there is no read index now.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum NotLeading {
    #[error("this node does not lead")]
    Elsewhere,
    #[error("{0}")]
    Raft(String),
    #[error("no quorum has said in time that this node leads")]
    NoQuorum,
    #[error("the membership changed meanwhile")]
    Members,
}

type Round = Shared<BoxFuture<'static, Result<LogId, NotLeading>>>;

/// Confirms that this node leads, in rounds that may overlap.
pub(crate) struct Leadership {
    electorate: Electorate,
    /// How many have asked.
    asked: AtomicU64,
    last: Mutex<Last>,
}

/// The round that began last.
#[derive(Default)]
struct Last {
    /// How many had asked before it began.
    serves: u64,
    round: Option<Round>,
    /// None begins before.
    gap: Option<Pin<Box<Sleep>>>,
}

impl Leadership {
    pub(crate) fn new(own: NodeNumber, raft: Raft, networks: Networks) -> Self {
        Self {
            electorate: Electorate {
                own,
                raft,
                networks,
                probed: Arc::default(),
            },
            asked: AtomicU64::new(0),
            last: Mutex::default(),
        }
    }

    /// Through where everything stands that was committed before this was called.
    ///
    /// # Errors
    /// [`NotLeading`], after `limit` at most.
    pub(crate) async fn read_index(&self, limit: Duration) -> Result<LogId, NotLeading> {
        let turn = self.asked.fetch_add(1, Ordering::SeqCst) + 1;
        let served = async { self.round_for(turn).await.await };
        let served = tokio::time::timeout(limit, served).await;
        served.unwrap_or(Err(NotLeading::NoQuorum))
    }

    /// A round that began after that one asked.
    async fn round_for(&self, turn: u64) -> Round {
        let mut last = self.last.lock().await;
        if let Some(round) = last.round.as_ref().filter(|_| last.serves >= turn) {
            return round.clone();
        }
        if let Some(gap) = &mut last.gap {
            gap.await;
        }
        last.gap = Some(Box::pin(tokio::time::sleep(GAP)));
        last.serves = self.asked.load(Ordering::SeqCst);
        let electorate = self.electorate.clone();
        let round = async move {
            let confirmed = tokio::time::timeout(ROUND_LIMIT, electorate.confirm()).await;
            confirmed.unwrap_or(Err(NotLeading::NoQuorum))
        };
        let round = round.boxed().shared();
        last.round = Some(round.clone());
        round
    }
}

/// Who says whether this node leads.
#[derive(Clone)]
struct Electorate {
    own: NodeNumber,
    raft: Raft,
    networks: Networks,
    /// What is under way to each voter.
    probed: Arc<parking_lot::Mutex<BTreeMap<u64, Probed>>>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Probed {
    under_way: usize,
    /// It could not be reached a moment ago.
    rests: bool,
}

impl Electorate {
    /// One round.
    async fn confirm(self) -> Result<LogId, NotLeading> {
        #[cfg(simulation)]
        if is_made(Mutation::QuorumBorrowed) {
            return self.taken(Some(Duration::ZERO)).await;
        }
        // Before the index: who confirms this vote later confirms that it held then, and
        // that it did here is seen afterwards.
        let before = self.lead()?;
        // By openraft's lease: it spares a round where it would be refused anyway.
        let read_index = self.taken(None).await?;
        self.ask(before.vote, &before.membership).await?;
        let after = self.lead()?;
        if after.vote != before.vote {
            return Err(NotLeading::Elsewhere);
        }
        // Two changes on, quorums of the former one bind nobody.
        if after.membership.log_id() != before.membership.log_id() {
            return Err(NotLeading::Members);
        }
        Ok(read_index)
    }

    /// openraft's read index.
    async fn taken(&self, max_quorum_ack_age: Option<Duration>) -> Result<LogId, NotLeading> {
        let option = LinearizerOption::new(max_quorum_ack_age, true).with_wait_timeout(ROUND_LIMIT);
        let linearizer = self.raft.get_read_linearizer(option).await;
        let linearizer = linearizer.map_err(|error| NotLeading::Raft(error.to_string()))?;
        Ok(*linearizer.read_log_id().log_id())
    }

    /// What this node leads by, of one moment.
    fn lead(&self) -> Result<Lead, NotLeading> {
        let metrics = self.raft.metrics();
        let metrics = metrics.borrow_watched();
        let vote = metrics.vote;
        if !vote.committed || vote.leader_id.node_id != self.own.0 {
            return Err(NotLeading::Elsewhere);
        }
        let membership = metrics.membership_config.clone();
        Ok(Lead { vote, membership })
    }

    /// Asks every voter to take an empty append, until a quorum of each configuration did.
    async fn ask(&self, vote: Vote, membership: &StoredMembership) -> Result<(), NotLeading> {
        let configurations = membership.membership().get_joint_config();
        let (taken, mut taking) = mpsc::unbounded_channel();
        for voter in membership.voter_ids().filter(|voter| *voter != self.own.0) {
            if let Some(record) = membership.membership().get_node(&voter) {
                self.probe(voter, record, vote, taken.clone());
            }
        }
        // It ends when the last probe has.
        drop(taken);
        let mut taken_by = BTreeSet::from([self.own.0]);
        while !is_quorum(configurations, &taken_by) {
            let voter = taking.recv().await.ok_or(NotLeading::NoQuorum)?;
            taken_by.insert(voter);
        }
        Ok(())
    }

    /// Asks one voter, to the end: a stream that is reset when others have answered costs
    /// its connection more than one that is not. A voter that does not answer, or cannot
    /// be reached, is passed over by most rounds: it counts for none.
    fn probe(
        &self,
        voter: u64,
        record: &PeerRecord,
        vote: Vote,
        taken: mpsc::UnboundedSender<u64>,
    ) {
        {
            let mut probed = self.probed.lock();
            let probed = probed.entry(voter).or_default();
            if probed.rests || probed.under_way >= MOST_PROBES {
                return;
            }
            probed.under_way += 1;
        }
        let network = self.networks.to_control(voter, record);
        let probed = self.probed.clone();
        tokio::spawn(async move {
            let answer = tokio::time::timeout(ROUND_LIMIT, takes(network, vote)).await;
            let is_unreachable = matches!(answer, Ok(None));
            if let Ok(Some(true)) = answer {
                // Nobody waits for it any more when a quorum was there before.
                let _ = taken.send(voter);
            }
            drop(taken);
            let rest = |rests: bool| {
                let mut probed = probed.lock();
                if let Some(probed) = probed.get_mut(&voter) {
                    probed.rests = rests;
                }
            };
            if is_unreachable {
                rest(true);
                tokio::time::sleep(REST).await;
                rest(false);
            }
            if let Some(probed) = probed.lock().get_mut(&voter) {
                probed.under_way -= 1;
            }
        });
    }
}

struct Lead {
    vote: Vote,
    membership: Arc<StoredMembership>,
}

/// Whether a voter takes an empty append of that vote, and is bound to no later one then;
/// `None`: it cannot be reached.
async fn takes(mut network: Network, vote: Vote) -> Option<bool> {
    let nothing = AppendEntriesRequest {
        vote,
        prev_log_id: None,
        entries: Vec::new(),
        leader_commit: None,
    };
    let answer = network.append_entries(nothing, RPCOption::new(ROUND_LIMIT));
    Some(matches!(
        answer.await.ok()?,
        AppendEntriesResponse::Success
            | AppendEntriesResponse::PartialSuccess(_)
            | AppendEntriesResponse::Conflict
    ))
}

/// A majority of each.
fn is_quorum(configurations: &[BTreeSet<u64>], taken_by: &BTreeSet<u64>) -> bool {
    configurations.iter().all(|configuration| {
        let taken = configuration.intersection(taken_by).count();
        taken * 2 > configuration.len()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quorum_is_a_majority_of_each_configuration() {
        let set = |numbers: &[u64]| numbers.iter().copied().collect::<BTreeSet<_>>();
        assert!(is_quorum(&[set(&[1])], &set(&[1])));
        assert!(!is_quorum(&[set(&[1, 2])], &set(&[1])));
        assert!(is_quorum(&[set(&[1, 2, 3])], &set(&[1, 3])));
        assert!(!is_quorum(&[set(&[1, 2, 3, 4])], &set(&[1, 3])));
        // Who is no voter counts for nothing, this node included.
        assert!(!is_quorum(&[set(&[2, 3])], &set(&[1, 2])));
        let joint = [set(&[1, 2, 3]), set(&[3, 4, 5])];
        assert!(!is_quorum(&joint, &set(&[1, 2, 3])));
        assert!(is_quorum(&joint, &set(&[1, 3, 4])));
    }
}
