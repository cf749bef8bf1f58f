//! How much of everything there may be.

/// Longest reason of a command, in bytes.
pub const MAX_REASON_BYTES: usize = 512;
/// Longest description, in bytes.
pub const MAX_DESCRIPTION_BYTES: usize = 256;
/// Longest address of a node, in bytes.
pub const MAX_ADDRESS_BYTES: usize = 256;
/// Keys of a principal.
pub const MAX_KEYS: usize = 8;
/// Owners of an agent. Tokens carry no more.
pub const MAX_AGENT_OWNERS: usize = chancery_credential::MAX_OWNERS;
/// Grant sets of an agent. Tokens carry no more.
pub const MAX_AGENT_GRANT_SETS: usize = chancery_credential::MAX_GRANT_SETS;
/// Grants of an agent, and of a grant set.
pub const MAX_GRANTS: usize = 64;
/// Scope patterns of a grant.
pub const MAX_GRANT_SCOPES: usize = 64;
/// All patterns of an agent's grants, or of a grant set's, in bytes.
pub const MAX_GRANTS_BYTES: usize = 16 * 1_024;
/// Audiences of a service.
pub const MAX_AUDIENCES: usize = 64;
/// Operators that a cluster begins with.
pub const MAX_FIRST_OPERATORS: usize = 16;
/// Operators at any time: each of them is judged for the last keeper.
pub const MAX_OPERATORS: usize = 4_096;
/// Nodes on record, removed ones included: the longest gone makes room.
pub const MAX_NODES: usize = 256;
/// Issuers of a node that have not expired.
pub const MAX_NODE_ISSUERS: usize = 32;
/// Epochs whose issuers have not expired, the newest included. Half of
/// [`MAX_NODE_ISSUERS`], so that rotation leaves a node room to restart.
pub const MAX_LIVE_EPOCHS: usize = 16;
/// Of these, how many the keeper uses: the others are for operators in an emergency.
pub const KEPT_EPOCHS: usize = MAX_LIVE_EPOCHS - 2;
/// Revoked tokens of an issuer. Three nodes then hold more than ten million at
/// any time, at about 100 MB an issuer that is filled to the brim.
pub const MAX_REVOKED_TOKENS: usize = 1 << 22;
/// Of these, how many only operators can fill, so that no agent that revokes its
/// own tokens keeps a responder out.
pub const RESERVED_REVOKED_TOKENS: usize = MAX_REVOKED_TOKENS / 8;
/// Requests remembered. An id stays for at most two windows.
pub const MAX_REQUESTS: usize = 1 << 20;
/// Of these, how many only operators and nodes can fill, so that no crowd of
/// agents keeps a responder out.
pub const RESERVED_REQUESTS: usize = MAX_REQUESTS / 16;
/// Ended registrations that one command drops.
pub const EXPIRED_REGISTRATIONS: usize = 1_024;
/// How far a request id may lie behind log time, and how far ahead of it,
/// milliseconds.
pub const REQUEST_WINDOW_MS: u64 = 60_000;
/// How far a client's clock may lie behind log time for what it asks now to be later
/// than what stands, milliseconds: as far apart as the clocks of nodes may be.
pub const ASKED_BEHIND_MS: u64 = 2_000;
/// Rows that one command drops of what nothing can reach any more (forgotten
/// requests, ids of expired issuers, watermarks under the floor), so that no
/// single command does unbounded work.
pub const SWEPT_ROWS: usize = 4_096;
