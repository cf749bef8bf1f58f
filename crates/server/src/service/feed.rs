//! What a watcher is told, made as it reads: a snapshot in parts, then every change in
//! order.
//!
//! ```text
//!  begins ────────► a part of what is in force, and what changed ─┐ until all was told
//!                   ▲─────────────────────────────────────────────┘
//!                   └► what changed up to the last part's state ─► the snapshot's end ─┐
//!  was here before ────────────────────────────────────────────────────────────────────┴► deltas, and
//!                                                                                       what is said
//! ```
//!
//! Nothing is copied ahead of the reader: a watcher costs what one part holds, however
//! large the view is and however slowly it reads.
//!
//! The parts are read from states that move on. What was dropped in between (the
//! revoked ids of an issuer that was revoked or expired, a watermark under a floor) is
//! in none of them, so the snapshot ends only after the changes up to the state of its
//! last part: with these over the parts, in the order in which they were told, it is
//! that state and no mixture. A change that is told twice does nothing the second time.

use std::{collections::VecDeque, future::Future, sync::Arc};

use chancery_authority::ViewPlace;
use chancery_credential::Revision;
use chancery_revocation::Change;
use chancery_wire::v1::watch_response::Event;
use tonic::Status;

use super::in_force::Part;
use crate::recent::{ChangedAt, Recent};

/// What is read at a time, bytes: of what is in force, and of what changed.
const PART_BYTES: usize = 64 * 1024;

/// What a feed reads of its node.
pub(super) trait Source {
    /// The revision that readers see: what changed up to it is in [`recent`](Self::recent).
    fn revision(&self) -> Revision;

    /// What changed of late.
    fn recent(&self) -> &Recent;

    /// A part of what is in force, when it is the watcher's turn.
    fn part(&self, after: Option<&ViewPlace>, weight: usize) -> impl Future<Output = Part> + Send;

    /// Resolves when readers see a later revision.
    fn past(&self, revision: Revision) -> impl Future<Output = ()> + Send;

    /// How far changes are told before anything else is said: a revision that readers
    /// see, at least what was told.
    fn through(&mut self) -> Revision {
        self.revision()
    }

    /// Resolves when there is something to say to a watcher that was told every change
    /// up to `told`, or when readers see more than that.
    fn news(&mut self, told: Revision) -> impl Future<Output = Result<News, Status>> + Send;
}

/// Why a feed that waited goes on.
#[derive(Debug)]
pub(super) enum News {
    /// There may be changes to tell.
    Changes,
    /// This is said, beside the changes.
    Word(Event),
}

/// One thing that a watcher is told.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Told {
    /// A part of a snapshot.
    Part(Vec<Change>),
    /// The snapshot has ended, and is that of this revision.
    Whole(Revision),
    /// What changed at a revision, and the one that was told of before.
    Delta {
        previous: Revision,
        revision: Revision,
        changes: Arc<[Change]>,
    },
    /// What is said beside the changes.
    Word(Event),
}

/// Why a feed ends.
#[derive(Debug)]
pub(super) enum Ended {
    /// More changed than is remembered while the watcher did not read: it has to begin
    /// again.
    Forgotten,
    /// What the watcher said cannot be answered, or it may watch no more.
    Refused(Status),
}

/// One watcher's feed.
pub(super) struct Feed<S> {
    source: S,
    stage: Stage,
    /// Read, and not told yet: no more than about [`PART_BYTES`].
    read: VecDeque<ChangedAt>,
}

enum Stage {
    /// A snapshot is being told.
    InForce {
        /// Up to here; `None` before the first part.
        place: Option<ViewPlace>,
        /// What changed up to here was told, or is in every part.
        at: Revision,
    },
    /// All parts were told, the last of the state of `through`.
    Meanwhile {
        at: Revision,
        through: Revision,
    },
    /// Everything was told up to `at`, which the next delta continues.
    After {
        at: Revision,
        /// The watcher waits to hear that it goes on where it was.
        unheard: bool,
    },
    Over,
}

impl<S: Source> Feed<S> {
    /// Of a watcher that begins, or has to begin again. `at` is a revision that readers
    /// saw before this.
    pub(super) const fn beginning(source: S, at: Revision) -> Self {
        let place = None;
        Self::at(source, Stage::InForce { place, at })
    }

    /// Of a watcher that has everything up to `at`. The first that it is told is a
    /// delta, empty if nothing changed since.
    pub(super) const fn resuming(source: S, at: Revision) -> Self {
        let unheard = true;
        Self::at(source, Stage::After { at, unheard })
    }

    const fn at(source: S, stage: Stage) -> Self {
        let read = VecDeque::new();
        Self {
            source,
            stage,
            read,
        }
    }

    /// What the watcher is told next, once there is something; `None` after it
    /// has [`Ended`]. Not to be dropped while it waits, unless with the feed.
    pub(super) async fn next(&mut self) -> Option<Result<Told, Ended>> {
        let told = match std::mem::replace(&mut self.stage, Stage::Over) {
            Stage::InForce { place, at } => self.part(place, at).await,
            Stage::Meanwhile { at, through } => self.meanwhile(at, through).await,
            Stage::After { at, unheard } => self.delta(at, unheard).await,
            Stage::Over => return None,
        };
        Some(told)
    }

    /// What changed, then the next part, whose state is at least as far: so a snapshot
    /// needs no more remembered than what changed since the part before.
    async fn part(&mut self, place: Option<ViewPlace>, mut at: Revision) -> Result<Told, Ended> {
        let through = self.source.revision();
        let mut changes = self.changed(&mut at, through)?;
        let part = self.source.part(place.as_ref(), PART_BYTES).await;
        changes.extend(part.changes);
        self.stage = match part.place {
            place @ Some(_) => Stage::InForce { place, at },
            None => Stage::Meanwhile {
                at,
                through: part.revision,
            },
        };
        Ok(Told::Part(changes))
    }

    /// What changed up to the state of the last part, then the end of the snapshot.
    async fn meanwhile(&mut self, mut at: Revision, through: Revision) -> Result<Told, Ended> {
        // A state is read before readers see its revision.
        while self.source.revision() < through {
            self.source.past(self.source.revision()).await;
        }
        let changes = self.changed(&mut at, through)?;
        if changes.is_empty() {
            let unheard = false;
            self.stage = Stage::After {
                at: through,
                unheard,
            };
            return Ok(Told::Whole(through));
        }
        self.stage = Stage::Meanwhile { at, through };
        Ok(Told::Part(changes))
    }

    async fn delta(&mut self, at: Revision, unheard: bool) -> Result<Told, Ended> {
        while self.read.is_empty() {
            let now = self.source.through();
            let found = self.source.recent().after(at, now, PART_BYTES);
            self.read = found.ok_or(Ended::Forgotten)?.into();
            if !self.read.is_empty() {
                break;
            }
            if unheard {
                return Ok(self.tell(at, now.max(at), [].into()));
            }
            match self.source.news(now).await.map_err(Ended::Refused)? {
                News::Changes => {}
                News::Word(event) => {
                    self.stage = Stage::After { at, unheard };
                    return Ok(Told::Word(event));
                }
            }
        }
        let Some((revision, changes)) = self.read.pop_front() else {
            return Err(Ended::Forgotten);
        };
        Ok(self.tell(at, revision, changes))
    }

    fn tell(&mut self, previous: Revision, revision: Revision, changes: Arc<[Change]>) -> Told {
        let (at, unheard) = (revision, false);
        self.stage = Stage::After { at, unheard };
        Told::Delta {
            previous,
            revision,
            changes,
        }
    }

    /// What changed after `at`, up to `through`, as far as a part goes; `at` is where
    /// that ends.
    fn changed(&self, at: &mut Revision, through: Revision) -> Result<Vec<Change>, Ended> {
        let found = self.source.recent().after(*at, through, PART_BYTES);
        let found = found.ok_or(Ended::Forgotten)?;
        *at = found.last().map_or(through, |(last, _)| *last).max(*at);
        let changes = found.iter().flat_map(|(_, changes)| changes.iter());
        Ok(changes.cloned().collect())
    }
}

#[cfg(test)]
#[path = "feed_tests.rs"]
mod tests;
