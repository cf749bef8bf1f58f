//! `ClusterService`: nodes, and how they are.

use std::sync::Arc;

use chancery_authority::{Answer, Command, NodeRecord, NodeSpec, Seat};
use chancery_consensus::{
    Departure, Enforcement, EnforcementState, MembershipChange, Progress, SnapshotProgress, Wait,
};
use chancery_credential::{NodeNumber, PeerPublicKey, Revision};
use chancery_wire::v1::{self, cluster_service_server::ClusterService};
use tonic::{Code, Request, Response, Status};

use super::{Desk, command, enforcement, membership::Asked, parse, split};
use crate::caller::{Caller, refuse};

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
            records_behind: health.records_behind,
            membership_changing: raft.joint,
        }))
    }

    /// Two steps: the command hands out the number, then the membership takes
    /// the node in as a learner. Asked for again, for the same node with the same key,
    /// it finds the first step done, and takes the second.
    async fn add_node(
        &self,
        request: Request<v1::AddNodeRequest>,
    ) -> Result<Response<v1::AddNodeResponse>, Status> {
        let (caller, mut message) = split(request)?;
        let meta = message.meta.take();
        let peer_key = PeerPublicKey::from_spki(&message.peer_public_key)
            .map_err(|error| parse::invalid("peer_public_key", error))?;
        let spec = NodeSpec {
            name: message.name.clone(),
            api_address: message.api_address.clone(),
            peer_address: message.peer_address.clone(),
            peer_key,
            check_only: message.check_only,
        };
        self.0.prove().await?;
        let number = match self.admitted_before(&spec)? {
            Some(number) => number,
            None => self.admit(&caller, meta, spec).await?,
        };
        let what = "the node is admitted, and not yet a learner";
        self.0.enrol(number, what).await?;
        let committed = self.reached().await?;
        Ok(Response::new(self.admitted(number, committed)))
    }

    async fn promote(
        &self,
        request: Request<v1::PromoteRequest>,
    ) -> Result<Response<v1::PromoteResponse>, Status> {
        let (caller, message) = split(request)?;
        let asked = Asked {
            caller: &caller,
            meta: message.meta,
            what: "the node was not promoted",
        };
        let change = MembershipChange::Promote(NodeNumber(message.number));
        self.0.seat(asked, change, Seat::Voter).await?;
        let committed = Some(self.reached().await?);
        Ok(Response::new(v1::PromoteResponse { committed }))
    }

    async fn demote(
        &self,
        request: Request<v1::DemoteRequest>,
    ) -> Result<Response<v1::DemoteResponse>, Status> {
        let (caller, message) = split(request)?;
        let asked = Asked {
            caller: &caller,
            meta: message.meta,
            what: "the node was not demoted",
        };
        let change = MembershipChange::Demote(NodeNumber(message.number));
        self.0.seat(asked, change, Seat::Learner).await?;
        let committed = Some(self.reached().await?);
        Ok(Response::new(v1::DemoteResponse { committed }))
    }

    async fn transfer(
        &self,
        request: Request<v1::TransferRequest>,
    ) -> Result<Response<v1::TransferResponse>, Status> {
        let (caller, message) = split(request)?;
        let asked = Asked {
            caller: &caller,
            meta: message.meta,
            what: "the lead was not handed over",
        };
        let to = (message.number != 0).then_some(NodeNumber(message.number));
        let change = MembershipChange::Transfer(to);
        self.0.seat(asked, change, Seat::Leader).await?;
        // Proved by who leads by then: another than was asked, if there was another
        // election.
        let committed = Some(self.reached().await?);
        let leader = self.0.consensus.status().leader;
        Ok(Response::new(v1::TransferResponse {
            committed,
            leader: leader.map_or(0, |leader| leader.0),
        }))
    }

    async fn remove_node(
        &self,
        request: Request<v1::RemoveNodeRequest>,
    ) -> Result<Response<v1::RemoveNodeResponse>, Status> {
        use v1::remove_node_request::Departure as Wire;
        let (caller, message) = split(request)?;
        let how = match Wire::try_from(message.how) {
            Ok(Wire::Graceful) => Departure::Graceful,
            Ok(Wire::Lost) => Departure::Lost,
            Ok(Wire::Compromised) => Departure::Compromised,
            Err(_) => return Err(parse::invalid("how", "it is no way to leave")),
        };
        let asked = Asked {
            caller: &caller,
            meta: message.meta,
            what: "the node was not taken out",
        };
        let waits = asked.meta.as_ref().map_or(0, |meta| meta.wait);
        let wait = enforcement::read_wait(waits)?.unwrap_or(Wait::Nodes);
        let progress = (self.0)
            .remove(asked, NodeNumber(message.number), how)
            .await?;
        let again_after = match progress {
            Progress::Waits(wait) => wait.try_into().ok(),
            Progress::Done | Progress::Possible(_) => None,
        };
        Ok(Response::new(v1::RemoveNodeResponse {
            committed: Some(self.reached_by(wait, &caller).await?),
            done: progress == Progress::Done,
            again_after,
        }))
    }

    /// As admitting: the command first, then the membership takes the new key in. A
    /// retry under another request id finds the first step done.
    async fn readmit_node(
        &self,
        request: Request<v1::ReadmitNodeRequest>,
    ) -> Result<Response<v1::ReadmitNodeResponse>, Status> {
        let (caller, message) = split(request)?;
        let number = NodeNumber(message.number);
        let peer_key = PeerPublicKey::from_spki(&message.peer_public_key)
            .map_err(|error| parse::invalid("peer_public_key", error))?;
        let record = self.0.node_record(number)?;
        if !(record.stands() && record.peer_key == peer_key) {
            let what = "the node was not readmitted";
            self.0.may_enrol(number, what).await?;
            let command = Command::ReadmitNode {
                node: number,
                peer_key,
            };
            self.0.command(&caller, message.meta, command).await?;
        }
        let what = "the node is readmitted, and its peers do not know its new key yet";
        self.0.enrol(number, what).await?;
        let committed = self.reached().await?;
        Ok(Response::new(v1::ReadmitNodeResponse {
            admitted: Some(self.admitted(number, committed)),
        }))
    }
}

impl Clusters {
    async fn admit(
        &self,
        caller: &Caller,
        meta: Option<v1::CommandMeta>,
        spec: NodeSpec,
    ) -> Result<NodeNumber, Status> {
        let done = self
            .0
            .command(caller, meta, Command::AdmitNode(spec))
            .await?;
        match done.answer {
            Answer::Node(number) => Ok(number),
            _ => Err(refuse(
                Code::Internal,
                "ANSWER_UNEXPECTED",
                "the command answered something else than a node's number",
                "report this: it is a defect",
            )),
        }
    }

    /// The number of this very node, if it was admitted and stands: who asked may not
    /// have heard of it.
    fn admitted_before(&self, spec: &NodeSpec) -> Result<Option<NodeNumber>, Status> {
        self.0.consensus.read_state(|state| {
            let named =
                |node: &&Arc<NodeRecord>| *node.name == *spec.name && node.removed_at.is_none();
            let Some(node) = state.nodes().find(named) else {
                return Ok(None);
            };
            if node.peer_key != spec.peer_key {
                return Err(name_taken(node));
            }
            let same = *node.api_address == *spec.api_address
                && *node.peer_address == *spec.peer_address
                && node.check_only == spec.check_only;
            match (same, node.stands()) {
                (true, true) => Ok(Some(node.number)),
                (false, _) => Err(otherwise(node)),
                (true, false) => Err(refuse(
                    Code::FailedPrecondition,
                    "NODE_LEAVING",
                    format!(
                        "node {} is this very node, and it is being removed or was revoked",
                        node.number
                    ),
                    "finish its removal, with `chancery node remove`, or take it back with keys of \
                     its own, with `chancery node readmit`",
                )),
            }
        })
    }

    /// What stands in the log by now: a change of the membership too, which stands
    /// at or before what a proof begun now reaches.
    async fn reached(&self) -> Result<v1::Committed, Status> {
        self.0.prove().await?;
        let revision = self.0.consensus.view().revision();
        Ok(self.stands(revision, &Enforcement::only(EnforcementState::Committed)))
    }

    /// The same, in force as far as `wait` says.
    async fn reached_by(&self, wait: Wait, caller: &Caller) -> Result<v1::Committed, Status> {
        self.0.prove().await?;
        let revision = self.0.consensus.view().revision();
        let within = command::answered_within(caller);
        let told = self.0.enforced(revision, wait, within).await;
        Ok(self.stands(revision, &told))
    }

    fn stands(&self, revision: Revision, told: &Enforcement) -> v1::Committed {
        v1::Committed {
            consistency_token: self.0.token_for(revision),
            enforcement: Some(enforcement::message(told)),
        }
    }

    /// What a node has to know to join.
    fn admitted(&self, number: NodeNumber, committed: v1::Committed) -> v1::AddNodeResponse {
        let lineage = self.0.consensus.view().lineage();
        let settings = self.0.consensus.directory().settings();
        v1::AddNodeResponse {
            committed: Some(committed),
            number: number.0,
            peers: self.peers(number),
            lineage_generation: lineage.generation,
            lineage_random: lineage.random,
            trust_domain: settings
                .map(|settings| settings.trust_domain.to_string())
                .unwrap_or_default(),
        }
    }

    /// Those that stand: the key of one that was revoked, or leaves, is none to trust.
    fn peers(&self, except: NodeNumber) -> Vec<v1::Peer> {
        self.0.consensus.read_state(|state| {
            state
                .nodes()
                .filter(|record| record.number != except && record.stands())
                .map(|record| v1::Peer {
                    number: record.number.0,
                    peer_address: record.peer_address.to_string(),
                    peer_public_key: record.peer_key.spki().to_vec(),
                })
                .collect()
        })
    }
}

fn name_taken(node: &NodeRecord) -> Status {
    refuse(
        Code::AlreadyExists,
        "NODE_EXISTS",
        format!(
            "node {} is named {} and has another peer key, {}",
            node.number,
            node.name,
            node.peer_key.thumbprint()
        ),
        "choose another name; or, if that node's keys are lost, remove it first, with `chancery \
         node remove`",
    )
}

fn otherwise(node: &NodeRecord) -> Status {
    let checks = if node.check_only { ", check-only" } else { "" };
    refuse(
        Code::AlreadyExists,
        "NODE_EXISTS",
        format!(
            "node {} is this very node, and was admitted as {}, {}{checks}",
            node.number, node.api_address, node.peer_address
        ),
        "ask for the same as before; or remove it first, with `chancery node remove`, and admit \
         the machine anew, with keys of its own",
    )
}

fn node(record: &NodeRecord, raft: &chancery_consensus::Status) -> v1::Node {
    use v1::node::Standing;
    let member = raft
        .members
        .iter()
        .find(|member| member.number == record.number);
    let standing = match member {
        _ if record.removed_at.is_some() => Standing::Removed,
        Some(member) if member.voter => Standing::Voter,
        Some(_) => Standing::Learner,
        None => Standing::Admitted,
    };
    let heard = member.and_then(|member| member.heard);
    v1::Node {
        number: record.number.0,
        name: record.name.to_string(),
        api_address: record.api_address.to_string(),
        peer_address: record.peer_address.to_string(),
        standing: standing.into(),
        peer_key_thumbprint: record.peer_key.thumbprint().to_string(),
        barred: record.barred,
        peer_public_key: record.peer_key.spki().to_vec(),
        retiring: record.retiring,
        check_only: record.check_only,
        lag: member.and_then(|member| member.lag),
        heard_ms: heard.map(|ago| u64::try_from(ago.as_millis()).unwrap_or(u64::MAX)),
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
