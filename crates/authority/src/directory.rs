//! What callers and mints look up: the registry, for readers that never block.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use arc_swap::{ArcSwap, ArcSwapOption};
use chancery_credential::{
    GrantSetName, KeyThumbprint, Lineage, OwnerName, PrincipalName, SpiffeId, Subject,
};
use papaya::HashMap;

use crate::event::Event;
use crate::principal::{AgentEntry, GrantSetEntry, NoStanding, OwnerEntry, Principal};
use crate::record::{Holder, OperatorRecord, ServiceRecord};
use crate::settings::Settings;
use crate::state::State;

/// The read model of a [`State`]: one writer publishes what commands changed, any
/// number of readers look up, none waits.
///
/// A reader that needs several records sees each as it was at some moment since it
/// began. What makes a mint sound nonetheless is the order: the writer publishes
/// here before it publishes the revision, and the mint loads the revision first.
#[derive(Default)]
pub struct Directory {
    tables: ArcSwap<Tables>,
    standing: AtomicU64,
}

#[derive(Default)]
struct Tables {
    /// A hint: the record that it leads to decides whether the key is its own.
    holders: HashMap<KeyThumbprint, Holder>,
    agents: HashMap<SpiffeId, AgentEntry>,
    owners: HashMap<OwnerName, OwnerEntry>,
    grant_sets: HashMap<GrantSetName, GrantSetEntry>,
    operators: HashMap<PrincipalName, Arc<OperatorRecord>>,
    services: HashMap<PrincipalName, Arc<ServiceRecord>>,
    everything_suspended: AtomicBool,
    settings: ArcSwapOption<Settings>,
    lineage: ArcSwapOption<Lineage>,
}

/// For readers.
impl Directory {
    /// Of the state before birth.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Whose key it is, whatever their standing.
    #[must_use]
    pub fn principal(&self, key: &KeyThumbprint) -> Option<Principal> {
        let tables = self.tables.load();
        let holder = tables.holders.pin().get(key).cloned()?;
        let principal = match holder {
            Holder::Agent(id) => Principal::Agent(tables.agents.pin().get(&id).cloned()?),
            Holder::Operator(name) => {
                Principal::Operator(tables.operators.pin().get(&name).cloned()?)
            }
            Holder::Service(name) => Principal::Service(tables.services.pin().get(&name).cloned()?),
            // Nodes call each other on a listener of their own, never here.
            Holder::Node(_) => return None,
        };
        principal.keys().contains(key).then_some(principal)
    }

    /// Whose key it is, if they may call at `now_s` (seconds since the Unix
    /// epoch): the look-up for every request and every stream message.
    ///
    /// A mint asks once more, after it has loaded the revision that its token will
    /// bear: an agent is looked up by the key that was proved, not by its id. If
    /// the key was taken away since the request came in, the watermark that went
    /// with it is not above that revision, and would not kill the token.
    ///
    /// # Errors
    /// Why they may not.
    pub fn standing(&self, key: &KeyThumbprint, now_s: u64) -> Result<Principal, NoStanding> {
        let principal = self.principal(key).ok_or(NoStanding::Unknown)?;
        if principal.has_ended(now_s) {
            return Err(NoStanding::Expired);
        }
        if let Principal::Agent(entry) = &principal {
            if entry.suspended {
                return Err(NoStanding::Suspended);
            }
            if let Some(owner) = self.suspended_owner(entry) {
                return Err(NoStanding::OwnerSuspended(owner));
            }
        }
        Ok(principal)
    }

    /// An agent and whether it is itself suspended.
    #[must_use]
    pub fn agent(&self, id: &SpiffeId) -> Option<AgentEntry> {
        self.tables.load().agents.pin().get(id).cloned()
    }

    /// The first suspended owner of an agent. One that is not known counts as
    /// suspended.
    #[must_use]
    pub fn suspended_owner(&self, agent: &AgentEntry) -> Option<OwnerName> {
        let tables = self.tables.load();
        let owners = tables.owners.pin();
        let suspended = |owner: &&OwnerName| owners.get(*owner).is_none_or(|entry| entry.suspended);
        agent.record.owners.iter().find(suspended).cloned()
    }

    /// An owner and whether it is suspended.
    #[must_use]
    pub fn owner(&self, name: &OwnerName) -> Option<OwnerEntry> {
        self.tables.load().owners.pin().get(name).cloned()
    }

    /// A grant set and whether it is suspended; then nothing is minted under it.
    #[must_use]
    pub fn grant_set(&self, name: &GrantSetName) -> Option<GrantSetEntry> {
        self.tables.load().grant_sets.pin().get(name).cloned()
    }

    /// Whether minting is refused everywhere.
    #[must_use]
    pub fn everything_suspended(&self) -> bool {
        let tables = self.tables.load();
        tables.everything_suspended.load(Ordering::Acquire)
    }

    /// The replicated settings; none before birth.
    #[must_use]
    pub fn settings(&self) -> Option<Arc<Settings>> {
        self.tables.load().settings.load_full()
    }

    /// The lineage; none before birth.
    #[must_use]
    pub fn lineage(&self) -> Option<Lineage> {
        self.tables.load().lineage.load().as_deref().copied()
    }

    /// Rises whenever somebody may have lost their standing, after the loss can be
    /// looked up. A stream that sees another number than at its last look asks
    /// [`standing`](Self::standing) again. Expiry by time raises nothing.
    #[must_use]
    pub fn standing_generation(&self) -> u64 {
        self.standing.load(Ordering::Acquire)
    }
}

/// For the one writer.
impl Directory {
    /// Publishes what `events` say has changed, as it is in `state` now.
    pub fn publish(&self, state: &State, events: &[Event]) {
        let tables = self.tables.load();
        for event in events {
            tables.publish(state, event);
        }
        if events.contains(&Event::StandingLost) {
            self.standing.fetch_add(1, Ordering::AcqRel);
        }
    }

    /// Publishes a whole state: built aside, then put in place at once.
    pub fn replace(&self, state: &State) {
        self.tables.store(Arc::new(Tables::of(state)));
        self.standing.fetch_add(1, Ordering::AcqRel);
    }
}

impl Tables {
    fn of(state: &State) -> Self {
        let tables = Self::default();
        for agent in state.agents_after(None) {
            tables.publish_agent(state, &agent.id);
            for key in &agent.keys {
                tables.publish_key(state, key);
            }
        }
        for owner in state.owners_after(None) {
            tables.publish_owner(state, &owner.name);
        }
        for set in state.grant_sets() {
            tables.publish_grant_set(state, &set.name);
        }
        for operator in state.operators() {
            tables.publish_operator(state, &operator.name);
            for key in &operator.keys {
                tables.publish_key(state, key);
            }
        }
        for service in state.services() {
            tables.publish_service(state, &service.name);
            for key in &service.keys {
                tables.publish_key(state, key);
            }
        }
        tables.publish_settings(state);
        tables.publish_everything(state);
        tables
    }

    fn publish(&self, state: &State, event: &Event) {
        match event {
            Event::AgentChanged(id) => self.publish_agent(state, id),
            Event::OwnerChanged(name) => self.publish_owner(state, name),
            Event::GrantSetChanged(name) => self.publish_grant_set(state, name),
            Event::OperatorChanged(name) => self.publish_operator(state, name),
            Event::ServiceChanged(name) => self.publish_service(state, name),
            Event::KeyChanged(key) => self.publish_key(state, key),
            Event::SettingsChanged => self.publish_settings(state),
            Event::EverythingSuspended(_) => self.publish_everything(state),
            Event::View(_)
            | Event::NodeChanged(_)
            | Event::EpochOpened { .. }
            | Event::StandingLost
            | Event::Answer { .. } => {}
        }
    }

    fn publish_agent(&self, state: &State, id: &SpiffeId) {
        let entry = state.agent(id).map(|record| AgentEntry {
            record: Arc::clone(record),
            suspended: state.is_suspended(&Subject::Agent(id.clone())),
        });
        put(&self.agents, id, entry);
    }

    fn publish_owner(&self, state: &State, name: &OwnerName) {
        let entry = state.owner(name).map(|record| OwnerEntry {
            record: Arc::clone(record),
            suspended: state.is_suspended(&Subject::Owner(name.clone())),
        });
        put(&self.owners, name, entry);
    }

    fn publish_grant_set(&self, state: &State, name: &GrantSetName) {
        let entry = state.grant_set(name).map(|record| GrantSetEntry {
            record: Arc::clone(record),
            suspended: state.is_suspended(&Subject::GrantSet(name.clone())),
        });
        put(&self.grant_sets, name, entry);
    }

    fn publish_operator(&self, state: &State, name: &PrincipalName) {
        put(&self.operators, name, state.operator(name).cloned());
    }

    fn publish_service(&self, state: &State, name: &PrincipalName) {
        put(&self.services, name, state.service(name).cloned());
    }

    fn publish_key(&self, state: &State, key: &KeyThumbprint) {
        put(&self.holders, key, state.holder(key).cloned());
    }

    fn publish_settings(&self, state: &State) {
        self.settings.store(state.settings().cloned());
        self.lineage.store(state.lineage().map(Arc::new));
    }

    fn publish_everything(&self, state: &State) {
        let suspended = state.is_suspended(&Subject::Everything);
        self.everything_suspended
            .store(suspended, Ordering::Release);
    }
}

fn put<K: Clone + std::hash::Hash + Eq, V>(map: &HashMap<K, V>, key: &K, value: Option<V>) {
    let map = map.pin();
    match value {
        Some(value) => drop(map.insert(key.clone(), value)),
        None => drop(map.remove(key)),
    }
}
