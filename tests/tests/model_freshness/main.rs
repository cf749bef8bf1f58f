//! Freshness, the fence and membership, checked exhaustively: once a revocation is answered as
//! `ENFORCED`, no operation that starts afterwards is served by a node that has not applied it.
//!
//! **Kept.** Terms, with deposed leaders that still believe; a read index that is captured when it
//! is asked for and granted only by a quorum that answers in the leader's own term, after the
//! question; t0 taken at the send; the holder recorded before the read index is asked for; a table
//! for each term, begun at now + W once the leader has applied its own blank entry; applying that
//! lags without bound, at nodes and at leaders; restarts, which lose freshness, replies, leadership
//! and the unsynced part of what was applied; joining (`Admit`, as a learner) and leaving
//! (`Retire`, its fence, `Retired`); a change of F; clocks whose rates differ at every tick.
//!
//! **Abstracted, and why nothing is lost.**
//! * *One observed node.* `ENFORCED` waits for all holders; to forget all but one lets it come
//!   sooner, never later. The one is in turn a founding voter, which may lead, and a joining
//!   learner. The other nodes are the quorums and the leaders.
//! * *The log is its committed part.* Raft's safety is assumed, as two facts: a leader's log holds
//!   all that was committed before its election; two quorums share a voter, so none answers in an
//!   old term once a new leader is elected. An entry is committed from the first moment that a
//!   leader may say so.
//! * *A clock is what is left by it*: no value is kept, only the time that remains, so time has no
//!   end and the states are finite. Rates are 1 and 2 (κ = 2), F is 2 ticks: the least for which
//!   waiting F is not waiting F·κ. What happens between two ticks happens in any order.
//! * *What may be answered counts as answered*, at once: `ENFORCED`, and the proposal of `Retired`.
//! * *One row for the node, which the word of any of its processes discharges*, a dead one's too:
//!   less than rows that name processes ask for, so those are covered while one process runs.
//! * *Recording and asking for the read index are one step*: a record made earlier, or an index
//!   captured later, is one of the same steps with more to wait for or more to apply.
//! * A message that is lost is one that is not used until it is too old. Serving is one step: the
//!   order within it is the loom test's. Verifiers are not modelled.
//!
//! **Size**: [`SIZES`]; the committed log has up to five entries. States are told apart by a
//! 64-bit hash.
#![allow(clippy::indexing_slicing, clippy::panic)]

mod protocol;

use protocol::{Action, Log, Mutant, PROOFS, Protocol, Size, Stage, State, TERMS, within};
use stateright::{Checker, HasDiscoveries, Model, Property};
use std::time::Instant;

/// A founding voter that never restarts.
const FOUNDER: Size = Size {
    terms: 2,
    processes: 1,
    proofs: 1,
    membership: false,
    settings: false,
};
const MEMBER: Size = Size {
    membership: true,
    ..FOUNDER
};
const SETTINGS: Size = Size {
    settings: true,
    ..FOUNDER
};
const RESTARTED: Size = Size {
    processes: 2,
    ..FOUNDER
};

const JOINING: Size = Size {
    membership: true,
    ..RESTARTED
};
const ELECTIONS: Size = Size {
    terms: 3,
    ..FOUNDER
};
const OVERLAPPING: Size = Size {
    proofs: 2,
    ..RESTARTED
};

const SIZES: [(&str, Size); 4] = [
    ("joining, leaving and a restart", JOINING),
    ("a change of F", SETTINGS),
    ("two changes of leader", ELECTIONS),
    ("overlapping proofs and a restart", OVERLAPPING),
];

/// Each at the least size that shows it.
const MUTANTS: [(Mutant, Size, Promise); 21] = [
    (Mutant::HolderRecordedAfterReadIndex, FOUNDER, FENCE),
    (Mutant::RecordShortened, SETTINGS, FENCE),
    (Mutant::TableNotBegun, FOUNDER, FENCE),
    (Mutant::TableBegunBeforeOwnBlank, FOUNDER, FENCE),
    (Mutant::TableBegunWithPresentF, SETTINGS, FENCE),
    (Mutant::BoundReadAfterRecord, SETTINGS, FENCE),
    (Mutant::ProofCountedFromReply, FOUNDER, FENCE),
    (Mutant::FreshnessSurvivesRestart, RESTARTED, FENCE),
    (Mutant::ServesBeforeFirstProof, RESTARTED, FENCE),
    (Mutant::ReplyTakenByLaterProcess, RESTARTED, FENCE),
    (Mutant::PublishedBeforeApplied, FOUNDER, FENCE),
    (Mutant::AcknowledgedBeforeApplied, FOUNDER, FENCE),
    (Mutant::RetiringNodeNotWaitedFor, MEMBER, FENCE),
    (Mutant::RetiredWithoutFence, MEMBER, FENCE),
    (Mutant::RetiringNodeServesOn, MEMBER, FENCE),
    (Mutant::LearnerNotWaitedFor, MEMBER, FENCE),
    (Mutant::WaitWithoutKappa, FOUNDER, FENCE),
    (Mutant::GrantWithoutQuorum, FOUNDER, FENCE),
    (Mutant::ReadIndexBelowOwnBlank, FOUNDER, FENCE),
    (Mutant::GrantWithoutQuorum, FOUNDER, HONEST),
    (Mutant::PublishedBeforeApplied, FOUNDER, HONEST),
];

type Promise = (&'static str, fn(&Protocol, &State) -> bool);
const FENCE: Promise = (
    "once enforced, nothing is served without the revocation",
    fenced,
);
const HONEST: Promise = (
    "a fresh state holds all that was committed before its t0",
    honest,
);

fn fenced(m: &Protocol, s: &State) -> bool {
    !s.enforced || !m.serves(s) || within(s.log.revoke, s.applied)
}

fn honest(_: &Protocol, s: &State) -> bool {
    !s.dishonest
}

impl Model for Protocol {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let founder = State {
            learner: false,
            raised: false,
            log: Log {
                last: 1,
                admit: 1,
                ..Log::default()
            },
            process: 0,
            applied: 0,
            buried: 0,
            fresh: 0,
            proofs: [None; PROOFS],
            leaders: [None; TERMS],
            elected: 0,
            retired_proposed: false,
            enforced: false,
            dishonest: false,
        };
        let joiner = State {
            learner: true,
            log: Log::default(),
            ..founder
        };
        let raised = State {
            raised: true,
            ..founder
        };
        let mut states = vec![founder];
        states.extend(self.size.membership.then_some(joiner));
        states.extend(self.size.settings.then_some(raised));
        states
    }

    fn actions(&self, s: &State, actions: &mut Vec<Action>) {
        use Action::*;
        if s.enforced && s.process + 1 == self.size.processes && within(s.log.revoke, s.applied) {
            return; // the node can never lack the revocation again
        }
        actions.extend([Ask, Apply, Restart, Admit, Revoke, Retire, Retired, Resize]);
        actions.extend([Elect { here: false }, Elect { here: true }]);
        actions.extend((0..2 << self.size.terms).map(Tick));
        for term in 0..self.size.terms {
            actions.extend([Begin(term), LeaderApply(term), Acknowledge(term)]);
            actions.extend((0..self.size.proofs).map(|slot| Record(slot, term)));
        }
        for slot in 0..self.size.proofs {
            actions.extend([Confirm(slot), Publish(slot)]);
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        use Action::*;
        let mut s = *last;
        match action {
            Tick(fast) => self.tick(&mut s, fast)?,
            Ask => self.ask(&mut s)?,
            Record(slot, term) => self.record(&mut s, slot, term)?,
            Confirm(slot) => self.confirm(&mut s, slot)?,
            Publish(slot) => self.publish(&mut s, slot)?,
            Apply => self.apply(&mut s)?,
            Restart => self.restart(&mut s)?,
            Admit | Revoke | Retire | Retired | Resize => self.commit(&mut s, action)?,
            Elect { here } => self.elect(&mut s, here)?,
            Begin(term) => self.begin(&mut s, term)?,
            LeaderApply(term) => self.leader_apply(&mut s, term)?,
            Acknowledge(term) => self.acknowledge(&mut s, term)?,
        }
        self.settle(&mut s);
        (s != *last).then_some(s)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let mut properties = vec![
            Property::always(FENCE.0, FENCE.1),
            Property::always(HONEST.0, HONEST.1),
            Property::sometimes("a node serves", |m: &Self, s: &State| m.serves(s)),
            Property::sometimes("enforced by acknowledgement", |m: &Self, s: &State| {
                enforcing(m, s, 0, Action::Acknowledge)
            }),
            Property::sometimes("enforced by running out", |m: &Self, s: &State| {
                enforced_by_time(m, s, 0)
            }),
            Property::sometimes(
                "a later leader's, by acknowledgement",
                |m: &Self, s: &State| enforcing(m, s, 1, Action::Acknowledge),
            ),
            Property::sometimes("a later leader's, by running out", |m: &Self, s: &State| {
                enforced_by_time(m, s, 1)
            }),
            Property::sometimes("a later leader grants", |_, s: &State| {
                s.elected > 1 && reading(s, s.elected - 1)
            }),
            Property::sometimes("a deposed leader asks in vain", |_, s: &State| {
                s.elected > 1 && reading(s, 0)
            }),
        ];
        if self.size.membership {
            let left = |_: &Self, s: &State| s.log.retired != 0;
            properties.push(Property::sometimes("the node has left", left));
        }
        properties
    }
}

fn reading(s: &State, term: usize) -> bool {
    let stage = Stage::Reading { term };
    s.proofs.iter().flatten().any(|p| p.stage == stage)
}

/// The leader of a term, from `since` on, may answer `ENFORCED` as soon as this happens.
fn enforcing(m: &Protocol, s: &State, since: usize, what: fn(usize) -> Action) -> bool {
    !s.enforced
        && (since..TERMS).any(|term| {
            s.leaders[term].is_some_and(|l| l.revoke.is_some())
                && m.next_state(s, what(term))
                    .is_some_and(|next| next.enforced)
        })
}

fn enforced_by_time(m: &Protocol, s: &State, since: usize) -> bool {
    enforcing(m, s, since, |term| Action::Tick(2 << term))
}

#[test]
fn the_fence_holds() {
    for (name, size) in SIZES {
        let begun = Instant::now();
        let protocol = Protocol { size, mutant: None };
        let checker = protocol
            .checker()
            .threads(2)
            .finish_when(HasDiscoveries::AnyFailures)
            .spawn_bfs()
            .join();
        let (states, steps) = (checker.unique_state_count(), checker.state_count());
        let depth = checker.max_depth();
        println!(
            "{name}: {states} states, {steps} steps, depth {depth}, {:.1?}",
            begun.elapsed()
        );
        checker.assert_properties();
        assert!(checker.is_done(), "{name}: the search did not end");
    }
}

#[test]
fn every_rule_is_needed() {
    for (mutant, size, (promise, holds)) in MUTANTS {
        let begun = Instant::now();
        let protocol = Protocol {
            size,
            mutant: Some(mutant),
        };
        let found = HasDiscoveries::AnyOf([promise].into());
        let checker = protocol
            .checker()
            .threads(2)
            .finish_when(found)
            .spawn_bfs()
            .join();
        let Some(path) = checker.discovery(promise) else {
            panic!("{mutant:?} is not caught")
        };
        let path = path.into_vec().into_iter();
        let good = path.take_while(|(s, _)| holds(checker.model(), s));
        let steps: Vec<_> = good.filter_map(|(_, action)| action).collect();
        println!(
            "{mutant:?}, {promise}: {} steps, {:.1?}: {steps:?}",
            steps.len(),
            begun.elapsed()
        );
    }
}
