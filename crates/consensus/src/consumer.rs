//! Who is told what the log changed, before the revision says so.

use chancery_authority::{Event, State};
use chancery_credential::Revision;

/// A read model of the state beside the view and the directory.
///
/// It is called by one task, in the order of the log. When it returns, what it was
/// told can be read by everybody: the revision is published after it, so whoever
/// observes the revision observes the consumer's part too.
pub trait Consumer: Send + Sync + 'static {
    /// Entries up to `revision` were applied: what they did, in order, and the state
    /// as it is after the last of them.
    fn publish(&self, state: &State, revision: Revision, events: &[Event]);

    /// The state was loaded or replaced whole.
    fn replace(&self, state: &State);
}
