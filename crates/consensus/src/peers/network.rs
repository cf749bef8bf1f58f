//! openraft's way to other nodes: its requests over gRPC. Every failure of the
//! transport is an error, never an answer.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use chancery_credential::NodeNumber;
use futures::{Stream, StreamExt};
use openraft::{
    AnyError, OptionalSend,
    base::{BoxFuture, BoxStream},
    errors::{NetworkError, RPCError, ReplicationClosed, StreamingError, Timeout, Unreachable},
    network::{Backoff, RPCOption, RPCTypes, RaftNetworkFactory, RaftNetworkV2},
    raft::{
        AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, StreamAppendResult,
        TransferLeaderRequest, TransferLeaderResponse, VoteRequest, VoteResponse,
    },
};
use tonic::Status;

use super::{
    book::PeerBook,
    dialer::{Dialer, Lane, PeerClient},
    send_snapshot,
};
use crate::{
    codec::{Undecodable, peer as codec},
    fence::Awaited,
    peer_record::PeerRecord,
    raft::{Snapshot, Types, Vote},
    state_machine::SnapshotSource,
    transfers::Transfers,
};

type Rpc<T> = Result<T, RPCError<Types>>;

/// How long a stream of entries may wait for an answer that it is owed. Beyond a
/// slow disk, below patience: the stream is then opened anew.
const ANSWER_LIMIT: Duration = Duration::from_secs(3);
/// How long to leave a peer alone that could not be reached, at first and at most.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_millis(200);

/// Makes one [`Network`] for each peer and purpose.
#[derive(Clone)]
pub(crate) struct Networks {
    pub(crate) own: NodeNumber,
    pub(crate) dialer: Arc<Dialer>,
    pub(crate) book: Arc<PeerBook>,
    pub(crate) transfers: Arc<Transfers>,
    pub(crate) awaited: Arc<Awaited>,
}

impl RaftNetworkFactory<Types> for Networks {
    type Network = Network;

    async fn new_client(&mut self, target: u64, node: &PeerRecord) -> Network {
        self.network(target, node, Lane::Entries)
    }

    async fn new_heartbeat_client(&mut self, target: u64, node: &PeerRecord) -> Network {
        self.network(target, node, Lane::Control)
    }

    async fn new_snapshot_client(&mut self, target: u64, node: &PeerRecord) -> Network {
        self.network(target, node, Lane::Snapshots)
    }
}

impl Networks {
    /// For something short, beside what openraft says.
    pub(crate) fn to_control(&self, target: u64, node: &PeerRecord) -> Network {
        self.network(target, node, Lane::Control)
    }

    fn network(&self, target: u64, record: &PeerRecord, lane: Lane) -> Network {
        Network {
            own: self.own,
            target: NodeNumber(target),
            record: record.clone(),
            lane,
            dialer: self.dialer.clone(),
            book: self.book.clone(),
            transfers: self.transfers.clone(),
            awaited: self.awaited.clone(),
            pause: FIRST_PAUSE,
        }
    }
}

/// One peer, for one purpose.
#[derive(Clone)]
pub(crate) struct Network {
    own: NodeNumber,
    target: NodeNumber,
    record: PeerRecord,
    /// For entries; everything short goes over the control lane.
    lane: Lane,
    dialer: Arc<Dialer>,
    book: Arc<PeerBook>,
    transfers: Arc<Transfers>,
    awaited: Arc<Awaited>,
    /// How long to leave the peer alone if the next stream cannot be opened.
    pause: Duration,
}

impl Network {
    fn client(&self, lane: Lane) -> Rpc<PeerClient> {
        // As it is known now: openraft keeps what it made when the key was another.
        let known = self.book.record_of(self.target);
        let record = known.as_ref().unwrap_or(&self.record);
        self.dialer
            .client(self.target, record, lane)
            .map_err(|error| RPCError::Unreachable(Unreachable::new(&error)))
    }

    /// Holds back the news that entries could not be sent, longer each time: openraft
    /// pauses while it *sends* and asks again at once when nothing was taken, which
    /// at a peer that refuses connections would be thousands of times a second.
    /// Heartbeats are paced by their own clock.
    async fn paced<T>(&mut self, opened: Rpc<T>) -> Rpc<T> {
        match (&opened, self.lane) {
            (Ok(_), _) => self.pause = FIRST_PAUSE,
            (Err(_), Lane::Entries) => {
                tokio::time::sleep(self.pause).await;
                self.pause = longer(self.pause);
            }
            (Err(_), _) => {}
        }
        opened
    }

    /// One short request, within its time.
    async fn call<T>(
        &self,
        action: RPCTypes,
        option: &RPCOption,
        call: impl Future<Output = Result<tonic::Response<T>, Status>>,
    ) -> Rpc<T> {
        let limit = option.soft_ttl();
        match tokio::time::timeout(limit, call).await {
            Ok(Ok(response)) => Ok(response.into_inner()),
            Ok(Err(status)) => Err(unreachable(&status)),
            Err(_) => Err(RPCError::Timeout(Timeout {
                action,
                id: self.own.0,
                target: self.target.0,
                timeout: limit,
            })),
        }
    }
}

fn unreachable(status: &Status) -> RPCError<Types> {
    RPCError::Unreachable(Unreachable::new(status))
}

fn undecodable(error: Undecodable) -> RPCError<Types> {
    RPCError::Network(NetworkError::new(&error))
}

impl RaftNetworkV2<Types> for Network {
    type SnapshotData = SnapshotSource;

    async fn append_entries(
        &mut self,
        request: AppendEntriesRequest<Types>,
        option: RPCOption,
    ) -> Rpc<AppendEntriesResponse<Types>> {
        let input = futures::stream::iter([request]);
        let mut answers = self.stream_append(input, option).await?;
        let answer = answers.next().await;
        // To its end: a stream that is dropped before is reset.
        while let Some(Ok(_)) = answers.next().await {}
        match answer {
            Some(answer) => Ok(AppendEntriesResponse::from(answer?)),
            None => Err(unreachable(&Status::unavailable(
                "the peer closed the stream",
            ))),
        }
    }

    fn stream_append<'s, S>(
        &'s mut self,
        input: S,
        option: RPCOption,
    ) -> BoxFuture<'s, Rpc<BoxStream<'s, Rpc<StreamAppendResult<Types>>>>>
    where
        S: Stream<Item = AppendEntriesRequest<Types>> + OptionalSend + Unpin + 'static,
    {
        Box::pin(async move {
            let mut client = self.client(self.lane)?;
            let owed = Arc::new(AtomicU64::new(0));
            let (own, counted, awaited) = (self.own.0, owed.clone(), self.awaited.clone());
            let requests = input.map(move |request| {
                counted.fetch_add(1, Ordering::Relaxed);
                codec::append(own, request, awaited.is_awaited())
            });
            let call = client.append(requests);
            let opened = self
                .call(RPCTypes::AppendEntries, &setup(&option), call)
                .await;
            let answers = self.paced(opened).await?;
            let answers = answers.map(|answer| match answer {
                Ok(answer) => codec::read_appended(answer).map_err(undecodable),
                Err(status) => Err(unreachable(&status)),
            });
            Ok(Box::pin(within_limit(answers, owed)) as BoxStream<'s, _>)
        })
    }

    async fn vote(
        &mut self,
        request: VoteRequest<Types>,
        option: RPCOption,
    ) -> Rpc<VoteResponse<Types>> {
        let mut client = self.client(Lane::Control)?;
        let call = client.vote(codec::vote_request(self.own.0, &request));
        let response = self.call(RPCTypes::Vote, &option, call).await?;
        codec::read_voted(response).map_err(undecodable)
    }

    /// Unlike openraft's default, which grants: a peer that cannot be reached has
    /// granted nothing.
    async fn pre_vote(
        &mut self,
        request: VoteRequest<Types>,
        option: RPCOption,
    ) -> Rpc<VoteResponse<Types>> {
        let mut client = self.client(Lane::Control)?;
        let call = client.pre_vote(codec::vote_request(self.own.0, &request));
        let response = self.call(RPCTypes::Vote, &option, call).await?;
        codec::read_voted(response).map_err(undecodable)
    }

    async fn full_snapshot(
        &mut self,
        vote: Vote,
        snapshot: Snapshot,
        cancel: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        option: RPCOption,
    ) -> Result<SnapshotResponse<Types>, StreamingError<Types>> {
        let client = self.client(Lane::Snapshots)?;
        let way = send_snapshot::Way {
            own: self.own,
            to: self.target,
            transfers: &self.transfers,
        };
        let sending = send_snapshot::send(client, way, vote, snapshot, option.soft_ttl());
        tokio::select! {
            closed = cancel => Err(StreamingError::Closed(closed)),
            sent = sending => sent.map_err(|error| {
                StreamingError::Unreachable(Unreachable::new(&AnyError::new(&error)))
            }),
        }
    }

    async fn transfer_leader(
        &mut self,
        request: TransferLeaderRequest<Types>,
        option: RPCOption,
    ) -> Rpc<TransferLeaderResponse<Types>> {
        let mut client = self.client(Lane::Control)?;
        let call = client.transfer_leader(codec::transfer(self.own.0, &request));
        let response = self.call(RPCTypes::TransferLeader, &option, call).await?;
        codec::read_transferred(response).map_err(undecodable)
    }

    fn backoff(&self) -> Option<Backoff> {
        let pauses = std::iter::successors(Some(FIRST_PAUSE), |pause| Some(longer(*pause)));
        Some(Backoff::new(pauses))
    }
}

fn longer(pause: Duration) -> Duration {
    (pause * 2).min(LONGEST_PAUSE)
}

/// To open a stream may include connecting, which a heartbeat's time is too short
/// for; a heartbeat's own worker holds it to that time.
fn setup(option: &RPCOption) -> RPCOption {
    RPCOption::new(option.hard_ttl().max(ANSWER_LIMIT))
}

/// Ends a stream whose peer owes an answer for too long. A stream that nothing was
/// sent on may be silent for as long as it likes.
fn within_limit<T: Send + 'static>(
    answers: impl Stream<Item = Rpc<T>> + Send + Unpin + 'static,
    owed: Arc<AtomicU64>,
) -> impl Stream<Item = Rpc<T>> + Send + 'static {
    futures::stream::unfold(Some(answers), move |answers| {
        let owed = owed.clone();
        async move {
            let mut answers = answers?;
            loop {
                let before = owed.load(Ordering::Relaxed);
                match tokio::time::timeout(ANSWER_LIMIT, answers.next()).await {
                    Ok(None) => return None,
                    Ok(Some(Err(error))) => return Some((Err(error), None)),
                    Ok(Some(Ok(answer))) => {
                        // An answer without a request would be the peer's fault; the
                        // count only decides how long to wait.
                        let paid = |owed: u64| owed.checked_sub(1);
                        let _ = owed.fetch_update(Ordering::Relaxed, Ordering::Relaxed, paid);
                        return Some((Ok(answer), Some(answers)));
                    }
                    Err(_) if before == 0 => {}
                    Err(_) => {
                        let late = Status::deadline_exceeded("the peer owes an answer");
                        return Some((Err(unreachable(&late)), None));
                    }
                }
            }
        }
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::{io, net::IpAddr};

    use openraft::network::RPCOption;

    use super::*;
    use crate::peers::{
        tls::PeerIdentity,
        transport::{Connection, Later, Transport},
    };
    use crate::{peers::book::Admission, raft::StoredMembership};

    /// A peer whose process is gone; counts who calls.
    #[derive(Default)]
    struct Refusing(AtomicU64);

    impl Transport for Refusing {
        fn dial<'a>(&'a self, _: &'a str) -> Later<'a, io::Result<Box<dyn Connection>>> {
            self.0.fetch_add(1, Ordering::Relaxed);
            Box::pin(async { Err(io::ErrorKind::ConnectionRefused.into()) })
        }

        fn accept(&self) -> Later<'_, io::Result<(Box<dyn Connection>, IpAddr)>> {
            Box::pin(std::future::pending())
        }
    }

    /// As openraft does: at once again.
    async fn try_on_and_on(mut network: Network) {
        loop {
            let option = RPCOption::new(Duration::from_millis(60));
            let opened = network
                .stream_append(futures::stream::pending(), option)
                .await;
            assert!(opened.is_err());
        }
    }

    #[tokio::test]
    async fn a_peer_that_refuses_connections_is_left_alone_for_longer_each_time() {
        let key = rcgen::KeyPair::generate().unwrap().serialize_der();
        let identity = PeerIdentity::from_pkcs8(&key).unwrap();
        let record = PeerRecord {
            name: "gone".into(),
            peer_address: "127.0.0.1:1".into(),
            api_address: "127.0.0.1:2".into(),
            peer_public_key: identity.spki().to_vec(),
        };
        let refusing = Arc::new(Refusing::default());
        let mut networks = Networks {
            own: NodeNumber(1),
            dialer: Arc::new(Dialer::new(identity, refusing.clone())),
            book: Arc::new(PeerBook::new(
                Admission::default(),
                StoredMembership::default(),
            )),
            transfers: Arc::default(),
            awaited: Arc::default(),
        };
        let entries = networks.new_client(2, &record).await;
        // After 0, 20, 60 and 140 ms; later on a busy machine, never sooner.
        let trying = tokio::time::timeout(LONGEST_PAUSE, try_on_and_on(entries));
        assert!(trying.await.is_err());
        let calls = refusing.0.load(Ordering::Relaxed);
        assert!((1..=4).contains(&calls), "{calls} calls");
    }
}
