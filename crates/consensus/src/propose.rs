//! Getting a command into the log: on the leader directly, elsewhere by one hop
//! to the leader. What is sent twice is carried out once, by its request id; what
//! may have been sent is never said not to have been.

use std::{sync::Arc, time::Duration};

use chancery_authority::{Actor, Command, Meta, Stamp, Stamped};
use chancery_credential::NodeNumber;
use chancery_wire::peer as pb;
use openraft::errors::{ClientWriteError, RaftError};

use crate::{
    clock::{Clocks, Entropy},
    codec,
    command::EncodedCommand,
    fence::Awaited,
    foresight::Foresight,
    outcome::{Outcome, Proposal, ProposeError},
    peers::{
        book::PeerBook,
        dialer::{Dialer, Lane},
        limits::MAX_COMMAND_BYTES,
    },
    published::Published,
    raft::Raft,
    reply::Reply,
    skew::Skew,
    status::{leader_of, voters_of},
};

/// How long to wait before the next attempt: about the time in which an election
/// moves on.
const PAUSE: Duration = Duration::from_millis(25);

/// A command that a peer hands to this node, which it believes to lead.
pub(crate) struct Forwarded {
    /// The number that the peer's key proved.
    pub(crate) from: NodeNumber,
    pub(crate) command: Command,
    pub(crate) meta: Meta,
    /// Whether its caller sent it before.
    pub(crate) retried: bool,
    /// Whether its caller waits until it is in force.
    pub(crate) awaited: bool,
}

/// How an attempt is made.
#[derive(Clone, Copy)]
struct Manner {
    retried: bool,
    awaited: bool,
}

/// One attempt that was not the last word.
enum Attempt {
    /// Nothing was appended; it can be tried again.
    Again(String),
    Failed(ProposeError),
}

pub(crate) struct Proposer {
    pub(crate) own: NodeNumber,
    pub(crate) raft: Raft,
    pub(crate) published: Arc<Published>,
    pub(crate) book: Arc<PeerBook>,
    pub(crate) dialer: Arc<Dialer>,
    pub(crate) clocks: Arc<dyn Clocks>,
    pub(crate) entropy: Arc<dyn Entropy>,
    pub(crate) skew: Arc<Skew>,
    pub(crate) foresight: Foresight,
    pub(crate) awaited: Arc<Awaited>,
}

impl Proposer {
    /// Proposes on behalf of a caller of this node, and answers when this node has
    /// applied the outcome.
    pub(crate) async fn propose(
        &self,
        proposal: Proposal,
        within: Duration,
    ) -> Result<Outcome, ProposeError> {
        let Proposal {
            command,
            actor,
            key,
            authorised_at,
            reason,
            request,
            retried,
            awaited,
        } = proposal;
        let manner = Manner { retried, awaited };
        let digest = codec::command_digest(&command);
        let meta = Meta {
            actor,
            key,
            via: self.own,
            authorised_at,
            reason,
            request,
            digest,
        };
        check_size(&command, &meta)?;
        let began = self.clocks.boot();
        let attempts = self.attempts(&command, &meta, manner, within);
        let outcome = self.timed(within, attempts).await?;
        let passed = self.clocks.boot().since(began).unwrap_or_default();
        let left = within.saturating_sub(passed).max(PAUSE);
        let applied = self.published.reach(outcome.revision, left).await;
        if !applied {
            let revision = outcome.revision;
            let reason =
                format!("it stands at revision {revision}, which this node has not applied");
            return Err(ProposeError::Unknown(reason));
        }
        Ok(outcome)
    }

    /// Takes a command that a peer forwarded. It is never forwarded again.
    pub(crate) async fn take(
        &self,
        forwarded: Forwarded,
        within: Duration,
    ) -> Result<Outcome, ProposeError> {
        let Forwarded {
            from,
            command,
            mut meta,
            retried,
            awaited,
        } = forwarded;
        let manner = Manner { retried, awaited };
        self.may_forward(from)?;
        check_forwarded_actor(from, &meta.actor)?;
        self.check_own_affair(from, &command, &meta.actor)?;
        meta.via = from;
        check_size(&command, &meta)?;
        match self
            .timed(within, self.append(&command, &meta, manner))
            .await
        {
            Ok(outcome) => Ok(outcome),
            Err(Attempt::Failed(error)) => Err(error),
            Err(Attempt::Again(reason)) => {
                let leader = leader_of(&self.raft).filter(|leader| *leader != self.own);
                Err(ProposeError::Unavailable { reason, leader })
            }
        }
    }

    /// Whether commands may come through a node: only through one of the applied
    /// state that is not barred.
    pub(crate) fn may_forward(&self, from: NodeNumber) -> Result<(), ProposeError> {
        let state = self.published.state.read();
        let refused = |why: String| Err(ProposeError::Refused(why));
        match state.node(from) {
            None => refused(format!(
                "node {from} is not admitted, so it can forward nothing"
            )),
            Some(node) if node.removed_at.is_some() => refused(format!(
                "node {from} was removed, so it can forward nothing; use another node"
            )),
            Some(node) if node.barred => refused(format!(
                "node {from} was revoked, so it can forward nothing until a keeper readmits it; \
                 use another node"
            )),
            Some(_) => Ok(()),
        }
    }

    /// What a node asks in its own name is about its own issuers. What the keeper
    /// asks, the leader's own asks, and nobody through another node: it would kill what
    /// others hold, by a floor or an expiry that comes too early, or stop them.
    fn check_own_affair(
        &self,
        from: NodeNumber,
        command: &Command,
        actor: &Actor,
    ) -> Result<(), ProposeError> {
        let keeps = || {
            Err(ProposeError::Refused(format!(
                "only the leader keeps the cluster, and node {from} does not lead"
            )))
        };
        match (actor, command) {
            (Actor::Node(_), Command::RetireIssuer(number)) => {
                let state = self.published.state.read();
                match state.issuer(*number) {
                    Some(issuer) if issuer.node == from => Ok(()),
                    _ => keeps(),
                }
            }
            (Actor::Node(_), Command::OpenIssuer(_)) => Ok(()),
            (Actor::Node(_), _) => keeps(),
            (
                _,
                Command::Tick
                | Command::RetireIssuer(_)
                | Command::ExpireIssuer(_)
                | Command::ExpireRegistrations
                | Command::RaiseFloor(_)
                | Command::ForgetFormer(_)
                | Command::CompareState { .. },
            ) => keeps(),
            _ => Ok(()),
        }
    }

    async fn attempts(
        &self,
        command: &Command,
        meta: &Meta,
        manner: Manner,
        within: Duration,
    ) -> Result<Outcome, ProposeError> {
        let mut reason = "no leader is known".to_owned();
        let mut waiting = std::pin::pin!(tokio::time::sleep(within));
        loop {
            let attempt = match leader_of(&self.raft) {
                Some(leader) if leader == self.own => {
                    Some(self.append(command, meta, manner).await)
                }
                Some(leader) => Some(self.forward(leader, command, meta, manner, within).await),
                None => None,
            };
            match attempt {
                Some(Ok(outcome)) => return Ok(outcome),
                Some(Err(Attempt::Failed(error))) => return Err(error),
                Some(Err(Attempt::Again(why))) => reason = why,
                None => {}
            }
            // Between attempts nothing of this command is under way.
            tokio::select! {
                () = tokio::time::sleep(PAUSE) => {}
                () = &mut waiting => {
                    let leader = leader_of(&self.raft).filter(|leader| *leader != self.own);
                    return Err(ProposeError::Unavailable { reason, leader });
                }
            }
        }
    }

    /// Cut off from outside, a command may have been under way.
    async fn timed<T, E: From<ProposeError>>(
        &self,
        within: Duration,
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        // A little longer than the attempts have, so that they tell what is known.
        match tokio::time::timeout(within.saturating_add(PAUSE), work).await {
            Ok(done) => done,
            Err(_) => Err(ProposeError::Unknown("no answer in time".into()).into()),
        }
    }

    /// Appends here, if this node leads and the log has to tell.
    async fn append(
        &self,
        command: &Command,
        meta: &Meta,
        manner: Manner,
    ) -> Result<Outcome, Attempt> {
        let (time_ms, now) = (self.clocks.wall_ms(), self.clocks.boot());
        let voters = voters_of(&self.raft);
        if !self.skew.agrees(self.own, voters, time_ms, now) {
            let reason = "the leader's clock does not agree with a majority's, or it has not \
                          heard of them yet";
            return Err(Attempt::Again(reason.into()));
        }
        let entropy = self
            .entropy
            .draw()
            .map_err(|error| Attempt::Again(error.to_string()))?;
        let stamp = Stamp { time_ms, entropy };
        let stamped = Stamped {
            command: command.clone(),
            meta: meta.clone(),
            stamp,
        };
        let in_flight = self.foresight.in_flight(&stamped);
        let foreseen = self.foresight.outcome(&stamped, &in_flight, manner.retried);
        if let Some(outcome) = foreseen.await {
            return Ok(outcome);
        }
        let encoded = EncodedCommand(codec::encode_stamped(&stamped));
        let raft = self.raft.clone();
        let awaiting = manner.awaited.then(|| self.awaited.begin());
        // Apart, so that it counts as on its way when nobody waits for it any more.
        let writing = tokio::spawn(async move {
            let (_in_flight, _awaiting) = (in_flight, awaiting);
            raft.client_write(encoded).await
        });
        let written = writing.await.map_err(unknown)?;
        if let Some(took) = self.clocks.boot().since(now) {
            metrics::histogram!("chancery_commit_seconds").record(took);
        }
        match written {
            Ok(response) => match response.data {
                Reply::Outcome(outcome) => Ok(outcome),
                Reply::Advanced => Err(unknown("the log answered for another entry")),
            },
            Err(RaftError::APIError(ClientWriteError::ForwardToLeader(elsewhere))) => {
                Err(Attempt::Again(elsewhere.to_string()))
            }
            Err(error) => Err(unknown(error)),
        }
    }

    /// Hands it to the leader.
    async fn forward(
        &self,
        leader: NodeNumber,
        command: &Command,
        meta: &Meta,
        manner: Manner,
        within: Duration,
    ) -> Result<Outcome, Attempt> {
        let again = |reason: String| Attempt::Again(reason);
        let record = self
            .book
            .record_of(leader)
            .ok_or_else(|| again(format!("the record of node {leader} is unknown")))?;
        let mut client = self
            .dialer
            .client(leader, &record, Lane::Control)
            .map_err(|error| again(error.to_string()))?;
        let proposal = codec::encode_proposal(command, meta);
        let mut request = tonic::Request::new(pb::ProposeRequest {
            from: self.own.0,
            proposal,
            retried: manner.retried,
            awaited: manner.awaited,
        });
        request.set_timeout(within);
        let response = client
            .propose(request)
            .await
            .map_err(|status| lost(leader, &status))?;
        read_response(leader, response.into_inner())
    }
}

fn read_response(leader: NodeNumber, response: pb::ProposeResponse) -> Result<Outcome, Attempt> {
    use pb::propose_response::Outcome as Told;
    match response.outcome {
        Some(Told::Decided(bytes)) => codec::decode_outcome(bytes).map_err(unknown),
        Some(Told::NotLeader(_)) => Err(Attempt::Again(format!(
            "node {leader} takes no commands at the moment"
        ))),
        Some(Told::Unknown(why)) => Err(unknown(why)),
        Some(Told::Refused(why)) => Err(Attempt::Failed(ProposeError::Refused(why))),
        None => Err(unknown(
            "the leader's answer is of a kind that this build does not know",
        )),
    }
}

fn unknown(why: impl std::fmt::Display) -> Attempt {
    Attempt::Failed(ProposeError::Unknown(why.to_string()))
}

impl From<ProposeError> for Attempt {
    fn from(error: ProposeError) -> Self {
        Self::Failed(error)
    }
}

/// A call that failed: not sent at all, refused before it was looked at, or lost
/// on the way.
fn lost(leader: NodeNumber, status: &tonic::Status) -> Attempt {
    let told = format!("node {leader}: {}", status.message());
    match status.code() {
        _ if never_connected(status) => Attempt::Again(told),
        tonic::Code::PermissionDenied | tonic::Code::InvalidArgument => {
            Attempt::Failed(ProposeError::Refused(told))
        }
        _ => unknown(told),
    }
}

/// Whether there was no connection to send it over.
fn never_connected(status: &tonic::Status) -> bool {
    let mut error: Option<&(dyn std::error::Error + 'static)> = std::error::Error::source(status);
    while let Some(cause) = error {
        if cause.is::<tonic::ConnectError>() {
            return true;
        }
        error = cause.source();
    }
    false
}

fn check_size(command: &Command, meta: &Meta) -> Result<(), ProposeError> {
    let bytes = codec::encode_proposal(command, meta).len();
    if bytes > MAX_COMMAND_BYTES {
        return Err(ProposeError::TooLarge {
            bytes,
            limit: MAX_COMMAND_BYTES,
        });
    }
    Ok(())
}

/// A node speaks for itself only; nobody is born through another.
fn check_forwarded_actor(from: NodeNumber, actor: &Actor) -> Result<(), ProposeError> {
    let refused = |why: String| Err(ProposeError::Refused(why));
    match actor {
        Actor::Node(number) if *number != from => {
            refused(format!("node {from} cannot speak for node {number}"))
        }
        Actor::Birth => refused("a cluster is born on its first node".into()),
        _ => Ok(()),
    }
}
