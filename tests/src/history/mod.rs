//! What was asked of a cluster under faults and what it answered, and the laws that
//! it has to have kept.
//!
//! All moments are of one clock, the harness's CLOCK_BOOTTIME, and nothing here reads
//! it: a history is data, and judging it is O(n log n). An operation that failed or was
//! never answered is *unknown*: it may have happened, and may happen later still.
//!
//! ```text
//! load, observers ──► History ──► laws ──► Vec<Violation>
//! ```
//!
//! - `enforcement`: nothing accepted, nothing minted after it was said to be dead
//! - `honesty`: a state is as recent as it was said to be; sessions never go back
//! - `durability`: what was acknowledged is there; no revision was given twice
//! - `fence`: what was promised to be in force by some moment was
//! - `leadership`: a term has one leader, no node's term goes back, equal revisions are equal states

mod durability;
mod enforcement;
mod fence;
mod honesty;
mod horizon;
mod leadership;

use std::{fmt, time::Duration};

/// Nanoseconds of CLOCK_BOOTTIME.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Moment(pub u64);

impl Moment {
    /// Now, by this machine's CLOCK_BOOTTIME.
    #[must_use]
    pub fn now() -> Self {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
        let nanoseconds = u64::try_from(now.tv_nsec).unwrap_or(0);
        Self(seconds * 1_000_000_000 + nanoseconds)
    }

    /// Later by `by`.
    #[must_use]
    pub fn after(self, by: Duration) -> Self {
        Self(self.0.saturating_add(nanoseconds(by)))
    }

    /// Earlier by `by`.
    #[must_use]
    pub fn before(self, by: Duration) -> Self {
        Self(self.0.saturating_sub(nanoseconds(by)))
    }

    /// From `earlier` to this; zero when it is not earlier.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

fn nanoseconds(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

/// Who answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Place {
    /// A node, by its number.
    Node(u64),
    /// A verifier of the SDK that follows the feed.
    Verifier(u32),
    /// Whichever node the SDK turned to.
    Cluster,
}

/// What a verb covers, or what a token falls under.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Subject {
    /// One token, by its id.
    Token(String),
    /// An agent.
    Agent(String),
    /// An owner.
    Owner(String),
    /// All there is.
    Everything,
}

/// How something that was held is ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// What is held.
    RevokeHeld,
    /// One token.
    Revoke,
    /// What is held, and minting until it is resumed.
    Suspend,
    /// What is held, and minting for good.
    Remove,
}

impl Verb {
    const fn ends_minting(self) -> bool {
        matches!(self, Self::Suspend | Self::Remove)
    }
}

/// What became of a command, with its revision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It is durable.
    Committed(u64),
    /// It is in force on every node.
    Enforced(u64),
    /// And in every subscribed verifier.
    EnforcedInVerifiers(u64),
    /// It was not carried out, and will not be.
    Refused,
    /// Nobody knows.
    Unknown,
}

impl Outcome {
    /// Its revision, when it was acknowledged.
    #[must_use]
    pub const fn revision(self) -> Option<u64> {
        match self {
            Self::Committed(revision)
            | Self::Enforced(revision)
            | Self::EnforcedInVerifiers(revision) => Some(revision),
            Self::Refused | Self::Unknown => None,
        }
    }

    /// Whether it was in force on every node.
    #[must_use]
    pub const fn is_enforced(self) -> bool {
        matches!(self, Self::Enforced(_) | Self::EnforcedInVerifiers(_))
    }

    const fn may_have_happened(self) -> bool {
        !matches!(self, Self::Refused)
    }
}

/// What was done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Deed {
    /// An agent was registered.
    Registered {
        /// Which.
        agent: String,
        /// Whether.
        outcome: Outcome,
    },
    /// Something that was held was ended.
    Ended {
        /// What it covers.
        subject: Subject,
        /// How.
        verb: Verb,
        /// Whether.
        outcome: Outcome,
    },
    /// A subject may mint again.
    Resumed {
        /// Which.
        subject: Subject,
        /// Whether.
        outcome: Outcome,
    },
    /// A token was minted.
    Minted {
        /// Its `jti`.
        token: String,
        /// Its `sub`.
        agent: String,
        /// Its `own`.
        owner: String,
        /// Its `rev`.
        rev: u64,
    },
    /// A token was said to be in force.
    Accepted {
        /// Its `jti`.
        token: String,
    },
    /// A token was said not to be in force.
    Rejected {
        /// Its `jti`.
        token: String,
    },
    /// The registration of an agent was read.
    Read {
        /// Which.
        agent: String,
        /// What was found; `None`: nothing.
        found: Option<Registration>,
    },
    /// Anything else that says from which state it was answered.
    Asked,
}

impl Deed {
    const fn outcome(&self) -> Option<Outcome> {
        match self {
            Self::Registered { outcome, .. }
            | Self::Ended { outcome, .. }
            | Self::Resumed { outcome, .. } => Some(*outcome),
            _ => None,
        }
    }
}

/// What a registration was found to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Registration {
    /// Whether the agent itself is suspended.
    pub suspended: bool,
}

/// From which state something was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// The revision.
    pub revision: u64,
    /// How old it was at most, as was said, when it was said.
    pub age: Option<Duration>,
}

/// One operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operation {
    /// Whose: operations of one session follow one another, and hand back the newest
    /// consistency token.
    pub session: u32,
    /// Who answered.
    pub place: Place,
    /// When the client began it.
    pub begun: Moment,
    /// When the try was sent that was answered.
    pub asked: Moment,
    /// When the answer was there; `None`: there was none.
    pub ended: Option<Moment>,
    /// What the answer rests on, when it said so.
    pub seen: Option<Seen>,
    /// What was done.
    pub deed: Deed,
}

impl Operation {
    /// The revision and the moment of the answer of a command that was acknowledged.
    fn acknowledged(&self) -> Option<(u64, Moment)> {
        Some((self.deed.outcome()?.revision()?, self.ended?))
    }
}

/// What a node said of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Which.
    pub node: u64,
    /// When it was asked, and when the answer was there.
    pub asked: Moment,
    /// See `asked`.
    pub seen: Moment,
    /// Its term.
    pub term: u64,
    /// Who leads in it; 0: it does not know.
    pub leader: u64,
    /// How far its state is.
    pub revision: u64,
    /// The digest of that state.
    pub digest: String,
}

/// All that was seen.
#[derive(Debug, Clone, Default)]
pub struct History {
    /// What was asked, in any order.
    pub operations: Vec<Operation>,
    /// What the nodes said of themselves, in any order.
    pub reports: Vec<Report>,
}

/// What was promised.
#[derive(Debug, Clone, Copy)]
pub struct Promises {
    /// How old a node's state may be.
    pub f: Duration,
    /// How old a verifier's view may be.
    pub v: Duration,
    /// By how much two clocks may differ in rate.
    pub kappa: f64,
    /// What measuring may add: the harness's own lateness, and how often it looks
    /// for a leader.
    pub slack: Duration,
}

impl Promises {
    /// The longest that a revocation takes once it is committed.
    #[must_use]
    pub fn w(&self) -> Duration {
        self.f.mul_f64(self.kappa)
    }

    /// The same of one that is waited for in verifiers.
    #[must_use]
    pub fn w_in_verifiers(&self) -> Duration {
        self.w().max(self.v.mul_f64(self.kappa))
    }
}

/// Which law was broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Complaint {
    /// A token was accepted by an operation that began after it was enforced that it
    /// is dead.
    AcceptedAfterEnforced,
    /// A node accepted a token longer than `F·κ` after it was known to be dead.
    AcceptedBeyondF,
    /// A verifier accepted a token longer than `V·κ` after it was known to be dead.
    AcceptedBeyondV,
    /// A token was accepted from a state that holds what ended it.
    AcceptedAgainstState,
    /// A token was minted by an operation that began after it was enforced that its
    /// agent mints nothing.
    MintedAfterEnforced,
    /// The same, `F·κ` after it was committed.
    MintedBeyondF,
    /// Something was answered from a state older than was said.
    OlderThanSaid,
    /// Something was answered from a state that was said to be older than `F`.
    ServedStale,
    /// A session was answered from a state before one that it had seen.
    SessionWentBack,
    /// What was acknowledged is not in a state that has to hold it.
    LostWrite,
    /// Two commands were acknowledged with one revision.
    RevisionTwice,
    /// A verb was enforced later than was promised.
    FenceLate,
    /// A node followed an earlier leader of the same term again.
    LeaderWentBack,
    /// A node's term went back.
    TermWentBack,
    /// Two nodes' states differ at one revision.
    StatesDiffer,
}

/// A law that was broken, and by what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Which law.
    pub complaint: Complaint,
    /// For people.
    pub by: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.complaint, self.by)
    }
}

/// Collects violations.
#[derive(Debug, Default)]
struct Verdict(Vec<Violation>);

impl Verdict {
    fn complain(&mut self, complaint: Complaint, by: impl Into<String>) {
        self.0.push(Violation {
            complaint,
            by: by.into(),
        });
    }
}

impl History {
    /// Every law that was broken, in the order of the laws.
    #[must_use]
    pub fn judge(&self, promises: &Promises) -> Vec<Violation> {
        let mut verdict = Verdict::default();
        enforcement::judge(self, promises, &mut verdict);
        honesty::judge(self, promises, &mut verdict);
        durability::judge(self, &mut verdict);
        fence::judge(self, promises, &mut verdict);
        leadership::judge(self, &mut verdict);
        verdict.0
    }

    /// Adds what another saw of the same cluster by the same clock.
    pub fn append(&mut self, mut other: Self) {
        self.operations.append(&mut other.operations);
        self.reports.append(&mut other.reports);
    }
}
