#![allow(clippy::unwrap_used, clippy::panic)]

use super::*;
use crate::story::{NOW_MS, Story};

/// A moment on the keeper's own clock.
fn at(seconds: u64) -> BootTime {
    BootTime(seconds * 1_000_000_000)
}

fn spans(story: &Story) -> (Duration, Duration) {
    let settings = story.state.settings().unwrap();
    (
        Duration::from_millis(settings.rotation_lead_ms()) * 2,
        Duration::from_millis(settings.issuer_expiry_ms()),
    )
}

/// What is due, log time being that of the wall clock.
fn due_at(story: &Story, seen: &Seen, now: BootTime) -> Vec<Command> {
    due(&story.state, seen, NOW_MS, now)
}

#[test]
fn log_time_that_is_a_second_old_is_moved_on() {
    let story = Story::born();
    let seen = Seen::default();
    assert_eq!(due(&story.state, &seen, NOW_MS + 999, at(0)), []);
    let late = due(&story.state, &seen, NOW_MS + 1_000, at(0));
    assert_eq!(late, [Command::Tick]);
}

#[test]
fn an_issuer_of_a_superseded_epoch_is_retired_once_its_process_must_have_followed() {
    let mut story = Story::born();
    let mut seen = Seen::default();
    seen.catch_up(&story.state, at(0));
    let (old, _) = story.open_issuer();
    let (follows, _) = spans(&story);
    let opened = story.order(Command::OpenEpoch { emergency: false });
    seen.note(&opened, at(100));
    let (new, _) = story.open_issuer();
    assert_ne!(old, new);

    let moment = at(100).plus(follows);
    let before = BootTime(moment.0 - 1);
    assert_eq!(due_at(&story, &seen, before), []);
    let retire = [Command::RetireIssuer(old)];
    assert_eq!(due_at(&story, &seen, moment), retire, "and not the newest");
}

#[test]
fn a_closed_issuer_expires_when_nothing_that_it_signed_can_be_in_force() {
    let mut story = Story::born();
    let mut seen = Seen::default();
    let (retired, _) = story.open_issuer();
    story.order(Command::OpenEpoch { emergency: false });
    let (revoked, _) = story.open_issuer();
    let (_, expiry) = spans(&story);
    let first = story.node(Command::RetireIssuer(retired));
    seen.note(&first, at(10));
    let second = story.order(Command::RevokeIssuer(revoked));
    seen.note(&second, at(20));

    let moment = at(10).plus(expiry);
    assert_eq!(due_at(&story, &seen, BootTime(moment.0 - 1)), []);
    assert_eq!(
        due_at(&story, &seen, moment),
        [Command::ExpireIssuer(retired)]
    );
    let expired = story.node(Command::ExpireIssuer(retired));
    seen.note(&expired, moment);
    assert_eq!(due_at(&story, &seen, moment), [], "once");
    assert_eq!(
        due_at(&story, &seen, at(20).plus(expiry)),
        [Command::ExpireIssuer(revoked)]
    );
}

/// A keeper that was not there counts from when it came: later, never earlier.
#[test]
fn a_new_keeper_is_later_and_never_earlier() {
    let mut story = Story::born();
    let (issuer, _) = story.open_issuer();
    let (_, expiry) = spans(&story);
    let mut there = Seen::default();
    let retired = story.node(Command::RetireIssuer(issuer));
    there.note(&retired, at(10));
    let mut came = Seen::default();
    came.catch_up(&story.state, at(50));

    let moment = at(10).plus(expiry);
    assert_eq!(due_at(&story, &there, moment).len(), 1);
    assert_eq!(due_at(&story, &came, moment), []);
    assert_eq!(due_at(&story, &came, at(50).plus(expiry)).len(), 1);
    // What passed the first one by later does not begin its spans again.
    there.catch_up(&story.state, at(60));
    assert_eq!(due_at(&story, &there, moment).len(), 1);
}
