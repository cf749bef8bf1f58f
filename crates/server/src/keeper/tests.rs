#![allow(clippy::unwrap_used, clippy::panic)]

use chancery_authority::SettingsChange;

use super::*;
use crate::keeper::seen::expiry;
use crate::story::{NOW_MS, Story};

/// A moment on the keeper's own clock.
fn at(seconds: u64) -> BootTime {
    BootTime(seconds * 1_000_000_000)
}

fn spans(story: &Story) -> (Duration, Duration) {
    let settings = story.state.settings().unwrap();
    (
        Duration::from_millis(settings.followed_ms()),
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
fn an_epoch_that_has_run_its_time_is_followed_by_the_next() {
    let story = Story::born();
    let mut seen = Seen::default();
    seen.catch_up(&story.state, at(7));
    let length_s = story.state.settings().unwrap().epoch_s;
    let (end, end_ms) = (at(7 + length_s), NOW_MS + length_s * 1_000);
    let opens = |wall_ms, now| {
        let commands = due(&story.state, &seen, wall_ms, now);
        commands.contains(&Command::OpenEpoch { emergency: false })
    };
    assert!(
        !opens(end_ms, BootTime(end.0 - 1)),
        "by its own clock not yet"
    );
    assert!(
        !opens(end_ms - 1, end),
        "by log time not yet: it would be refused"
    );
    assert!(opens(end_ms, end));
}

#[test]
fn an_epoch_that_an_operator_opened_runs_its_whole_time() {
    let mut story = Story::born();
    let mut seen = Seen::default();
    seen.catch_up(&story.state, at(0));
    let length_s = story.state.settings().unwrap().epoch_s;
    let opened = story.order(Command::OpenEpoch { emergency: true });
    seen.note(&opened, at(length_s - 1));
    let wall_ms = NOW_MS + 10 * length_s * 1_000;
    let opens = |now| {
        due(&story.state, &seen, wall_ms, now).contains(&Command::OpenEpoch { emergency: false })
    };
    assert!(!opens(at(length_s)));
    assert!(opens(at(2 * length_s - 1)));
}

/// Else the keeper would ask and be refused four times a second.
#[test]
fn no_epoch_is_opened_while_there_are_as_many_as_there_may_be() {
    let mut story = Story::born();
    for _ in 1..chancery_authority::KEPT_EPOCHS {
        story.open_issuer();
        story.order(Command::OpenEpoch { emergency: true });
    }
    let mut seen = Seen::default();
    seen.catch_up(&story.state, at(0));
    let wall_ms = NOW_MS + 1_000_000_000;
    let commands = due(&story.state, &seen, wall_ms, at(1_000_000));
    assert!(!commands.contains(&Command::OpenEpoch { emergency: false }));
}

#[test]
fn a_registration_that_has_ended_is_dropped() {
    let mut story = Story::born();
    story.register("a", NOW_MS / 1_000 + 60);
    let seen = Seen::default();
    assert!(!due_at(&story, &seen, at(0)).contains(&Command::ExpireRegistrations));
    story.pass_to(NOW_MS + 60_000);
    assert!(due_at(&story, &seen, at(0)).contains(&Command::ExpireRegistrations));
    story.node(Command::ExpireRegistrations);
    assert_eq!(story.state.agent_count(), 0);
    assert!(!due_at(&story, &seen, at(0)).contains(&Command::ExpireRegistrations));
}

#[test]
fn a_watermark_goes_when_nothing_older_can_be_in_force() {
    let mut story = Story::born();
    let subject = story.register("a", 0);
    let mut seen = Seen::default();
    let expiry = expiry(&story.state);
    story.order(Command::RevokeHeld(subject.clone()));
    let killed = story.state.watermark(&subject).unwrap();
    seen.pass(&story.state, at(10));
    let raises = |seen: &Seen, now| {
        let commands = due(&story.state, seen, NOW_MS, now);
        commands.contains(&Command::RaiseFloor(killed))
    };
    let moment = at(10).plus(expiry);
    assert!(
        !raises(&seen, BootTime(moment.0 - 1)),
        "a token may be in force"
    );
    assert!(raises(&seen, moment));
    let mut came = Seen::default();
    came.pass(&story.state, at(500));
    assert!(!raises(&came, moment), "a new keeper is later");

    story.node(Command::RaiseFloor(killed));
    let after = due(&story.state, &seen, NOW_MS, moment.plus(expiry));
    let again = after
        .iter()
        .any(|command| matches!(command, Command::RaiseFloor(_)));
    assert!(!again, "and a floor that lets nothing go is not raised");
}

/// Settings that are shortened do not shorten what was signed under the former.
#[test]
fn what_was_signed_under_longer_settings_is_waited_out() {
    let mut story = Story::born();
    let (issuer, _) = story.open_issuer();
    let (_, long) = spans(&story);
    story.order(Command::SetSettings(SettingsChange {
        ttl_default_s: Some(60),
        ttl_cap_s: Some(60),
        ..SettingsChange::default()
    }));
    let (_, short) = spans(&story);
    assert!(short < long);
    let mut seen = Seen::default();
    let retired = story.node(Command::RetireIssuer(issuer));
    seen.note(&retired, at(10));
    let expires = |now| due_at(&story, &seen, now).contains(&Command::ExpireIssuer(issuer));
    assert!(!expires(at(10).plus(short)));
    assert!(expires(at(10).plus(long)));
}

/// They are what a leader that comes later knows of the former settings.
#[test]
fn former_settings_are_forgotten_when_nobody_goes_by_them_any_more() {
    let mut story = Story::born();
    let mut seen = Seen::default();
    seen.pass(&story.state, at(0));
    let (follows, _) = spans(&story);
    let shorter = |max_age| {
        Command::SetSettings(SettingsChange {
            jwks_max_age_s: Some(max_age),
            ..SettingsChange::default()
        })
    };
    story.order(shorter(30));
    assert_eq!(spans(&story).0, follows, "a cache is as old as it was");
    seen.pass(&story.state, at(10));
    story.order(shorter(20));
    let since = story.state.revision();
    seen.pass(&story.state, at(15));
    seen.pass(&story.state, at(20));
    let forgets = |seen: &Seen, story: &Story, now| {
        due_at(story, seen, now).contains(&Command::ForgetFormer(since))
    };
    let moment = at(15).plus(follows);
    assert!(!forgets(&seen, &story, BootTime(moment.0 - 1)));
    assert!(forgets(&seen, &story, moment), "since the last change");
    let mut came = Seen::default();
    came.pass(&story.state, at(50));
    assert!(!forgets(&came, &story, moment), "a new keeper is later");
    assert!(forgets(&came, &story, at(50).plus(follows)));

    story.node(Command::ForgetFormer(since));
    assert!(spans(&story).0 < follows);
    seen.pass(&story.state, moment);
    assert!(!forgets(&seen, &story, moment.plus(follows)), "once");
}

/// A process that waits out a long lead has not followed twice a short one later.
#[test]
fn the_lead_of_the_time_counts_when_an_epoch_is_superseded() {
    let mut story = Story::born();
    let mut seen = Seen::default();
    seen.catch_up(&story.state, at(0));
    let (old, _) = story.open_issuer();
    let (follows, _) = spans(&story);
    let opened = story.order(Command::OpenEpoch { emergency: false });
    seen.note(&opened, at(100));
    story.open_issuer();
    story.order(Command::SetSettings(SettingsChange {
        jwks_max_age_s: Some(1),
        ..SettingsChange::default()
    }));
    seen.pass(&story.state, at(100));
    let retires = |now| due_at(&story, &seen, now).contains(&Command::RetireIssuer(old));
    let moment = at(100).plus(follows);
    assert!(!retires(BootTime(moment.0 - 1)));
    assert!(retires(moment));
}

/// However long it runs and however much changes.
#[test]
fn what_is_taken_down_is_bounded() {
    let mut story = Story::born();
    let subject = story.register("a", 0);
    let mut seen = Seen::default();
    for second in 0..5_000 {
        story.order(Command::RevokeHeld(subject.clone()));
        seen.pass(&story.state, at(second));
    }
    let expiry = expiry(&story.state);
    let (oldest, newest) = (
        seen.view_before(expiry, at(5_000)),
        story.state.view_revision(),
    );
    let late = newest.0 - oldest.unwrap().0;
    let span = expiry.as_secs();
    assert!(
        (span..=span + span / 32).contains(&late),
        "{late} of {span}"
    );
    assert!(seen.taken_down() <= 66);
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
