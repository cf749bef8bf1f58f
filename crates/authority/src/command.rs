//! What can be asked of the authority: one variant a command, and the specs that
//! they carry. Everything in them is public: no key, token or secret may enter.

use chancery_credential::{
    Audience, Ed25519PublicKey, EpochNumber, Grant, GrantSetName, IssuerNumber, KeyThumbprint,
    Lineage, NodeNumber, OwnerName, PeerPublicKey, PrincipalName, Revision, SpiffeId, Subject,
    TokenId,
};

use crate::record::Limits;
use crate::role::Roles;
use crate::settings::Settings;
use crate::settings_change::SettingsChange;

/// An entry of the log that means something to the authority. Who may send which
/// is [`permission`](crate::permission())'s table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Begins the lineage: settings, the first node (it becomes number 1), the
    /// first operators, epoch 1. Only once, only before anything else.
    Birth(Birth),
    /// Moves log time and nothing else.
    Tick,

    /// Registers an agent.
    RegisterAgent(AgentSpec),
    /// Replaces a registration. Taking anything away kills what was held unless
    /// `keep_held`.
    UpdateAgent {
        /// The whole new registration; its id names the one to replace.
        spec: AgentSpec,
        /// Spare what was held although something is taken away.
        keep_held: bool,
        /// Only if the registration was last changed there: what was read before
        /// somebody else narrowed it does not widen it again.
        changed_at: Option<Revision>,
    },
    /// Ends a registration with all that it held. The id may be registered
    /// again; its watermark and its suspension stay with it.
    RemoveAgent(SpiffeId),
    /// Kills what the subject holds for good, and refuses minting until resumed.
    Suspend(Subject),
    /// Allows minting again. What was dead stays dead.
    Resume(Subject),
    /// Kills what the subject holds; it may mint anew at once.
    RevokeHeld(Subject),
    /// Kills one token and what was derived from it.
    RevokeToken {
        /// Which.
        token: TokenId,
        /// Its `sub`, when the edge verified the token; absent for a bare id.
        agent: Option<SpiffeId>,
    },

    /// Adds an owner.
    AddOwner {
        /// The name that agents refer to.
        name: OwnerName,
        /// For people.
        description: String,
    },
    /// Adds a grant set or replaces its grants. Taking anything away kills what
    /// was minted under it unless `keep_held`.
    PutGrantSet {
        /// The name that agents refer to.
        name: GrantSetName,
        /// All of its grants.
        grants: Vec<Grant>,
        /// Spare what was held although something is taken away.
        keep_held: bool,
    },
    /// Removes a grant set that no agent refers to, and kills what was minted under
    /// it. The name may be put again; its watermark and its suspension stay with it.
    RemoveGrantSet(GrantSetName),
    /// Adds an operator.
    AddOperator(OperatorSpec),
    /// Adds a service.
    AddService(ServiceSpec),
    /// Changes an operator. What it takes away it takes away at once.
    UpdateOperator(OperatorChange),
    /// Changes a service. What it takes away it takes away at once.
    UpdateService(ServiceChange),
    /// Removes an operator, never the last keeper that does not expire.
    RemoveOperator(PrincipalName),
    /// Removes a service.
    RemoveService(PrincipalName),

    /// Opens the next key epoch.
    OpenEpoch {
        /// Sign with the new issuers at once, without the rotation lead.
        emergency: bool,
    },
    /// Opens an issuer for a process of a node.
    OpenIssuer(OpenIssuer),
    /// The issuer signs no more; what it signed until now stays valid.
    RetireIssuer(IssuerNumber),
    /// Forgets a retired or revoked issuer, and its revoked ids.
    ExpireIssuer(IssuerNumber),
    /// Kills an issuer, absolutely and for good.
    RevokeIssuer(IssuerNumber),
    /// Kills every issuer of an epoch; of the newest, opens its successor.
    RevokeEpoch(EpochNumber),
    /// Kills every issuer of a node and bars it: it opens no other, keeps nothing
    /// but time, and nobody is heard through it.
    RevokeNode(NodeNumber),
    /// Admits a node; the answer is its number.
    AdmitNode(NodeSpec),
    /// Begins a node's removal: it opens no issuer any more, and those that it
    /// has are retired.
    RetireNode(NodeNumber),
    /// Undoes [`RevokeNode`](Self::RevokeNode) or [`RetireNode`](Self::RetireNode).
    /// Dead issuers stay dead.
    ReadmitNode {
        /// Which.
        node: NodeNumber,
        /// Replaces the one that it had, so that nothing which was signed with
        /// that counts any more; held by nobody.
        peer_key: PeerPublicKey,
    },
    /// Drops agents and operators whose registration has ended by log time, a
    /// bounded number at a time. The answer is how many.
    ExpireRegistrations,
    /// Says where a keeper wants a node in the membership, which the leader then
    /// changes, and does not change otherwise: the membership stands in entries that
    /// name nobody. Refused for a node that may not have that place.
    SeatNode {
        /// Which.
        node: NodeNumber,
        /// Where it is to sit.
        seat: Seat,
    },
    /// Ends a removal that [`RetireNode`](Self::RetireNode) or
    /// [`RevokeNode`](Self::RevokeNode) began: the node is no member any more, and
    /// never again one under this number. The record and the key stay, so that it
    /// is known when it comes back.
    RemoveNode {
        /// Which.
        node: NodeNumber,
        /// The peer key that it had when its removal was waited for: whoever came back
        /// with another since is not what was waited for.
        key: KeyThumbprint,
    },
    /// Raises the floor: tokens below it are refused, watermarks at or below it
    /// are dropped.
    RaiseFloor(Revision),
    /// Changes some of the replicated settings.
    SetSettings(SettingsChange),
    /// Says that nothing is left of the settings before the change at this revision:
    /// no proof, verifier or cached JWKS goes by their spans any more. Of another
    /// change than the last that shortened one, changes nothing.
    ForgetFormer(Revision),
    /// Says what most voters hold their state at a revision to be: a node whose
    /// own was another then has to stop. Changes nothing.
    CompareState {
        /// Of which revision, not after the command's own.
        at: Revision,
        /// [`State::digest`](crate::State::digest) there.
        digest: [u8; 32],
    },
}

/// A place in the membership.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Seat {
    /// Replicates, and has no vote.
    Learner,
    /// Votes, and counts for a quorum.
    Voter,
    /// Votes, and leads until another election.
    Leader,
}

impl Seat {
    /// For people.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Learner => "learner",
            Self::Voter => "voter",
            Self::Leader => "leader",
        }
    }
}

/// What a lineage begins with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Birth {
    /// Drawn where `init` ran.
    pub lineage: Lineage,
    /// Checked like any others.
    pub settings: Settings,
    /// Becomes node 1.
    pub node: NodeSpec,
    /// At least one keeper that does not expire.
    pub operators: Vec<OperatorSpec>,
}

/// A registration, as it is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentSpec {
    /// In the cluster's trust domain.
    pub id: SpiffeId,
    /// 1 to 8, each known.
    pub owners: Vec<OwnerName>,
    /// 1 to 8, none held by anybody else.
    pub keys: Vec<KeyThumbprint>,
    /// At most 64.
    pub grants: Vec<Grant>,
    /// At most 8, each known.
    pub grant_sets: Vec<GrantSetName>,
    /// How much it may ask.
    pub limits: Limits,
    /// When the registration ends, seconds since the Unix epoch; 0: never.
    pub expires_at: u64,
    /// For people. At most 256 bytes.
    pub description: String,
}

/// An operator, as it is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OperatorSpec {
    /// Not taken by another operator.
    pub name: PrincipalName,
    /// At least one.
    pub roles: Roles,
    /// 1 to 8, none held by anybody else.
    pub keys: Vec<KeyThumbprint>,
    /// When it loses its standing, seconds since the Unix epoch; 0: never.
    pub expires_at: u64,
}

/// A service, as it is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceSpec {
    /// Not taken by another service.
    pub name: PrincipalName,
    /// The audiences whose tokens it may verify and check; 1 to 64.
    pub audiences: Vec<Audience>,
    /// 1 to 8, none held by anybody else.
    pub keys: Vec<KeyThumbprint>,
}

/// What changes of a principal's keys; it has 1 to 8 afterwards.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyChange {
    /// None held by anybody else.
    pub added: Vec<KeyThumbprint>,
    /// Each one of its own.
    pub removed: Vec<KeyThumbprint>,
}

/// What changes of an operator; what is not named stays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OperatorChange {
    /// Whose.
    pub name: PrincipalName,
    /// All that it has afterwards; at least one.
    pub roles: Option<Roles>,
    /// Of its keys.
    pub keys: KeyChange,
    /// When it loses its standing, seconds since the Unix epoch; 0: never.
    pub expires_at: Option<u64>,
}

/// What changes of a service; what is not named stays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceChange {
    /// Whose.
    pub name: PrincipalName,
    /// All that it has afterwards; 1 to 64.
    pub audiences: Option<Vec<Audience>>,
    /// Of its keys.
    pub keys: KeyChange,
}

/// A node, as it is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeSpec {
    /// Not taken by another node. At most 128 bytes.
    pub name: String,
    /// `host:port` where clients reach it. At most 256 bytes.
    pub api_address: String,
    /// `host:port` where its peers reach it. At most 256 bytes.
    pub peer_address: String,
    /// The key that it proves to its peers, held by nobody else.
    pub peer_key: PeerPublicKey,
    /// Answers checks and never mints.
    pub check_only: bool,
}

/// A request for an issuer, with the proofs that the node and the key ask for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenIssuer {
    /// Whose.
    pub node: NodeNumber,
    /// The newest epoch.
    pub epoch: EpochNumber,
    /// Random, drawn when the process started. Issuers of another process of
    /// the node are retired.
    pub process: u64,
    /// The node's newest issuer, even if it has expired; absent for the first.
    pub former: Option<IssuerNumber>,
    /// Exactly one.
    pub keys: Vec<Ed25519PublicKey>,
    /// By the node's peer key over [`open_issuer_message`](crate::open_issuer_message),
    /// ECDSA P-256 with SHA-256, ASN.1 DER.
    pub peer_signature: Vec<u8>,
    /// By each of `keys` over the same message, 64 bytes each.
    pub key_signatures: Vec<Vec<u8>>,
}
