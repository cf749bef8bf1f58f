//! What has to be done now.

use std::time::Duration;

use chancery_authority::{Command, IssuerStanding, KEPT_EPOCHS, Settings, State};
use chancery_revocation::BootTime;

use super::seen::{Seen, expiry};

/// Log time is not left further behind than this.
const TICK_AFTER_MS: u64 = 1_000;

/// The commands that are due, in the order in which they are sent. `wall_ms` is what
/// a command that is sent now is stamped with.
pub(super) fn due(state: &State, seen: &Seen, wall_ms: u64, now: BootTime) -> Vec<Command> {
    let Some(settings) = state.settings() else {
        return Vec::new();
    };
    let mut commands = Vec::new();
    if wall_ms.saturating_sub(state.log_time_ms()) >= TICK_AFTER_MS {
        commands.push(Command::Tick);
    }
    if epoch_is_due(state, settings, seen, wall_ms, now) {
        commands.push(Command::OpenEpoch { emergency: false });
    }
    issuers_due(state, settings, seen, now, &mut commands);
    let former = settings.former.since;
    if seen.has_outlived_former(former, Duration::from_millis(settings.followed_ms()), now) {
        commands.push(Command::ForgetFormer(former));
    }
    if state.has_ended_registrations() {
        commands.push(Command::ExpireRegistrations);
    }
    let old = seen.view_before(expiry(state), now);
    if let Some(floor) = old.and_then(|revision| state.floor_due(revision)) {
        commands.push(Command::RaiseFloor(floor));
    }
    commands
}

/// The newest epoch has run its time, by this clock and by log time, and there is
/// room for another: an operator may have opened some in between.
fn epoch_is_due(
    state: &State,
    settings: &Settings,
    seen: &Seen,
    wall_ms: u64,
    now: BootTime,
) -> bool {
    let span = Duration::from_secs(settings.epoch_s);
    let has_run = (state.epoch()).is_some_and(|newest| seen.has_run(newest.number, span, now));
    let log_time_ms = state.log_time_ms().max(wall_ms);
    has_run && log_time_ms >= state.epoch_due_ms() && state.live_epochs() < KEPT_EPOCHS
}

fn issuers_due(
    state: &State,
    settings: &Settings,
    seen: &Seen,
    now: BootTime,
    commands: &mut Vec<Command>,
) {
    let follows = Duration::from_millis(settings.followed_ms());
    for record in state.issuers() {
        let number = record.number;
        let expiry = Duration::from_millis(record.expiry_ms);
        match record.standing {
            IssuerStanding::Open if seen.superseded(record.epoch, follows, now) => {
                commands.push(Command::RetireIssuer(number));
            }
            IssuerStanding::Retired(_) | IssuerStanding::Revoked(_)
                if seen.was_closed(number, expiry, now) =>
            {
                commands.push(Command::ExpireIssuer(number));
            }
            _ => {}
        }
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
