//! What a judgement says.

use std::time::Duration;

use chancery_credential::{KeyId, Revision};

use crate::reason::Reason;

/// The answer to "is this credential in force?". Only [`Verdict::Valid`] is a yes;
/// treat whatever else there is, or will be, as a no.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[must_use]
pub enum Verdict<T> {
    /// In force, on this view.
    Valid(T, Standing),
    /// Not in force. Revocation and expiry are final; a proof that did not satisfy,
    /// or a token that is not valid yet, may satisfy another time.
    Refused(Reason),
    /// The token may be right, and this view is not far enough to tell.
    Behind(Behind),
    /// The view cannot prove that it is fresh.
    Stale,
}

/// What a [`Verdict::Valid`] rests on.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Every change up to here was taken into account.
    pub revision: Revision,
    /// How old the view was at most.
    pub age: Duration,
}

/// What the view has not seen. Wait, at most once, for a proof of freshness that
/// began after the token arrived, and judge again: if the view is still behind, the
/// token is [refused](Behind::refused).
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Behind {
    /// The token's `rev` is higher than the view's revision. From [`judge`] and
    /// [`check`] this means that the signature verified, so one that stays behind is
    /// an issuer's key in other hands: raise an alarm.
    ///
    /// [`judge`]: crate::judge
    /// [`check`]: crate::check
    Revision(Revision),
    /// No issuer with this `kid` is known. Nothing was verified.
    Issuer(KeyId),
}

impl Behind {
    /// The refusal, once the wait was in vain.
    #[must_use]
    pub const fn refused(self) -> Reason {
        match self {
            Self::Revision(revision) => Reason::RevisionUnknown(revision),
            Self::Issuer(key_id) => Reason::IssuerUnknown(key_id),
        }
    }
}

impl<T> Verdict<T> {
    /// The same verdict about something else.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Verdict<U> {
        match self {
            Self::Valid(value, standing) => Verdict::Valid(change(value), standing),
            Self::Refused(reason) => Verdict::Refused(reason),
            Self::Behind(behind) => Verdict::Behind(behind),
            Self::Stale => Verdict::Stale,
        }
    }
}
