//! What is in force, as changes that rebuild it from nothing.

use std::ops::Bound;

use chancery_credential::{IssuerNumber, Subject, TokenId};
use chancery_revocation::{Change, Snapshot};

use crate::record::{IssuerRecord, IssuerStanding};
use crate::state::State;

/// A place in the changes that rebuild a view, in their order: what comes after it
/// comes after.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ViewPlace {
    /// After this issuer; before the first one, after what stands once.
    Issuer(IssuerNumber),
    /// After all issuers and this subject's watermark.
    Watermark(Subject),
    /// After all watermarks and this revoked token.
    Token(TokenId),
}

impl State {
    /// The view of this state, for a node that starts or takes a snapshot; none
    /// before birth.
    #[must_use]
    pub fn view(&self) -> Option<Snapshot> {
        let meta = self.tables.meta?;
        let changes = self.view_after(None).map(|(_, change)| change);
        Some(Snapshot {
            lineage: meta.lineage,
            revision: self.revision(),
            view_revision: meta.view_revision,
            changes: changes.collect(),
        })
    }

    /// The changes that rebuild the view, those after `place` only, each with where
    /// to go on after it.
    ///
    /// A part is two changes at least, because an issuer can take two. Read in parts,
    /// each from a later state, they are no state's view: what was
    /// dropped in between is in none of them. They lead to a view once the log's own
    /// changes since before the first part have been applied over them.
    pub fn view_after(
        &self,
        place: Option<&ViewPlace>,
    ) -> impl Iterator<Item = (ViewPlace, Change)> {
        let head = place.is_none().then(|| self.head()).into_iter().flatten();
        let head = head.map(|change| (ViewPlace::Issuer(IssuerNumber(0)), change));
        head.chain(self.issuers_after(place))
            .chain(self.watermarks_after(place))
            .chain(self.revoked_after(place))
    }

    /// What stands once.
    fn head(&self) -> Vec<Change> {
        let Some(meta) = self.tables.meta else {
            return Vec::new();
        };
        let mut head = vec![
            Change::Time(self.clock().told_time_s),
            Change::Floor(meta.floor),
        ];
        // The newest number ever handed out has to appear, even if it has expired:
        // it tells numbers that have expired from numbers that are still to come.
        let newest = IssuerNumber(meta.next_issuer.saturating_sub(1));
        if newest > IssuerNumber(0) && self.issuer(newest).is_none() {
            head.push(Change::IssuerExpired(newest));
        }
        head
    }

    fn issuers_after(
        &self,
        place: Option<&ViewPlace>,
    ) -> impl Iterator<Item = (ViewPlace, Change)> {
        let from = match place {
            None => Some(Bound::Unbounded),
            Some(ViewPlace::Issuer(number)) => Some(Bound::Excluded(*number)),
            Some(ViewPlace::Watermark(_) | ViewPlace::Token(_)) => None,
        };
        let issuers = from.map(|from| self.tables.issuers.range((from, Bound::Unbounded)));
        let issuers = issuers.into_iter().flatten();
        issuers.flat_map(|(_, issuer)| changes_of(issuer))
    }

    fn watermarks_after(
        &self,
        place: Option<&ViewPlace>,
    ) -> impl Iterator<Item = (ViewPlace, Change)> {
        let from = match place {
            None | Some(ViewPlace::Issuer(_)) => Some(Bound::Unbounded),
            Some(ViewPlace::Watermark(subject)) => Some(Bound::Excluded(subject.clone())),
            Some(ViewPlace::Token(_)) => None,
        };
        let watermarks = from.map(|from| self.tables.watermarks.range((from, Bound::Unbounded)));
        let watermarks = watermarks.into_iter().flatten();
        let floor = self.floor();
        watermarks
            .filter(move |(_, revision)| **revision > floor)
            .map(|(subject, revision)| {
                let place = ViewPlace::Watermark(subject.clone());
                let (subject, revision) = (subject.clone(), *revision);
                (place, Change::Watermark { subject, revision })
            })
    }

    fn revoked_after(
        &self,
        place: Option<&ViewPlace>,
    ) -> impl Iterator<Item = (ViewPlace, Change)> {
        let last = match place {
            Some(ViewPlace::Token(token)) => Some(*token),
            None | Some(ViewPlace::Issuer(_) | ViewPlace::Watermark(_)) => None,
        };
        let first = last.map_or(IssuerNumber(0), |token| token.issuer());
        let known = |issuer: &IssuerNumber| self.tables.issuers.contains_key(issuer);
        (self.tables.revoked.range(first..))
            .filter(move |(issuer, _)| known(issuer))
            .flat_map(move |(_, tokens)| {
                let from = last.map_or(Bound::Unbounded, Bound::Excluded);
                tokens.range((from, Bound::Unbounded))
            })
            .map(|token| (ViewPlace::Token(*token), Change::TokenRevoked(*token)))
    }
}

/// An issuer that is not open takes two changes: whoever goes on after the first
/// one is told it again.
fn changes_of(issuer: &IssuerRecord) -> impl Iterator<Item = (ViewPlace, Change)> + use<> {
    let number = issuer.number;
    let opened = Change::IssuerOpened {
        number,
        node: issuer.node,
        epoch: issuer.epoch,
        opened_at: issuer.opened_at,
        key: Box::new(issuer.key),
    };
    let ended = match issuer.standing {
        IssuerStanding::Open => None,
        IssuerStanding::Retired(retired_at) => Some(Change::IssuerRetired { number, retired_at }),
        IssuerStanding::Revoked(_) => Some(Change::IssuerRevoked(number)),
    };
    let after = ViewPlace::Issuer(number);
    let before = ViewPlace::Issuer(IssuerNumber(number.0.saturating_sub(1)));
    let place = if ended.is_some() {
        before
    } else {
        after.clone()
    };
    std::iter::once((place, opened)).chain(ended.map(|ended| (after, ended)))
}
