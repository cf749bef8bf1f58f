//! Changes of a view, as a node tells them. Nothing that cannot be read is passed over:
//! it may be a revocation.

use chancery_credential::{
    Ed25519PublicKey, EpochNumber, IssuerNumber, NodeNumber, Revision, Subject, TokenId,
};
use chancery_revocation::Change;
use chancery_wire::v1::{self, view_change::Change as Wire};
use thiserror::Error;

/// A change that this build cannot read.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("the node tells of a change that cannot be read here ({0}): is this SDK older than it?")]
pub(crate) struct Unreadable(&'static str);

/// Reads all of them, in their order.
pub(crate) fn decode_changes(changes: Vec<v1::ViewChange>) -> Result<Vec<Change>, Unreadable> {
    changes.into_iter().map(decode_change).collect()
}

fn decode_change(change: v1::ViewChange) -> Result<Change, Unreadable> {
    let change = change.change.ok_or(Unreadable("its kind"))?;
    Ok(match change {
        Wire::IssuerOpened(opened) => Change::IssuerOpened {
            number: IssuerNumber(opened.number),
            node: NodeNumber(opened.node),
            epoch: EpochNumber(opened.epoch),
            opened_at: Revision(opened.opened_at),
            key: Box::new(
                Ed25519PublicKey::parse(&opened.ed25519)
                    .map_err(|_| Unreadable("an issuer's key"))?,
            ),
        },
        Wire::IssuerRetired(retired) => Change::IssuerRetired {
            number: IssuerNumber(retired.number),
            retired_at: Revision(retired.retired_at),
        },
        Wire::IssuerExpired(number) => Change::IssuerExpired(IssuerNumber(number)),
        Wire::IssuerRevoked(number) => Change::IssuerRevoked(IssuerNumber(number)),
        Wire::Watermark(mark) => Change::Watermark {
            subject: decode_subject(mark.subject)?,
            revision: Revision(mark.revision),
        },
        Wire::TokenRevoked(id) => Change::TokenRevoked(
            TokenId::try_from(id.as_slice()).map_err(|_| Unreadable("a token's id"))?,
        ),
        Wire::Floor(revision) => Change::Floor(Revision(revision)),
        Wire::Time(seconds) => Change::Time(seconds),
    })
}

fn decode_subject(subject: Option<v1::Subject>) -> Result<Subject, Unreadable> {
    use v1::subject::Subject as Wire;
    let subject = subject.and_then(|subject| subject.subject);
    Ok(match subject.ok_or(Unreadable("a subject"))? {
        Wire::Agent(id) => Subject::Agent(id.parse().map_err(|_| Unreadable("an agent"))?),
        Wire::Owner(name) => Subject::Owner(name.parse().map_err(|_| Unreadable("an owner"))?),
        Wire::GrantSet(name) => {
            Subject::GrantSet(name.parse().map_err(|_| Unreadable("a grant set"))?)
        }
        Wire::Everything(true) => Subject::Everything,
        Wire::Everything(false) => return Err(Unreadable("a subject that is none")),
    })
}
