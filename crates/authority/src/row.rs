//! The state as rows: what is written to disk after each command, streamed to a
//! joining node, and hashed.

use std::sync::Arc;

use chancery_credential::{
    GrantSetName, IssuerNumber, NodeNumber, OwnerName, PrincipalName, Revision, SpiffeId, Subject,
    TokenId,
};

use crate::record::{
    AgentRecord, ClockRecord, EpochRecord, GrantSetRecord, IssuerRecord, MetaRecord, NodeRecord,
    OperatorRecord, OwnerRecord, RequestKey, RequestRecord, ServiceRecord, SuspensionRecord,
};
use crate::settings::Settings;

/// The tables, in the order in which their rows are listed.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Table {
    /// One row: how far the log has been applied. Changes with every entry.
    Clock = 1,
    /// One row: what the lineage counts.
    Meta = 2,
    /// One row: the replicated settings.
    Settings = 3,
    /// One row: the newest epoch.
    Epoch = 4,
    /// Registrations.
    Agent = 5,
    /// Owners.
    Owner = 6,
    /// Grant sets.
    GrantSet = 7,
    /// Operators.
    Operator = 8,
    /// Services.
    Service = 9,
    /// Nodes.
    Node = 10,
    /// Issuers that have not expired.
    Issuer = 11,
    /// Suspended subjects.
    Suspension = 12,
    /// The last revision at which what a subject held was killed.
    Watermark = 13,
    /// Ids of revoked tokens.
    RevokedToken = 14,
    /// Requests and their outcomes.
    Request = 15,
}

impl Table {
    /// All of them, in order.
    pub const ALL: [Self; 15] = [
        Self::Clock,
        Self::Meta,
        Self::Settings,
        Self::Epoch,
        Self::Agent,
        Self::Owner,
        Self::GrantSet,
        Self::Operator,
        Self::Service,
        Self::Node,
        Self::Issuer,
        Self::Suspension,
        Self::Watermark,
        Self::RevokedToken,
        Self::Request,
    ];
}

/// Names a row.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RowKey {
    /// The row of [`Table::Clock`].
    Clock,
    /// The row of [`Table::Meta`].
    Meta,
    /// The row of [`Table::Settings`].
    Settings,
    /// The row of [`Table::Epoch`].
    Epoch,
    /// A row of [`Table::Agent`].
    Agent(SpiffeId),
    /// A row of [`Table::Owner`].
    Owner(OwnerName),
    /// A row of [`Table::GrantSet`].
    GrantSet(GrantSetName),
    /// A row of [`Table::Operator`].
    Operator(PrincipalName),
    /// A row of [`Table::Service`].
    Service(PrincipalName),
    /// A row of [`Table::Node`].
    Node(NodeNumber),
    /// A row of [`Table::Issuer`].
    Issuer(IssuerNumber),
    /// A row of [`Table::Suspension`].
    Suspension(Subject),
    /// A row of [`Table::Watermark`].
    Watermark(Subject),
    /// A row of [`Table::RevokedToken`].
    RevokedToken(TokenId),
    /// A row of [`Table::Request`].
    Request(RequestKey),
}

impl RowKey {
    /// Where the row stands.
    #[must_use]
    pub const fn table(&self) -> Table {
        match self {
            Self::Clock => Table::Clock,
            Self::Meta => Table::Meta,
            Self::Settings => Table::Settings,
            Self::Epoch => Table::Epoch,
            Self::Agent(_) => Table::Agent,
            Self::Owner(_) => Table::Owner,
            Self::GrantSet(_) => Table::GrantSet,
            Self::Operator(_) => Table::Operator,
            Self::Service(_) => Table::Service,
            Self::Node(_) => Table::Node,
            Self::Issuer(_) => Table::Issuer,
            Self::Suspension(_) => Table::Suspension,
            Self::Watermark(_) => Table::Watermark,
            Self::RevokedToken(_) => Table::RevokedToken,
            Self::Request(_) => Table::Request,
        }
    }
}

/// A row, key and value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Row {
    /// The row of [`Table::Clock`].
    Clock(ClockRecord),
    /// The row of [`Table::Meta`].
    Meta(MetaRecord),
    /// The row of [`Table::Settings`].
    Settings(Arc<Settings>),
    /// The row of [`Table::Epoch`].
    Epoch(EpochRecord),
    /// A row of [`Table::Agent`].
    Agent(Arc<AgentRecord>),
    /// A row of [`Table::Owner`].
    Owner(Arc<OwnerRecord>),
    /// A row of [`Table::GrantSet`].
    GrantSet(Arc<GrantSetRecord>),
    /// A row of [`Table::Operator`].
    Operator(Arc<OperatorRecord>),
    /// A row of [`Table::Service`].
    Service(Arc<ServiceRecord>),
    /// A row of [`Table::Node`].
    Node(Arc<NodeRecord>),
    /// A row of [`Table::Issuer`].
    Issuer(Arc<IssuerRecord>),
    /// A row of [`Table::Suspension`]: since when.
    Suspension(Subject, SuspensionRecord),
    /// A row of [`Table::Watermark`]: what was held before is dead.
    Watermark(Subject, Revision),
    /// A row of [`Table::RevokedToken`].
    RevokedToken(TokenId),
    /// A row of [`Table::Request`].
    Request(RequestKey, Arc<RequestRecord>),
}

impl Row {
    /// What it is stored under.
    #[must_use]
    pub fn key(&self) -> RowKey {
        match self {
            Self::Clock(_) => RowKey::Clock,
            Self::Meta(_) => RowKey::Meta,
            Self::Settings(_) => RowKey::Settings,
            Self::Epoch(_) => RowKey::Epoch,
            Self::Agent(record) => RowKey::Agent(record.id.clone()),
            Self::Owner(record) => RowKey::Owner(record.name.clone()),
            Self::GrantSet(record) => RowKey::GrantSet(record.name.clone()),
            Self::Operator(record) => RowKey::Operator(record.name.clone()),
            Self::Service(record) => RowKey::Service(record.name.clone()),
            Self::Node(record) => RowKey::Node(record.number),
            Self::Issuer(record) => RowKey::Issuer(record.number),
            Self::Suspension(subject, _) => RowKey::Suspension(subject.clone()),
            Self::Watermark(subject, _) => RowKey::Watermark(subject.clone()),
            Self::RevokedToken(token) => RowKey::RevokedToken(*token),
            Self::Request(key, _) => RowKey::Request(key.clone()),
        }
    }
}
