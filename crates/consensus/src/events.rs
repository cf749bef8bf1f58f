//! What the log changed, for what in this process follows it: its issuers, the
//! keeper, open streams. In order, bounded, and after it can be read.

use std::sync::Arc;

use chancery_authority::Event;
use chancery_credential::Revision;
use tokio::sync::broadcast;

/// One step of the state, told after it was published.
#[derive(Clone, Debug)]
pub enum Step {
    /// A command was carried out.
    Applied {
        /// The last revision before it that changed the view: what a delta of the
        /// view continues.
        previous: Revision,
        /// Its revision.
        revision: Revision,
        /// What it did.
        events: Arc<[Event]>,
    },
    /// The state was replaced by a snapshot: start again from what can be read now.
    Replaced {
        /// The revision of the snapshot.
        revision: Revision,
    },
}

/// Steps passed this follower by, because it was slow, or there will be no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Missed {
    /// Start again from what can be read now, then go on.
    #[error("{0} steps of the log passed this follower by: start again from the present state")]
    Lagged(u64),
    /// The node is stopping.
    #[error("this node is stopping")]
    Closed,
}

/// One follower's place. Dropping it ends the following.
#[derive(Debug)]
pub struct Events(pub(crate) broadcast::Receiver<Step>);

impl Events {
    /// The next step.
    ///
    /// # Errors
    /// [`Missed`], after which it can be asked again unless it is closed.
    pub async fn next(&mut self) -> Result<Step, Missed> {
        self.0.recv().await.map_err(|error| match error {
            broadcast::error::RecvError::Lagged(steps) => Missed::Lagged(steps),
            broadcast::error::RecvError::Closed => Missed::Closed,
        })
    }
}
