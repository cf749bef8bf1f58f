//! What is told of a change: how far it has come, whom it waited out, whom it waits for.

use std::time::Duration;

use chancery_credential::NodeNumber;
#[cfg(simulation)]
use chancery_mutation::{Mutation, is_made};
use chancery_revocation::BootTime;
use chancery_wire::peer as pb;

use super::table::Look;

/// What somebody waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Wait {
    /// That it is committed.
    Committed,
    /// That no node accepts what it covers.
    Nodes,
    /// That no subscribed verifier does either.
    Verifiers,
}

/// How far a change is known to have gone. Never less than it was once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum EnforcementState {
    /// Whether it was committed is not known here.
    Unknown,
    /// Durable; some node may still go by what it proved before.
    Committed,
    /// No operation that begins now, on any node, goes without it.
    Enforced,
}

/// How far a change has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Enforcement {
    /// Of the nodes.
    pub state: EnforcementState,
    /// Nodes whose proofs of freshness ran out before they reported it as applied.
    pub waited_out: Vec<NodeNumber>,
    /// Nodes that may still go by an older proof.
    pub waiting_for: Vec<NodeNumber>,
    /// For how long at most; `None` if that is not known.
    pub at_most: Option<Duration>,
    /// No subscribed verifier accepts what it covers either.
    pub verifiers: bool,
    /// For how long one may at most; `None` if that is not known.
    pub verifiers_at_most: Option<Duration>,
}

impl Enforcement {
    /// Of a change of which no more is known than that.
    #[must_use]
    pub const fn only(state: EnforcementState) -> Self {
        Self {
            state,
            waited_out: Vec::new(),
            waiting_for: Vec::new(),
            at_most: None,
            verifiers: false,
            verifiers_at_most: None,
        }
    }

    pub(super) fn of(look: Look, now: BootTime) -> Self {
        let longest = |rows: &[(NodeNumber, BootTime)]| {
            let left = rows.iter().filter_map(|(_, until)| until.since(now));
            left.max().unwrap_or_default()
        };
        let is_enforced = look.waiting_for.is_empty();
        #[cfg(simulation)]
        let is_enforced = is_enforced || is_made(Mutation::FenceUnwaited);
        let mut waiting_for: Vec<_> = look.waiting_for.iter().map(|(node, _)| *node).collect();
        waiting_for.dedup();
        Self {
            state: if is_enforced {
                EnforcementState::Enforced
            } else {
                EnforcementState::Committed
            },
            waited_out: look.waited_out,
            waiting_for,
            at_most: Some(longest(&look.waiting_for)),
            verifiers: is_enforced && look.verifiers.is_empty(),
            verifiers_at_most: Some(longest(&look.verifiers).max(longest(&look.waiting_for))),
        }
    }

    /// This word, unless another said more.
    pub(super) fn unless_less_than(self, other: Option<Self>) -> Self {
        let said = |it: &Self| (it.state, it.verifiers);
        match other {
            Some(other) if said(&other) > said(&self) => other,
            _ => self,
        }
    }

    /// Whether it has come as far as somebody waits for.
    #[must_use]
    pub fn reaches(&self, wait: Wait) -> bool {
        match wait {
            Wait::Committed => self.state != EnforcementState::Unknown,
            Wait::Nodes => self.state == EnforcementState::Enforced,
            Wait::Verifiers => self.state == EnforcementState::Enforced && self.verifiers,
        }
    }

    /// When to look again if nothing is reported.
    pub(super) fn next(&self, wait: Wait) -> Option<Duration> {
        match wait {
            Wait::Committed => None,
            Wait::Nodes => self.at_most,
            Wait::Verifiers => self.verifiers_at_most,
        }
    }

    pub(crate) fn wire(&self) -> pb::Enforcement {
        use pb::enforcement::State;
        let state = match self.state {
            EnforcementState::Unknown => State::Unknown,
            EnforcementState::Committed => State::Committed,
            EnforcementState::Enforced => State::Enforced,
        };
        let numbers = |nodes: &[NodeNumber]| nodes.iter().map(|node| node.0).collect();
        pb::Enforcement {
            state: state.into(),
            waited_out: numbers(&self.waited_out),
            waiting_for: numbers(&self.waiting_for),
            at_most_ms: self.at_most.map(milliseconds),
            verifiers: self.verifiers,
            verifiers_at_most_ms: self.verifiers_at_most.map(milliseconds),
        }
    }

    /// A state that this build does not know is none to act on.
    pub(crate) fn read(wire: pb::Enforcement) -> Self {
        use pb::enforcement::State;
        let numbers = |nodes: Vec<u64>| nodes.into_iter().map(NodeNumber).collect();
        let state = match State::try_from(wire.state) {
            Ok(State::Enforced) => EnforcementState::Enforced,
            Ok(State::Committed) => EnforcementState::Committed,
            Ok(State::Unknown) | Err(_) => EnforcementState::Unknown,
        };
        Self {
            state,
            waited_out: numbers(wire.waited_out),
            waiting_for: numbers(wire.waiting_for),
            at_most: wire.at_most_ms.map(Duration::from_millis),
            verifiers: wire.verifiers,
            verifiers_at_most: wire.verifiers_at_most_ms.map(Duration::from_millis),
        }
    }
}

/// Rounded up: it says how long at most.
fn milliseconds(span: Duration) -> u64 {
    u64::try_from(span.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX)
}

impl Wait {
    pub(crate) const fn wire(self) -> pb::Wait {
        match self {
            Self::Committed => pb::Wait::Committed,
            Self::Nodes => pb::Wait::Nodes,
            Self::Verifiers => pb::Wait::Verifiers,
        }
    }

    /// What this build does not know is the most that there is.
    pub(crate) fn read(wire: i32) -> Self {
        match pb::Wait::try_from(wire) {
            Ok(pb::Wait::Committed) => Self::Committed,
            Ok(pb::Wait::Nodes) => Self::Nodes,
            Ok(pb::Wait::Verifiers | pb::Wait::Unspecified) | Err(_) => Self::Verifiers,
        }
    }
}
