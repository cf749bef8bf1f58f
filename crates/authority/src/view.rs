//! What is in force, as changes that rebuild it from nothing.

use chancery_credential::IssuerNumber;
use chancery_revocation::{Change, Snapshot};

use crate::record::{IssuerRecord, IssuerStanding};
use crate::state::State;

impl State {
    /// The view of this state, for a node that starts or takes a snapshot; none
    /// before birth.
    #[must_use]
    pub fn view(&self) -> Option<Snapshot> {
        let meta = self.tables.meta?;
        let mut changes = vec![
            Change::Time(self.clock().told_time_s),
            Change::Floor(meta.floor),
        ];
        // The newest number ever handed out has to appear, even if it has expired:
        // it tells numbers that have expired from numbers that are still to come.
        let newest = IssuerNumber(meta.next_issuer.saturating_sub(1));
        if newest > IssuerNumber(0) && self.issuer(newest).is_none() {
            changes.push(Change::IssuerExpired(newest));
        }
        self.issuers()
            .for_each(|issuer| changes.extend(changes_of(issuer)));
        let watermarks = self.tables.watermarks.iter();
        changes.extend(
            watermarks
                .filter(|(_, revision)| **revision > meta.floor)
                .map(|(subject, revision)| Change::Watermark {
                    subject: subject.clone(),
                    revision: *revision,
                }),
        );
        for issuer in self.tables.issuers.keys() {
            let tokens = self.tables.revoked.get(issuer).into_iter().flatten();
            changes.extend(tokens.map(|token| Change::TokenRevoked(*token)));
        }
        Some(Snapshot {
            lineage: meta.lineage,
            revision: self.revision(),
            view_revision: meta.view_revision,
            changes,
        })
    }
}

fn changes_of(issuer: &IssuerRecord) -> impl Iterator<Item = Change> + use<> {
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
    std::iter::once(opened).chain(ended)
}
