//! The feed of `Watch`: a snapshot, or what a watcher missed that was here before,
//! then every change in order.
//!
//! The subscription begins before the snapshot is taken, so that nothing falls
//! between them; changes that the snapshot already holds come again and do
//! nothing.

use std::{pin::Pin, sync::Arc};

use chancery_authority::Event;
use chancery_consensus::{Events, Missed, Step};
use chancery_credential::{ConsistencyToken, Revision, Subject};
use chancery_revocation::Change;
use chancery_wire::v1;
use futures::{Stream, StreamExt, stream};
use tonic::{Code, Status};

use super::{Desk, consistency::stale, parse};
use crate::caller::{Identity, refuse};

/// Changes in one part of a snapshot: parts stay far below the message limit.
const PART: usize = 256;
/// Missed changes that are read at a time, bytes.
const PART_BYTES: usize = 64 * 1024;

/// How old the verifier lets its view become; bounded by the cluster.
pub(super) fn max_age(desk: &Desk, asked_ms: u64) -> Result<u64, Status> {
    let settings = desk.consensus.directory().settings().ok_or_else(stale)?;
    match asked_ms {
        0 => Ok(settings.v_default_ms),
        asked if asked <= settings.v_max_ms => Ok(asked),
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

type Feed = Pin<Box<dyn Stream<Item = Result<v1::WatchResponse, Status>> + Send>>;

/// Everything that a watcher is sent: what it missed, if that is remembered, or else
/// a snapshot; then every change. One that falls behind is cut off and has to begin
/// again; so is everybody when the state is replaced by a snapshot.
pub(super) fn feed(
    desk: Arc<Desk>,
    watcher: &Identity,
    since: Option<Revision>,
) -> Result<Feed, Status> {
    let events = desk.consensus.events();
    let subscriber = Subscriber::new();
    if let Some(since) = since {
        let (missed, current) = desk.read(|| desk.recent.after(since, since, 0))?;
        if missed.is_some() {
            let through = current.revision.max(since);
            let caught_up = missed_changes(desk.clone(), since, through);
            let feed = caught_up.chain(live(desk, events, through));
            return Ok(Box::pin(feed.inspect(move |_| subscriber.is_here())));
        }
    }
    let place = desk.snapshots.place(watcher)?;
    let (snapshot, _) = desk.read(|| desk.consensus.view().snapshot())?;
    let through = snapshot.revision;
    let last = v1::ViewSnapshot {
        changes: Vec::new(),
        last: true,
        revision: through.0,
        consistency_token: desk.token_for(through),
    };
    let parts = parts(snapshot.changes.into_iter(), last, place);
    let snapshot = stream::iter(parts.map(Ok));
    let feed = snapshot.chain(live(desk, events, through));
    Ok(Box::pin(feed.inspect(move |_| subscriber.is_here())))
}

/// Counted as long as its feed is there.
struct Subscriber;

impl Subscriber {
    fn new() -> Self {
        metrics::gauge!("chancery_subscribers").increment(1.0);
        Self
    }

    /// What keeps it in the feed.
    const fn is_here(&self) {}
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        metrics::gauge!("chancery_subscribers").decrement(1.0);
    }
}

/// The changes after `since`, up to `through`, read from memory part by part as the
/// watcher reads them. The last delta leads to `through`, empty if need be: it tells
/// the watcher that it goes on where it was.
fn missed_changes(
    desk: Arc<Desk>,
    since: Revision,
    through: Revision,
) -> impl Stream<Item = Result<v1::WatchResponse, Status>> + Send {
    stream::unfold(Some(since), move |since| {
        let (desk, since) = (desk.clone(), since);
        async move {
            let since = since?;
            let Some(found) = desk.recent.after(since, through, PART_BYTES) else {
                return Some((vec![Err(resync())], None));
            };
            let Some((last, _)) = found.last() else {
                let end = delta(&desk, since, through, Vec::new());
                return Some((vec![Ok(end)], None));
            };
            let last = *last;
            let mut previous = since;
            let mut deltas = Vec::with_capacity(found.len());
            for (revision, changes) in found {
                let changes = changes.iter().map(change).collect();
                deltas.push(Ok(delta(&desk, previous, revision, changes)));
                previous = revision;
            }
            Some((deltas, Some(last)))
        }
    })
    .flat_map(stream::iter)
}

/// Every change after `through`, as it is applied.
fn live(
    desk: Arc<Desk>,
    events: Events,
    through: Revision,
) -> impl Stream<Item = Result<v1::WatchResponse, Status>> + Send {
    stream::unfold(Some((desk, events, through)), |place| async move {
        let (desk, mut events, previous) = place?;
        loop {
            match follow(events.next().await, previous) {
                Followed::Nothing => {}
                Followed::Changed(revision, changes) => {
                    let delta = delta(&desk, previous, revision, changes);
                    return Some((Ok(delta), Some((desk, events, revision))));
                }
                Followed::Lost => return Some((Err(resync()), None)),
                Followed::Ended => return None,
            }
        }
    })
}

/// What a step of the log is for a watcher.
#[derive(Debug, PartialEq)]
enum Followed {
    Nothing,
    Changed(Revision, Vec<v1::ViewChange>),
    /// Steps passed it by.
    Lost,
    Ended,
}

/// What the watcher has already, up to `previous`, and what does not concern the
/// view, is nothing to it.
fn follow(step: Result<Step, Missed>, previous: Revision) -> Followed {
    match step {
        Ok(Step::Applied {
            revision, events, ..
        }) => {
            let changes: Vec<_> = events
                .iter()
                .filter_map(|event| match event {
                    Event::View(view) => Some(change(view)),
                    _ => None,
                })
                .collect();
            if revision <= previous || changes.is_empty() {
                Followed::Nothing
            } else {
                Followed::Changed(revision, changes)
            }
        }
        Err(Missed::Closed) => Followed::Ended,
        Ok(Step::Replaced { .. }) | Err(Missed::Lagged(_)) => Followed::Lost,
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

fn delta(
    desk: &Desk,
    previous: Revision,
    revision: Revision,
    changes: Vec<v1::ViewChange>,
) -> v1::WatchResponse {
    let delta = v1::ViewDelta {
        previous: previous.0,
        revision: revision.0,
        changes,
        consistency_token: desk.token_for(revision),
    };
    v1::WatchResponse {
        event: Some(v1::watch_response::Event::Delta(delta)),
    }
}

/// A snapshot in parts, each made when the watcher has read the one before.
/// `held` is dropped with the iterator, which the feed does after the last part.
fn parts<H>(
    mut changes: impl Iterator<Item = Change>,
    last: v1::ViewSnapshot,
    held: H,
) -> impl Iterator<Item = v1::WatchResponse> {
    let mut last = Some(last);
    std::iter::from_fn(move || {
        let _held = &held;
        let changes: Vec<_> = changes.by_ref().take(PART).map(|it| change(&it)).collect();
        let part = if changes.is_empty() {
            last.take()?
        } else {
            v1::ViewSnapshot {
                changes,
                ..v1::ViewSnapshot::default()
            }
        };
        Some(v1::WatchResponse {
            event: Some(v1::watch_response::Event::Snapshot(part)),
        })
    })
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
    use std::cell::Cell;
    use tonic_types::StatusExt;

    #[test]
    fn a_part_is_made_when_it_is_asked_for_and_the_last_one_says_so() {
        let made = Cell::new(0);
        let changes = (0..=PART as u64).map(|seconds| {
            made.set(made.get() + 1);
            Change::Time(seconds)
        });
        let last = v1::ViewSnapshot {
            last: true,
            revision: 7,
            ..v1::ViewSnapshot::default()
        };
        let mut parts = parts(changes, last, ());
        let mut next = || match parts.next()?.event? {
            v1::watch_response::Event::Snapshot(part) => Some(part),
            v1::watch_response::Event::Delta(_) => None,
        };
        assert_eq!(made.get(), 0);
        assert_eq!(next().unwrap().changes.len(), PART);
        assert_eq!(made.get(), PART);
        let second = next().unwrap();
        assert_eq!((second.changes.len(), second.last), (1, false));
        let last = next().unwrap();
        assert_eq!((last.changes.len(), last.revision), (0, 7));
        assert!(last.last);
        assert_eq!(next(), None);
    }

    fn applied(revision: u64, events: Vec<Event>) -> Result<Step, Missed> {
        Ok(Step::Applied {
            previous: Revision(revision - 1),
            revision: Revision(revision),
            events: events.into(),
        })
    }

    #[test]
    fn a_watcher_is_told_of_the_view_and_of_nothing_twice() {
        let time = || vec![Event::StandingLost, Event::View(Change::Time(9))];
        let told = follow(applied(8, time()), Revision(7));
        let expected = vec![change(&Change::Time(9))];
        assert_eq!(told, Followed::Changed(Revision(8), expected));
        assert_eq!(follow(applied(8, time()), Revision(8)), Followed::Nothing);
        let elsewhere = vec![Event::StandingLost];
        assert_eq!(
            follow(applied(8, elsewhere), Revision(7)),
            Followed::Nothing
        );
    }

    #[test]
    fn a_watcher_that_lost_the_thread_is_cut_off_and_told_how_to_go_on() {
        assert_eq!(follow(Err(Missed::Lagged(1)), Revision(7)), Followed::Lost);
        let revision = Revision(90);
        let replaced = Ok(Step::Replaced { revision });
        assert_eq!(follow(replaced, Revision(7)), Followed::Lost);
        assert_eq!(follow(Err(Missed::Closed), Revision(7)), Followed::Ended);
        let details = resync().get_error_details();
        assert_eq!(resync().code(), Code::Aborted);
        assert_eq!(details.error_info().unwrap().reason, "RESYNC");
        let remedy = &details.localized_message().unwrap().message;
        assert!(remedy.contains("watch again"), "{remedy}");
    }

    #[tokio::test]
    async fn the_place_of_a_snapshot_is_free_once_the_watcher_has_read_all_of_it() {
        let place = Arc::new(());
        let parts = parts(
            [Change::Time(1)].into_iter(),
            v1::ViewSnapshot::default(),
            place.clone(),
        );
        let mut feed = stream::iter(parts).chain(stream::pending());
        for _ in 0..2 {
            assert!(feed.next().await.is_some());
            assert_eq!(Arc::strong_count(&place), 2);
        }
        assert!(futures::poll!(feed.next()).is_pending());
        assert_eq!(Arc::strong_count(&place), 1);
    }
}
