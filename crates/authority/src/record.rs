//! The records of the tables. The prose on each field is an invariant that
//! [`State::validate`](crate::State::validate) checks.

use chancery_credential::{
    Audience, Ed25519PublicKey, EpochNumber, Grant, GrantSetName, IssuerNumber, KeyThumbprint,
    Lineage, NodeNumber, OwnerName, PeerPublicKey, PrincipalName, Revision, SpiffeId,
};

use crate::event::Answer;
use crate::rejection::Rejection;
use crate::role::Roles;
use crate::stamped::{Actor, RequestId};

/// How much an agent may ask.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Mints a second and node; 0: unlimited.
    pub rate: u32,
}

/// A registration in force. Whether it is suspended stands with the subject, not
/// here: a suspension outlives the registration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentRecord {
    /// In the cluster's trust domain.
    pub id: SpiffeId,
    /// 1 to 8, sorted, each in the table of owners.
    pub owners: Box<[OwnerName]>,
    /// 1 to 8, sorted, held by this agent alone.
    pub keys: Box<[KeyThumbprint]>,
    /// At most 64, as they were asked for.
    pub grants: Box<[Grant]>,
    /// At most 8, sorted, each in the table of grant sets.
    pub grant_sets: Box<[GrantSetName]>,
    /// How much it may ask.
    pub limits: Limits,
    /// Seconds since the Unix epoch; 0: never.
    pub expires_at: u64,
    /// At most 256 bytes.
    pub description: Box<str>,
    /// Never after `changed_at`.
    pub registered_at: Revision,
    /// Never after the applied revision.
    pub changed_at: Revision,
}

/// Somebody who answers for agents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnerRecord {
    /// The key of the table.
    pub name: OwnerName,
    /// At most 256 bytes.
    pub description: Box<str>,
    /// Never after the applied revision.
    pub added_at: Revision,
}

/// Grants that many agents share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrantSetRecord {
    /// The key of the table.
    pub name: GrantSetName,
    /// At most 64.
    pub grants: Box<[Grant]>,
    /// Never after the applied revision.
    pub changed_at: Revision,
    /// What was asked before does not change it, milliseconds since the Unix epoch.
    pub asked_ms: u64,
}

/// That a subject is suspended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SuspensionRecord {
    /// Of the first suspension since it was last resumed. Never after the applied
    /// revision.
    pub since: Revision,
    /// A resumption that was asked before does not lift it, milliseconds since the Unix
    /// epoch: of the last suspension.
    pub asked_ms: u64,
}

/// A person, or a tool of theirs. At least one operator is a keeper that never
/// expires.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OperatorRecord {
    /// The key of the table.
    pub name: PrincipalName,
    /// Never empty.
    pub roles: Roles,
    /// 1 to 8, sorted, held by this operator alone.
    pub keys: Box<[KeyThumbprint]>,
    /// Seconds since the Unix epoch; 0: never.
    pub expires_at: u64,
    /// Never after the applied revision.
    pub added_at: Revision,
    /// What was asked before does not change it, milliseconds since the Unix epoch.
    pub asked_ms: u64,
}

/// A verifier of tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceRecord {
    /// The key of the table.
    pub name: PrincipalName,
    /// 1 to 64, sorted: the audiences whose tokens it may verify and check.
    pub audiences: Box<[Audience]>,
    /// 1 to 8, sorted, held by this service alone.
    pub keys: Box<[KeyThumbprint]>,
    /// Never after the applied revision.
    pub added_at: Revision,
    /// What was asked before does not change it, milliseconds since the Unix epoch.
    pub asked_ms: u64,
}

/// A node that was admitted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeRecord {
    /// Below the next number to hand out.
    pub number: NodeNumber,
    /// No other node's that was not removed.
    pub name: Box<str>,
    /// `host:port` where clients reach it.
    pub api_address: Box<str>,
    /// `host:port` where its peers reach it.
    pub peer_address: Box<str>,
    /// Held by this node alone.
    pub peer_key: PeerPublicKey,
    /// Never mints: it has no issuer.
    pub check_only: bool,
    /// Revoked: each of its issuers is revoked, and it opens none.
    pub barred: bool,
    /// Being removed: none of its issuers is open, and it opens none.
    pub retiring: bool,
    /// A keeper wants it to vote: what the leader takes it to the voters by, and
    /// leaves it among them. Of those that only check at most the first node.
    pub votes: bool,
    /// Where a keeper last asked that it lead. It counts for the leader of that
    /// moment, and for no later one. Never after the applied revision.
    pub lead_asked_at: Option<Revision>,
    /// The last issuer that it opened, even if it has expired. None of its
    /// issuers has a greater number.
    pub newest_issuer: Option<IssuerNumber>,
    /// Never after the applied revision.
    pub admitted_at: Revision,
    /// Since when it is no member any more, and for good: it is retiring or barred
    /// too. Its name is free for another; its number and its key are not.
    pub removed_at: Option<Revision>,
}

impl NodeRecord {
    /// Neither revoked, nor on its way out, nor gone.
    #[must_use]
    pub const fn stands(&self) -> bool {
        !self.barred && !self.retiring && self.removed_at.is_none()
    }
}

/// A signing key with a number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IssuerRecord {
    /// Below the next number to hand out; never handed out twice.
    pub number: IssuerNumber,
    /// In the table of nodes.
    pub node: NodeNumber,
    /// Not after the newest epoch.
    pub epoch: EpochNumber,
    /// Open issuers of a node all have one process, and one epoch each.
    pub process: u64,
    /// No other unexpired issuer's.
    pub key: Ed25519PublicKey,
    /// Tokens with an earlier `rev` are refused.
    pub opened_at: Revision,
    /// How long after it was closed nothing that it signed can be in force any more,
    /// milliseconds on the keeper's clock: the longest that the settings have asked
    /// for while it was open.
    pub expiry_ms: u64,
    /// What it is now.
    pub standing: IssuerStanding,
}

/// What an issuer is. It only moves down this list, and then out of the table.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum IssuerStanding {
    /// Its process signs.
    Open,
    /// Its tokens with `rev` up to here are valid. Not before `opened_at`.
    Retired(Revision),
    /// Since this revision nothing of it is valid. Not before `opened_at`.
    Revoked(Revision),
}

/// The newest epoch.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct EpochRecord {
    /// Counts from 1.
    pub number: EpochNumber,
    /// Never after the applied revision.
    pub opened_at: Revision,
    /// Log time then, milliseconds. Never after log time.
    pub opened_at_ms: u64,
    /// Followed at once, without the rotation lead.
    pub emergency: bool,
}

/// What the lineage counts.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct MetaRecord {
    /// Fixed at birth.
    pub lineage: Lineage,
    /// Greater than every number handed out.
    pub next_issuer: u32,
    /// Greater than every number handed out.
    pub next_node: u64,
    /// Tokens with an earlier `rev` are refused. Only rises; never after
    /// `view_revision`, so that a token minted now is above it.
    pub floor: Revision,
    /// The last revision that changed what is in force, time aside. Never after
    /// the applied revision.
    pub view_revision: Revision,
}

/// How far the log has been applied.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct ClockRecord {
    /// The last entry applied.
    pub applied: Revision,
    /// The greatest stamp so far, milliseconds since the Unix epoch.
    pub log_time_ms: u64,
    /// The log time, in seconds, of which consumers were last told. Never ahead
    /// of log time.
    pub told_time_s: u64,
}

/// Which request. Ordered by time first, so that the oldest go first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestKey {
    /// What the client drew.
    pub id: RequestId,
    /// Whose: two actors may draw the same.
    pub actor: Actor,
}

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestRecord {
    /// Of the command; another one under the same id is refused.
    pub digest: [u8; 32],
    /// Where it was decided.
    pub revision: Revision,
    /// How.
    pub outcome: Result<Answer, Rejection>,
}

/// Who a key belongs to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Holder {
    /// An agent; its replicas may share the key.
    Agent(SpiffeId),
    /// An operator.
    Operator(PrincipalName),
    /// A service.
    Service(PrincipalName),
    /// A node: its peer key.
    Node(NodeNumber),
}

/// Sorts, and drops what is there twice.
pub(crate) fn sorted<T: Ord>(mut list: Vec<T>) -> Box<[T]> {
    list.sort_unstable();
    list.dedup();
    list.into_boxed_slice()
}
