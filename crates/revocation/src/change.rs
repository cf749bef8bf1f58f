//! What changes a view, and the two forms in which changes travel.

use chancery_credential::{
    Ed25519PublicKey, EpochNumber, IssuerNumber, Lineage, NodeNumber, Revision, Subject, TokenId,
};

/// One change of a view.
///
/// Changes only ever add, raise or close: to apply one again, or one that the view
/// has gone past, does nothing. Within a lineage they are applied in log order: an
/// issuer is opened before anything else is said of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// An issuer may sign, and what it signs verifies.
    IssuerOpened {
        /// Handed out in ascending order, never reused.
        number: IssuerNumber,
        /// Whose it is.
        node: NodeNumber,
        /// The key epoch that it belongs to.
        epoch: EpochNumber,
        /// Tokens with a lower `rev` are not its own.
        opened_at: Revision,
        /// Boxed, so that the other changes stay small: there can be millions.
        key: Box<Ed25519PublicKey>,
    },
    /// An issuer signs no more; its tokens up to `retired_at` still verify.
    IssuerRetired {
        /// Which.
        number: IssuerNumber,
        /// The highest `rev` that its tokens may bear.
        retired_at: Revision,
    },
    /// Every token of the issuer has ended; its revoked ids go with it.
    IssuerExpired(IssuerNumber),
    /// Nothing that the issuer signed, nor what derives from it, is in force again.
    IssuerRevoked(IssuerNumber),
    /// What the subject held before `revision` is dead.
    Watermark {
        /// Whose.
        subject: Subject,
        /// Tokens with a lower `rev` are dead.
        revision: Revision,
    },
    /// One token, and what was derived from it, is dead. Kept under its issuer.
    TokenRevoked(TokenId),
    /// Tokens with a lower `rev` are dead, so watermarks at or below it can go.
    Floor(Revision),
    /// Log time, seconds since the Unix epoch.
    Time(u64),
}

impl Change {
    /// Whether it changes what is in force, and so what the `rev` of the next token
    /// has to be: everything but [`Change::Time`].
    #[must_use]
    pub const fn changes_the_view(&self) -> bool {
        !matches!(self, Self::Time(_))
    }
}

/// The changes between two revisions, in log order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delta {
    /// The revision that the changes continue.
    pub previous: Revision,
    /// The revision that they lead to.
    pub revision: Revision,
    /// In log order. May be empty: the log moved on, and the view did not change.
    pub changes: Vec<Change>,
}

/// A whole view, as the changes that rebuild it from nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// The log that the revisions belong to.
    pub lineage: Lineage,
    /// Everything up to here is in it.
    pub revision: Revision,
    /// The last revision at which the view changed, at most `revision`. Whoever
    /// does not know it may give `revision`: tokens are then minted with a `rev`
    /// that is safe, and later than need be.
    pub view_revision: Revision,
    /// In any order. An expired issuer appears only if its number is the highest
    /// that was ever handed out; those below it that do not appear have expired.
    pub changes: Vec<Change>,
}

/// Deltas are missing: the view has to start again from a snapshot.
#[derive(Copy, Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "changes are missing between revision {view}, which this view has, and {previous}, which \
     the delta continues: install a snapshot, then go on with deltas"
)]
pub struct Gap {
    /// Where the view stands.
    pub view: Revision,
    /// What the delta continues.
    pub previous: Revision,
}

/// Why a snapshot was not installed. The view is as it was.
#[derive(Copy, Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InstallError {
    /// Another log: its revisions mean something else.
    #[error(
        "the snapshot is of lineage {snapshot}, this view of {view}: the cluster was restored; \
         begin a new view, and trust nothing of the old"
    )]
    OtherLineage {
        /// Of the view.
        view: Lineage,
        /// Of the snapshot.
        snapshot: Lineage,
    },
    /// The view has gone past it, and a view never goes back.
    #[error(
        "the snapshot is of revision {snapshot}, this view already of {view}: ask a node that \
         is at least as far"
    )]
    Older {
        /// Of the view.
        view: Revision,
        /// Of the snapshot.
        snapshot: Revision,
    },
}
