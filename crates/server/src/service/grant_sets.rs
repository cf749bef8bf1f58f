//! `GrantSetService`: grants that many agents share.

use std::sync::Arc;

use chancery_authority::{Answer, Command, GrantSetRecord, State};
use chancery_credential::{GrantSetName, Subject};
use chancery_wire::v1::{self, grant_set_service_server::GrantSetService};
use tonic::{Code, Request, Response, Status};

use super::{
    Desk, agent_messages,
    page::{self, PAGE_BYTES},
    parse, split,
};
use crate::caller::{Holder, refuse};

/// The service over a node's desk.
pub(crate) struct GrantSets(pub(crate) Arc<Desk>);

#[tonic::async_trait]
impl GrantSetService for GrantSets {
    async fn put(
        &self,
        request: Request<v1::PutGrantSetRequest>,
    ) -> Result<Response<v1::PutGrantSetResponse>, Status> {
        let (caller, mut message) = split(request)?;
        let meta = message.meta.take();
        let name: GrantSetName = parse::field("name", &message.name)?;
        let command = Command::PutGrantSet {
            name: name.clone(),
            grants: agent_messages::grants("grants", &message.grants)?,
            keep_held: message.keep_held,
        };
        let done = self.0.command(&caller, meta, command).await?;
        Ok(Response::new(v1::PutGrantSetResponse {
            committed: Some(self.0.committed(&done)),
            grant_set: self.present(&name),
            held_killed: matches!(done.answer, Answer::HeldKilled(true)),
        }))
    }

    async fn get(
        &self,
        request: Request<v1::GetGrantSetRequest>,
    ) -> Result<Response<v1::GetGrantSetResponse>, Status> {
        let message = request.into_inner();
        let name: GrantSetName = parse::field("name", &message.name)?;
        self.0.at_least(&message.min_revision).await?;
        let (set, current) = self.0.read(|| self.present(&name))?;
        let set = set.ok_or_else(|| {
            refuse(
                Code::NotFound,
                "GRANT_SET_UNKNOWN",
                format!("grant set `{name}` is not known"),
                "check the name; `grant-set list` shows which there are",
            )
        })?;
        Ok(Response::new(v1::GetGrantSetResponse {
            consistency_token: self.0.token_for(current.revision),
            grant_set: Some(set),
        }))
    }

    async fn list(
        &self,
        request: Request<v1::ListGrantSetsRequest>,
    ) -> Result<Response<v1::ListGrantSetsResponse>, Status> {
        let (caller, message) = split(request)?;
        let size = parse::page_size(message.page_size)?;
        let after = match message.page_token.as_str() {
            "" => None,
            token => Some(parse::field::<GrantSetName>("page_token", token)?),
        };
        self.0.at_least(&message.min_revision).await?;
        let name = |set: &Seen| set.record.name.to_string();
        let find = |state: &State| {
            let records = state.grant_sets_after(after.as_ref());
            let sets = records.map(|record| Seen::of(state, record));
            page::find(sets, size, |_| true, name)
        };
        let (found, revision) = self.0.look(find).await?;
        let _turn = self.0.turns.take(Holder::of(&caller.identity)).await;
        let (grant_sets, next_page_token) = found.page(PAGE_BYTES, name, Seen::message);
        Ok(Response::new(v1::ListGrantSetsResponse {
            consistency_token: self.0.token_for(revision),
            grant_sets,
            next_page_token,
        }))
    }

    async fn remove(
        &self,
        request: Request<v1::RemoveGrantSetRequest>,
    ) -> Result<Response<v1::RemoveGrantSetResponse>, Status> {
        let (caller, mut message) = split(request)?;
        let meta = message.meta.take();
        let name: GrantSetName = parse::field("name", &message.name)?;
        let command = Command::RemoveGrantSet(name);
        let done = self.0.command(&caller, meta, command).await?;
        Ok(Response::new(v1::RemoveGrantSetResponse {
            committed: Some(self.0.committed(&done)),
        }))
    }
}

impl GrantSets {
    fn present(&self, name: &GrantSetName) -> Option<v1::GrantSet> {
        let seen = |state: &State| Some(Seen::of(state, state.grant_set(name)?));
        let seen = self.0.consensus.read_state(seen)?;
        Some(seen.message())
    }
}

/// A grant set as it was found.
struct Seen {
    record: Arc<GrantSetRecord>,
    suspended: bool,
    agents: u64,
}

impl Seen {
    fn of(state: &State, record: &Arc<GrantSetRecord>) -> Self {
        Self {
            suspended: state.is_suspended(&Subject::GrantSet(record.name.clone())),
            agents: state.agents_under(&record.name),
            record: record.clone(),
        }
    }

    fn message(&self) -> v1::GrantSet {
        let grants = self.record.grants.iter();
        v1::GrantSet {
            name: self.record.name.to_string(),
            grants: grants.map(agent_messages::grant_message).collect(),
            suspended: self.suspended,
            changed_at: self.record.changed_at.0,
            agents: self.agents,
        }
    }
}
