//! The one place where openraft's type parameters are chosen, and their short
//! names for the rest of the crate. None of these types leaves the crate, and
//! none of them is ever encoded: see [`crate::codec`].

use crate::{command::EncodedCommand, peer_record::PeerRecord, reply::Reply};

openraft::declare_raft_types!(
    pub(crate) Types:
        D = EncodedCommand,
        R = Reply,
        NodeId = u64,
        Node = PeerRecord,
);

pub(crate) type CommittedLeaderId = openraft::alias::CommittedLeaderIdOf<Types>;
pub(crate) type LeaderId = openraft::alias::LeaderIdOf<Types>;
pub(crate) type LogId = openraft::alias::LogIdOf<Types>;
pub(crate) type Vote = openraft::alias::VoteOf<Types>;
pub(crate) type Entry = openraft::alias::EntryOf<Types>;
pub(crate) type Membership = openraft::Membership<u64, PeerRecord>;
pub(crate) type StoredMembership = openraft::alias::StoredMembershipOf<Types>;
pub(crate) type SnapshotMeta = openraft::alias::SnapshotMetaOf<Types>;
pub(crate) type Snapshot = openraft::alias::SnapshotOf<Types, crate::state_machine::SnapshotSource>;
pub(crate) type Metrics = openraft::RaftMetrics<Types>;
pub(crate) type Raft = openraft::Raft<Types, crate::state_machine::StateMachine>;
