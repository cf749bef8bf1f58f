//! The state: what the applied log amounts to.

use std::collections::BTreeSet;
use std::ops::Bound;
use std::sync::Arc;

use chancery_credential::{
    GrantSetName, IssuerNumber, KeyThumbprint, Lineage, NodeNumber, OwnerName, PrincipalName,
    Revision, SpiffeId, Subject, TokenId,
};

use crate::digest;
use crate::record::{
    AgentRecord, ClockRecord, EpochRecord, GrantSetRecord, Holder, IssuerRecord, NodeRecord,
    OperatorRecord, OwnerRecord, ServiceRecord, SuspensionRecord,
};
use crate::requests::request_floor_ms;
use crate::row::{Row, RowKey, Table};
use crate::settings::Settings;
use crate::tables::Tables;

/// The replicated state. [`State::default`] is that before birth.
///
/// It changes by [`apply`](Self::apply), [`advance`](Self::advance) and
/// [`load_row`](Self::load_row) only. Two states are equal when their rows are;
/// which rows wait to be written does not count.
#[derive(Clone, Debug, Default)]
pub struct State {
    pub(crate) tables: Tables,
    changed: BTreeSet<RowKey>,
}

impl PartialEq for State {
    fn eq(&self, other: &Self) -> bool {
        self.tables == other.tables
    }
}

impl Eq for State {}

/// Rows: how the state is written, streamed, loaded and compared.
impl State {
    /// The keys of the rows that changed since this was last asked, in order.
    /// Those that [`row`](Self::row) does not find any more are to be deleted.
    pub fn take_changed_rows(&mut self) -> Vec<RowKey> {
        std::mem::take(&mut self.changed).into_iter().collect()
    }

    /// A row as it is now.
    #[must_use]
    pub fn row(&self, key: &RowKey) -> Option<Row> {
        self.tables.row(key)
    }

    /// Every row, table by table, in order of their keys.
    pub fn rows(&self) -> impl Iterator<Item = Row> + '_ {
        self.tables.rows()
    }

    /// How many rows there are.
    #[must_use]
    pub fn row_count(&self) -> usize {
        self.tables.row_count()
    }

    /// Takes a row from disk or from a snapshot: all of them, in any order, into
    /// a default state make the state that they came from.
    /// [`validate`](Self::validate) says afterwards whether they hold together.
    pub fn load_row(&mut self, row: Row) {
        self.tables.put(row);
    }

    /// An entry that is no command was applied: only the revision moves.
    pub fn advance(&mut self, revision: Revision) {
        let clock = self.clock();
        if self.tables.clock.is_none() || revision > clock.applied {
            self.put(Row::Clock(ClockRecord {
                applied: revision,
                ..clock
            }));
        }
    }

    /// A hash of every row, kept up to date with each: two nodes that applied the
    /// same log have the same.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        digest::combined(self.tables.sums())
    }

    /// [`digest`](Self::digest) without the clock and the requests: it changes
    /// only when a command did something, or what nothing can reach any more was
    /// dropped.
    #[must_use]
    pub fn registry_digest(&self) -> [u8; 32] {
        let counted = |table: Table| !matches!(table, Table::Clock | Table::Request);
        let tables = Table::ALL.into_iter().zip(self.tables.sums());
        digest::combined(
            tables
                .filter(|(table, _)| counted(*table))
                .map(|(_, sum)| sum),
        )
    }

    pub(crate) fn put(&mut self, row: Row) {
        self.changed.insert(row.key());
        self.tables.put(row);
    }

    pub(crate) fn erase(&mut self, key: RowKey) {
        self.tables.erase(&key);
        self.changed.insert(key);
    }
}

/// What stands once.
impl State {
    /// Whether the lineage has begun.
    #[must_use]
    pub const fn is_born(&self) -> bool {
        self.tables.meta.is_some()
    }

    /// Fixed at birth.
    #[must_use]
    pub fn lineage(&self) -> Option<Lineage> {
        self.tables.meta.map(|meta| meta.lineage)
    }

    /// The last entry applied.
    #[must_use]
    pub fn revision(&self) -> Revision {
        self.clock().applied
    }

    /// The last revision that changed what is in force.
    #[must_use]
    pub fn view_revision(&self) -> Revision {
        self.tables
            .meta
            .map_or(Revision(0), |meta| meta.view_revision)
    }

    /// Tokens with an earlier `rev` are refused.
    #[must_use]
    pub fn floor(&self) -> Revision {
        self.tables.meta.map_or(Revision(0), |meta| meta.floor)
    }

    /// The greatest stamp so far, milliseconds since the Unix epoch.
    #[must_use]
    pub fn log_time_ms(&self) -> u64 {
        self.clock().log_time_ms
    }

    /// Request ids from before are refused.
    #[must_use]
    pub fn request_floor_ms(&self) -> u64 {
        request_floor_ms(self.log_time_ms())
    }

    /// The replicated settings; none before birth.
    #[must_use]
    pub fn settings(&self) -> Option<&Arc<Settings>> {
        self.tables.settings.as_ref()
    }

    /// The newest epoch; none before birth.
    #[must_use]
    pub const fn epoch(&self) -> Option<EpochRecord> {
        self.tables.epoch
    }

    /// Whether a registration has ended by log time and still stands.
    #[must_use]
    pub fn has_ended_registrations(&self) -> bool {
        self.tables
            .ended(self.log_time_ms() / 1_000)
            .next()
            .is_some()
    }

    pub(crate) fn clock(&self) -> ClockRecord {
        self.tables.clock.unwrap_or_default()
    }
}

/// Principals, owners and grant sets.
impl State {
    /// A registration.
    #[must_use]
    pub fn agent(&self, id: &SpiffeId) -> Option<&Arc<AgentRecord>> {
        self.tables.agents.get(id)
    }

    /// Registrations in order of their ids, those after `id` only: for paging.
    pub fn agents_after(&self, id: Option<&SpiffeId>) -> impl Iterator<Item = &Arc<AgentRecord>> {
        let from = id.map_or(Bound::Unbounded, Bound::Excluded);
        let range = (self.tables.agents).range::<SpiffeId, _>((from, Bound::Unbounded));
        range.map(|(_, record)| record)
    }

    /// How many agents are registered.
    #[must_use]
    pub fn agent_count(&self) -> usize {
        self.tables.agents.len()
    }

    /// An owner.
    #[must_use]
    pub fn owner(&self, name: &OwnerName) -> Option<&Arc<OwnerRecord>> {
        self.tables.owners.get(name)
    }

    /// Owners in order of their names, those after `name` only: for paging.
    pub fn owners_after(
        &self,
        name: Option<&OwnerName>,
    ) -> impl Iterator<Item = &Arc<OwnerRecord>> {
        let from = name.map_or(Bound::Unbounded, Bound::Excluded);
        let range = (self.tables.owners).range::<OwnerName, _>((from, Bound::Unbounded));
        range.map(|(_, record)| record)
    }

    /// A grant set.
    #[must_use]
    pub fn grant_set(&self, name: &GrantSetName) -> Option<&Arc<GrantSetRecord>> {
        self.tables.grant_sets.get(name)
    }

    /// Every grant set, in order.
    pub fn grant_sets(&self) -> impl Iterator<Item = &Arc<GrantSetRecord>> {
        self.tables.grant_sets.values()
    }

    /// Grant sets in order of their names, those after `name` only: for paging.
    pub fn grant_sets_after(
        &self,
        name: Option<&GrantSetName>,
    ) -> impl Iterator<Item = &Arc<GrantSetRecord>> {
        let from = name.map_or(Bound::Unbounded, Bound::Excluded);
        let range = (self.tables.grant_sets).range::<GrantSetName, _>((from, Bound::Unbounded));
        range.map(|(_, record)| record)
    }

    /// How many agents refer to a grant set.
    #[must_use]
    pub fn agents_under(&self, set: &GrantSetName) -> u64 {
        self.tables.agents_under.get(set).copied().unwrap_or(0)
    }

    /// An operator.
    #[must_use]
    pub fn operator(&self, name: &PrincipalName) -> Option<&Arc<OperatorRecord>> {
        self.tables.operators.get(name)
    }

    /// Every operator, in order.
    pub fn operators(&self) -> impl Iterator<Item = &Arc<OperatorRecord>> {
        self.tables.operators.values()
    }

    /// Operators in order of their names, those after `name` only: for paging.
    pub fn operators_after(
        &self,
        name: Option<&PrincipalName>,
    ) -> impl Iterator<Item = &Arc<OperatorRecord>> {
        let from = name.map_or(Bound::Unbounded, Bound::Excluded);
        let range = (self.tables.operators).range::<PrincipalName, _>((from, Bound::Unbounded));
        range.map(|(_, record)| record)
    }

    /// A service.
    #[must_use]
    pub fn service(&self, name: &PrincipalName) -> Option<&Arc<ServiceRecord>> {
        self.tables.services.get(name)
    }

    /// Every service, in order.
    pub fn services(&self) -> impl Iterator<Item = &Arc<ServiceRecord>> {
        self.tables.services.values()
    }

    /// Services in order of their names, those after `name` only: for paging.
    pub fn services_after(
        &self,
        name: Option<&PrincipalName>,
    ) -> impl Iterator<Item = &Arc<ServiceRecord>> {
        let from = name.map_or(Bound::Unbounded, Bound::Excluded);
        let range = (self.tables.services).range::<PrincipalName, _>((from, Bound::Unbounded));
        range.map(|(_, record)| record)
    }

    /// Who holds a key.
    #[must_use]
    pub fn holder(&self, key: &KeyThumbprint) -> Option<&Holder> {
        self.tables.keys.get(key)
    }

    /// Whether the subject itself is suspended. An agent can also be kept from
    /// minting by its owners, its grant sets, or everything.
    #[must_use]
    pub fn is_suspended(&self, subject: &Subject) -> bool {
        self.suspension(subject).is_some()
    }

    /// The suspension of the subject itself.
    pub(crate) fn suspension(&self, subject: &Subject) -> Option<&SuspensionRecord> {
        self.tables.suspensions.get(subject)
    }
}

/// Nodes, issuers and what was revoked.
impl State {
    /// A node.
    #[must_use]
    pub fn node(&self, number: NodeNumber) -> Option<&Arc<NodeRecord>> {
        self.tables.nodes.get(&number)
    }

    /// Every node, in order.
    pub fn nodes(&self) -> impl Iterator<Item = &Arc<NodeRecord>> {
        self.tables.nodes.values()
    }

    /// The node that a keeper last asked to lead, and where: it counts for who led
    /// then, and for no later leader.
    #[must_use]
    pub fn lead_asked(&self) -> Option<(NodeNumber, Revision)> {
        let asked = self.nodes().filter_map(|node| {
            let at = node.lead_asked_at?;
            Some((node.number, at))
        });
        asked.max_by_key(|(_, at)| *at)
    }

    /// An issuer that has not expired.
    #[must_use]
    pub fn issuer(&self, number: IssuerNumber) -> Option<&Arc<IssuerRecord>> {
        self.tables.issuers.get(&number)
    }

    /// Every issuer that has not expired, in order.
    pub fn issuers(&self) -> impl Iterator<Item = &Arc<IssuerRecord>> {
        self.tables.issuers.values()
    }

    /// A node's issuers that have not expired, in order.
    pub fn issuers_of(&self, node: NodeNumber) -> impl Iterator<Item = &Arc<IssuerRecord>> {
        self.issuers().filter(move |issuer| issuer.node == node)
    }

    /// How many epochs have issuers that have not expired, the newest included.
    #[must_use]
    pub fn live_epochs(&self) -> usize {
        let newest = self.epoch().map(|epoch| epoch.number);
        let live: BTreeSet<_> = (self.issuers().map(|issuer| issuer.epoch))
            .chain(newest)
            .collect();
        live.len()
    }

    /// The longest span after which nothing that was signed before it can be in
    /// force, milliseconds on the keeper's clock: whatever is in force was signed by
    /// an issuer that has not expired.
    #[must_use]
    pub fn longest_expiry_ms(&self) -> u64 {
        let present = self.settings().map(|settings| settings.issuer_expiry_ms());
        let of_issuers = self.issuers().map(|issuer| issuer.expiry_ms);
        of_issuers.chain(present).max().unwrap_or(u64::MAX)
    }

    /// The revision at which what the subject held was last killed, as long as it
    /// is above the floor.
    #[must_use]
    pub fn watermark(&self, subject: &Subject) -> Option<Revision> {
        let revision = self.tables.watermarks.get(subject).copied();
        revision.filter(|revision| *revision > self.floor())
    }

    /// Whether the token was revoked by its id. Unknown once its issuer expired.
    #[must_use]
    pub fn is_revoked(&self, token: &TokenId) -> bool {
        self.tables.issuers.contains_key(&token.issuer()) && self.tables.is_revoked(token)
    }

    /// How many tokens of an issuer were revoked by their id.
    #[must_use]
    pub fn revoked_tokens(&self, issuer: IssuerNumber) -> usize {
        self.tables.revoked.get(&issuer).map_or(0, BTreeSet::len)
    }
}
