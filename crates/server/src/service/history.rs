//! `HistoryService`: who asked for what.

use std::{sync::Arc, time::Duration};

use chancery_consensus::{HistoryEntry, HistoryQuery};
use chancery_credential::{NodeNumber, Revision};
use chancery_wire::v1::{self, history_service_server::HistoryService};
use tonic::{Code, Request, Response, Status};

use super::{Desk, history_filter, parse, split};
use crate::caller::{Holder, Identity, Place, Refusal, Tally, refuse};

/// Pages of one principal that are read, or wait for their turn, at a time: nobody alone
/// keeps the others waiting.
const OF_ONE: u32 = 2;
const PAUSE: Duration = Duration::from_secs(1);

/// The service over a node's desk.
pub(crate) struct Histories {
    desk: Arc<Desk>,
    readers: Readers,
}

impl Histories {
    pub(crate) fn over(desk: Arc<Desk>) -> Self {
        Self {
            desk,
            readers: Readers(Tally::new()),
        }
    }
}

/// Who is reading.
struct Readers(Arc<Tally>);

impl Readers {
    /// A place for `reader`.
    fn place(&self, reader: &Identity) -> Result<Place, Status> {
        self.0.take(Holder::of(reader), OF_ONE).map_err(|_| {
            Refusal::new(
                Code::ResourceExhausted,
                "HISTORY_BUSY",
                format!("this node reads {OF_ONE} pages of the history for you already"),
                "ask for one page after another, or at another node",
            )
            .retry_after(PAUSE)
            .into()
        })
    }
}

#[tonic::async_trait]
impl HistoryService for Histories {
    async fn list(
        &self,
        request: Request<v1::ListHistoryRequest>,
    ) -> Result<Response<v1::ListHistoryResponse>, Status> {
        let (caller, message) = split(request)?;
        let query = query(&message)?;
        self.desk.at_least(&message.min_revision).await?;
        // What is read is at least as new as this node's state was.
        self.desk.read(|| ())?;
        let _place = self.readers.place(&caller.identity)?;
        let page = self.desk.consensus.history(query).await.map_err(|error| {
            refuse(
                Code::Unavailable,
                "HISTORY_UNREADABLE",
                format!("this node's history cannot be read: {error}"),
                "ask another node; an operator has to look at this one",
            )
        })?;
        // Who asks was judged by this node's state, and the newest entries are in it or
        // not: neither may be old.
        let ((), current) = self.desk.read(|| ())?;
        let _turn = self.desk.turns.take(Holder::of(&caller.identity)).await;
        Ok(Response::new(v1::ListHistoryResponse {
            consistency_token: self.desk.token_for(current.revision),
            entries: page.entries.iter().map(entry).collect(),
            next_page_token: page
                .next
                .map(|revision| revision.0.to_string())
                .unwrap_or_default(),
        }))
    }
}

fn query(message: &v1::ListHistoryRequest) -> Result<HistoryQuery, Status> {
    let given = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let before = match message.page_token.as_str() {
        "" => None,
        token => {
            let why = "it is not one that this service gave";
            let revision = token
                .parse()
                .map_err(|_| parse::invalid("page_token", why))?;
            Some(Revision(revision))
        }
    };
    history_filter::check(message)?;
    Ok(HistoryQuery {
        actor: given(&message.actor),
        about: given(&message.about),
        via: (message.via != 0).then_some(NodeNumber(message.via)),
        command: given(&message.command),
        since_ms: message.since_ms,
        until_ms: (message.until_ms != 0).then_some(message.until_ms),
        before,
        most: parse::page_size(message.page_size)?,
    })
}

fn entry(entry: &HistoryEntry) -> v1::HistoryEntry {
    let HistoryEntry {
        revision,
        log_time_ms,
        command,
        named,
        meta,
        verdict,
        decided_at,
    } = entry;
    let rejection = verdict.as_ref().err();
    v1::HistoryEntry {
        revision: revision.0,
        log_time_ms: *log_time_ms,
        actor: meta.actor.to_string(),
        key_thumbprint: meta.key.map(|key| key.to_string()).unwrap_or_default(),
        via: meta.via.0,
        request_id: Some(v1::RequestId {
            time_ms: meta.request.time_ms,
            random: meta.request.random.to_vec(),
        }),
        reason: meta.reason.clone(),
        command: command.name().to_owned(),
        about: command.about().into_iter().chain(named.clone()).collect(),
        details: command.details(),
        done: verdict.is_ok(),
        rejection: rejection.map(|it| it.code().to_owned()).unwrap_or_default(),
        rejection_message: rejection.map(ToString::to_string).unwrap_or_default(),
        decided_at: decided_at.0,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use tonic_types::StatusExt;

    fn service(name: &str) -> Identity {
        Identity::Service {
            name: name.parse().unwrap(),
        }
    }

    #[test]
    fn who_reads_much_leaves_places_to_others() {
        let readers = Readers(Tally::new());
        let place = |name: &str| readers.place(&service(name));
        let mut held: Vec<_> = (0..OF_ONE).map(|_| place("greedy").unwrap()).collect();
        let status = place("greedy").err().unwrap();
        assert_eq!(status.code(), Code::ResourceExhausted);
        let details = status.get_error_details();
        assert_eq!(details.error_info().unwrap().reason, "HISTORY_BUSY");
        assert!(place("another").is_ok());
        drop(held.pop());
        assert!(place("greedy").is_ok());
    }
}
