//! The view's one writer, and the order in which it publishes.
//!
//! Changes first, then (in a node) every other consumer of the same log entries,
//! then the view's revision, and the revision last. A reader that observes a
//! revision therefore sees everything up to it, here and in those consumers.
//!
//! The order does not depend on how much is published at once. Changes only ever
//! add, raise or close, so a reader in the midst of them, even of a snapshot that
//! is being installed, sees the former revision, all that was dead then, and
//! perhaps some of what is dead now: it can refuse early, never accept late.

use chancery_credential::{Revision, Subject};
#[cfg(simulation)]
use chancery_mutation::{Mutation, is_made};

use crate::change::{Change, Delta, Gap, InstallError, Snapshot};
use crate::issuers::{HandedOut, Issuer, IssuerState};
use crate::view::View;

impl View {
    /// Publishes what log entries up to `through` changed, in a node: `others`
    /// publishes every other consumer of the same entries, between this view's
    /// changes and the revision.
    pub fn publish_entries<'a>(
        &self,
        entries: impl IntoIterator<Item = (Revision, &'a [Change])>,
        through: Revision,
        others: impl FnOnce(),
    ) {
        #[cfg(simulation)]
        if is_made(Mutation::RevisionFirst) {
            self.publish_revision(through);
        }
        for (revision, changes) in entries {
            self.publish_changes(revision, changes);
        }
        others();
        self.publish_revision(through);
    }

    /// First half of publishing what the log entry `at` changed. Between it and
    /// [`publish_revision`](Self::publish_revision) a node publishes its other
    /// consumers.
    pub fn publish_changes(&self, at: Revision, changes: &[Change]) {
        let mut changed_at = self.changed_at.hold();
        self.publish_each(changes);
        if changes.iter().any(Change::changes_the_view) {
            *changed_at = at.max(*changed_at);
        }
    }

    /// Second half: from here on every reader sees all that was published before.
    /// For entries that changed nothing (blanks, memberships, `Resume`) it is the
    /// only half. A revision that is not higher than the published one changes
    /// nothing.
    pub fn publish_revision(&self, revision: Revision) {
        let changed_at = self.changed_at.hold();
        if revision <= self.revision() {
            return;
        }
        // A token's `rev` says that its mint had seen all changes up to it, in every
        // consumer; so it is published with them, not with the changes.
        let view_revision = (*changed_at).min(revision);
        if view_revision > self.view_revision() {
            self.view_revision.publish(view_revision.0);
        }
        self.revision.publish(revision.0);
    }

    /// Both halves, for a view that is its only consumer. A delta that the view has
    /// already gone past changes nothing.
    ///
    /// # Errors
    ///
    /// [`Gap`] when the delta continues a revision that the view has not reached.
    /// Nothing is changed then.
    pub fn apply(&self, delta: &Delta) -> Result<(), Gap> {
        let view = self.revision();
        if delta.previous > view {
            let previous = delta.previous;
            return Err(Gap { view, previous });
        }
        if delta.revision > view {
            self.publish_changes(delta.revision, &delta.changes);
            self.publish_revision(delta.revision);
        }
        Ok(())
    }

    /// First half of installing a snapshot: all of its content, in place. The second
    /// is `publish_revision(snapshot.revision)`, after the other consumers.
    ///
    /// # Errors
    ///
    /// [`InstallError`], and nothing is changed, when it is of another lineage or
    /// older than the view.
    pub fn publish_snapshot(&self, snapshot: &Snapshot) -> Result<(), InstallError> {
        let (view, snapshot_lineage) = (self.lineage(), snapshot.lineage);
        if view != snapshot_lineage {
            let snapshot = snapshot_lineage;
            return Err(InstallError::OtherLineage { view, snapshot });
        }
        let mut changed_at = self.changed_at.hold();
        let (view, snapshot_revision) = (self.revision(), snapshot.revision);
        if snapshot_revision < view {
            let snapshot = snapshot_revision;
            return Err(InstallError::Older { view, snapshot });
        }
        self.publish_contents(snapshot);
        *changed_at = snapshot.view_revision.max(*changed_at);
        Ok(())
    }

    /// Installs a snapshot in a node, with `others` between the halves.
    ///
    /// # Errors
    ///
    /// [`InstallError`], and nothing is changed, nor `others` called.
    pub fn install_with(
        &self,
        snapshot: &Snapshot,
        others: impl FnOnce(),
    ) -> Result<(), InstallError> {
        self.publish_snapshot(snapshot)?;
        others();
        self.publish_revision(snapshot.revision);
        Ok(())
    }

    /// Both halves of installing a snapshot. It has to be whole and checked: nothing
    /// here can tell that a part is missing.
    ///
    /// # Errors
    ///
    /// [`InstallError`], and nothing is changed.
    pub fn install(&self, snapshot: &Snapshot) -> Result<(), InstallError> {
        self.install_with(snapshot, || ())
    }

    /// The union of what is there and what the snapshot says, then without what the
    /// snapshot shows to be over: the same as all the deltas between the two.
    fn publish_contents(&self, snapshot: &Snapshot) {
        let before = self.issuers.handed_out();
        let mut listed = Vec::new();
        for change in &snapshot.changes {
            if let Some(issuer) = opened(change) {
                listed.push(issuer.number);
                self.issuers.open(issuer, before);
            }
        }
        listed.sort_unstable();
        if let Some(highest) = listed.last() {
            self.issuers.hand_out(*highest);
        }
        for issuer in self.issuers() {
            // An opening that the snapshot cannot know of says nothing about expiry.
            let known_to_it = issuer.opened_at <= snapshot.revision;
            if known_to_it && listed.binary_search(&issuer.number).is_err() {
                self.issuers.expire(issuer.number);
            }
        }
        // What is left comes to the same in any order.
        for change in &snapshot.changes {
            if !matches!(change, Change::IssuerOpened { .. }) {
                self.publish_one(change, before);
            }
        }
    }

    fn publish_each(&self, changes: &[Change]) {
        for change in changes {
            self.publish_one(change, self.issuers.handed_out());
        }
    }

    fn publish_one(&self, change: &Change, before: HandedOut) {
        match change {
            Change::IssuerOpened { number, .. } => {
                if let Some(issuer) = opened(change) {
                    self.issuers.open(issuer, before);
                    self.issuers.hand_out(*number);
                }
            }
            Change::IssuerRetired { number, retired_at } => {
                self.issuers.retire(*number, *retired_at);
            }
            Change::IssuerExpired(number) => self.issuers.expire(*number),
            Change::IssuerRevoked(number) => self.issuers.revoke(*number),
            Change::Watermark { subject, revision } => self.raise_watermark(subject, *revision),
            Change::TokenRevoked(id) => self.issuers.revoke_token(*id),
            Change::Floor(floor) => self.raise_floor(*floor),
            Change::Time(seconds) => self.time.raise(*seconds, |held, new| new > held),
        }
    }

    fn raise_watermark(&self, subject: &Subject, revision: Revision) {
        #[cfg(simulation)]
        if is_made(Mutation::WatermarkKept) && self.watermark(subject) > Revision(0) {
            return;
        }
        // The floor refuses by itself what such a watermark would.
        if revision > self.floor() {
            self.watermarks.raise(subject, revision);
        }
    }

    /// Refuses first, drops then.
    fn raise_floor(&self, floor: Revision) {
        if floor > self.floor() {
            self.floor.publish(floor.0);
            self.watermarks.drop_through(floor);
        }
    }
}

fn opened(change: &Change) -> Option<Issuer> {
    let Change::IssuerOpened {
        number,
        node,
        epoch,
        opened_at,
        key,
    } = change
    else {
        return None;
    };
    Some(Issuer {
        number: *number,
        node: *node,
        epoch: *epoch,
        opened_at: *opened_at,
        key: **key,
        state: IssuerState::Open,
    })
}
