//! The order in which a reader looks.

use std::time::Duration;

use chancery_credential::Revision;
#[cfg(simulation)]
use chancery_mutation::{Mutation, is_made};

use crate::clock::{BootTime, Clock, Now};
use crate::freshness::{Freshness, Stale};
use crate::view::View;

/// The beginning of an answer: what has to be read before anything that the answer
/// depends on. [`View::answer`] keeps the order:
///
/// ```text
/// freshness, revision, view revision, time     this
/// the status of whoever asks                   what the answer depends on
/// the clock                                    last: is it still fresh?
/// ```
///
/// A token that is minted so bears `view_revision()`: whatever takes the status away
/// at a revision R is either seen, or R is higher and the token is born dead.
#[derive(Copy, Clone, Debug)]
#[must_use = "an answer that is not finished is not known to be fresh"]
pub struct Serving {
    freshness: Option<Freshness>,
    revision: Revision,
    view_revision: Revision,
    time: u64,
}

/// What an answer may say of itself once the clock was read.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Current {
    /// Everything up to here was seen.
    pub revision: Revision,
    /// How old the state was at most.
    pub age: Duration,
    /// Seconds since the Unix epoch: the later of this machine's clock and log time,
    /// as a judgement takes it. For `iat`.
    pub time: u64,
    /// The reading.
    pub boot: BootTime,
}

impl View {
    /// One answer out of this node's state, a mint too: reads what it begins with,
    /// then lets `read` read everything that it depends on, then reads the clock.
    ///
    /// # Errors
    ///
    /// [`Stale`]: what was read must not leave, a refusal neither. Then what `read`
    /// says.
    pub fn answer<T, E: From<Stale>>(
        &self,
        clock: &impl Clock,
        read: impl FnOnce(&Serving) -> Result<T, E>,
    ) -> Result<(T, Current), E> {
        let serving = self.begin();
        let answer = read(&serving);
        let current = serving.finish(clock)?;
        Ok((answer?, current))
    }

    /// Reads freshness, then the revision, then the rest that an answer begins with.
    ///
    /// Freshness first: a proof is published after the revision that it vouches for,
    /// so a new proof is never combined with an old revision. The view revision
    /// after the revision: it is published before, so it is at least the last change
    /// up to that revision.
    pub fn begin(&self) -> Serving {
        let freshness = self.freshness.observe();
        let revision = Revision(self.revision.observe());
        let view_revision = Revision(self.view_revision.observe());
        Serving {
            freshness,
            // The writer may be between the two; what follows is then seen as of
            // the later.
            revision: revision.max(view_revision),
            view_revision,
            time: self.time.observe(),
        }
    }
}

impl Serving {
    /// Everything up to here is in whatever is read from now on.
    #[must_use]
    pub const fn revision(&self) -> Revision {
        self.revision
    }

    /// The `rev` of a token that is minted on what is read from now on. It may be
    /// signed with an issuer that was opened at or before it, and no other.
    #[must_use]
    pub const fn view_revision(&self) -> Revision {
        self.view_revision
    }

    /// Log time, seconds since the Unix epoch.
    #[must_use]
    pub const fn time(&self) -> u64 {
        self.time
    }

    /// Reads the clock, after everything that the answer depends on.
    ///
    /// # Errors
    ///
    /// [`Stale`]: there is no proof, or it had run out. The answer must not leave.
    pub fn finish(&self, clock: &impl Clock) -> Result<Current, Stale> {
        self.at(clock.now())
    }

    pub(crate) fn at(&self, now: Now) -> Result<Current, Stale> {
        #[cfg(not(simulation))]
        let age = self.freshness.ok_or(Stale)?.age(now.boot)?;
        #[cfg(simulation)]
        let age = match self
            .freshness
            .ok_or(Stale)
            .and_then(|proof| proof.age(now.boot))
        {
            Err(Stale) if is_made(Mutation::ServeStale) => Duration::ZERO,
            age => age?,
        };
        Ok(Current {
            revision: self.revision,
            age,
            time: self.time_at(now),
            boot: now.boot,
        })
    }

    pub(crate) fn time_at(&self, now: Now) -> u64 {
        now.wall.max(self.time)
    }
}
