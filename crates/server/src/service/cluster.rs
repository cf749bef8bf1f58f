//! `ClusterService`: nodes, and how they are.

use std::{sync::Arc, time::Duration};

use chancery_authority::{Answer, Command, NodeRecord, NodeSpec};
use chancery_consensus::{ChangeError, SnapshotProgress};
use chancery_credential::{NodeNumber, PeerPublicKey};
use chancery_wire::v1::{self, cluster_service_server::ClusterService};
use tonic::{Code, Request, Response, Status};

use super::{Desk, parse, split};
use crate::caller::refuse;

/// How long a change of the membership is waited for.
const MEMBERSHIP_WAIT: Duration = Duration::from_secs(10);

/// The service over a node's desk.
pub(crate) struct Clusters(pub(crate) Arc<Desk>);

#[tonic::async_trait]
impl ClusterService for Clusters {
    /// Answered even by a node that cannot prove itself fresh: that is when an
    /// operator asks. `fresh` and `age_ms` say so.
    async fn status(
        &self,
        request: Request<v1::StatusRequest>,
    ) -> Result<Response<v1::StatusResponse>, Status> {
        let message = request.into_inner();
        self.0.at_least(&message.min_revision).await?;
        let desk = &self.0;
        let raft = desk.consensus.status();
        let health = desk.status.health();
        let settings = desk.consensus.directory().settings();
        let (revision, digest, agents, epoch, nodes) = desk.consensus.read_state(|state| {
            let nodes = state.nodes().map(|record| node(record, &raft)).collect();
            (
                state.revision(),
                state.registry_digest(),
                state.agent_count(),
                state.epoch(),
                nodes,
            )
        });
        Ok(Response::new(v1::StatusResponse {
            consistency_token: desk.token_for(revision),
            node: desk.consensus.node().0,
            leader: raft.leader.map_or(0, |leader| leader.0),
            term: raft.term,
            revision: revision.0,
            nodes,
            age_ms: desk.age_ms(),
            fresh: health.fresh,
            issuer: health.issuer.map(|issuer| issuer.0),
            settling: health.settling,
            draining: health.draining,
            epoch: epoch.map_or(0, |epoch| epoch.number.0),
            trust_domain: settings
                .map(|settings| settings.trust_domain.to_string())
                .unwrap_or_default(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            state_digest: hex::encode(digest),
            agents: agents as u64,
            behind: raft.behind,
            receiving: raft.receiving.map(progress),
        }))
    }

    /// Two steps: the command hands out the number, then the membership takes
    /// the node in as a learner. A retry with the same request id gives the same
    /// number and takes the second step again.
    async fn add_node(
        &self,
        request: Request<v1::AddNodeRequest>,
    ) -> Result<Response<v1::AddNodeResponse>, Status> {
        let (caller, mut message) = split(request)?;
        let meta = message.meta.take();
        let peer_key = PeerPublicKey::from_spki(&message.peer_public_key)
            .map_err(|error| parse::invalid("peer_public_key", error))?;
        let command = Command::AdmitNode(NodeSpec {
            name: message.name.clone(),
            api_address: message.api_address.clone(),
            peer_address: message.peer_address.clone(),
            peer_key,
            check_only: false,
        });
        let done = self.0.command(&caller, meta, command).await?;
        let Answer::Node(number) = done.answer else {
            return Err(refuse(
                Code::Internal,
                "ANSWER_UNEXPECTED",
                "the command answered something else than a node's number",
                "report this: it is a defect",
            ));
        };
        self.0
            .consensus
            .add_learner(number, MEMBERSHIP_WAIT)
            .await
            .map_err(|error| membership("the node is admitted, and not yet a learner", &error))?;
        let (lineage, trust_domain) = (
            self.0.consensus.view().lineage(),
            self.0
                .consensus
                .directory()
                .settings()
                .map(|settings| settings.trust_domain.to_string())
                .unwrap_or_default(),
        );
        Ok(Response::new(v1::AddNodeResponse {
            committed: Some(self.0.committed(done.revision)),
            number: number.0,
            peers: self.peers(number),
            lineage_generation: lineage.generation,
            lineage_random: lineage.random,
            trust_domain,
        }))
    }

    async fn promote(
        &self,
        request: Request<v1::PromoteRequest>,
    ) -> Result<Response<v1::PromoteResponse>, Status> {
        let message = request.into_inner();
        self.0
            .consensus
            .promote(NodeNumber(message.number), MEMBERSHIP_WAIT)
            .await
            .map_err(|error| membership("the node was not promoted", &error))?;
        // The change stands in the log at or before what a proof begun now reaches.
        self.0.prove().await?;
        let revision = self.0.consensus.view().revision();
        Ok(Response::new(v1::PromoteResponse {
            committed: Some(self.0.committed(revision)),
        }))
    }
}

impl Clusters {
    fn peers(&self, except: NodeNumber) -> Vec<v1::Peer> {
        self.0.consensus.read_state(|state| {
            state
                .nodes()
                .filter(|record| record.number != except)
                .map(|record| v1::Peer {
                    number: record.number.0,
                    peer_address: record.peer_address.to_string(),
                    peer_public_key: record.peer_key.spki().to_vec(),
                })
                .collect()
        })
    }
}

fn membership(what: &str, error: &ChangeError) -> Status {
    let (code, reason) = match error {
        ChangeError::Refused(_) => (Code::FailedPrecondition, "MEMBERSHIP_REFUSED"),
        ChangeError::NotLeader(_) => (Code::Unavailable, "NO_LEADER"),
        ChangeError::Unknown(_) => (Code::Unavailable, "OUTCOME_UNKNOWN"),
    };
    refuse(
        code,
        reason,
        format!("{what}: {error}"),
        "send the same request again once that is mended",
    )
}

fn node(record: &NodeRecord, raft: &chancery_consensus::Status) -> v1::Node {
    use v1::node::Standing;
    let member = (raft.members.iter()).find(|member| member.number == record.number);
    let standing = match member {
        Some(member) if member.voter => Standing::Voter,
        Some(_) => Standing::Learner,
        None => Standing::Admitted,
    };
    v1::Node {
        number: record.number.0,
        name: record.name.to_string(),
        api_address: record.api_address.to_string(),
        peer_address: record.peer_address.to_string(),
        standing: standing.into(),
        peer_key_thumbprint: record.peer_key.thumbprint().to_string(),
        barred: record.barred,
        peer_public_key: record.peer_key.spki().to_vec(),
        behind: member.and_then(|member| member.lag),
        sending: member.and_then(|member| member.sending).map(progress),
    }
}

fn progress(progress: SnapshotProgress) -> v1::SnapshotProgress {
    v1::SnapshotProgress {
        rows: progress.rows,
        bytes: progress.bytes,
        of_rows: progress.of_rows,
    }
}
