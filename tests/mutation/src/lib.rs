//! The mistakes that a simulated cluster can be told to make, each at the place in the
//! product where somebody could make it. Only the simulation's build has those places
//! (`--cfg simulation`), and it makes no mistake that it was not told to.

#![forbid(unsafe_code)]

use std::{
    fmt,
    str::FromStr,
    sync::atomic::{AtomicUsize, Ordering},
};

macro_rules! mutations {
    ($($(#[doc = $what:literal])+ $variant:ident = $name:literal,)+) => {
        /// One mistake.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Mutation {
            $($(#[doc = $what])+ $variant,)+
        }

        impl Mutation {
            /// Every one, in the order of the table in `docs/simulation.md`.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// As it is typed.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }

            /// What is done wrong.
            #[must_use]
            pub const fn what(self) -> &'static str {
                match self {
                    $(Self::$variant => concat!($($what),+).trim_ascii(),)+
                }
            }
        }
    };
}

mutations! {
    /// a batch of the log is called flushed before it is synced
    LogSync = "log-sync",
    /// a vote is called saved before it is synced
    VoteSync = "vote-sync",
    /// the log forgets entries that the state is not synced through
    PurgeSync = "purge-sync",
    /// a received state is put in place without being synced
    StagedSync = "staged-sync",
    /// the revision is published before the changes
    RevisionFirst = "revision-first",
    /// the proof counts from the answer, not from the question
    ProofFromAnswer = "proof-from-answer",
    /// a leader answers with its read index without asking a quorum
    NoQuorum = "no-quorum",
    /// a read index rests on openraft's own count of who answered
    QuorumBorrowed = "quorum-borrowed",
    /// a proof counts before this node has applied the read index
    NotApplied = "not-applied",
    /// answers are given before the first proof, and after the last one ran out
    ServeStale = "serve-stale",
    /// an issuer's number is handed out again
    IssuerNumber = "issuer-number",
    /// a watermark that is there is not raised
    WatermarkKept = "watermark-kept",
    /// a restarted process leaves the issuers of the one before open
    FormerOpen = "former-open",
    /// a request that is repeated is carried out again
    RequestTwice = "request-twice",
    /// a node that is being removed is given proofs
    RetiringServes = "retiring-serves",
    /// a node goes by its proof for W, not for F
    BoundW = "bound-w",
    /// a node gives its proof back and keeps it
    DrainServes = "drain-serves",
    /// a change is called in force as soon as it is committed
    FenceUnwaited = "fence-unwaited",
    /// a holder is taken down after the read index was asked for
    RecordLate = "record-late",
    /// a proof is waited out for F by the leader's clock, not for F times kappa
    NoKappa = "no-kappa",
    /// a new leader counts on nobody holding a proof of the former one's
    TermForgets = "term-forgets",
    /// a node reports what it has appended as applied
    ReportAppended = "report-appended",
    /// a snapshot is installed without its view
    SnapshotView = "snapshot-view",
    /// a verifier's ping is answered before it was told every change
    PongEarly = "pong-early",
    /// a verifier is reckoned with for V by the node's clock, not for V times kappa
    RowNoKappa = "row-no-kappa",
    /// a restarted process counts on nobody going by what the one before answered
    YoungKnows = "young-knows",
    /// a verifier counts as of its ping, however old the state that answered was
    PongAgeless = "pong-ageless",
}

impl fmt::Display for Mutation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// There is no such mistake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unknown;

impl fmt::Display for Unknown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("there is no such mutation: `mutations` lists them")
    }
}

impl std::error::Error for Unknown {}

impl FromStr for Mutation {
    type Err = Unknown;

    fn from_str(name: &str) -> Result<Self, Unknown> {
        let named = |mutation: &Self| mutation.name() == name;
        Self::ALL.iter().copied().find(named).ok_or(Unknown)
    }
}

/// One more than its place in [`Mutation::ALL`]; 0: none.
static MADE: AtomicUsize = AtomicUsize::new(0);

/// From here on this process makes the mistake.
pub fn make(mutation: Mutation) {
    MADE.store(mutation as usize + 1, Ordering::Relaxed);
}

/// Whether this process makes the mistake.
#[must_use]
pub fn is_made(mutation: Mutation) -> bool {
    MADE.load(Ordering::Relaxed) == mutation as usize + 1
}
