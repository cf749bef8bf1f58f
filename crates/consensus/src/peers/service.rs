//! What a node does for its peers. Each request is held against the key that its
//! connection proved: the number that it claims must be the number that the key
//! stands for at this moment.

use std::{collections::BTreeSet, pin::Pin, sync::Arc, time::Duration};

use chancery_credential::{NodeNumber, Revision};
use chancery_storage::StateStore;
use chancery_wire::peer::{self as pb, peer_service_server::PeerService};
use futures::{Stream, StreamExt, TryStreamExt};
use openraft::async_runtime::watch::WatchReceiver as _;
use parking_lot::Mutex;
use tokio::sync::Semaphore;
use tonic::{Request, Response, Status, Streaming};

use super::{book::PeerBook, listener::ProvedKey, receive_snapshot};
use crate::{
    codec::{self, peer as peer_codec, raft as raft_codec},
    fence::{Enforcement, Fence, Report, Reporter, Wait},
    freshness::{ProofRefused, Prover},
    membership::{Asked, ChangeError, Members, answered},
    outcome::ProposeError,
    propose::{Forwarded, Proposer},
    raft::{Raft, Vote},
    release::Hold,
    transfers::Transfers,
};

/// How long the leader works on a forwarded command when the node that forwards it
/// does not say. It says so always, by the deadline of its call.
const FORWARDED_LIMIT: Duration = Duration::from_secs(30);
/// The longest that the leader waits for a change to be in force, whoever asks.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// The service behind the listener for peers.
pub(crate) struct Peers {
    pub(crate) raft: Raft,
    pub(crate) book: Arc<PeerBook>,
    pub(crate) store: StateStore,
    pub(crate) prover: Arc<Prover>,
    pub(crate) proposer: Arc<Proposer>,
    pub(crate) fence: Arc<Fence>,
    pub(crate) reporter: Arc<Reporter>,
    pub(crate) members: Arc<Members>,
    /// Who is asking for a change of the membership.
    pub(crate) asking: Arc<Mutex<BTreeSet<NodeNumber>>>,
    /// Rows of one snapshot at a time are taken in.
    pub(crate) receiving: Arc<Semaphore>,
    pub(crate) transfers: Arc<Transfers>,
    pub(crate) _hold: Hold,
}

/// Who sent it: the number that the connection's key stands for, if the request
/// claims the same.
fn sender<T>(book: &PeerBook, request: &Request<T>, claimed: u64) -> Result<NodeNumber, Status> {
    let number = proved(book, proved_key(request)?)?;
    claims(number, claimed)?;
    Ok(number)
}

fn proved_key<T>(request: &Request<T>) -> Result<ProvedKey, Status> {
    request
        .extensions()
        .get::<ProvedKey>()
        .cloned()
        .ok_or_else(|| Status::unauthenticated("the connection proved no key"))
}

fn proved(book: &PeerBook, key: ProvedKey) -> Result<NodeNumber, Status> {
    key.number(book).ok_or_else(|| {
        Status::permission_denied(
            "the key that this connection proved is no peer's (any more): admit the node, or \
             give it a fresh admission file",
        )
    })
}

fn claims(proved: NodeNumber, claimed: u64) -> Result<(), Status> {
    if proved.0 == claimed {
        Ok(())
    } else {
        Err(Status::permission_denied(format!(
            "the request says node {claimed}, and its key is node {proved}'s"
        )))
    }
}

/// Raft believes that a vote is of whom it names, and that this one was elected or
/// stands for election. So it must name who sends it, and that must be a voter: a
/// learner, or a peer in another's name, is nobody to follow.
fn speaks_for_itself(book: &PeerBook, from: NodeNumber, vote: &Vote) -> Result<(), Status> {
    let named = vote.leader_id.node_id;
    if named != from.0 {
        return Err(Status::permission_denied(format!(
            "node {from} brings a vote of node {named}"
        )));
    }
    if book.may_lead(from) {
        Ok(())
    } else {
        Err(Status::permission_denied(format!(
            "node {from} is no voter, as far as this node knows, so it cannot lead"
        )))
    }
}

/// Entries and snapshots come from leaders only.
fn is_elected(vote: &Vote) -> Result<(), Status> {
    if vote.committed {
        Ok(())
    } else {
        Err(Status::invalid_argument(
            "a candidate's vote, where only a leader's will do",
        ))
    }
}

impl Peers {
    /// The number that a request is of, with the key that the applied state knows it by.
    /// A key that a command has replaced proves its number for as long as the membership
    /// maps it, which Raft goes by: but nobody acts by it on what the record says.
    fn stands_in_the_record(&self, from: NodeNumber, key: &ProvedKey) -> Result<(), String> {
        let state = self.proposer.published.state.read();
        match state.node(from) {
            Some(node) if node.peer_key.spki() != &*key.0 => Err(format!(
                "node {from} comes with a key that was replaced: it is heard with the new one"
            )),
            _ => Ok(()),
        }
    }
}

fn invalid(error: codec::Undecodable) -> Status {
    Status::invalid_argument(error.to_string())
}

fn stopped(error: impl std::fmt::Display) -> Status {
    Status::unavailable(format!("Raft has stopped here: {error}"))
}

#[tonic::async_trait]
impl PeerService for Peers {
    type AppendStream = Pin<Box<dyn Stream<Item = Result<pb::AppendResponse, Status>> + Send>>;

    async fn append(
        &self,
        request: Request<Streaming<pb::AppendRequest>>,
    ) -> Result<Response<Self::AppendStream>, Status> {
        let (key, book) = (proved_key(&request)?, self.book.clone());
        proved(&book, key.clone())?;
        // A request that is refused or not understood ends the stream: what came
        // before it is answered, then the refusal is, and nothing after it is read.
        let refused: Arc<Mutex<Option<Status>>> = Arc::default();
        let (refusal, reporter) = (refused.clone(), self.reporter.clone());
        let requests = request
            .into_inner()
            .map(move |request| {
                let request = request?;
                let from = proved(&book, key.clone())?;
                claims(from, request.from)?;
                let awaited = request.awaited;
                let request = peer_codec::read_append(request).map_err(invalid)?;
                is_elected(&request.vote)?;
                speaks_for_itself(&book, from, &request.vote)?;
                if awaited {
                    reporter.want(peer_codec::reaches(&request));
                }
                Ok(request)
            })
            .map_err(move |status| *refusal.lock() = Some(status))
            .take_while(|request| futures::future::ready(request.is_ok()))
            .filter_map(|request| futures::future::ready(request.ok()));
        let answers = self.raft.stream_append(requests).map(|answer| {
            answer
                .map(|result| peer_codec::appended(&result))
                .map_err(stopped)
        });
        let last = futures::stream::once(async move { refused.lock().take() })
            .filter_map(|status| futures::future::ready(status.map(Err)));
        Ok(Response::new(Box::pin(answers.chain(last))))
    }

    async fn vote(
        &self,
        request: Request<pb::VoteRequest>,
    ) -> Result<Response<pb::VoteResponse>, Status> {
        let from = sender(&self.book, &request, request.get_ref().from)?;
        let request = peer_codec::read_vote_request(request.into_inner()).map_err(invalid)?;
        speaks_for_itself(&self.book, from, &request.vote)?;
        let response = self.raft.vote(request).await.map_err(stopped)?;
        Ok(Response::new(peer_codec::voted(&response)))
    }

    async fn pre_vote(
        &self,
        request: Request<pb::VoteRequest>,
    ) -> Result<Response<pb::VoteResponse>, Status> {
        let from = sender(&self.book, &request, request.get_ref().from)?;
        let request = peer_codec::read_vote_request(request.into_inner()).map_err(invalid)?;
        speaks_for_itself(&self.book, from, &request.vote)?;
        let response = self.raft.pre_vote(request).await.map_err(stopped)?;
        Ok(Response::new(peer_codec::voted(&response)))
    }

    async fn transfer_leader(
        &self,
        request: Request<pb::TransferLeaderRequest>,
    ) -> Result<Response<pb::TransferLeaderResponse>, Status> {
        let from = sender(&self.book, &request, request.get_ref().from)?;
        let request = peer_codec::read_transfer(request.into_inner()).map_err(invalid)?;
        speaks_for_itself(&self.book, from, request.from_leader())?;
        let response = self
            .raft
            .handle_transfer_leader(request)
            .await
            .map_err(stopped)?;
        Ok(Response::new(peer_codec::transferred(&response)))
    }

    async fn install_snapshot(
        &self,
        request: Request<Streaming<pb::SnapshotChunk>>,
    ) -> Result<Response<pb::SnapshotResponse>, Status> {
        let key = proved_key(&request)?;
        let from = proved(&self.book, key.clone())?;
        let _turn = self.receiving.try_acquire().map_err(|_| {
            Status::resource_exhausted("another snapshot is being received; try again")
        })?;
        let chunks = request.into_inner();
        let may_send = |vote: &Vote| {
            proved(&self.book, key.clone())?;
            is_elected(vote)?;
            speaks_for_itself(&self.book, from, vote)
        };
        let (store, lineage) = (self.store.clone(), self.prover.published.view.lineage());
        let (vote, snapshot) =
            receive_snapshot::receive(store, lineage, from, &self.transfers, may_send, chunks)
                .await?;
        tracing::info!(%from, meta = %snapshot.meta, "a snapshot was received");
        let response = self
            .raft
            .install_full_snapshot(vote, snapshot)
            .await
            .map_err(stopped)?;
        Ok(Response::new(pb::SnapshotResponse {
            vote: Some(raft_codec::vote(&response.vote)),
        }))
    }

    async fn prove_fresh(
        &self,
        request: Request<pb::ProveFreshRequest>,
    ) -> Result<Response<pb::ProveFreshResponse>, Status> {
        let from = sender(&self.book, &request, request.get_ref().from)?;
        self.stands_in_the_record(from, &proved_key(&request)?)
            .map_err(Status::failed_precondition)?;
        let wall_ms = request.get_ref().wall_ms;
        if let Some(said) = &request.get_ref().state_digest {
            let (at, digest) = peer_codec::read_state_digest(said).map_err(invalid)?;
            self.prover.comparison.hear(from, at, digest);
        }
        let report = read_report(request.get_ref().report)?;
        self.fence.hear(from, report);
        match self.prover.answer(from, report.process, wall_ms).await {
            Ok(answer) => Ok(Response::new(pb::ProveFreshResponse {
                read_index: Some(raft_codec::log_id(&answer.read_index)),
                freshness_ms: answer.freshness_ms,
                compare_at: answer.compare_at.map(|at| at.0),
            })),
            Err(refused @ ProofRefused::NotNow(_)) => Err(Status::unavailable(refused.to_string())),
            Err(refused @ ProofRefused::NotThisNode(_)) => {
                Err(Status::failed_precondition(refused.to_string()))
            }
        }
    }

    async fn report_applied(
        &self,
        request: Request<pb::ReportAppliedRequest>,
    ) -> Result<Response<pb::ReportAppliedResponse>, Status> {
        let from = sender(&self.book, &request, request.get_ref().from)?;
        self.stands_in_the_record(from, &proved_key(&request)?)
            .map_err(Status::permission_denied)?;
        let request = request.get_ref();
        let report = read_report(request.report)?;
        match request.ended_in {
            None => self.fence.hear(from, report),
            Some(term) if self.fence.end(from, report, term) => {}
            Some(term) => {
                return Err(Status::unavailable(format!(
                    "this node does not lead in term {term}, or not yet"
                )));
            }
        }
        Ok(Response::new(pb::ReportAppliedResponse {}))
    }

    async fn await_enforced(
        &self,
        request: Request<pb::AwaitEnforcedRequest>,
    ) -> Result<Response<pb::AwaitEnforcedResponse>, Status> {
        sender(&self.book, &request, request.get_ref().from)?;
        let request = request.get_ref();
        let within = Duration::from_millis(request.within_ms).min(LONGEST_WAIT);
        let (revision, wait) = (Revision(request.revision), Wait::read(request.wait));
        let told = self.fence.wait(revision, wait, within).await;
        Ok(Response::new(pb::AwaitEnforcedResponse {
            enforcement: told.as_ref().map(Enforcement::wire),
        }))
    }

    async fn propose(
        &self,
        request: Request<pb::ProposeRequest>,
    ) -> Result<Response<pb::ProposeResponse>, Status> {
        use pb::propose_response::Outcome;
        let from = sender(&self.book, &request, request.get_ref().from)?;
        if let Err(why) = self.stands_in_the_record(from, &proved_key(&request)?) {
            return Ok(Response::new(pb::ProposeResponse {
                outcome: Some(Outcome::Refused(why)),
            }));
        }
        let pb::ProposeRequest {
            proposal,
            retried,
            awaited,
            ..
        } = request.into_inner();
        let (command, meta) = codec::decode_proposal(proposal).map_err(invalid)?;
        let forwarded = Forwarded {
            from,
            command,
            meta,
            retried,
            awaited,
        };
        let outcome = match self.proposer.take(forwarded, FORWARDED_LIMIT).await {
            Ok(outcome) => Outcome::Decided(codec::encode_outcome(&outcome)),
            Err(ProposeError::Unavailable { leader, .. }) => Outcome::NotLeader(not_leader(leader)),
            Err(ProposeError::Unknown(why)) => Outcome::Unknown(why),
            Err(error @ (ProposeError::TooLarge { .. } | ProposeError::Refused(_))) => {
                Outcome::Refused(error.to_string())
            }
            Err(ProposeError::Stopped) => Outcome::NotLeader(not_leader(None)),
        };
        Ok(Response::new(pb::ProposeResponse {
            outcome: Some(outcome),
        }))
    }

    async fn change_membership(
        &self,
        request: Request<pb::ChangeMembershipRequest>,
    ) -> Result<Response<pb::ChangeMembershipResponse>, Status> {
        let from = sender(&self.book, &request, request.get_ref().from)?;
        self.stands_in_the_record(from, &proved_key(&request)?)
            .map_err(Status::permission_denied)?;
        self.proposer
            .may_forward(from)
            .map_err(|error| Status::permission_denied(error.to_string()))?;
        let asked = Asked::read(request.get_ref())
            .ok_or_else(|| Status::invalid_argument("a change that this build does not know"))?;
        let outcome = match Asking::begin(&self.asking, from) {
            Some(_asking) => self.members.change_here(asked).await,
            None => Err(ChangeError::NotYet(format!(
                "node {from} is asking for another change, and has one turn at a time: ask again"
            ))),
        };
        Ok(Response::new(pb::ChangeMembershipResponse {
            outcome: Some(answered(outcome)),
        }))
    }

    async fn introduce(
        &self,
        request: Request<pb::IntroduceRequest>,
    ) -> Result<Response<pb::IntroduceResponse>, Status> {
        sender(&self.book, &request, request.get_ref().from)?;
        let metrics = self.raft.metrics();
        // The effective one: keys and voters count from when they are appended.
        let membership = metrics.borrow_watched().membership_config.clone();
        Ok(Response::new(pb::IntroduceResponse {
            membership: Some(raft_codec::stored_membership(&membership)),
        }))
    }
}

/// The one turn of a peer to ask for a change: nobody fills the line in which what
/// operators want waits.
struct Asking {
    all: Arc<Mutex<BTreeSet<NodeNumber>>>,
    peer: NodeNumber,
}

impl Asking {
    fn begin(all: &Arc<Mutex<BTreeSet<NodeNumber>>>, peer: NodeNumber) -> Option<Self> {
        let all = all.clone();
        let is_first = all.lock().insert(peer);
        is_first.then_some(Self { all, peer })
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        self.all.lock().remove(&self.peer);
    }
}

fn read_report(report: Option<pb::Report>) -> Result<Report, Status> {
    report
        .and_then(Report::read)
        .ok_or_else(|| Status::invalid_argument("a report that names no process"))
}

fn not_leader(leader: Option<NodeNumber>) -> pb::NotLeader {
    pb::NotLeader {
        leader: leader.map_or(0, |number| number.0),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_asks_for_one_change_at_a_time_and_keeps_no_other_from_it() {
        let all = Arc::default();
        let first = Asking::begin(&all, NodeNumber(2)).unwrap();
        assert!(Asking::begin(&all, NodeNumber(2)).is_none());
        assert!(Asking::begin(&all, NodeNumber(3)).is_some());
        drop(first);
        assert!(Asking::begin(&all, NodeNumber(2)).is_some());
    }
}
