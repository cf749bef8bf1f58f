//! The feed of `Watch`: a snapshot, then every change in order.
//!
//! The subscription begins before the snapshot is taken, so that nothing falls
//! between them; changes that the snapshot already holds come again and do
//! nothing.

use std::sync::Arc;

use chancery_authority::Event;
use chancery_consensus::{Missed, Step};
use chancery_credential::{Revision, Subject};
use chancery_revocation::Change;
use chancery_wire::v1;
use futures::{Stream, StreamExt, stream};
use tonic::{Code, Status};

use super::{Desk, consistency::stale, parse, snapshots::SnapshotPlace};
use crate::caller::refuse;

/// Changes in one part of a snapshot: parts stay far below the message limit.
const PART: usize = 256;

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

/// Everything that a watcher is sent. A watcher that falls behind is cut off and
/// has to begin again; so is everybody when the state is replaced by a snapshot.
/// `place` is held until the snapshot has been sent.
pub(super) fn feed(
    desk: Arc<Desk>,
    place: SnapshotPlace,
) -> Result<impl Stream<Item = Result<v1::WatchResponse, Status>> + Send, Status> {
    let events = desk.consensus.events();
    let (snapshot, _) = desk.read(|| desk.consensus.view().snapshot())?;
    let previous = snapshot.revision;
    let last = v1::ViewSnapshot {
        changes: Vec::new(),
        last: true,
        revision: previous.0,
        consistency_token: desk.token_for(previous),
    };
    let parts = parts(snapshot.changes.into_iter(), last, place);
    let deltas = stream::unfold(Some((desk, events, previous)), |place| async move {
        let (desk, mut events, previous) = place?;
        loop {
            match events.next().await {
                Ok(Step::Applied {
                    revision,
                    events: changed,
                    ..
                }) => {
                    let Some(delta) = delta(&desk, previous, revision, &changed) else {
                        continue;
                    };
                    return Some((Ok(delta), Some((desk, events, revision))));
                }
                Err(Missed::Closed) => return None,
                Ok(Step::Replaced { .. }) | Err(Missed::Lagged(_)) => {
                    return Some((Err(resync()), None));
                }
            }
        }
    });
    Ok(stream::iter(parts.map(Ok)).chain(deltas))
}

fn resync() -> Status {
    refuse(
        Code::Aborted,
        "RESYNC",
        "changes passed this watcher by",
        "watch again: it begins with a snapshot",
    )
}

/// What the snapshot holds already, and what does not concern the view, is not
/// sent.
fn delta(
    desk: &Desk,
    previous: Revision,
    revision: Revision,
    events: &[Event],
) -> Option<v1::WatchResponse> {
    let changes: Vec<_> = events
        .iter()
        .filter_map(|event| match event {
            Event::View(view) => Some(change(view)),
            _ => None,
        })
        .collect();
    if revision <= previous || changes.is_empty() {
        return None;
    }
    let delta = v1::ViewDelta {
        previous: previous.0,
        revision: revision.0,
        changes,
        consistency_token: desk.token_for(revision),
    };
    Some(v1::WatchResponse {
        event: Some(v1::watch_response::Event::Delta(delta)),
    })
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

fn change(change: &Change) -> v1::ViewChange {
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
