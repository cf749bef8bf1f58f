//! Whether a change of the membership may be, and by which step. Pure: from who
//! sits where, who answers, and what is asked.
//!
//! A change has to leave a quorum of voters that answer: it is decided by a quorum
//! of the voters before it *and* of those after it (joint consensus).

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use chancery_credential::NodeNumber;

/// How many entries a learner may be behind and still be promoted: as a voter it
/// must not hold commits up.
pub(crate) const MAX_LAG: u64 = 256;

/// A change of the membership.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MembershipChange {
    /// Replicate to a node that is admitted, as a learner; of one that is a member,
    /// take in its present record.
    Enrol(NodeNumber),
    /// Give a learner that has caught up a vote.
    Promote(NodeNumber),
    /// Take a voter's vote; it stays as a learner.
    Demote(NodeNumber),
    /// Take a node out altogether, once its removal stands in the record.
    Remove(NodeNumber, Departure),
    /// Let this voter lead; none: whoever is best placed.
    Transfer(Option<NodeNumber>),
}

/// How a node leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Departure {
    /// It runs, and is taken out after it has stopped serving.
    Graceful,
    /// It is not there, and is taken out at once.
    Lost,
    /// It may be in other hands, and is taken out at once.
    Compromised,
}

/// Who sits where, as the leader sees it, no change under way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Roll {
    pub(crate) voters: BTreeSet<NodeNumber>,
    pub(crate) learners: BTreeSet<NodeNumber>,
    /// Members that the leader heard of since it was asked, itself included: one that
    /// was heard of before may be gone, and a change that counted on it never ends.
    pub(crate) answering: BTreeSet<NodeNumber>,
    /// Members that it heard of lately: one of these is not lost.
    pub(crate) heard: BTreeSet<NodeNumber>,
    /// By how many entries each is behind the leader, where that is known.
    pub(crate) lag: BTreeMap<NodeNumber, u64>,
    /// One of the voters.
    pub(crate) leader: NodeNumber,
    /// Members whose graceful removal has begun.
    pub(crate) retiring: BTreeSet<NodeNumber>,
    /// Members that were revoked.
    pub(crate) barred: BTreeSet<NodeNumber>,
    /// Members that have another record than they were taken in with: another key.
    pub(crate) renewed: BTreeSet<NodeNumber>,
}

/// The step to take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Plan {
    /// It is so already.
    Nothing,
    /// Add it as a learner.
    Enrol(NodeNumber),
    /// Take in a member's new record.
    Renew(NodeNumber),
    /// Add it to the voters.
    Promote(NodeNumber),
    /// Take it from the voters, and keep it as a learner.
    Demote(NodeNumber),
    /// Take it from the voters, if it is one, and from the members.
    Remove(NodeNumber),
    /// Let this voter lead, and ask it for the rest: a leader does not take away its
    /// own vote.
    HandOver(NodeNumber),
}

/// Why a change may not be, and what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("node {0} is no member: admit it first, with `chancery node add`")]
    NoMember(NodeNumber),
    #[error("node {0} has no vote, so it cannot lead: promote it first")]
    NoVote(NodeNumber),
    #[error(
        "node {0} is the only voter, and without a voter nothing is decided: promote another first"
    )]
    OnlyVoter(NodeNumber),
    #[error("{0}: {remedy}", remedy = .0.remedy())]
    Quorum(Arithmetic),
    #[error("{arithmetic}: promote another node, or demote node {node}, first")]
    Renewal {
        node: NodeNumber,
        arithmetic: Arithmetic,
    },
    #[error(
        "node {0} was not heard of in the last 2 s: see that it runs, and that its peer address is \
         right"
    )]
    Unheard(NodeNumber),
    #[error(
        "node {node} is {lag} entries behind, and may be {MAX_LAG}: wait until it has caught up"
    )]
    Behind { node: NodeNumber, lag: u64 },
    #[error(
        "node {0} does not answer, so it cannot leave in order: start it, or, if it will never \
         come back, remove it with --lost"
    )]
    Silent(NodeNumber),
    #[error("node {0} answers, so it is not lost: remove it without --lost, or stop it first")]
    Answers(NodeNumber),
    #[error(
        "node {0} is being removed, and one node leaves at a time: finish that first, with \
         `chancery node remove {0}`"
    )]
    AnotherLeaves(NodeNumber),
    #[error(
        "node {0} is being removed or was revoked: choose another node, or take it back with new \
         keys, with `chancery node readmit`"
    )]
    Leaving(NodeNumber),
    #[error(
        "no other voter answers and has caught up, so nobody could take the lead from node {0}: \
         start one, or promote one, first"
    )]
    NoSuccessor(NodeNumber),
}

impl Refusal {
    /// Whether a leader that has just begun to lead could see it otherwise in a
    /// moment, when it has heard of everybody.
    pub(crate) const fn may_be_haste(&self) -> bool {
        matches!(
            self,
            Self::Quorum(_)
                | Self::Renewal { .. }
                | Self::Unheard(_)
                | Self::Silent(_)
                | Self::NoSuccessor(_)
        )
    }

    /// Whether it passes by waiting, without anybody's doing.
    pub(crate) const fn passes(&self) -> bool {
        matches!(self, Self::Unheard(_) | Self::Behind { .. })
    }
}

/// The voters that there are, and those that would be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Arithmetic {
    now: Count,
    /// The change, and what it leads to; absent: what there is, is too few already.
    then: Option<(Turn, Count)>,
}

/// What changes the number of voters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    With(NodeNumber),
    Without(NodeNumber),
    /// It stays, and nobody hears it until it comes with its new key.
    Unheard(NodeNumber),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Count {
    voters: usize,
    answering: usize,
}

impl Count {
    const fn needed(self) -> usize {
        self.voters / 2 + 1
    }

    const fn is_quorum(self) -> bool {
        self.answering >= self.needed()
    }
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { voters, answering } = self;
        let many = |count: usize, one: &'static str, more: &'static str| {
            if count == 1 { one } else { more }
        };
        write!(
            f,
            "{voters} {} of which {answering} {}",
            many(*voters, "voter", "voters"),
            many(*answering, "answers", "answer"),
        )
    }
}

impl Arithmetic {
    /// Where too few answer already, no promotion helps: it would be decided by them.
    const fn remedy(&self) -> &'static str {
        match self.then {
            None => {
                "start those that do not answer, for without them nothing is decided, neither a \
                 promotion nor a removal"
            }
            Some(_) => "start a voter that does not answer, or promote another node, first",
        }
    }
}

impl fmt::Display for Arithmetic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (now, needed) = (self.now, |count: Count| {
            let needed = count.needed();
            let verb = if needed == 1 { "is" } else { "are" };
            format!("and {needed} {verb} needed")
        });
        match self.then {
            None => write!(f, "{now}, {} for any change", needed(now)),
            Some((turn, then)) => {
                let turn = match turn {
                    Turn::With(node) => format!("with node {node}"),
                    Turn::Without(node) => format!("without node {node}"),
                    Turn::Unheard(node) => format!("until node {node} comes with its new key"),
                };
                write!(f, "{now}; {turn} it would be {then}, {}", needed(then))
            }
        }
    }
}

/// The step that brings the change about.
///
/// # Errors
/// [`Refusal`]: nothing may be changed.
pub(crate) fn plan(roll: &Roll, change: MembershipChange) -> Result<Plan, Refusal> {
    match change {
        MembershipChange::Enrol(node) => roll.enrol(node),
        MembershipChange::Promote(node) => roll.promote(node),
        MembershipChange::Demote(node) => roll.demote(node),
        MembershipChange::Remove(node, how) => roll.remove(node, how),
        MembershipChange::Transfer(Some(node)) => roll.transfer(node),
        MembershipChange::Transfer(None) => roll.hand_over(),
    }
}

impl Roll {
    pub(crate) fn is_member(&self, node: NodeNumber) -> bool {
        self.voters.contains(&node) || self.learners.contains(&node)
    }

    fn enrol(&self, node: NodeNumber) -> Result<Plan, Refusal> {
        if self.is_member(node) {
            // Of one that leaves it can be asked only whether it may come back.
            if self.renewed.contains(&node) || self.is_leaving(node) {
                return self.renew(node);
            }
            return Ok(Plan::Nothing);
        }
        self.decides()?;
        Ok(Plan::Enrol(node))
    }

    /// A key counts from when it is appended: until the node comes with the new one,
    /// for which it may have to be told that this was decided, the others decide.
    fn renew(&self, node: NodeNumber) -> Result<Plan, Refusal> {
        self.decides()?;
        if self.voters.contains(&node) {
            let now = self.count(&self.voters);
            let heard = usize::from(self.answering.contains(&node));
            let then = Count {
                answering: now.answering - heard,
                ..now
            };
            if !then.is_quorum() {
                let then = Some((Turn::Unheard(node), then));
                let arithmetic = Arithmetic { now, then };
                return Err(Refusal::Renewal { node, arithmetic });
            }
        }
        if node == self.leader {
            return self.hand_over();
        }
        Ok(Plan::Renew(node))
    }

    fn promote(&self, node: NodeNumber) -> Result<Plan, Refusal> {
        if !self.is_member(node) {
            return Err(Refusal::NoMember(node));
        }
        if self.voters.contains(&node) {
            return Ok(Plan::Nothing);
        }
        if self.is_leaving(node) {
            return Err(Refusal::Leaving(node));
        }
        self.has_caught_up(node)?;
        self.decides_after(Turn::With(node))?;
        Ok(Plan::Promote(node))
    }

    fn demote(&self, node: NodeNumber) -> Result<Plan, Refusal> {
        if !self.is_member(node) {
            return Err(Refusal::NoMember(node));
        }
        if !self.voters.contains(&node) {
            return Ok(Plan::Nothing);
        }
        self.no_other_leaves(node)?;
        self.give_up(node)?;
        if node == self.leader {
            return self.hand_over();
        }
        Ok(Plan::Demote(node))
    }

    fn remove(&self, node: NodeNumber, how: Departure) -> Result<Plan, Refusal> {
        if !self.is_member(node) {
            return Ok(Plan::Nothing);
        }
        let answers = self.answering.contains(&node);
        match how {
            Departure::Graceful => {
                self.no_other_leaves(node)?;
                if !answers {
                    return Err(Refusal::Silent(node));
                }
            }
            Departure::Lost if answers || self.heard.contains(&node) => {
                return Err(Refusal::Answers(node));
            }
            // What is gone, or in other hands, waits for nobody.
            Departure::Lost | Departure::Compromised => {}
        }
        if self.voters.contains(&node) {
            self.give_up(node)?;
        } else {
            self.decides()?;
        }
        if node == self.leader {
            return self.hand_over();
        }
        Ok(Plan::Remove(node))
    }

    fn transfer(&self, node: NodeNumber) -> Result<Plan, Refusal> {
        if node == self.leader {
            return Ok(Plan::Nothing);
        }
        if !self.voters.contains(&node) {
            return Err(Refusal::NoVote(node));
        }
        if self.is_leaving(node) {
            return Err(Refusal::Leaving(node));
        }
        self.has_caught_up(node)?;
        Ok(Plan::HandOver(node))
    }

    /// To the voter that is the least behind; of those, to the first.
    fn hand_over(&self) -> Result<Plan, Refusal> {
        let fit = |node: &&NodeNumber| {
            **node != self.leader && !self.is_leaving(**node) && self.has_caught_up(**node).is_ok()
        };
        let best = (self.voters.iter().filter(fit)).min_by_key(|node| self.lag.get(node));
        best.map(|node| Plan::HandOver(*node))
            .ok_or(Refusal::NoSuccessor(self.leader))
    }

    fn is_leaving(&self, node: NodeNumber) -> bool {
        self.retiring.contains(&node) || self.barred.contains(&node)
    }

    /// One leaves at a time. Of several that were asked for at once the lowest goes
    /// first: none of them serves any more, so none may wait for ever.
    fn no_other_leaves(&self, node: NodeNumber) -> Result<(), Refusal> {
        let goes_first = |leaving: &&NodeNumber| **leaving != node;
        let other = self.retiring.iter().find(goes_first);
        match other {
            Some(other) if !self.retiring.contains(&node) || *other < node => {
                Err(Refusal::AnotherLeaves(*other))
            }
            _ => Ok(()),
        }
    }

    fn has_caught_up(&self, node: NodeNumber) -> Result<(), Refusal> {
        if !self.answering.contains(&node) {
            return Err(Refusal::Unheard(node));
        }
        match self.lag.get(&node) {
            None => Err(Refusal::Unheard(node)),
            Some(lag) if *lag > MAX_LAG => Err(Refusal::Behind { node, lag: *lag }),
            Some(_) => Ok(()),
        }
    }

    /// Whether the rest decides without this voter.
    fn give_up(&self, node: NodeNumber) -> Result<(), Refusal> {
        if self.voters.len() == 1 {
            return Err(Refusal::OnlyVoter(node));
        }
        self.decides_after(Turn::Without(node))
    }

    /// Whether anything can be decided.
    fn decides(&self) -> Result<(), Refusal> {
        let now = self.count(&self.voters);
        if now.is_quorum() {
            return Ok(());
        }
        Err(Refusal::Quorum(Arithmetic { now, then: None }))
    }

    fn decides_after(&self, turn: Turn) -> Result<(), Refusal> {
        self.decides()?;
        let mut voters = self.voters.clone();
        match turn {
            Turn::With(node) => voters.insert(node),
            Turn::Without(node) => voters.remove(&node),
            Turn::Unheard(_) => false,
        };
        let then = self.count(&voters);
        if then.is_quorum() {
            return Ok(());
        }
        Err(Refusal::Quorum(Arithmetic {
            now: self.count(&self.voters),
            then: Some((turn, then)),
        }))
    }

    fn count(&self, voters: &BTreeSet<NodeNumber>) -> Count {
        Count {
            voters: voters.len(),
            answering: voters.intersection(&self.answering).count(),
        }
    }
}
