//! The state in memory, and the order in which what it says is published: view
//! changes, directory and other consumers, then the revision (the view keeps that
//! order), then whoever waits for it.

use std::{sync::Arc, time::Duration};

use chancery_authority::{Directory, Event, State};
use chancery_credential::Revision;
use chancery_revocation::{Change, View};
use parking_lot::RwLock;
use tokio::sync::{broadcast, watch};

use crate::{
    comparison::Marks,
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
    /// The first entry of the newest term, or the first that this process knows of
    /// it: later, never earlier. Every leader begins its term with one.
    pub(crate) term_began: Option<LogId>,
}

impl Position {
    /// An entry was applied.
    pub(crate) fn pass(&mut self, entry: LogId) {
        let term = |id: &LogId| id.committed_leader_id().term;
        if self.term_began.as_ref().map(term) != Some(term(&entry)) {
            self.term_began = Some(entry);
        }
        self.last = Some(entry);
    }
}

/// Everything about the state that can be read while it changes. It holds no
/// storage, so that readers that outlive a shutdown keep no directory open.
pub(crate) struct Published {
    pub(crate) directory: Arc<Directory>,
    pub(crate) view: Arc<View>,
    pub(crate) state: RwLock<State>,
    pub(crate) position: RwLock<Position>,
    pub(crate) marks: Marks,
    consumers: Vec<Arc<dyn Consumer>>,
    applied: watch::Sender<Revision>,
    steps: broadcast::Sender<Step>,
    /// Moves when other settings are in force.
    settings: watch::Sender<()>,
}

impl Published {
    pub(crate) fn new(view: Arc<View>, consumers: Vec<Arc<dyn Consumer>>, steps: usize) -> Self {
        Self {
            directory: Arc::new(Directory::new()),
            view,
            state: RwLock::new(State::default()),
            position: RwLock::new(Position::default()),
            marks: Marks::default(),
            consumers,
            applied: watch::Sender::new(Revision(0)),
            steps: broadcast::Sender::new(steps),
            settings: watch::Sender::new(()),
        }
    }

    pub(crate) fn events(&self) -> Events {
        Events(self.steps.subscribe())
    }

    /// Resolves each time that other settings are in force.
    pub(crate) fn settings_changed(&self) -> watch::Receiver<()> {
        self.settings.subscribe()
    }

    /// The revision that readers see.
    pub(crate) fn revision(&self) -> Revision {
        *self.applied.borrow()
    }

    /// Moves with the revision that readers see.
    pub(crate) fn applied(&self) -> watch::Receiver<Revision> {
        self.applied.subscribe()
    }

    /// Publishes what a batch of entries did; it is on disk already.
    pub(crate) fn publish(&self, through: Revision, entries: Vec<EntryEvents>) {
        let changes: Vec<(Revision, Vec<Change>)> = entries
            .iter()
            .map(|entry| {
                let changes = entry.events.iter().filter_map(view_change);
                (entry.revision, changes.collect())
            })
            .collect();
        let changes = changes
            .iter()
            .map(|(revision, changes)| (*revision, changes.as_slice()));
        self.view
            .publish_entries(changes, through, || self.publish_consumers(&entries));
        self.applied.send_replace(through);
        let mut events = entries.iter().flat_map(|entry| &entry.events);
        if events.any(|event| matches!(event, Event::SettingsChanged)) {
            self.settings.send_replace(());
        }
        for entry in entries {
            // Nobody following is no error.
            let _ = self.steps.send(Step::Applied {
                previous: entry.previous,
                revision: entry.revision,
                events: entry.events.into(),
            });
        }
    }

    fn publish_consumers(&self, entries: &[EntryEvents]) {
        let state = self.state.read();
        for entry in entries {
            self.directory.publish(&state, &entry.events);
            for consumer in &self.consumers {
                consumer.publish(&state, entry.revision, &entry.events);
            }
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
        #[cfg(simulation)]
        let snapshot = snapshot.filter(|_| {
            // A start without it would be noticed by everybody.
            !(chancery_mutation::is_made(chancery_mutation::Mutation::SnapshotView)
                && self.revision() > Revision(0))
        });
        *self.state.write() = state;
        *self.position.write() = position;
        let consumers = || {
            let state = self.state.read();
            self.directory.replace(&state);
            for consumer in &self.consumers {
                consumer.replace(&state);
            }
        };
        match snapshot {
            Some(snapshot) => self.view.install_with(&snapshot, consumers)?,
            None => consumers(),
        }
        self.view.publish_revision(revision);
        self.applied.send_replace(revision);
        self.settings.send_replace(());
        let _ = self.steps.send(Step::Replaced { revision });
        Ok(())
    }

    /// Resolves when readers see `revision`; `false` when `within` passed first.
    pub(crate) async fn reach(&self, revision: Revision, within: Duration) -> bool {
        let mut applied = self.applied.subscribe();
        let reached = applied.wait_for(|applied| *applied >= revision);
        matches!(tokio::time::timeout(within, reached).await, Ok(Ok(_)))
    }

    /// Resolves when readers see a later revision.
    pub(crate) async fn pass(&self, revision: Revision) {
        let mut applied = self.applied.subscribe();
        // The sender is here as long as this is.
        let _ = applied.wait_for(|applied| *applied > revision).await;
    }
}

fn view_change(event: &Event) -> Option<Change> {
    match event {
        Event::View(change) => Some(change.clone()),
        _ => None,
    }
}
