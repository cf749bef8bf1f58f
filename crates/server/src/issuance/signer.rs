//! The issuer that signs now, as mints see it.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use arc_swap::ArcSwapOption;
use chancery_credential::{EpochNumber, IssuerNumber, Revision, SigningKey};
use chancery_revocation::{BootTime, IssuerState, View};

/// An open issuer of this process. The key is wiped when the last mint that
/// holds it is done.
#[derive(Debug)]
pub(crate) struct ActiveIssuer {
    pub(crate) number: IssuerNumber,
    pub(crate) epoch: EpochNumber,
    /// The revision at which it was opened: no token under it has a smaller `rev`.
    pub(crate) opened_at: Revision,
    /// When this process applied the opening of it, from when verifiers
    /// can learn of it: in a planned rotation that was a lead before it
    /// signs, at a start it signs at once and is settling.
    pub(crate) known_since: BootTime,
    /// Whether this process signed by another before.
    pub(crate) follows_another: bool,
    pub(crate) key: SigningKey,
}

impl ActiveIssuer {
    /// Whether everybody who sees `view` takes what it signs: another may have
    /// revoked or retired it a moment ago.
    pub(crate) fn is_open_in(&self, view: &View) -> bool {
        view.issuer(self.number)
            .is_some_and(|issuer| issuer.state == IssuerState::Open)
    }
}

/// Holds the issuer that signs now. Readers never wait.
#[derive(Debug, Default)]
pub(crate) struct Signer {
    active: ArcSwapOption<ActiveIssuer>,
    has_signed: AtomicBool,
}

impl Signer {
    /// The issuer that signs now; `None` before the first and after a revocation.
    pub(crate) fn active(&self) -> Option<Arc<ActiveIssuer>> {
        self.active.load_full()
    }

    /// Signs with `issuer` from now on, and gives back the former.
    pub(crate) fn switch_to(&self, issuer: ActiveIssuer) -> Option<IssuerNumber> {
        self.has_signed.store(true, Ordering::Release);
        self.active
            .swap(Some(Arc::new(issuer)))
            .map(|former| former.number)
    }

    /// Whether there was ever an issuer that signed.
    pub(crate) fn has_signed(&self) -> bool {
        self.has_signed.load(Ordering::Acquire)
    }

    /// Stops signing.
    pub(crate) fn clear(&self) -> Option<IssuerNumber> {
        self.active.swap(None).map(|former| former.number)
    }
}
