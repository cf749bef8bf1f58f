//! When this process applied the steps that something follows from.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use chancery_authority::{Event, IssuerStanding, State};
use chancery_credential::{EpochNumber, IssuerNumber, Revision};
use chancery_revocation::{BootTime, Change};

/// Moments at which the view is taken down within the span after which a floor may
/// be raised to it: a floor comes later by a part in so many, never earlier.
const VIEWS_A_SPAN: u32 = 64;
/// Moments kept, whatever becomes of the span.
const VIEWS_KEPT: usize = 256;

/// By this process's monotonic clock.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// Issuers retired or revoked.
    closed: BTreeMap<IssuerNumber, BootTime>,
    /// The newest epoch, which supersedes all others.
    epoch: Option<(EpochNumber, BootTime)>,
    /// The last change of the settings that shortened a span.
    former: Option<(Revision, BootTime)>,
    /// The last revision that had changed the view, at some moments.
    views: VecDeque<(Revision, BootTime)>,
}

impl Seen {
    /// Steps from before this process, and those that passed it by, count from now:
    /// later, never earlier.
    pub(super) fn catch_up(&mut self, state: &State, now: BootTime) {
        let closed = state
            .issuers()
            .filter(|record| record.standing != IssuerStanding::Open);
        let known: BTreeMap<_, _> = closed
            .map(|record| record.number)
            .map(|number| (number, self.closed.get(&number).copied().unwrap_or(now)))
            .collect();
        self.closed = known;
        let newest = state.epoch().map(|epoch| epoch.number);
        if self.epoch.map(|(epoch, _)| epoch) != newest {
            self.epoch = newest.map(|epoch| (epoch, now));
        }
    }

    pub(super) fn note(&mut self, events: &[Event], now: BootTime) {
        for event in events {
            match event {
                Event::View(
                    Change::IssuerRetired { number, .. } | Change::IssuerRevoked(number),
                ) => {
                    self.closed.insert(*number, now);
                }
                Event::View(Change::IssuerExpired(number)) => {
                    self.closed.remove(number);
                }
                Event::EpochOpened { epoch, .. } => self.epoch = Some((*epoch, now)),
                _ => {}
            }
        }
    }

    /// Takes down what it sees of the settings, and the view, if it changed and the
    /// last time is a while ago. `now` is read after the state.
    pub(super) fn pass(&mut self, state: &State, now: BootTime) {
        let former = state.settings().map(|settings| settings.former.since);
        if self.former.map(|(since, _)| since) != former {
            self.former = former.map(|since| (since, now));
        }
        let span = expiry(state);
        let revision = state.view_revision();
        let again = self.views.back().is_none_or(|(last, at)| {
            let passed = now.since(*at).unwrap_or_default();
            *last < revision && passed >= span / VIEWS_A_SPAN
        });
        if again {
            self.views.push_back((revision, now));
        }
        // The newest that is old enough is all that is wanted of the old ones.
        while self.views.len() > VIEWS_KEPT || self.second_is_older_than(span, now) {
            self.views.pop_front();
        }
    }

    fn second_is_older_than(&self, span: Duration, now: BootTime) -> bool {
        let second = self.views.get(1);
        second.is_some_and(|(_, at)| passed(*at, span, now))
    }

    /// The newest epoch, once it has been there for `span`.
    pub(super) fn has_run(&self, epoch: EpochNumber, span: Duration, now: BootTime) -> bool {
        let newest = self.epoch.filter(|(newest, _)| epoch == *newest);
        newest.is_some_and(|(_, opened)| passed(opened, span, now))
    }

    /// Whether the settings were last shortened by this change, at least `span` ago.
    pub(super) fn has_outlived_former(
        &self,
        since: Revision,
        span: Duration,
        now: BootTime,
    ) -> bool {
        let known = self.former.filter(|(known, _)| *known == since);
        since != Revision(0) && known.is_some_and(|(_, at)| passed(at, span, now))
    }

    /// Whether an epoch was superseded at least `span` ago.
    pub(super) fn superseded(&self, epoch: EpochNumber, span: Duration, now: BootTime) -> bool {
        let newer = self.epoch.filter(|(newest, _)| epoch < *newest);
        newer.is_some_and(|(_, opened)| passed(opened, span, now))
    }

    /// Whether an issuer was closed at least `span` ago.
    pub(super) fn was_closed(&self, issuer: IssuerNumber, span: Duration, now: BootTime) -> bool {
        let closed = self.closed.get(&issuer);
        closed.is_some_and(|closed| passed(*closed, span, now))
    }

    /// A revision that had changed the view, and was applied here at least `span`
    /// ago: the newest known.
    pub(super) fn view_before(&self, span: Duration, now: BootTime) -> Option<Revision> {
        let old = self
            .views
            .iter()
            .rev()
            .find(|(_, at)| passed(*at, span, now));
        old.map(|(revision, _)| *revision)
    }
}

#[cfg(test)]
impl Seen {
    /// How many moments are kept.
    pub(super) fn taken_down(&self) -> usize {
        self.views.len()
    }
}

fn passed(since: BootTime, span: Duration, now: BootTime) -> bool {
    now.since(since).is_some_and(|passed| passed >= span)
}

/// After this nothing that was signed before can be in force.
pub(super) fn expiry(state: &State) -> Duration {
    Duration::from_millis(state.longest_expiry_ms())
}
