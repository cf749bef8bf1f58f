//! `GrantSetService`: grants that many agents share.

use std::sync::Arc;

use chancery_authority::{Answer, Command, GrantSetRecord, State};
use chancery_credential::{GrantSetName, Subject};
use chancery_wire::v1::{self, grant_set_service_server::GrantSetService};
use prost::Message as _;
use tonic::{Code, Request, Response, Status};

use super::{Desk, agent_messages, parse, split};
use crate::caller::refuse;

/// Grants that a page holds, bytes: an answer stays far below the message limit,
/// however large its sets are.
const PAGE_BYTES: usize = 1 << 20;

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
            committed: Some(self.0.committed(done.revision)),
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
        let message = request.into_inner();
        let size = parse::page_size(message.page_size)?;
        let after = match message.page_token.as_str() {
            "" => None,
            token => Some(parse::field::<GrantSetName>("page_token", token)?),
        };
        self.0.at_least(&message.min_revision).await?;
        let ((grant_sets, next_page_token), current) =
            self.0.read(|| self.page(after.as_ref(), size))?;
        Ok(Response::new(v1::ListGrantSetsResponse {
            consistency_token: self.0.token_for(current.revision),
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
            committed: Some(self.0.committed(done.revision)),
        }))
    }
}

impl GrantSets {
    fn present(&self, name: &GrantSetName) -> Option<v1::GrantSet> {
        let consensus = &self.0.consensus;
        consensus.read_state(|state| Some(grant_set(state, state.grant_set(name)?)))
    }

    /// Sets in the order of their names, and the last name when more follow.
    fn page(&self, after: Option<&GrantSetName>, size: usize) -> (Vec<v1::GrantSet>, String) {
        self.0.consensus.read_state(|state| {
            let sets = state
                .grant_sets_after(after)
                .map(|record| grant_set(state, record));
            take(sets, size, PAGE_BYTES)
        })
    }
}

/// The first sets, at most `size` and about `bytes`, at least one if there is any.
fn take(
    sets: impl Iterator<Item = v1::GrantSet>,
    size: usize,
    bytes: usize,
) -> (Vec<v1::GrantSet>, String) {
    let mut page: Vec<v1::GrantSet> = Vec::new();
    let mut held = 0;
    for set in sets {
        if page.len() == size || held >= bytes {
            let last = page.last().map(|set| set.name.clone());
            return (page, last.unwrap_or_default());
        }
        held += set.encoded_len();
        page.push(set);
    }
    (page, String::new())
}

fn grant_set(state: &State, record: &GrantSetRecord) -> v1::GrantSet {
    let grants = record.grants.iter();
    v1::GrantSet {
        name: record.name.to_string(),
        grants: grants.map(agent_messages::grant_message).collect(),
        suspended: state.is_suspended(&Subject::GrantSet(record.name.clone())),
        changed_at: record.changed_at.0,
        agents: state.agents_under(&record.name),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn sets(names: &[&str]) -> Vec<v1::GrantSet> {
        let set = |name: &&str| v1::GrantSet {
            name: (*name).to_owned(),
            agents: 1,
            ..v1::GrantSet::default()
        };
        names.iter().map(set).collect()
    }

    #[test]
    fn a_page_ends_at_its_size_or_at_its_bytes_and_says_that_more_follow() {
        let page = |size, bytes| {
            let (page, next) = take(sets(&["a", "b", "c"]).into_iter(), size, bytes);
            (page.len(), next)
        };
        assert_eq!(page(2, 1000), (2, "b".to_owned()));
        assert_eq!(page(3, 1000), (3, String::new()), "nothing follows");
        // One at least, or no page would ever move on.
        assert_eq!(page(3, 1), (1, "a".to_owned()));
        assert_eq!(page(3, 6), (2, "b".to_owned()));
    }
}
