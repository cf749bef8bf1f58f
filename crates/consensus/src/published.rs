//! The state in memory, and the order in which what it says is published:
//! directory, other consumers and view changes, then the revision, then whoever
//! waits for it.

use std::{sync::Arc, time::Duration};

use chancery_authority::{Directory, Event, State};
use chancery_credential::Revision;
use chancery_revocation::{Change, View};
use parking_lot::RwLock;
use tokio::sync::{broadcast, watch};

use crate::{
    consumer::Consumer,
    events::{Events, Step},
    raft::{LogId, StoredMembership},
};

/// What one entry did, by the revision at which it did it.
pub(crate) struct EntryEvents {
    /// The last revision before it that changed the view.
    pub(crate) previous: Revision,
    pub(crate) revision: Revision,
    pub(crate) events: Vec<Event>,
}

/// How far the state has come in the log, membership included.
#[derive(Clone, Debug, Default)]
pub(crate) struct Position {
    pub(crate) last: Option<LogId>,
    pub(crate) membership: StoredMembership,
}

/// Everything about the state that can be read while it changes. It holds no
/// storage, so that readers that outlive a shutdown keep no directory open.
pub(crate) struct Published {
    pub(crate) directory: Arc<Directory>,
    pub(crate) view: Arc<View>,
    pub(crate) state: RwLock<State>,
    pub(crate) position: RwLock<Position>,
    consumers: Vec<Arc<dyn Consumer>>,
    applied: watch::Sender<Revision>,
    steps: broadcast::Sender<Step>,
}

impl Published {
    pub(crate) fn new(view: Arc<View>, consumers: Vec<Arc<dyn Consumer>>, steps: usize) -> Self {
        Self {
            directory: Arc::new(Directory::new()),
            view,
            state: RwLock::new(State::default()),
            position: RwLock::new(Position::default()),
            consumers,
            applied: watch::Sender::new(Revision(0)),
            steps: broadcast::Sender::new(steps),
        }
    }

    pub(crate) fn events(&self) -> Events {
        Events(self.steps.subscribe())
    }

    /// The revision that readers see.
    pub(crate) fn revision(&self) -> Revision {
        *self.applied.borrow()
    }

    /// Publishes what a batch of entries did; it is on disk already.
    pub(crate) fn publish(&self, through: Revision, entries: Vec<EntryEvents>) {
        {
            let state = self.state.read();
            for entry in &entries {
                self.directory.publish(&state, &entry.events);
                for consumer in &self.consumers {
                    consumer.publish(&state, entry.revision, &entry.events);
                }
            }
        }
        for entry in &entries {
            let changes: Vec<Change> = entry.events.iter().filter_map(view_change).collect();
            self.view.publish_changes(entry.revision, &changes);
        }
        self.reveal(through);
        for entry in entries {
            // Nobody following is no error.
            let _ = self.steps.send(Step::Applied {
                previous: entry.previous,
                revision: entry.revision,
                events: entry.events.into(),
            });
        }
    }

    /// Publishes a state that was loaded or installed whole.
    pub(crate) fn replace(
        &self,
        state: State,
        position: Position,
    ) -> Result<(), chancery_revocation::InstallError> {
        let revision = Revision(position.last.map_or(0, |id| id.index));
        let snapshot = state.view();
        *self.state.write() = state;
        *self.position.write() = position;
        {
            let state = self.state.read();
            if let Some(snapshot) = snapshot {
                self.view.publish_snapshot(&snapshot)?;
            }
            self.directory.replace(&state);
            for consumer in &self.consumers {
                consumer.replace(&state);
            }
        }
        self.reveal(revision);
        let _ = self.steps.send(Step::Replaced { revision });
        Ok(())
    }

    /// The last step: whoever sees this revision sees all that came before.
    fn reveal(&self, revision: Revision) {
        self.view.publish_revision(revision);
        self.applied.send_replace(revision);
    }

    /// Resolves when readers see `revision`; `false` when `within` passed first.
    pub(crate) async fn reach(&self, revision: Revision, within: Duration) -> bool {
        let mut applied = self.applied.subscribe();
        let reached = applied.wait_for(|applied| *applied >= revision);
        matches!(tokio::time::timeout(within, reached).await, Ok(Ok(_)))
    }
}

fn view_change(event: &Event) -> Option<Change> {
    match event {
        Event::View(change) => Some(change.clone()),
        _ => None,
    }
}
