//! What this node's subscribed verifiers know.

use chancery_credential::Revision;
use chancery_revocation::BootTime;
use tokio::sync::watch;

/// The verifiers that go by what this process answered them.
pub trait Verifiers: Send + Sync + 'static {
    /// What every one of them knows whose last answer has not run out by `now`: at least
    /// what readers see when there is none. `None` while it cannot tell, because some
    /// may go by what a process before this one answered.
    fn known(&self, now: BootTime) -> Option<Revision>;

    /// Moves with the lowest revision that any of them said it knows.
    fn changes(&self) -> watch::Receiver<Option<Revision>>;
}

/// Of a node that answers no verifier, and never did.
#[derive(Debug, Default)]
pub struct NoVerifiers(watch::Sender<Option<Revision>>);

impl Verifiers for NoVerifiers {
    fn known(&self, _: BootTime) -> Option<Revision> {
        Some(Revision(u64::MAX))
    }

    fn changes(&self) -> watch::Receiver<Option<Revision>> {
        self.0.subscribe()
    }
}
