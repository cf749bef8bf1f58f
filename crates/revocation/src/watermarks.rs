//! Below which revision all that a subject held is dead.

use chancery_credential::{GrantSetName, OwnerName, Revision, SpiffeId, Subject};

use crate::memory::{Published, Table};

/// One table for each kind of subject, so that a look-up needs nothing but the
/// name in the token. Its methods that change something are its one writer's.
#[derive(Debug)]
pub(crate) struct Watermarks {
    agents: Table<SpiffeId, Revision>,
    owners: Table<OwnerName, Revision>,
    grant_sets: Table<GrantSetName, Revision>,
    everything: Published,
}

impl Watermarks {
    pub(crate) fn new() -> Self {
        Self {
            agents: Table::new(),
            owners: Table::new(),
            grant_sets: Table::new(),
            everything: Published::new(0),
        }
    }

    // Without an entry nothing was ever taken away: revision 0, below every `rev`.

    pub(crate) fn agent(&self, id: &SpiffeId) -> Revision {
        self.agents.read(id, |mark| *mark).unwrap_or_default()
    }

    pub(crate) fn owner(&self, name: &OwnerName) -> Revision {
        self.owners.read(name, |mark| *mark).unwrap_or_default()
    }

    pub(crate) fn grant_set(&self, name: &GrantSetName) -> Revision {
        self.grant_sets.read(name, |mark| *mark).unwrap_or_default()
    }

    pub(crate) fn everything(&self) -> Revision {
        Revision(self.everything.observe())
    }

    pub(crate) fn of(&self, subject: &Subject) -> Revision {
        match subject {
            Subject::Agent(id) => self.agent(id),
            Subject::Owner(name) => self.owner(name),
            Subject::GrantSet(name) => self.grant_set(name),
            Subject::Everything => self.everything(),
        }
    }

    /// Raises only.
    pub(crate) fn raise(&self, subject: &Subject, revision: Revision) {
        if revision <= self.of(subject) {
            return;
        }
        match subject {
            Subject::Agent(id) => self.agents.put(id.clone(), revision),
            Subject::Owner(name) => self.owners.put(name.clone(), revision),
            Subject::GrantSet(name) => self.grant_sets.put(name.clone(), revision),
            Subject::Everything => self.everything.publish(revision.0),
        }
    }

    /// Drops what the floor refuses by itself. Only after the floor was raised, and
    /// a reader looks at the floor after it looked here: so what it finds missing
    /// here it finds refused there.
    pub(crate) fn drop_through(&self, floor: Revision) {
        self.agents.retain(|_, mark| *mark > floor);
        self.owners.retain(|_, mark| *mark > floor);
        self.grant_sets.retain(|_, mark| *mark > floor);
        if self.everything() <= floor {
            self.everything.publish(0);
        }
    }

    /// All, by subject.
    pub(crate) fn list(&self) -> Vec<(Subject, Revision)> {
        let mut marks = Vec::new();
        self.agents
            .visit(|id, mark| marks.push((Subject::Agent(id.clone()), *mark)));
        self.owners
            .visit(|name, mark| marks.push((Subject::Owner(name.clone()), *mark)));
        self.grant_sets
            .visit(|name, mark| marks.push((Subject::GrantSet(name.clone()), *mark)));
        let everything = self.everything();
        if everything > Revision(0) {
            marks.push((Subject::Everything, everything));
        }
        marks.sort_unstable();
        marks
    }
}
