//! A view as the changes that rebuild it.

use chancery_credential::{IssuerNumber, Revision};

use crate::change::{Change, Snapshot};
use crate::issuers::{Issuer, IssuerState};
use crate::view::View;

impl View {
    /// A snapshot of at least the published revision, in one order for one content.
    ///
    /// It holds up neither readers nor the writer. What is published meanwhile may
    /// or may not be in it, beyond the revision that it states: to apply those
    /// deltas again does nothing, so deltas go on from `revision`.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let serving = self.begin();
        let handed_out = self.issuers.next_number();
        let mut changes = Vec::new();

        let mut highest_listed = None;
        for (issuer, ids) in self.issuers.list(true) {
            highest_listed = Some(issuer.number);
            push_issuer(&mut changes, issuer);
            changes.extend(ids.into_iter().map(Change::TokenRevoked));
        }
        let highest = handed_out
            .checked_sub(1)
            .and_then(|highest| u32::try_from(highest).ok())
            .map(IssuerNumber);
        if highest > highest_listed {
            changes.extend(highest.map(Change::IssuerExpired));
        }

        let marks = self.watermarks.list().into_iter();
        changes.extend(marks.map(|(subject, revision)| Change::Watermark { subject, revision }));
        // After the watermarks: so one that was dropped meanwhile is refused by it.
        let floor = self.floor();
        if floor > Revision(0) {
            changes.push(Change::Floor(floor));
        }
        let time = self.time();
        if time > 0 {
            changes.push(Change::Time(time));
        }
        Snapshot {
            lineage: self.lineage(),
            revision: serving.revision(),
            view_revision: serving.view_revision(),
            changes,
        }
    }
}

fn push_issuer(changes: &mut Vec<Change>, issuer: Issuer) {
    let Issuer {
        number,
        node,
        epoch,
        opened_at,
        key,
        state,
    } = issuer;
    changes.push(Change::IssuerOpened {
        number,
        node,
        epoch,
        opened_at,
        key: Box::new(key),
    });
    match state {
        IssuerState::Open => {}
        IssuerState::Retired(retired_at) => {
            changes.push(Change::IssuerRetired { number, retired_at });
        }
        IssuerState::Revoked => changes.push(Change::IssuerRevoked(number)),
    }
}
