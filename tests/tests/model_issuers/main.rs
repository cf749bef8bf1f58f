//! Issuers and rotation, checked exhaustively: a number never names two keys, the newest issuer of
//! a node is its live process's, what verified is not refused before it expires, and what is
//! revoked stays so.
//!
//! **Kept.** The replicated `apply` that judges every command; `OpenIssuer` with its epoch, the
//! former number, the peer key that signed it and the process that made it; a process that
//! proposes, dies and is followed by another, while its proposals go on arriving, late, repeatedly
//! and in any order; a process whose state lags behind the log, and that signs and proposes only
//! while every entry it lacks is younger than F; the keeper, its monotonic clock and its successor;
//! revoking an issuer, an epoch or the node; readmission, with a new peer key.
//!
//! **Abstracted, and why nothing is lost.**
//! * *One node.* Nodes share the numbers and the epochs; each rule looks at one node's issuers.
//! * *The log is the sequence of accepted commands*: a rejected one changes nothing. Raft's safety
//!   is assumed, and that a serving state is at most F old is what the other model shows.
//! * *One token is watched*, whichever it is; forged ones are every revision, tried in every state.
//! * *A key is its number in the order of making.* Signatures and JWKS caches are not modelled.
//! * Retirement may come at any moment: by drain, by removal or by the keeper. The keeper need not
//!   wait where no token that it has to wait for can exist any more.
//! * Clocks: what bounds the token runs at its slowest, 1 a tick; the keeper's at 1 or 2 (κ = 2).
//!
//! **Size**: [`SIZES`]; a process is at most three commands behind, and its node opens at most four
//! issuers. States are told apart by a 64-bit hash.
#![allow(clippy::indexing_slicing, clippy::panic)]

mod rotation;

use rotation::{
    Action, BEHIND, Command, ISSUERS, Issuer, KEYS, Key, Mutant, PROCESSES, Proposal, Registry,
    Rotation, Size, State, Status, process,
};
use stateright::{Checker, HasDiscoveries, Model, Property};
use std::time::Instant;

const LIFECYCLE: Size = Size {
    processes: 2,
    keys: 2,
    epochs: 2,
    revocations: 1,
    clock: false,
};
const RESTARTS: Size = Size {
    processes: 3,
    keys: 1,
    ..LIFECYCLE
};
const EXPIRY: Size = Size {
    keys: 1,
    clock: true,
    ..LIFECYCLE
};
const SIZES: [(&str, Size); 3] = [
    ("lifecycle", LIFECYCLE),
    ("restarts", RESTARTS),
    ("expiry", EXPIRY),
];

const MUTANTS: [(Mutant, Size, Promise); 14] = [
    (Mutant::NumberReused, LIFECYCLE, UNIQUE),
    (Mutant::LateOpenAccepted, LIFECYCLE, NEWEST),
    (Mutant::FormerForgotten, LIFECYCLE, NEWEST),
    (Mutant::RestartToldByEpoch, LIFECYCLE, DEAD),
    (Mutant::OldEpochAccepted, LIFECYCLE, FINAL),
    (Mutant::ReadmittedWithSamePeerKey, LIFECYCLE, FINAL),
    (Mutant::RevokedMayRetire, LIFECYCLE, FINAL),
    (Mutant::RevokedNodeMayOpen, LIFECYCLE, FINAL),
    (Mutant::ExpiredAfterW, EXPIRY, LIVE),
    (Mutant::ExpiredWithoutW, EXPIRY, LIVE),
    (Mutant::ExpiredWithoutKappa, EXPIRY, LIVE),
    (Mutant::NewKeeperDoesNotWait, EXPIRY, LIVE),
    (Mutant::SignedBeforeApplied, EXPIRY, LIVE),
    (Mutant::RetiredWithoutBound, LIFECYCLE, DEAD),
];

type Promise = (&'static str, fn(&Rotation, &State) -> bool);
const UNIQUE: Promise = (
    "a number never names two keys, nor a key two numbers",
    unique,
);
const NEWEST: Promise = (
    "no issuer of a dead process follows its successor's",
    newest,
);
const DEAD: Promise = (
    "once its successor has opened, a dead process signs nothing new",
    dead,
);
const LIVE: Promise = ("what verified is not refused before it expires", live);
const FINAL: Promise = ("what is revoked stays revoked", revoked);

fn unique(_: &Rotation, s: &State) -> bool {
    let distinct = |a: &Issuer, b: &Issuer| a.number != b.number && a.key != b.key;
    let mut each = s.registry.issuers().enumerate();
    each.all(|(n, a)| s.registry.issuers().take(n).all(|b| distinct(a, b)))
}

fn newest(_: &Rotation, s: &State) -> bool {
    s.registry.issuers().map(|i| process(i.key)).is_sorted()
}

fn dead(m: &Rotation, s: &State) -> bool {
    let (own, dead): (Vec<Key>, _) = s
        .registry
        .issuers()
        .map(|i| i.key)
        .partition(|key| process(*key) == s.process);
    let later = s.registry.revision + 1;
    own.is_empty() || dead.iter().all(|key| !m.judge(s, *key, later))
}

fn live(m: &Rotation, s: &State) -> bool {
    s.token
        .is_none_or(|t| s.revoked[t.key] || m.judge(s, t.key, t.rev))
}

fn revoked(m: &Rotation, s: &State) -> bool {
    let mut keys = (0..PROCESSES * KEYS).filter(|key| s.revoked[*key]);
    keys.all(|key| (0..=s.registry.revision + 1).all(|rev| !m.judge(s, key, rev)))
}

impl Model for Rotation {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let issuers = [None; ISSUERS];
        let registry = Registry {
            revision: 0,
            epoch: 1,
            barred: false,
            peer_key: 0,
            newest: 0,
            issuers,
        };
        vec![State {
            registry,
            view: registry,
            behind: [None; BEHIND],
            waits: [0; ISSUERS],
            process: 0,
            peer_key: 0,
            proposals: [None; PROCESSES * KEYS],
            token: None,
            revocations: 0,
            revoked: [false; PROCESSES * KEYS],
        }]
    }

    fn actions(&self, s: &State, actions: &mut Vec<Action>) {
        use Action::*;
        actions.extend([
            Apply,
            Propose,
            Restart,
            NewKeeper,
            Tick { fast: false },
            Tick { fast: true },
        ]);
        actions.extend((0..ISSUERS).map(Sign));
        let mut commands = vec![Command::Readmit];
        commands.extend(
            s.proposals
                .iter()
                .flatten()
                .map(|p| Command::OpenIssuer(*p)),
        );
        if s.registry.epoch < self.size.epochs {
            commands.push(Command::OpenEpoch);
        }
        for i in 0..ISSUERS {
            commands.extend([
                Command::Retire(i),
                Command::Expire(i),
                Command::RevokeIssuer(i),
            ]);
        }
        commands.extend((1..=s.registry.epoch).map(Command::RevokeEpoch));
        commands.push(Command::RevokeNode);
        let allowed = |c: &Command| !c.revokes() || s.revocations < self.size.revocations;
        actions.extend(commands.into_iter().filter(allowed).map(Commit));
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut s = *last;
        match action {
            Action::Tick { fast } => self.tick(&mut s, fast)?,
            Action::Commit(command) => self.commit(&mut s, command)?,
            Action::Apply => self.catch_up(&mut s)?,
            Action::Propose => self.propose(&mut s)?,
            Action::Sign(issuer) => self.sign(&mut s, issuer)?,
            Action::Restart => self.restart(&mut s)?,
            Action::NewKeeper => self.new_keeper(&mut s),
        }
        self.settle(&mut s);
        (s != *last).then_some(s)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let promises = [UNIQUE, NEWEST, DEAD, LIVE, FINAL];
        let mut properties = promises
            .map(|(name, holds)| Property::always(name, holds))
            .to_vec();
        properties.extend([
            Property::sometimes("a late OpenIssuer meets its successor's", |_, s: &State| {
                let late = |p: &Proposal| {
                    process(p.key) < s.process
                        && s.registry.issuers().all(|i| i.key != p.key)
                        && p.epoch == s.registry.epoch
                        && p.peer_key == s.registry.peer_key
                };
                let newest = s
                    .registry
                    .issuers()
                    .last()
                    .is_some_and(|i| process(i.key) == s.process);
                newest && s.proposals.iter().flatten().any(late)
            }),
            Property::sometimes("a readmitted node has opened", |_, s: &State| {
                let newest = s.registry.issuers().last();
                s.registry.peer_key > 0 && newest.is_some_and(|i| i.status == Status::Open)
            }),
            Property::sometimes("an issuer has expired", |_, s: &State| {
                s.registry.issuers().any(|i| i.status == Status::Expired)
            }),
        ]);
        if self.size.clock {
            properties.push(Property::sometimes(
                "a retired issuer's token verifies",
                |m: &Self, s: &State| {
                    let retired = |key| s.registry.issuers().any(|i| i.key == key && i.retired());
                    s.token
                        .is_some_and(|t| retired(t.key) && m.judge(s, t.key, t.rev))
                },
            ));
        }
        if self.size.keys > 1 {
            properties.push(Property::sometimes("a process rotates", |_, s: &State| {
                let own = |i: &&Issuer| process(i.key) == s.process && i.status == Status::Open;
                s.registry.issuers().filter(own).count() > 1
            }));
        }
        properties
    }
}

#[test]
fn issuers_keep_their_promises() {
    for (name, size) in SIZES {
        let begun = Instant::now();
        let rotation = Rotation { size, mutant: None };
        let checker = rotation
            .checker()
            .threads(2)
            .finish_when(HasDiscoveries::AnyFailures);
        let checker = checker.spawn_bfs().join();
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
        let rotation = Rotation {
            size,
            mutant: Some(mutant),
        };
        let found = HasDiscoveries::AnyOf([promise].into());
        let checker = rotation
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
