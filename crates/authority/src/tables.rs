//! The tables in memory. Every change of any of them goes through `put` and
//! `erase`, which keep the indexes and the sums in step, so that rows loaded from
//! disk and commands applied lead to the same state by the same code.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chancery_credential::{
    GrantSetName, IssuerNumber, KeyThumbprint, NodeNumber, OwnerName, PrincipalName, Revision,
    SpiffeId, Subject, TokenId,
};

use crate::digest::Sum;
use crate::record::{
    AgentRecord, ClockRecord, EpochRecord, GrantSetRecord, Holder, IssuerRecord, MetaRecord,
    NodeRecord, OperatorRecord, OwnerRecord, RequestKey, RequestRecord, ServiceRecord,
    SuspensionRecord,
};
use crate::row::{Row, RowKey, Table};
use crate::settings::Settings;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tables {
    pub(crate) clock: Option<ClockRecord>,
    pub(crate) meta: Option<MetaRecord>,
    pub(crate) settings: Option<Arc<Settings>>,
    pub(crate) epoch: Option<EpochRecord>,
    pub(crate) agents: BTreeMap<SpiffeId, Arc<AgentRecord>>,
    pub(crate) owners: BTreeMap<OwnerName, Arc<OwnerRecord>>,
    pub(crate) grant_sets: BTreeMap<GrantSetName, Arc<GrantSetRecord>>,
    pub(crate) operators: BTreeMap<PrincipalName, Arc<OperatorRecord>>,
    pub(crate) services: BTreeMap<PrincipalName, Arc<ServiceRecord>>,
    pub(crate) nodes: BTreeMap<NodeNumber, Arc<NodeRecord>>,
    pub(crate) issuers: BTreeMap<IssuerNumber, Arc<IssuerRecord>>,
    pub(crate) suspensions: BTreeMap<Subject, SuspensionRecord>,
    pub(crate) watermarks: BTreeMap<Subject, Revision>,
    /// Under their issuer; never an empty set.
    pub(crate) revoked: BTreeMap<IssuerNumber, BTreeSet<TokenId>>,
    pub(crate) requests: BTreeMap<RequestKey, Arc<RequestRecord>>,
    /// Index: who holds a key. Exactly the keys of the principals' and the
    /// nodes' records.
    pub(crate) keys: BTreeMap<KeyThumbprint, Holder>,
    /// Index: the watermarks by revision. A revision sets at most one.
    pub(crate) watermark_at: BTreeMap<Revision, Subject>,
    /// Index: the registrations that end, by when, seconds since the Unix epoch.
    pub(crate) ends: BTreeSet<(u64, Holder)>,
    /// Index: how many agents refer to a grant set. Never 0.
    pub(crate) agents_under: BTreeMap<GrantSetName, u64>,
    sums: [Sum; Table::ALL.len()],
}

impl Tables {
    /// Writes a row over the one with its key, if there is one.
    pub(crate) fn put(&mut self, row: Row) {
        let key = row.key();
        if let Some(former) = self.row(&key) {
            self.sum(key.table(), |sum| sum.subtract(&former));
            self.unlink(&former);
        }
        self.sum(key.table(), |sum| sum.add(&row));
        self.link(&row);
        self.insert(row);
    }

    /// Deletes a row, if it is there.
    pub(crate) fn erase(&mut self, key: &RowKey) {
        if let Some(former) = self.row(key) {
            self.sum(key.table(), |sum| sum.subtract(&former));
            self.unlink(&former);
            self.remove(key);
        }
    }

    pub(crate) fn row(&self, key: &RowKey) -> Option<Row> {
        match key {
            RowKey::Clock => self.clock.map(Row::Clock),
            RowKey::Meta => self.meta.map(Row::Meta),
            RowKey::Settings => self.settings.clone().map(Row::Settings),
            RowKey::Epoch => self.epoch.map(Row::Epoch),
            RowKey::Agent(id) => self.agents.get(id).cloned().map(Row::Agent),
            RowKey::Owner(name) => self.owners.get(name).cloned().map(Row::Owner),
            RowKey::GrantSet(name) => self.grant_sets.get(name).cloned().map(Row::GrantSet),
            RowKey::Operator(name) => self.operators.get(name).cloned().map(Row::Operator),
            RowKey::Service(name) => self.services.get(name).cloned().map(Row::Service),
            RowKey::Node(number) => self.nodes.get(number).cloned().map(Row::Node),
            RowKey::Issuer(number) => self.issuers.get(number).cloned().map(Row::Issuer),
            RowKey::Suspension(subject) => self
                .suspensions
                .get(subject)
                .map(|record| Row::Suspension(subject.clone(), *record)),
            RowKey::Watermark(subject) => self
                .watermarks
                .get(subject)
                .map(|revision| Row::Watermark(subject.clone(), *revision)),
            RowKey::RevokedToken(token) => {
                self.is_revoked(token).then_some(Row::RevokedToken(*token))
            }
            RowKey::Request(key) => self
                .requests
                .get(key)
                .map(|record| Row::Request(key.clone(), Arc::clone(record))),
        }
    }

    pub(crate) fn rows(&self) -> impl Iterator<Item = Row> + '_ {
        let single = self
            .clock
            .map(Row::Clock)
            .into_iter()
            .chain(self.meta.map(Row::Meta))
            .chain(self.settings.clone().map(Row::Settings))
            .chain(self.epoch.map(Row::Epoch));
        let registry = (self.agents.values().cloned().map(Row::Agent))
            .chain(self.owners.values().cloned().map(Row::Owner))
            .chain(self.grant_sets.values().cloned().map(Row::GrantSet))
            .chain(self.operators.values().cloned().map(Row::Operator))
            .chain(self.services.values().cloned().map(Row::Service))
            .chain(self.nodes.values().cloned().map(Row::Node))
            .chain(self.issuers.values().cloned().map(Row::Issuer));
        let suspensions = (self.suspensions.iter())
            .map(|(subject, record)| Row::Suspension(subject.clone(), *record));
        let watermarks = (self.watermarks.iter())
            .map(|(subject, revision)| Row::Watermark(subject.clone(), *revision));
        let revoked = (self.revoked.values().flatten()).map(|token| Row::RevokedToken(*token));
        let requests = (self.requests.iter())
            .map(|(key, record)| Row::Request(key.clone(), Arc::clone(record)));
        single
            .chain(registry)
            .chain(suspensions)
            .chain(watermarks)
            .chain(revoked)
            .chain(requests)
    }

    pub(crate) fn row_count(&self) -> usize {
        let single = [
            self.clock.is_some(),
            self.meta.is_some(),
            self.settings.is_some(),
            self.epoch.is_some(),
        ];
        let single = single.into_iter().filter(|there| *there).count();
        single
            + self.agents.len()
            + self.owners.len()
            + self.grant_sets.len()
            + self.operators.len()
            + self.services.len()
            + self.nodes.len()
            + self.issuers.len()
            + self.suspensions.len()
            + self.watermarks.len()
            + self.revoked.values().map(BTreeSet::len).sum::<usize>()
            + self.requests.len()
    }

    pub(crate) fn is_revoked(&self, token: &TokenId) -> bool {
        self.revoked
            .get(&token.issuer())
            .is_some_and(|tokens| tokens.contains(token))
    }

    /// The registrations that have ended by `now_s`, the first to end first.
    pub(crate) fn ended(&self, now_s: u64) -> impl Iterator<Item = &Holder> {
        let ended = self.ends.iter().take_while(move |(at, _)| *at <= now_s);
        ended.map(|(_, holder)| holder)
    }

    /// The sums of the tables, in the order of [`Table::ALL`].
    pub(crate) const fn sums(&self) -> &[Sum; Table::ALL.len()] {
        &self.sums
    }

    fn insert(&mut self, row: Row) {
        match row {
            Row::Clock(record) => self.clock = Some(record),
            Row::Meta(record) => self.meta = Some(record),
            Row::Settings(record) => self.settings = Some(record),
            Row::Epoch(record) => self.epoch = Some(record),
            Row::Agent(record) => {
                self.agents.insert(record.id.clone(), record);
            }
            Row::Owner(record) => {
                self.owners.insert(record.name.clone(), record);
            }
            Row::GrantSet(record) => {
                self.grant_sets.insert(record.name.clone(), record);
            }
            Row::Operator(record) => {
                self.operators.insert(record.name.clone(), record);
            }
            Row::Service(record) => {
                self.services.insert(record.name.clone(), record);
            }
            Row::Node(record) => {
                self.nodes.insert(record.number, record);
            }
            Row::Issuer(record) => {
                self.issuers.insert(record.number, record);
            }
            Row::Suspension(subject, record) => {
                self.suspensions.insert(subject, record);
            }
            Row::Watermark(subject, revision) => {
                self.watermarks.insert(subject, revision);
            }
            Row::RevokedToken(token) => {
                self.revoked
                    .entry(token.issuer())
                    .or_default()
                    .insert(token);
            }
            Row::Request(key, record) => {
                self.requests.insert(key, record);
            }
        }
    }

    fn remove(&mut self, key: &RowKey) {
        match key {
            RowKey::Clock => self.clock = None,
            RowKey::Meta => self.meta = None,
            RowKey::Settings => self.settings = None,
            RowKey::Epoch => self.epoch = None,
            RowKey::Agent(id) => {
                self.agents.remove(id);
            }
            RowKey::Owner(name) => {
                self.owners.remove(name);
            }
            RowKey::GrantSet(name) => {
                self.grant_sets.remove(name);
            }
            RowKey::Operator(name) => {
                self.operators.remove(name);
            }
            RowKey::Service(name) => {
                self.services.remove(name);
            }
            RowKey::Node(number) => {
                self.nodes.remove(number);
            }
            RowKey::Issuer(number) => {
                self.issuers.remove(number);
            }
            RowKey::Suspension(subject) => {
                self.suspensions.remove(subject);
            }
            RowKey::Watermark(subject) => {
                self.watermarks.remove(subject);
            }
            RowKey::RevokedToken(token) => {
                if let Some(tokens) = self.revoked.get_mut(&token.issuer()) {
                    tokens.remove(token);
                    if tokens.is_empty() {
                        self.revoked.remove(&token.issuer());
                    }
                }
            }
            RowKey::Request(key) => {
                self.requests.remove(key);
            }
        }
    }

    fn link(&mut self, row: &Row) {
        if let Row::Watermark(subject, revision) = row {
            self.watermark_at.insert(*revision, subject.clone());
        }
        self.ends.extend(end(row));
        for (key, holder) in held_keys(row) {
            self.keys.insert(key, holder);
        }
        for set in grant_sets_of(row) {
            let agents = self.agents_under.entry(set.clone()).or_insert(0);
            *agents = agents.saturating_add(1);
        }
    }

    fn unlink(&mut self, row: &Row) {
        if let Row::Watermark(_, revision) = row {
            self.watermark_at.remove(revision);
        }
        if let Some(end) = end(row) {
            self.ends.remove(&end);
        }
        for (key, _) in held_keys(row) {
            self.keys.remove(&key);
        }
        for set in grant_sets_of(row) {
            let left = self.agents_under.remove(set).unwrap_or(0);
            if left > 1 {
                self.agents_under.insert(set.clone(), left - 1);
            }
        }
    }

    fn sum(&mut self, table: Table, change: impl FnOnce(&mut Sum)) {
        let place = (table as usize).checked_sub(1);
        if let Some(sum) = place.and_then(|place| self.sums.get_mut(place)) {
            change(sum);
        }
    }
}

/// When what the row says ends, and whose it is.
fn end(row: &Row) -> Option<(u64, Holder)> {
    let (at, holder) = match row {
        Row::Agent(agent) => (agent.expires_at, Holder::Agent(agent.id.clone())),
        Row::Operator(operator) => (operator.expires_at, Holder::Operator(operator.name.clone())),
        _ => return None,
    };
    (at != 0).then_some((at, holder))
}

/// The keys that a row says somebody holds.
fn held_keys(row: &Row) -> Vec<(KeyThumbprint, Holder)> {
    match row {
        Row::Agent(agent) => each(&agent.keys, &Holder::Agent(agent.id.clone())),
        Row::Operator(operator) => each(&operator.keys, &Holder::Operator(operator.name.clone())),
        Row::Service(service) => each(&service.keys, &Holder::Service(service.name.clone())),
        Row::Node(node) => vec![(node.peer_key.thumbprint(), Holder::Node(node.number))],
        _ => Vec::new(),
    }
}

/// The grant sets that a row refers to.
fn grant_sets_of(row: &Row) -> &[GrantSetName] {
    match row {
        Row::Agent(agent) => &agent.grant_sets,
        _ => &[],
    }
}

fn each(keys: &[KeyThumbprint], holder: &Holder) -> Vec<(KeyThumbprint, Holder)> {
    keys.iter().map(|key| (*key, holder.clone())).collect()
}
