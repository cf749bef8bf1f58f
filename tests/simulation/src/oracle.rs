//! What must hold, and what does not. Nodes and clients tell what they did; the oracle
//! knows the truth, of time too. A write whose answer nobody got is unknown: it may be
//! there or not.

use std::collections::{BTreeMap, VecDeque};

use chancery_authority::{Event, State};
use chancery_consensus::{Enforcement, EnforcementState, Wait};
use chancery_credential::{Claims, IssuerNumber, KeyId, Revision, Subject};
use chancery_revocation::{Freshness, Standing};

use crate::{
    trace::Trace,
    truth::{Decided, Truth},
};

/// F of the simulated cluster, milliseconds.
pub const FRESHNESS_MS: u64 = 2_000;
/// V of the simulated cluster, milliseconds.
pub const V_MS: u64 = 3_000;
/// How long a node that was proved fresh serves at most.
const BOUND_US: u64 = longest_us(FRESHNESS_MS);
const SLACK_US: u64 = 8_000;
/// W, and how coarse it is known who leads.
const W_US: u64 = 2_445_000;
const LATE_US: u64 = 50_000;
/// V·κ.
const W_IN_VERIFIERS_US: u64 = 3_667_000;

/// How long what is bound to so much lasts at most, in true time: on a clock that is as
/// slow as it may be, and what a step of the simulation is too coarse for.
const fn longest_us(bound_ms: u64) -> u64 {
    bound_ms * 1_000 * 10 / 9 + SLACK_US
}
/// Tokens that are looked at again and again.
const TOKENS: usize = 128;
/// What a machine's boot clock showed when, at most.
const READINGS: usize = 32_768;

/// A token that was minted.
#[derive(Clone)]
pub struct Minted {
    pub claims: Claims,
    pub key_id: KeyId,
    pub issuer: IssuerNumber,
    /// Signed, of some.
    pub token: Option<String>,
}

/// When an answer was finished, by its machine's boot clock, and begun, by true time.
#[derive(Clone, Copy, Debug)]
pub struct Moments {
    pub boot_ns: u64,
    pub began_us: u64,
}

/// Who accepted a token, and what that rests on.
struct Acceptance {
    machine: u64,
    standing: Standing,
    moments: Moments,
    /// How old what it went by may be, in true time.
    bound_us: u64,
    /// From when on what stands at a revision was said to be in force in such as it.
    enforced: fn(&Oracle) -> &BTreeMap<u64, u64>,
}

/// What a machine's boot clock showed at the beginning of steps.
#[derive(Default)]
pub struct Readings(VecDeque<(u64, u64)>);

impl Readings {
    pub fn note(&mut self, boot_ns: u64, at_us: u64) {
        self.0.push_back((boot_ns, at_us));
        if self.0.len() > READINGS {
            self.0.pop_front();
        }
    }

    /// A moment of true time at or before the one when the clock showed that.
    fn before(&self, boot_ns: u64) -> Option<u64> {
        let after = self.0.partition_point(|(boot, _)| *boot <= boot_ns);
        let (_, at_us) = self.0.get(after.checked_sub(1)?)?;
        Some(*at_us)
    }
}

/// A write that was answered.
pub struct Acknowledged {
    pub owner: String,
    pub revision: u64,
}

#[derive(Default)]
pub struct Oracle {
    pub true_us: u64,
    pub truth: Truth,
    pub trace: Trace,
    pub tokens: VecDeque<Minted>,
    pub readings: BTreeMap<u64, Readings>,
    pub acknowledged: Vec<Acknowledged>,
    leaders: BTreeMap<u64, u64>,
    pub violations: Vec<String>,
    pub counts: Counts,
    answered: Vec<(u64, u64)>,
    /// From when on what stands at a revision was said to be in force everywhere.
    enforced: BTreeMap<u64, u64>,
    /// And in every verifier.
    enforced_in_verifiers: BTreeMap<u64, u64>,
    /// Whether the view of each verifier was fresh when it looked last.
    pub fresh_verifiers: BTreeMap<u64, bool>,
    /// While who led it was said of a revision by when it would be.
    promises: BTreeMap<u64, (Option<(u64, u64)>, u64)>,
}

/// How much was done.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    pub mints: u64,
    pub checks: u64,
    pub accepted: u64,
    pub stale: u64,
    pub writes: u64,
    pub unknown: u64,
    pub faults: u64,
    pub proofs: u64,
    pub enforced: u64,
    pub enforced_in_verifiers: u64,
    pub verifications: u64,
    pub verified: u64,
}

impl Oracle {
    pub fn violated(&mut self, what: impl Into<String>) {
        let what = what.into();
        self.trace
            .note(self.true_us, format_args!("VIOLATION {what}"));
        if self.violations.len() < 16 {
            self.violations.push(what);
        }
    }

    /// The number that the next node will have, if nothing else is under way.
    pub fn next_node(&self) -> u64 {
        self.truth.newest_node.max(1) + 1
    }

    fn must(&mut self, holds: Result<(), String>) {
        if let Err(what) = holds {
            self.violated(what);
        }
    }

    pub fn note(&mut self, what: std::fmt::Arguments<'_>) {
        self.trace.note(self.true_us, what);
    }

    /// A node has applied an entry, and is about to publish it.
    pub fn applied(&mut self, node: u64, revision: u64, state: &State, events: &[Event]) {
        self.note(format_args!("node {node} applies {revision}"));
        let at_us = self.true_us;
        let applied = self.truth.applied(at_us, revision, state, events);
        self.must(applied.map_err(|what| format!("node {node}: {what}")));
        if state.revision().0 == revision {
            self.look_at_issuers(node, state);
        }
    }

    /// Nothing of a dead process stays open once a later one has an issuer.
    fn look_at_issuers(&mut self, node: u64, state: &State) {
        use chancery_authority::IssuerStanding::Open;
        let mut processes: BTreeMap<u64, u64> = BTreeMap::new();
        let open = state.issuers().filter(|issuer| issuer.standing == Open);
        for issuer in open {
            let process = *processes.entry(issuer.node.0).or_insert(issuer.process);
            if process != issuer.process {
                let of = issuer.node;
                self.violated(format!(
                    "node {node}: issuers of two processes of node {of} are open"
                ));
                return;
            }
        }
    }

    /// A node's state was loaded or installed.
    pub fn replaced(&mut self, node: u64, state: &State) {
        let (revision, digest) = (state.revision().0, state.digest());
        self.note(format_args!("node {node} loads {revision}"));
        let same = self.truth.digest(revision, digest);
        self.must(same.map_err(|what| format!("node {node}: {what}")));
    }

    /// Who leads in the newest term that anybody led in.
    pub fn leader(&self) -> Option<u64> {
        self.leaders.last_key_value().map(|(_, node)| *node)
    }

    /// A node says that it leads. openraft orders leaders by term and number: there may be
    /// several in a term, one after the other.
    pub fn leads(&mut self, node: u64, term: u64) {
        if self.leaders.get(&term) != Some(&node) {
            self.note(format_args!("node {node} leads in term {term}"));
        }
        self.leaders.insert(term, node);
    }

    /// A node holds a proof, with this revision published.
    pub fn proved(&mut self, node: u64, proof: Freshness, revision: Revision) {
        self.counts.proofs += 1;
        let Some(as_of_us) = self.as_of(node, proof.as_of.0) else {
            return;
        };
        let must = self.truth.reached_before(as_of_us);
        if revision.0 < must {
            self.violated(format!(
                "node {node} is called fresh as of {:.3} s with revision {revision}, and {must} was \
                 committed by then",
                as_of_us as f64 / 1e6
            ));
        }
    }

    fn as_of(&self, node: u64, boot_ns: u64) -> Option<u64> {
        self.readings.get(&node)?.before(boot_ns)
    }

    /// What a machine has answered, by a state of this revision that it calls so old.
    fn is_honest(&mut self, node: u64, standing: Standing, boot_ns: u64, bound_us: u64) {
        let as_of = boot_ns.saturating_sub(standing.age.as_nanos() as u64);
        // A proof is kept to the millisecond.
        let Some(as_of_us) = self.as_of(node, as_of.saturating_sub(1_000_000)) else {
            return;
        };
        let Standing { revision, age } = standing;
        let must = self.truth.reached_before(as_of_us);
        if revision.0 < must {
            self.violated(format!(
                "node {node} answers by revision {revision}, {age:?} old, and {must} was committed \
                 before"
            ));
        }
        if self.true_us.saturating_sub(as_of_us) > bound_us {
            let passed = self.true_us - as_of_us;
            self.violated(format!(
                "node {node} answers by a state that is {passed} us old, and says {age:?}"
            ));
        }
    }

    /// A node that was removed says nothing any more.
    fn is_member(&mut self, node: u64) {
        if let Some(removed) = self.truth.removed(node)
            && removed.at_us + SLACK_US < self.true_us
        {
            self.violated(format!("node {node} serves after it was removed"));
        }
    }

    /// A node has accepted a token.
    pub fn accepted(&mut self, node: u64, minted: &Minted, standing: Standing, boot_ns: u64) {
        self.counts.accepted += 1;
        self.is_member(node);
        let began_us = self.true_us;
        let acceptance = Acceptance {
            machine: node,
            standing,
            moments: Moments { boot_ns, began_us },
            bound_us: BOUND_US,
            enforced: |oracle| &oracle.enforced,
        };
        self.may_be_accepted(minted, &acceptance);
    }

    /// A verifier, that asked for this V, has accepted a token.
    pub fn verified(
        &mut self,
        (verifier, max_age_ms): (u64, Option<u64>),
        minted: &Minted,
        standing: Standing,
        moments: Moments,
    ) {
        self.counts.verified += 1;
        let acceptance = Acceptance {
            machine: verifier,
            standing,
            moments,
            bound_us: longest_us(max_age_ms.unwrap_or(V_MS)),
            enforced: |oracle| &oracle.enforced_in_verifiers,
        };
        self.may_be_accepted(minted, &acceptance);
    }

    /// A verifier looks at its view.
    pub fn verifies(&mut self, verifier: u64, is_fresh: bool) {
        self.fresh_verifiers.insert(verifier, is_fresh);
    }

    /// A token to be verified, some time after it was minted.
    pub fn signed(&self, random: &mut fastrand::Rng) -> Option<Minted> {
        let signed = self.tokens.iter().filter(|minted| minted.token.is_some());
        random.choice(signed.collect::<Vec<_>>()).cloned()
    }

    fn may_be_accepted(&mut self, minted: &Minted, acceptance: &Acceptance) {
        let Acceptance {
            machine,
            standing,
            moments: Moments { boot_ns, began_us },
            bound_us,
            enforced,
        } = *acceptance;
        self.is_honest(machine, standing, boot_ns, bound_us);
        for killer in self.truth.killers(&minted.claims, minted.issuer) {
            let Decided { revision, at_us } = killer;
            let jti = minted.claims.jti;
            if revision <= standing.revision.0 {
                self.violated(format!(
                    "node {machine} accepts {jti} by revision {}, and entry {revision} killed it",
                    standing.revision
                ));
            }
            if let Some(since) = is_enforced(enforced(self), revision, began_us) {
                self.violated(format!(
                    "node {machine} accepts {jti} although entry {revision}, which killed it, was \
                     called in force {} us before",
                    began_us - since
                ));
            }
            if at_us + bound_us < self.true_us {
                let late = self.true_us - at_us;
                self.violated(format!(
                    "node {machine} accepts {jti} {late} us after entry {revision}, which killed \
                     it, was committed"
                ));
            }
        }
    }

    /// A node has minted, by a state that shows entries through `seen` at most.
    pub fn minted(
        &mut self,
        node: u64,
        minted: Minted,
        standing: Standing,
        seen: Revision,
        Moments { boot_ns, began_us }: Moments,
    ) {
        self.counts.mints += 1;
        self.is_honest(node, standing, boot_ns, BOUND_US);
        self.is_member(node);
        let agent = Subject::Agent(minted.claims.sub.clone());
        if let Some(down) = self.truth.keeps_down(&agent, minted.claims.rev, seen) {
            let (revision, sub) = (down.revision, &minted.claims.sub);
            self.violated(format!(
                "node {node} mints for {sub} with rev {}, and entry {revision} suspended it",
                minted.claims.rev
            ));
        }
        if let Some(down) = self.truth.is_down_since(&agent) {
            let late = self.true_us - down.at_us;
            if down.at_us + BOUND_US < self.true_us {
                self.violated(format!(
                    "node {node} mints for {agent:?} {late} us after it was suspended"
                ));
            }
            if is_enforced(&self.enforced, down.revision, began_us).is_some() {
                self.violated(format!(
                    "node {node} mints for {agent:?} after entry {}, which suspended it, was \
                     called in force",
                    down.revision
                ));
            }
        }
        self.tokens.push_back(minted);
        if self.tokens.len() > TOKENS {
            self.tokens.pop_front();
        }
    }

    /// A node has said how far a change has come.
    pub fn told(
        &mut self,
        node: u64,
        (revision, wait): (Revision, Wait),
        told: &Enforcement,
        asked_us: u64,
    ) {
        let Enforcement {
            state,
            waited_out,
            waiting_for,
            ..
        } = told;
        self.note(format_args!(
            "node {node} calls {revision} {state:?} {waited_out:?} {waiting_for:?} {}",
            told.verifiers
        ));
        if *state == EnforcementState::Enforced {
            self.counts.enforced += 1;
            let at_us = self.true_us;
            self.enforced.entry(revision.0).or_insert(at_us);
        }
        if told.reaches(Wait::Verifiers) {
            self.counts.enforced_in_verifiers += 1;
            let at_us = self.true_us;
            self.enforced_in_verifiers
                .entry(revision.0)
                .or_insert(at_us);
        }
        let verifiers_us = told.verifiers_at_most.map(|most| most.as_micros() as u64);
        if wait == Wait::Verifiers && verifiers_us > Some(W_IN_VERIFIERS_US) {
            self.violated(format!("verifiers are waited for {verifiers_us:?} us more"));
        }
        if let (EnforcementState::Committed, Some(at_most)) = (state, told.at_most) {
            self.is_no_later(revision, at_most.as_micros() as u64, asked_us);
        }
    }

    /// A leader waits W at most, and no longer than it said: an answer to who asked after
    /// that says that it is over, unless another leads since.
    fn is_no_later(&mut self, revision: Revision, at_most_us: u64, asked_us: u64) {
        if at_most_us > W_US {
            self.violated(format!("a change is waited for {at_most_us} us more"));
        }
        let reign = self.leaders.last_key_value();
        let reign = reign.map(|(term, node)| (*term, *node));
        let by_us = self.true_us + at_most_us * 10 / 9 + LATE_US;
        match self.promises.get(&revision.0) {
            Some((promised, by_us)) if *promised == reign => {
                if asked_us > *by_us {
                    let late = asked_us - by_us;
                    self.violated(format!(
                        "{revision} is not in force {late} us after it was to be"
                    ));
                }
            }
            _ => {
                self.promises.insert(revision.0, (reign, by_us));
            }
        }
    }

    /// A write was carried out at `revision`; it was asked for at `asked_us`.
    pub fn answered(&mut self, revision: u64, asked_us: u64, owner: Option<String>) {
        self.counts.writes += 1;
        let before = self
            .answered
            .iter()
            .filter(|(_, at_us)| *at_us < asked_us)
            .map(|(revision, _)| *revision)
            .max();
        if before.is_some_and(|before| revision <= before) {
            self.violated(format!(
                "a write that began after {before:?} was answered stands at {revision}"
            ));
        }
        let at_us = self.true_us;
        if self
            .answered
            .last()
            .is_none_or(|(last, _)| *last < revision)
        {
            self.answered.push((revision, at_us));
        }
        if let Some(owner) = owner {
            self.acknowledged.push(Acknowledged { owner, revision });
        }
    }

    /// Whether a state at or after them has the writes that were answered.
    pub fn has_all(&mut self, node: u64, state: &State) {
        let reached = state.revision().0;
        let missing: Vec<String> = self
            .acknowledged
            .iter()
            .filter(|write| write.revision <= reached)
            .filter(|write| {
                let name = write.owner.parse();
                name.map_or(true, |name| state.owner(&name).is_none())
            })
            .map(|write| format!("{} at {}", write.owner, write.revision))
            .collect();
        if !missing.is_empty() {
            self.violated(format!("node {node} at {reached} lacks {missing:?}"));
        }
    }
}

/// Since when what stands there is in force for whatever began then.
fn is_enforced(enforced: &BTreeMap<u64, u64>, revision: u64, began_us: u64) -> Option<u64> {
    let since = *enforced.get(&revision)?;
    (since < began_us).then_some(since)
}
