//! The view: everything that decides whether a credential is in force.

use std::time::Duration;

use chancery_credential::{
    ConsistencyToken, IssuerNumber, KeyId, Lineage, Revision, Subject, TokenId,
};

use crate::clock::BootTime;
use crate::freshness::{Freshness, LatestProof};
use crate::issuers::{Found, Issuer, Issuers};
use crate::memory::{Exclusive, Published};
use crate::watermarks::Watermarks;

/// Issuers, watermarks, revoked ids, floor and log time, at a revision, proved
/// fresh as of some moment. One thread changes it (`publish_*`, `apply`,
/// `install`), any number read it and never block.
///
/// What it holds is bounded: watermarks at or below the floor are dropped, revoked
/// ids go with their issuer, and an expired issuer leaves nothing but the highest
/// number.
///
/// A revision means something only within its lineage, so a view has one for life.
/// After a restore, begin a new view.
#[derive(Debug)]
pub struct View {
    lineage: Lineage,
    pub(crate) freshness: LatestProof,
    pub(crate) revision: Published,
    pub(crate) view_revision: Published,
    pub(crate) issuers: Issuers,
    pub(crate) watermarks: Watermarks,
    pub(crate) time: Published,
    pub(crate) floor: Published,
    /// The last revision whose changes are there and that is not yet published as
    /// the view's revision.
    pub(crate) changed_at: Exclusive<Revision>,
}

impl View {
    /// An empty view at revision 0, not fresh: it finds everything unknown.
    #[must_use]
    pub fn new(lineage: Lineage) -> Self {
        Self {
            lineage,
            freshness: LatestProof::none(),
            revision: Published::new(0),
            view_revision: Published::new(0),
            issuers: Issuers::new(),
            watermarks: Watermarks::new(),
            time: Published::new(0),
            floor: Published::new(0),
            changed_at: Exclusive::new(Revision(0)),
        }
    }

    /// The log that its revisions belong to.
    #[must_use]
    pub const fn lineage(&self) -> Lineage {
        self.lineage
    }

    /// The published revision: everything up to it can be seen.
    #[must_use]
    pub fn revision(&self) -> Revision {
        Revision(self.revision.observe())
    }

    /// The published revision with its lineage, for an answer that rests on what is
    /// read after this call.
    #[must_use]
    pub fn consistency_token(&self) -> ConsistencyToken {
        ConsistencyToken {
            lineage: self.lineage,
            revision: self.revision(),
        }
    }

    /// The last revision that changed the view. What a mint puts into `rev` comes
    /// from [`begin`](Self::begin), before it reads the status that it licenses.
    #[must_use]
    pub fn view_revision(&self) -> Revision {
        Revision(self.view_revision.observe())
    }

    /// Tokens with a lower `rev` are dead.
    #[must_use]
    pub fn floor(&self) -> Revision {
        Revision(self.floor.observe())
    }

    /// Log time, seconds since the Unix epoch.
    #[must_use]
    pub fn time(&self) -> u64 {
        self.time.observe()
    }

    /// Below which `rev` the tokens of a subject are dead; 0 when none are.
    #[must_use]
    pub fn watermark(&self, subject: &Subject) -> Revision {
        self.watermarks.of(subject)
    }

    /// Whether a token is revoked by its id, or by its issuer. It is not all that
    /// decides: an id alone cannot know of a suspension.
    #[must_use]
    pub fn is_token_revoked(&self, id: &TokenId) -> bool {
        let handed_out = self.issuers.handed_out();
        let revoked = |issuer: &Issuer, by_id| by_id || !issuer.verifies();
        match self.issuers.find(id, handed_out, revoked) {
            Found::Known(revoked) => revoked,
            Found::Expired => true,
            Found::Unknown => false,
        }
    }

    /// An issuer that has not expired.
    #[must_use]
    pub fn issuer(&self, number: IssuerNumber) -> Option<Issuer> {
        self.issuers.get(number)
    }

    /// An issuer that has not expired, by its `kid`.
    #[must_use]
    pub fn issuer_of_key(&self, key: &KeyId) -> Option<Issuer> {
        self.issuer(self.issuers.number_of(key)?)
    }

    /// Every issuer that has not expired, by number. The JWKS is the keys of those
    /// that [verify](Issuer::verifies).
    #[must_use]
    pub fn issuers(&self) -> Vec<Issuer> {
        let issuers = self.issuers.list(false).into_iter();
        issuers.map(|(issuer, _)| issuer).collect()
    }

    /// Publishes a proof: everything that was committed at `as_of` is in this view,
    /// which is now at least as far as the read index that the proof was answered
    /// with. Call it after [`revision`](Self::revision) said so. A proof asked for
    /// earlier than the one held changes nothing.
    ///
    /// `as_of` is when the question was *sent*, on this machine's CLOCK_BOOTTIME.
    pub fn prove_fresh(&self, as_of: BootTime, bound: Duration) {
        self.freshness.prove(as_of, bound);
    }

    /// Gives all proofs up, for good: whatever begins from now on finds the view stale,
    /// and no proof that is still under way changes that. A node that has stopped
    /// serving does so before it says that nobody has to wait for it.
    pub fn withdraw(&self) {
        self.freshness.withdraw();
    }

    /// The latest proof, if there is one. For status and metrics: an answer takes
    /// its freshness from [`begin`](Self::begin), before the revision.
    #[must_use]
    pub fn freshness(&self) -> Option<Freshness> {
        self.freshness.observe()
    }
}
