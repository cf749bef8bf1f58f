//! `AgentService`: the registry of agents.

use std::sync::Arc;

use chancery_authority::{AgentRecord, Answer, Command, State};
use chancery_credential::{GrantSetName, OwnerName, Revision, SpiffeId, Subject};
use chancery_wire::v1::{self, agent_service_server::AgentService};
use tonic::{Code, Request, Response, Status};

use super::{
    Desk, agent_messages,
    page::{self, PAGE_BYTES},
    parse, split,
};
use crate::caller::{Holder, refuse};

/// The service over a node's desk.
pub(crate) struct Agents(pub(crate) Arc<Desk>);

#[tonic::async_trait]
impl AgentService for Agents {
    async fn register(
        &self,
        request: Request<v1::RegisterRequest>,
    ) -> Result<Response<v1::RegisterResponse>, Status> {
        let (caller, mut message) = split(request)?;
        let meta = message.meta.take();
        let spec = agent_messages::spec(message.agent.clone())?;
        let id = spec.id.clone();
        let done = self
            .0
            .command(&caller, meta, Command::RegisterAgent(spec))
            .await?;
        Ok(Response::new(v1::RegisterResponse {
            committed: Some(self.0.committed(&done)),
            agent: self.present(&id),
        }))
    }

    async fn get(
        &self,
        request: Request<v1::GetRequest>,
    ) -> Result<Response<v1::GetResponse>, Status> {
        let message = request.into_inner();
        let id: SpiffeId = parse::field("id", &message.id)?;
        self.0.at_least(&message.min_revision).await?;
        let (agent, current) = self.0.read(|| self.present(&id))?;
        let agent = agent.ok_or_else(|| {
            refuse(
                Code::NotFound,
                "AGENT_UNKNOWN",
                format!("agent `{id}` is not registered"),
                "check the id, `chancery agent list` shows those that are registered",
            )
        })?;
        Ok(Response::new(v1::GetResponse {
            consistency_token: self.0.token_for(current.revision),
            agent: Some(agent),
        }))
    }

    async fn list(
        &self,
        request: Request<v1::ListRequest>,
    ) -> Result<Response<v1::ListResponse>, Status> {
        let (caller, message) = split(request)?;
        let size = parse::page_size(message.page_size)?;
        let after = match message.page_token.as_str() {
            "" => None,
            token => Some(parse::field::<SpiffeId>("page_token", token)?),
        };
        let owner = match message.owner.as_str() {
            "" => None,
            name => Some(parse::field::<OwnerName>("owner", name)?),
        };
        let set = match message.grant_set.as_str() {
            "" => None,
            name => Some(parse::field::<GrantSetName>("grant_set", name)?),
        };
        self.0.at_least(&message.min_revision).await?;
        let wanted = |record: &AgentRecord| {
            owner
                .as_ref()
                .is_none_or(|owner| record.owners.contains(owner))
                && set
                    .as_ref()
                    .is_none_or(|set| record.grant_sets.contains(set))
        };
        let name = |record: &Arc<AgentRecord>| record.id.to_string();
        let find = |state: &State| {
            let records = state.agents_after(after.as_ref()).cloned();
            page::find(records, size, |record| wanted(record), name)
        };
        let (found, revision) = self.0.look(find).await?;
        let _turn = self.0.turns.take(Holder::of(&caller.identity)).await;
        let (agents, next_page_token) = found.page(PAGE_BYTES, name, |record| self.shown(record));
        Ok(Response::new(v1::ListResponse {
            consistency_token: self.0.token_for(revision),
            agents,
            next_page_token,
        }))
    }

    async fn update(
        &self,
        request: Request<v1::UpdateRequest>,
    ) -> Result<Response<v1::UpdateResponse>, Status> {
        let (caller, mut message) = split(request)?;
        let meta = message.meta.take();
        let spec = agent_messages::spec(message.agent.clone())?;
        let id = spec.id.clone();
        let command = Command::UpdateAgent {
            spec,
            keep_held: message.keep_held,
            changed_at: Some(Revision(message.changed_at)).filter(|at| at.0 > 0),
        };
        let done = self.0.command(&caller, meta, command).await?;
        Ok(Response::new(v1::UpdateResponse {
            committed: Some(self.0.committed(&done)),
            agent: self.present(&id),
            held_killed: matches!(done.answer, Answer::HeldKilled(true)),
        }))
    }

    async fn suspend(
        &self,
        request: Request<v1::SuspendRequest>,
    ) -> Result<Response<v1::SuspendResponse>, Status> {
        let (caller, mut message) = split(request)?;
        let meta = message.meta.take();
        let subject = parse::subject(message.subject.clone())?;
        let done = self
            .0
            .command(&caller, meta, Command::Suspend(subject))
            .await?;
        Ok(Response::new(v1::SuspendResponse {
            committed: Some(self.0.committed(&done)),
        }))
    }

    async fn resume(
        &self,
        request: Request<v1::ResumeRequest>,
    ) -> Result<Response<v1::ResumeResponse>, Status> {
        let (caller, mut message) = split(request)?;
        let meta = message.meta.take();
        let subject = parse::subject(message.subject.clone())?;
        let done = self
            .0
            .command(&caller, meta, Command::Resume(subject))
            .await?;
        Ok(Response::new(v1::ResumeResponse {
            committed: Some(self.0.committed(&done)),
            may_mint_anew: matches!(done.answer, Answer::MayMintAnew(true)),
        }))
    }

    async fn remove(
        &self,
        request: Request<v1::RemoveRequest>,
    ) -> Result<Response<v1::RemoveResponse>, Status> {
        let (caller, mut message) = split(request)?;
        let meta = message.meta.take();
        let id: SpiffeId = parse::field("id", &message.id)?;
        let done = self
            .0
            .command(&caller, meta, Command::RemoveAgent(id))
            .await?;
        Ok(Response::new(v1::RemoveResponse {
            committed: Some(self.0.committed(&done)),
        }))
    }
}

impl Agents {
    fn present(&self, id: &SpiffeId) -> Option<v1::Agent> {
        let entry = self.0.consensus.directory().agent(id)?;
        Some(self.shown(&entry.record))
    }

    /// A registration, and all that keeps it from minting.
    fn shown(&self, record: &AgentRecord) -> v1::Agent {
        let directory = self.0.consensus.directory();
        let is_suspended = |subject: &Subject| match subject {
            Subject::Agent(id) => directory.agent(id).is_some_and(|agent| agent.suspended),
            Subject::Owner(name) => directory.owner(name).is_some_and(|owner| owner.suspended),
            Subject::GrantSet(name) => directory.grant_set(name).is_some_and(|set| set.suspended),
            Subject::Everything => directory.everything_suspended(),
        };
        let suspensions = agent_messages::suspensions(record, is_suspended);
        agent_messages::agent(record, &suspensions)
    }
}
