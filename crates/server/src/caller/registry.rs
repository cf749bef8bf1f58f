//! What the layer asks of the replicated registry.

use chancery_credential::{KeyThumbprint, Revision, Subject};
use futures::future::BoxFuture;

use super::identity::Identity;

/// What the registry says of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registration {
    /// Whose it is. Never [`Identity::Anyone`].
    pub identity: Identity,
    /// What of it is suspended, if anything: the agent, or one of its owners.
    pub suspended: Option<Subject>,
    /// When it loses its standing, seconds since the Unix epoch; `None`: never.
    pub expires_at: Option<u64>,
}

/// The registry of principals, as this node has applied it.
///
/// Whoever changes it publishes the records first and raises the generation
/// after: the layer reads them in the opposite order, so that what it judged
/// under a generation is never older than that generation.
pub trait Registry: Send + Sync + 'static {
    /// Whose key it is.
    fn look_up(&self, key: &KeyThumbprint) -> Option<Registration>;

    /// Another number each time that somebody lost standing.
    fn standing_generation(&self) -> u64;

    /// The revision up to which the registry has been published.
    fn revision(&self) -> Revision;

    /// Whether it is proved to be recent. In one that is not, a key that is not found
    /// may have been registered meanwhile.
    fn is_fresh(&self) -> bool;

    /// Waits until it holds everything that was acknowledged before this call; a tick,
    /// as a rule. Gives whether it does.
    fn catch_up(&self) -> BoxFuture<'_, bool>;
}
