//! The protocol, one rule at a time, each beside the mutant that leaves it out.

/// F before and after it changes, in ticks of the slowest clock.
pub const LONG: u8 = 2;
pub const SHORT: u8 = 1;
/// The fastest clock against the slowest.
pub const KAPPA: u8 = 2;
pub const TERMS: usize = 3;
pub const PROOFS: usize = 2;

/// What one exhaustive search covers.
#[derive(Copy, Clone, Debug)]
pub struct Size {
    pub terms: usize,
    pub processes: u8,
    /// Proofs of the observed node that are under way at once.
    pub proofs: usize,
    /// The observed node joins or leaves.
    pub membership: bool,
    /// F is lowered, or raised, once.
    pub settings: bool,
}

/// A rule left out.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Mutant {
    HolderRecordedAfterReadIndex,
    /// A later record, made for a shorter F, replaces an earlier one.
    RecordShortened,
    TableNotBegun,
    /// The table lists the nodes of a state that lacks entries of former terms.
    TableBegunBeforeOwnBlank,
    /// The table is begun with the F in force, not with the largest that ever was.
    TableBegunWithPresentF,
    /// The F that a proof is answered with is not the one that it was recorded with.
    BoundReadAfterRecord,
    ProofCountedFromReply,
    FreshnessSurvivesRestart,
    /// A process begins as if it had proved something.
    ServesBeforeFirstProof,
    ReplyTakenByLaterProcess,
    PublishedBeforeApplied,
    AcknowledgedBeforeApplied,
    RetiringNodeNotWaitedFor,
    RetiredWithoutFence,
    /// A node that has applied its own `Retire`, and said so, goes on serving.
    RetiringNodeServesOn,
    LearnerNotWaitedFor,
    WaitWithoutKappa,
    GrantWithoutQuorum,
    ReadIndexBelowOwnBlank,
}
use Mutant::*;

/// The place of an entry in the committed log, from 1; 0 where there is none.
pub type Revision = u8;

pub fn within(entry: Revision, applied: Revision) -> bool {
    entry != 0 && entry <= applied
}

/// The committed log: where each of its entries stands.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Log {
    pub last: Revision,
    pub admit: Revision,
    pub revoke: Revision,
    pub retire: Revision,
    pub retired: Revision,
    pub resize: Revision,
}

impl Log {
    fn member(&self, applied: Revision) -> bool {
        within(self.admit, applied) && !within(self.retired, applied)
    }

    fn retiring(&self, applied: Revision) -> bool {
        within(self.retire, applied)
    }
}

/// The leader of a term, for as long as it believes so.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub struct Leader {
    /// It is the observed node itself, and shares its clock and its state.
    pub here: bool,
    /// It has applied its own blank entry and begun its table.
    pub leading: bool,
    /// What it knows to be committed.
    pub known: Revision,
    pub applied: Revision,
    /// What is left of the observed node's record in the table.
    pub row: u8,
    /// What is left of the copy made when the `Revoke` was applied; and when the `Retire` was.
    pub revoke: Option<u8>,
    pub retire: Option<u8>,
}

#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    Asked,
    Reading { term: usize },
    Granted,
}

/// A proof under way.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Proof {
    pub stage: Stage,
    /// Since t0, by the node's clock.
    pub age: u8,
    /// What had been committed at t0.
    pub committed: Revision,
    /// The F that the record was made for.
    pub bound: u8,
    /// The read index.
    pub index: Revision,
}

#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    pub learner: bool,
    /// F changes from short to long, not from long to short.
    pub raised: bool,
    pub log: Log,
    /// The observed node's process, what it has applied, and what the one before it had.
    pub process: u8,
    pub applied: Revision,
    pub buried: Revision,
    /// How long the process may serve.
    pub fresh: u8,
    pub proofs: [Option<Proof>; PROOFS],
    /// By term; one that was restarted is gone.
    pub leaders: [Option<Leader>; TERMS],
    pub elected: usize,
    pub retired_proposed: bool,
    pub enforced: bool,
    /// A proof was published by a state that lacks what had been committed at its t0.
    pub dishonest: bool,
}

#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// The clocks whose bits are set ran fast: the observed node's, then the leaders'.
    Tick(u8),
    Ask,
    /// The leader of this term records the holder of a proof and asks for the read index.
    Record(usize, usize),
    /// A quorum has answered in the leader's term.
    Confirm(usize),
    Publish(usize),
    Apply,
    Restart,
    Admit,
    Revoke,
    Retire,
    Retired,
    Resize,
    Elect {
        here: bool,
    },
    Begin(usize),
    LeaderApply(usize),
    Acknowledge(usize),
}

pub struct Protocol {
    pub size: Size,
    pub mutant: Option<Mutant>,
}

/// The observed node, and its proofs.
impl Protocol {
    fn is(&self, mutant: Mutant) -> bool {
        self.mutant == Some(mutant)
    }

    pub fn serves(&self, s: &State) -> bool {
        s.fresh > 0 && (!s.log.retiring(s.applied) || self.is(RetiringNodeServesOn))
    }

    pub fn ask(&self, s: &mut State) -> Option<()> {
        if s.log.admit == 0 {
            return None;
        }
        let slot = (0..self.size.proofs).find(|slot| s.proofs[*slot].is_none())?;
        let (stage, committed) = (Stage::Asked, s.log.last);
        s.proofs[slot] = Some(Proof {
            stage,
            age: 0,
            committed,
            bound: LONG,
            index: 0,
        });
        Some(())
    }

    pub fn record(&self, s: &mut State, slot: usize, term: usize) -> Option<()> {
        let leader = s.leaders[term].as_mut().filter(|l| l.leading)?;
        if !s.log.member(leader.applied) || s.log.retiring(leader.applied) {
            return None;
        }
        let (bound, _) = bounds(s.raised, &s.log, leader.applied);
        let proof = s.proofs[slot]
            .as_mut()
            .filter(|p| p.stage == Stage::Asked)?;
        (proof.stage, proof.bound, proof.index) = (Stage::Reading { term }, bound, leader.known);
        if proof.age >= bound {
            s.proofs[slot] = None;
        }
        if !self.is(HolderRecordedAfterReadIndex) {
            self.enter(leader, bound);
        }
        Some(())
    }

    pub fn confirm(&self, s: &mut State, slot: usize) -> Option<()> {
        let proof = s.proofs[slot].as_mut()?;
        let Stage::Reading { term } = proof.stage else {
            return None;
        };
        if term + 1 != s.elected && !self.is(GrantWithoutQuorum) {
            return None;
        }
        let leader = s.leaders[term].as_mut()?;
        proof.stage = Stage::Granted;
        if self.is(BoundReadAfterRecord) {
            proof.bound = bounds(s.raised, &s.log, leader.applied).0;
        }
        if self.is(HolderRecordedAfterReadIndex) {
            self.enter(leader, proof.bound);
        }
        Some(())
    }

    pub fn publish(&self, s: &mut State, slot: usize) -> Option<()> {
        let proof = s.proofs[slot].filter(|p| p.stage == Stage::Granted)?;
        if s.applied < proof.index && !self.is(PublishedBeforeApplied) {
            return None;
        }
        s.dishonest |= s.applied < proof.committed;
        s.fresh = s.fresh.max(proof.bound.saturating_sub(proof.age));
        s.proofs[slot] = None;
        Some(())
    }

    pub fn apply(&self, s: &mut State) -> Option<()> {
        if s.applied == s.log.last || s.log.admit == 0 || within(s.log.retired, s.applied) {
            return None;
        }
        s.applied += 1;
        let own = |l: &&mut Leader| l.here && l.leading;
        for leader in s.leaders.iter_mut().flatten().filter(own) {
            self.advance(s.learner, &s.log, leader);
        }
        Some(())
    }

    /// The process ends; the next leads nothing and may have to apply everything again.
    pub fn restart(&self, s: &mut State) -> Option<()> {
        s.process = Some(s.process + 1).filter(|p| *p < self.size.processes)?;
        (s.buried, s.applied) = (s.applied, 0);
        if self.is(ServesBeforeFirstProof) {
            s.fresh = LONG;
        } else if !self.is(FreshnessSurvivesRestart) {
            s.fresh = 0;
        }
        if !self.is(ReplyTakenByLaterProcess) {
            s.proofs = [None; PROOFS];
        }
        for leader in &mut s.leaders {
            *leader = leader.filter(|l| !l.here);
        }
        Some(())
    }
}

/// The leaders, their tables and fences.
impl Protocol {
    fn wait(&self, bound: u8) -> u8 {
        if self.is(WaitWithoutKappa) {
            bound
        } else {
            bound * KAPPA
        }
    }

    fn enter(&self, leader: &mut Leader, bound: u8) {
        let kept = if self.is(RecordShortened) {
            0
        } else {
            leader.row
        };
        leader.row = self.wait(bound).max(kept);
    }

    pub fn elect(&self, s: &mut State, here: bool) -> Option<()> {
        if s.elected == self.size.terms || here && (s.learner || s.log.retired != 0) {
            return None;
        }
        let applied = s.log.last;
        let known = if self.is(ReadIndexBelowOwnBlank) {
            0
        } else {
            applied
        };
        let (row, revoke, retire) = (0, None, None);
        let leader = Leader {
            here,
            leading: false,
            known,
            applied,
            row,
            revoke,
            retire,
        };
        s.leaders[s.elected] = Some(leader);
        s.elected += 1;
        Some(())
    }

    /// The leader has applied all that was committed before its election, and its blank entry.
    pub fn begin(&self, s: &mut State, term: usize) -> Option<()> {
        let leader = s.leaders[term].as_mut().filter(|l| !l.leading)?;
        leader.leading = true;
        if leader.here {
            leader.applied = Some(s.applied).filter(|a| *a >= leader.applied)?;
        } else if self.is(TableBegunBeforeOwnBlank) {
            leader.applied = 0;
        }
        if s.log.member(leader.applied) && !self.is(TableNotBegun) {
            let (present, largest) = bounds(s.raised, &s.log, leader.applied);
            self.enter(
                leader,
                if self.is(TableBegunWithPresentF) {
                    present
                } else {
                    largest
                },
            );
        }
        let copy = self.copy(s.learner, &s.log, leader);
        leader.revoke = within(s.log.revoke, leader.applied).then_some(copy);
        leader.retire = within(s.log.retire, leader.applied).then_some(copy);
        Some(())
    }

    pub fn leader_apply(&self, s: &mut State, term: usize) -> Option<()> {
        let leader = s.leaders[term].as_mut().filter(|l| l.leading && !l.here)?;
        if leader.applied == leader.known {
            return None;
        }
        self.advance(s.learner, &s.log, leader);
        Some(())
    }

    fn advance(&self, learner: bool, log: &Log, leader: &mut Leader) {
        leader.applied += 1;
        let copy = self.copy(learner, log, leader);
        if leader.applied == log.revoke {
            leader.revoke = Some(copy);
        }
        if leader.applied == log.retire {
            leader.retire = Some(copy);
        }
        if leader.applied == log.retired {
            leader.row = 0;
        }
    }

    /// What a fence waits for: what is recorded when its entry is applied, nothing recorded later.
    fn copy(&self, learner: bool, log: &Log, leader: &Leader) -> u8 {
        let left_out = self.is(LearnerNotWaitedFor) && learner
            || self.is(RetiringNodeNotWaitedFor) && log.retiring(leader.applied);
        if left_out { 0 } else { leader.row }
    }

    pub fn acknowledge(&self, s: &mut State, term: usize) -> Option<()> {
        let early = self.is(AcknowledgedBeforeApplied);
        let applied = if early {
            s.log.last
        } else {
            s.applied.max(s.buried)
        };
        let leader = s.leaders[term].as_mut().filter(|l| l.leading)?;
        for (entry, copy) in [
            (s.log.revoke, &mut leader.revoke),
            (s.log.retire, &mut leader.retire),
        ] {
            *copy = copy.map(|left| if within(entry, applied) { 0 } else { left });
        }
        Some(())
    }

    pub fn commit(&self, s: &mut State, action: Action) -> Option<()> {
        s.leaders[s.elected.checked_sub(1)?].as_mut()?.known += 1;
        s.log.last += 1;
        let last = s.log.last;
        let (entry, allowed) = match action {
            Action::Admit => (&mut s.log.admit, true),
            Action::Revoke => (&mut s.log.revoke, true),
            Action::Resize => (&mut s.log.resize, self.size.settings),
            Action::Retire => (&mut s.log.retire, self.size.membership && s.log.admit != 0),
            Action::Retired => (&mut s.log.retired, s.retired_proposed && !s.enforced),
            _ => return None,
        };
        if !allowed || *entry != 0 {
            return None;
        }
        *entry = last;
        Some(())
    }
}

/// Time, and what follows of itself.
impl Protocol {
    /// Every clock advances by 1 or 2; one that times nothing is not worth a second rate.
    pub fn tick(&self, s: &mut State, fast: u8) -> Option<()> {
        let rate = |clock: usize| 1 + (fast >> clock & 1);
        let mut timing = u8::from(s.fresh > 0);
        s.fresh = s.fresh.saturating_sub(rate(0));
        for slot in &mut s.proofs {
            let timed = slot.as_mut().filter(|_| !self.is(ProofCountedFromReply));
            let Some(proof) = timed else { continue };
            timing |= 1;
            proof.age += rate(0);
            if proof.age >= proof.bound {
                *slot = None;
            }
        }
        for (term, leader) in s.leaders.iter_mut().enumerate() {
            let Some(l) = leader else { continue };
            let clock = if l.here { 0 } else { 1 + term };
            let timers = [Some(&mut l.row), l.revoke.as_mut(), l.retire.as_mut()];
            for left in timers.into_iter().flatten() {
                timing |= u8::from(*left > 0) << clock;
                *left = left.saturating_sub(rate(clock));
            }
        }
        (timing != 0 && fast & !timing == 0).then_some(())
    }

    /// Answers what may be answered, and forgets what can no longer matter.
    pub fn settle(&self, s: &mut State) {
        for leader in s.leaders.iter().flatten() {
            let unfenced = self.is(RetiredWithoutFence) && s.log.retiring(leader.applied);
            s.retired_proposed |= leader.retire == Some(0) || unfenced;
            s.enforced |= leader.revoke == Some(0);
        }
        for leader in s.leaders.iter_mut().flatten() {
            let copied = within(s.log.revoke, leader.applied)
                && (!self.size.membership || s.log.retiring(leader.applied));
            if s.enforced || copied {
                leader.row = 0;
            }
            if s.enforced || s.retired_proposed {
                leader.retire = None;
            }
            if s.enforced {
                leader.revoke = None;
            }
        }
        if s.enforced {
            (s.buried, s.retired_proposed) = (0, false);
        }
        s.proofs.sort_unstable_by(|a, b| b.cmp(a));
    }
}

/// F in the state at a revision, and the largest that it ever was.
fn bounds(raised: bool, log: &Log, applied: Revision) -> (u8, u8) {
    match (raised, within(log.resize, applied)) {
        (false, false) | (true, true) => (LONG, LONG),
        (false, true) => (SHORT, LONG),
        (true, false) => (SHORT, SHORT),
    }
}
