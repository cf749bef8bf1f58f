//! What a verifier makes of what it is told, and when it pings. Pure: what is told and
//! the time are arguments, and what is to be sent is given back.
//!
//! ```text
//!  begin ─► Terms ─► snapshot, in parts ─┬► deltas, each continuing the one before
//!                └► a delta from `since` ┘   pong: everything up to its revision was told,
//!                                            so the view is of `sent` - κ·age
//! ```
//!
//! Only the answer to a ping that was sent on the same stream makes the view younger, as
//! of when the ping was *sent*. A new stream, a snapshot, a delta, terms: none does.

use std::{sync::Arc, time::Duration};

use chancery_credential::{ConsistencyToken, Revision};
use chancery_revocation::{BootTime, Change, Snapshot, View};
use chancery_wire::v1::{self, watch_response::Event};
use thiserror::Error;

use super::{
    changes::{Unreadable, decode_changes},
    terms::Terms,
};

/// Between two pings at least.
const SHORTEST_GAP: Duration = Duration::from_millis(50);
/// Between two pings at most.
const LONGEST_GAP: Duration = Duration::from_secs(60);
/// The answer to a ping is waited for at least so long, then another node is asked.
const SHORTEST_PATIENCE: Duration = Duration::from_millis(500);
/// Changes in a snapshot: twice as many as a cluster is made for.
const MOST_CHANGES: usize = 20_000_000;

/// Why a stream is followed no further. The view is what it was, unless it says else.
#[derive(Debug, Error)]
pub(super) enum Broken {
    #[error("the node's terms make no sense")]
    Terms,
    #[error("the node said something out of turn")]
    OutOfTurn,
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
    #[error("the node is of a former life of the cluster, or of another cluster")]
    FormerLife,
    #[error("the node's snapshot has more than {MOST_CHANGES} changes")]
    TooLarge,
    #[error("the node's snapshot does not fit: {0}")]
    Snapshot(#[from] chancery_revocation::InstallError),
    /// What it vouched for may be missing something: the view begins from nothing.
    #[error("changes are missing in what the node told")]
    Gap,
    #[error("the node answered a ping that it was not sent")]
    Unasked,
    #[error("the node went back to an earlier revision")]
    Back,
}

/// What the answer to a ping brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Answered {
    /// When the ping was sent.
    pub(super) sent: BootTime,
}

/// A verifier's view, and its part in the stream that it follows.
pub(super) struct Follower {
    /// V as it is asked for; 0: the cluster's default.
    asked_ms: u64,
    view: Option<Arc<View>>,
    terms: Option<Terms>,
    stage: Stage,
    /// Sent on this stream and not answered.
    owed: Option<BootTime>,
    /// Of any stream.
    pinged: Option<BootTime>,
    /// A change was applied of which no ping has told the node yet.
    changed: bool,
}

/// How far the present stream is.
enum Stage {
    Over,
    /// Nothing was told yet.
    Begun {
        since: Option<Revision>,
    },
    /// The terms were told.
    Agreed {
        since: Option<Revision>,
        parts: Vec<Change>,
    },
    /// Everything was told up to `at`, which the next delta continues.
    Live {
        at: Revision,
    },
}

impl Follower {
    pub(super) const fn new(asked_ms: u64) -> Self {
        Self {
            asked_ms,
            view: None,
            terms: None,
            stage: Stage::Over,
            owed: None,
            pinged: None,
            changed: false,
        }
    }

    /// The view, and the terms that it is judged by; `None` before the first were told.
    pub(super) fn following(&self) -> Option<(&Arc<View>, &Terms)> {
        self.view.as_ref().zip(self.terms.as_ref())
    }

    /// Begins a stream, whatever became of the one before. Gives what it begins with.
    pub(super) fn begin(&mut self) -> v1::WatchRequest {
        self.end();
        let view = self.view.as_ref();
        let reached = view.map(|view| view.consistency_token());
        let since = reached.filter(|state| state.revision > Revision(0));
        self.stage = Stage::Begun {
            since: since.map(|state| state.revision),
        };
        v1::WatchRequest {
            max_age_ms: self.asked_ms,
            since: since.map_or_else(String::new, |state| state.to_string()),
            ping: None,
        }
    }

    /// The stream has ended: what was asked on it is not answered any more.
    pub(super) fn end(&mut self) {
        self.stage = Stage::Over;
        self.owed = None;
    }

    /// Takes what the present stream told.
    ///
    /// # Errors
    /// [`Broken`]: the stream has ended, and another node is to be followed.
    pub(super) fn told(&mut self, event: Event) -> Result<Option<Answered>, Broken> {
        let taken = match event {
            Event::Terms(terms) => self.agree(&terms).map(|()| None),
            Event::Snapshot(part) => self.part(part).map(|()| None),
            Event::Delta(delta) => self.delta(delta).map(|()| None),
            Event::Pong(pong) => self.pong(&pong).map(Some),
        };
        taken.inspect_err(|broken| {
            self.end();
            if matches!(broken, Broken::Gap) {
                self.forget();
            }
        })
    }

    /// A view that may lack something it vouched for proves nothing any more.
    fn forget(&mut self) {
        if let Some(view) = &self.view {
            self.view = Some(Arc::new(View::new(view.lineage())));
        }
    }

    fn agree(&mut self, terms: &v1::Terms) -> Result<(), Broken> {
        let mut terms = Terms::of(terms).ok_or(Broken::Terms)?;
        if self.asked_ms > 0 {
            terms.max_age = terms.max_age.min(Duration::from_millis(self.asked_ms));
        }
        match std::mem::replace(&mut self.stage, Stage::Over) {
            Stage::Over => return Err(Broken::OutOfTurn),
            Stage::Begun { since } => {
                let since = self.enter(&terms)?.then_some(since).flatten();
                let parts = Vec::new();
                self.stage = Stage::Agreed { since, parts };
            }
            stage => {
                let known = self.view.as_ref().map(|view| view.lineage());
                if known != Some(terms.lineage) {
                    return Err(Broken::FormerLife);
                }
                self.stage = stage;
            }
        }
        self.shorten(terms.max_age);
        self.terms = Some(terms);
        Ok(())
    }

    /// Whether the terms are of the view's own lineage. A later one, after a restore,
    /// begins a view from nothing; one that is not later is not followed.
    fn enter(&mut self, terms: &Terms) -> Result<bool, Broken> {
        let known = self.view.as_ref().map(|view| view.lineage());
        if known == Some(terms.lineage) {
            return Ok(true);
        }
        if known.is_some_and(|known| terms.lineage.generation <= known.generation) {
            return Err(Broken::FormerLife);
        }
        self.view = Some(Arc::new(View::new(terms.lineage)));
        Ok(false)
    }

    /// A shorter V counts at once, for what was proved before too.
    fn shorten(&self, max_age: Duration) {
        if let Some(view) = &self.view
            && let Some(fresh) = view.freshness()
            && max_age < fresh.bound
        {
            view.prove_fresh(fresh.as_of, max_age);
        }
    }

    fn part(&mut self, part: v1::ViewSnapshot) -> Result<(), Broken> {
        let Stage::Agreed { parts, .. } = &mut self.stage else {
            return Err(Broken::OutOfTurn);
        };
        let view = self.view.as_ref().ok_or(Broken::OutOfTurn)?;
        parts.extend(decode_changes(part.changes)?);
        if parts.len() > MOST_CHANGES {
            return Err(Broken::TooLarge);
        }
        if !part.last {
            return Ok(());
        }
        let state: Option<ConsistencyToken> = part.consistency_token.parse().ok();
        let state = state.ok_or(Broken::OutOfTurn)?;
        let revision = Revision(part.revision);
        if state.revision != revision {
            return Err(Broken::OutOfTurn);
        }
        view.install(&Snapshot {
            lineage: state.lineage,
            revision,
            view_revision: revision,
            changes: std::mem::take(parts),
        })?;
        self.stage = Stage::Live { at: revision };
        self.changed = true;
        Ok(())
    }

    fn delta(&mut self, delta: v1::ViewDelta) -> Result<(), Broken> {
        let (previous, revision) = (Revision(delta.previous), Revision(delta.revision));
        let at = match &self.stage {
            Stage::Live { at } => *at,
            Stage::Agreed { since, parts } if parts.is_empty() => since.ok_or(Broken::Gap)?,
            _ => return Err(Broken::OutOfTurn),
        };
        let view = self.view.as_ref().ok_or(Broken::OutOfTurn)?;
        if previous != at {
            return Err(Broken::Gap);
        }
        if revision < previous {
            return Err(Broken::Back);
        }
        let changes = decode_changes(delta.changes)?;
        // A pong said already that everything up to there had been told.
        if !changes.is_empty() && revision <= view.revision() {
            return Err(Broken::Gap);
        }
        view.publish_changes(revision, &changes);
        view.publish_revision(revision);
        self.changed |= changes.iter().any(Change::changes_the_view);
        self.stage = Stage::Live { at: revision };
        Ok(())
    }

    fn pong(&mut self, pong: &v1::Pong) -> Result<Answered, Broken> {
        let Stage::Live { at } = self.stage else {
            return Err(Broken::OutOfTurn);
        };
        let (Some(view), Some(terms)) = (&self.view, &self.terms) else {
            return Err(Broken::OutOfTurn);
        };
        let sent = self.owed.ok_or(Broken::Unasked)?;
        if pong.sent != sent.0 {
            return Err(Broken::Unasked);
        }
        let revision = Revision(pong.revision);
        if revision < at || revision < view.revision() {
            return Err(Broken::Back);
        }
        self.owed = None;
        view.publish_revision(revision);
        if let Some(as_of) = terms.as_of(sent, pong.age_us) {
            let granted = Duration::from_millis(pong.max_age_ms).min(terms.max_age);
            view.prove_fresh(as_of, granted);
        }
        Ok(Answered { sent })
    }

    /// The ping to send now, if one is due: by the time, because something changed, or
    /// because somebody waits since `wanted` for a proof that began later.
    pub(super) fn ping(&mut self, now: BootTime, wanted: Option<BootTime>) -> Option<v1::Ping> {
        if self.ping_in(now, wanted)? > Duration::ZERO {
            return None;
        }
        let revision = self.view.as_ref()?.revision();
        self.owed = Some(now);
        self.pinged = Some(now);
        self.changed = false;
        Some(v1::Ping {
            sent: now.0,
            revision: revision.0,
        })
    }

    /// In how long a ping is due; `None` while none can be sent.
    fn ping_in(&self, now: BootTime, wanted: Option<BootTime>) -> Option<Duration> {
        if self.owed.is_some() || !matches!(self.stage, Stage::Live { .. }) {
            return None;
        }
        let gap = (self.max_age() / 5).clamp(SHORTEST_GAP, LONGEST_GAP);
        let Some(pinged) = self.pinged else {
            return Some(Duration::ZERO);
        };
        let is_wanted = self.changed || wanted.is_some_and(|wanted| wanted > pinged);
        let due = pinged.plus(if is_wanted { SHORTEST_GAP } else { gap });
        Some(due.since(now).unwrap_or(Duration::ZERO))
    }

    /// Whether the node leaves a ping unanswered for too long.
    pub(super) fn is_left_alone(&self, now: BootTime) -> bool {
        self.patience(now) == Some(Duration::ZERO)
    }

    /// How much longer the answer that is owed is waited for.
    fn patience(&self, now: BootTime) -> Option<Duration> {
        let until = self.owed?.plus((self.max_age() / 3).max(SHORTEST_PATIENCE));
        Some(until.since(now).unwrap_or(Duration::ZERO))
    }

    /// Whether everything that was in force when the stream began was told.
    pub(super) const fn is_live(&self) -> bool {
        matches!(self.stage, Stage::Live { .. })
    }

    /// In how long there is something to do, whatever is told until then.
    pub(super) fn idle(&self, now: BootTime, wanted: Option<BootTime>) -> Duration {
        let ping = self.ping_in(now, wanted);
        ping.or_else(|| self.patience(now)).unwrap_or(LONGEST_GAP)
    }

    fn max_age(&self) -> Duration {
        self.terms
            .as_ref()
            .map_or(Duration::ZERO, |terms| terms.max_age)
    }
}
