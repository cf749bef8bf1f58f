//! `Watch` on the wire: who begins, who goes on where it was, and what each is sent.

use std::{pin::Pin, sync::Arc};

use chancery_authority::ViewPlace;
use chancery_credential::{ConsistencyToken, Revision, Subject};
use chancery_revocation::Change;
use chancery_wire::v1;
use futures::{Stream, StreamExt, stream};
use tonic::{Code, Status, Streaming};

use super::{
    Desk,
    consistency::stale,
    conversation::Conversation,
    feed::{Ended, Feed, News, Source, Told},
    in_force::Part,
    on_its_own::on_its_own,
    parse,
};
use crate::{
    caller::{Holder, Identity, refuse},
    recent::Recent,
};

/// The message that a watch begins with.
pub(super) async fn first(
    requests: &mut Streaming<v1::WatchRequest>,
) -> Result<v1::WatchRequest, Status> {
    let first = parse::required("max_age_ms, since", requests.message().await?)?;
    match first.ping {
        None => Ok(first),
        Some(_) => Err(parse::invalid(
            "ping",
            "the first message says how to begin, and there is nothing to ping about yet",
        )),
    }
}

/// How old the verifier lets its view become; bounded by the cluster.
pub(super) fn may_ask(desk: &Desk, asked_ms: u64) -> Result<(), Status> {
    let settings = desk.consensus.directory().settings().ok_or_else(stale)?;
    match asked_ms {
        asked if asked <= settings.v_max_ms => Ok(()),
        asked => Err(parse::invalid(
            "max_age_ms",
            format!(
                "{asked} is more than the cluster's cap of {}",
                settings.v_max_ms
            ),
        )),
    }
}

/// What a watcher that was here before has; `None` for one that begins, or whose
/// state was another lineage's.
pub(super) async fn since(desk: &Desk, text: &str) -> Result<Option<Revision>, Status> {
    if text.is_empty() {
        return Ok(None);
    }
    let token: ConsistencyToken = parse::field("since", text)?;
    if token.lineage != desk.consensus.view().lineage() {
        return Ok(None);
    }
    desk.hold("since", token.revision).await?;
    Ok(Some(token.revision))
}

type Responses = Pin<Box<dyn Stream<Item = Result<v1::WatchResponse, Status>> + Send>>;

/// Everything that a watcher is sent: what it goes by, then what it missed, if that is
/// remembered, or else a snapshot; then every change, and the answers to its pings. One
/// that falls behind what is remembered is cut off and has to begin again; so is
/// everybody when the state is replaced by a snapshot.
pub(super) fn responses(
    desk: Arc<Desk>,
    watcher: &Identity,
    max_age_ms: u64,
    since: Option<Revision>,
    requests: Streaming<v1::WatchRequest>,
) -> Result<Responses, Status> {
    let remembered = since.filter(|since| desk.recent.after(*since, *since, 0).is_some());
    let ((), current) = desk.read(|| ())?;
    let watcher = Holder::of(watcher);
    let (conversation, terms) =
        Conversation::begin(desk.clone(), watcher.clone(), max_age_ms, requests)?;
    let node = Node {
        desk: desk.clone(),
        watcher,
        conversation,
    };
    let feed = match remembered {
        Some(since) => Feed::resuming(node, since),
        None => Feed::beginning(node, current.revision),
    };
    let told = stream::unfold((feed, Subscriber::new()), move |(mut feed, subscriber)| {
        let desk = desk.clone();
        async move {
            let told = match feed.next().await? {
                Ok(told) => Ok(response(&desk, told)),
                Err(Ended::Forgotten) => Err(resync()),
                Err(Ended::Refused(status)) => Err(status),
            };
            Some((told, (feed, subscriber)))
        }
    });
    Ok(Box::pin(stream::iter([Ok(terms)]).chain(told)))
}

/// This node, as it is for one watcher.
struct Node {
    desk: Arc<Desk>,
    watcher: Holder,
    conversation: Conversation,
}

impl Source for Node {
    fn revision(&self) -> Revision {
        self.desk.consensus.view().revision()
    }

    fn recent(&self) -> &Recent {
        &self.desk.recent
    }

    async fn part(&self, after: Option<&ViewPlace>, weight: usize) -> Part {
        let (desk, watcher, after) = (self.desk.clone(), self.watcher.clone(), after.cloned());
        let reading = on_its_own(async move {
            let _turn = desk.turns.take(watcher).await;
            (desk.consensus).read_state(|state| Part::of(state, after.as_ref(), weight))
        });
        reading.await
    }

    async fn past(&self, revision: Revision) {
        self.desk.consensus.wait_past(revision).await;
    }

    fn through(&mut self) -> Revision {
        let owed = self.conversation.through();
        owed.unwrap_or_else(|| self.revision())
    }

    async fn news(&mut self, told: Revision) -> Result<News, Status> {
        self.conversation.news(told).await
    }
}

/// Counted as long as its feed is there.
struct Subscriber;

impl Subscriber {
    fn new() -> Self {
        metrics::gauge!("chancery_subscribers").increment(1.0);
        Self
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        metrics::gauge!("chancery_subscribers").decrement(1.0);
    }
}

fn resync() -> Status {
    refuse(
        Code::Aborted,
        "RESYNC",
        "more changes passed this watcher by than are kept for one that is slow",
        "watch again with `since`: it goes on there if that is remembered, and else begins with a snapshot",
    )
}

fn response(desk: &Desk, told: Told) -> v1::WatchResponse {
    use v1::watch_response::Event;
    let event = match told {
        Told::Part(changes) => Event::Snapshot(v1::ViewSnapshot {
            changes: changes.iter().map(change).collect(),
            ..v1::ViewSnapshot::default()
        }),
        Told::Whole(revision) => Event::Snapshot(v1::ViewSnapshot {
            changes: Vec::new(),
            last: true,
            revision: revision.0,
            consistency_token: desk.token_for(revision),
        }),
        Told::Delta {
            previous,
            revision,
            changes,
        } => Event::Delta(v1::ViewDelta {
            previous: previous.0,
            revision: revision.0,
            changes: changes.iter().map(change).collect(),
            consistency_token: desk.token_for(revision),
        }),
        Told::Word(event) => event,
    };
    v1::WatchResponse { event: Some(event) }
}

pub(super) fn change(change: &Change) -> v1::ViewChange {
    use v1::view_change::Change as Wire;
    let wire = match change {
        Change::IssuerOpened {
            number,
            node,
            epoch,
            opened_at,
            key,
        } => Wire::IssuerOpened(v1::IssuerOpened {
            number: number.0,
            node: node.0,
            epoch: epoch.0,
            opened_at: opened_at.0,
            ed25519: key.as_bytes().to_vec(),
        }),
        Change::IssuerRetired { number, retired_at } => Wire::IssuerRetired(v1::IssuerRetired {
            number: number.0,
            retired_at: retired_at.0,
        }),
        Change::IssuerExpired(number) => Wire::IssuerExpired(number.0),
        Change::IssuerRevoked(number) => Wire::IssuerRevoked(number.0),
        Change::Watermark { subject, revision } => Wire::Watermark(v1::Watermark {
            subject: Some(wire_subject(subject)),
            revision: revision.0,
        }),
        Change::TokenRevoked(id) => Wire::TokenRevoked(id.as_bytes().to_vec()),
        Change::Floor(revision) => Wire::Floor(revision.0),
        Change::Time(seconds) => Wire::Time(*seconds),
    };
    v1::ViewChange { change: Some(wire) }
}

pub(super) fn wire_subject(subject: &Subject) -> v1::Subject {
    use v1::subject::Subject as Wire;
    v1::Subject {
        subject: Some(match subject {
            Subject::Agent(id) => Wire::Agent(id.to_string()),
            Subject::Owner(name) => Wire::Owner(name.to_string()),
            Subject::GrantSet(name) => Wire::GrantSet(name.to_string()),
            Subject::Everything => Wire::Everything(true),
        }),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use tonic_types::StatusExt;

    #[test]
    fn a_watcher_that_is_cut_off_is_told_how_to_go_on() {
        let details = resync().get_error_details();
        assert_eq!(resync().code(), Code::Aborted);
        assert_eq!(details.error_info().unwrap().reason, "RESYNC");
        let remedy = &details.localized_message().unwrap().message;
        assert!(remedy.contains("watch again"), "{remedy}");
    }
}
