//! Who may still go by a proof of freshness, as the leader of one term knows it; and
//! how far each node has come. Pure: time is an argument.
//!
//! ```text
//!  recorded ──► read index asked ──► proof given      a row is there before its proof is
//!  R applied here ──► rows copied                     so a proof that is in no copy has a
//!                                                     read index of R or later
//!  copied rows: each until it reported R, or has run out
//! ```
//!
//! A proof of an earlier term was confirmed by a quorum of which some voter then elected
//! this leader: it was asked for before that, and W after the table began none is left.
//! Whoever those were given to is a node of the applied state, so the table begins with
//! one row for each. It names no process: what is heard of the node's running one will do,
//! because those before it are dead.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use chancery_credential::{KeyThumbprint, NodeNumber, Revision};
use chancery_revocation::BootTime;

use super::process::Process;

/// What a process says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Report {
    pub(crate) process: Process,
    /// What its readers see.
    pub(crate) applied: Revision,
    /// What every verifier that goes by its node's answers knows; `None`: it cannot tell.
    pub(crate) verifiers: Option<Revision>,
}

/// Why a process is given no proof.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoHolder {
    #[error("it is {0}, and a later one was heard of: this process should have ended")]
    Earlier(Process),
    #[error(
        "two processes say that they are {0}: its data directory was copied; stop one of them, \
         and admit its node anew"
    )]
    Copy(Process),
    #[error("{0} has given its proofs back")]
    Ended(Process),
}

/// What a table begins with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Beginning {
    /// The term that this node leads.
    pub(crate) term: u64,
    pub(crate) now: BootTime,
    /// W, of the longest F that may count.
    pub(crate) outlives: Duration,
}

#[derive(Debug, Default)]
pub(crate) struct Table {
    /// The term that it is of; `None` before this process led.
    term: Option<u64>,
    rows: BTreeMap<NodeNumber, Row>,
    /// Facts, whatever the term.
    heard: BTreeMap<NodeNumber, Heard>,
    /// The peer key that each was heard of with.
    keys: BTreeMap<NodeNumber, KeyThumbprint>,
    /// What this process had applied when, ascending: facts too.
    reached: VecDeque<(Revision, BootTime)>,
    /// Everything up to here was in force on every node once, and in every verifier: so it
    /// is for good, whoever leads.
    in_force: Revision,
    in_force_in_verifiers: Revision,
}

#[derive(Clone, Debug)]
struct Row {
    /// Until when any process of the node may go by what an earlier leader gave it.
    before: BootTime,
    /// Until when a process with a peer key that the node has no more may: what is heard
    /// of the node says nothing of it.
    foreign: BootTime,
    /// What its newest process was given by this leader.
    held: Option<Held>,
}

/// Proofs that are told apart; more of them are taken together.
const MOST_PROOFS: usize = 1_024;
/// Those that begin to run out within so small a part of what the last one lasts are
/// taken together too: who waits for them waits so much longer at most.
const GRAINS: u32 = 512;

/// Proofs of one process that are taken together.
#[derive(Clone, Copy, Debug)]
struct Proofs {
    /// What the leader had applied when it took the first of them down. The read index of
    /// each is no earlier: so a change that was applied by then does not wait for them,
    /// whenever it is asked about.
    applied: Revision,
    /// Until when the first of them may be gone by, and the last.
    first: BootTime,
    until: BootTime,
}

/// The proofs of one process that may still count.
#[derive(Clone, Debug)]
struct Held {
    process: Process,
    /// In the order in which they were taken down.
    proofs: VecDeque<Proofs>,
}

impl Held {
    fn of(process: Process) -> Self {
        let proofs = VecDeque::new();
        Self { process, proofs }
    }

    fn add(&mut self, applied: Revision, now: BootTime, until: BootTime) {
        while self
            .proofs
            .front()
            .is_some_and(|proofs| proofs.until <= now)
        {
            self.proofs.pop_front();
        }
        let grain = until.since(now).unwrap_or_default() / GRAINS;
        match self.proofs.back_mut() {
            Some(last) if last.takes(applied, until, grain) => {
                last.applied = last.applied.min(applied);
                last.until = last.until.max(until);
            }
            _ => self.proofs.push_back(Proofs {
                applied,
                first: until,
                until,
            }),
        }
        if self.proofs.len() > MOST_PROOFS
            && let Some(first) = self.proofs.pop_front()
            && let Some(next) = self.proofs.front_mut()
        {
            // As the earlier ones: they are waited for by more, never by less.
            next.applied = next.applied.min(first.applied);
            next.until = next.until.max(first.until);
        }
    }

    /// Until when it may go by a proof that the revision has to wait for.
    fn without(&self, revision: Revision) -> Option<BootTime> {
        let earlier = self
            .proofs
            .iter()
            .filter(|proofs| proofs.applied < revision);
        earlier.map(|proofs| proofs.until).max()
    }
}

impl Proofs {
    /// Whether another one, taken down later, is as good as these.
    fn takes(&self, applied: Revision, until: BootTime, grain: Duration) -> bool {
        applied <= self.applied || until.since(self.first).is_some_and(|later| later < grain)
    }
}

impl Row {
    /// Until when the node may go by anything that it was given.
    fn served_until(&self) -> BootTime {
        let held = self.held.iter().flat_map(|held| &held.proofs);
        held.map(|proofs| proofs.until)
            .fold(self.before.max(self.foreign), BootTime::max)
    }
}

#[derive(Clone, Copy, Debug)]
struct Heard {
    report: Report,
    /// It has given its proofs back in this term, so that no later process of its node
    /// holds one of an earlier term.
    ended: bool,
}

impl Table {
    pub(crate) fn is_of(&self, term: u64) -> bool {
        self.term == Some(term)
    }

    /// Begins anew when the term is another. `nodes` are those of the applied state,
    /// and whether each can serve at all: who was removed cannot, but verifiers may still
    /// go by what it told them.
    pub(crate) fn begin(
        &mut self,
        beginning: &Beginning,
        nodes: impl Iterator<Item = (NodeNumber, bool)>,
    ) {
        if self.is_of(beginning.term) {
            return;
        }
        self.term = Some(beginning.term);
        let row = |serves: bool| Row {
            before: if serves {
                beginning.now.plus(beginning.outlives)
            } else {
                beginning.now
            },
            foreign: beginning.now,
            held: None,
        };
        self.rows = nodes.map(|(node, serves)| (node, row(serves))).collect();
        let rows = &self.rows;
        self.heard.retain(|node, _| rows.contains_key(node));
        self.keys.retain(|node, _| rows.contains_key(node));
        // Since it was heard a later process may have been given proofs by another leader.
        for heard in self.heard.values_mut() {
            heard.ended = false;
        }
    }

    /// The process may go by a proof until then; this node has applied so much. Before
    /// its read index is asked for.
    ///
    /// # Errors
    /// [`NoHolder`]: it must get none.
    pub(crate) fn record(
        &mut self,
        node: NodeNumber,
        process: Process,
        applied: Revision,
        now: BootTime,
        until: BootTime,
    ) -> Result<(), NoHolder> {
        self.may_hold(node, process)?;
        let row = self.rows.entry(node).or_insert(Row {
            before: now,
            foreign: now,
            held: None,
        });
        // A process that came later says that those before it are dead.
        let held = row.held.get_or_insert_with(|| Held::of(process));
        if held.process != process {
            *held = Held::of(process);
        }
        held.add(applied, now, until);
        Ok(())
    }

    /// Forgets which process of a node came last when the node has another peer key than
    /// before: whoever had the former one may have said anything.
    pub(crate) fn known_by(&mut self, node: NodeNumber, key: KeyThumbprint) {
        let former = self.keys.insert(node, key);
        if former.is_none_or(|former| former == key) {
            return;
        }
        self.heard.remove(&node);
        if let Some(row) = self.rows.get_mut(&node) {
            row.foreign = row.served_until();
            row.held = None;
        }
    }

    fn may_hold(&self, node: NodeNumber, process: Process) -> Result<(), NoHolder> {
        let held = (self.rows.get(&node)).and_then(|row| Some(row.held.as_ref()?.process));
        let heard = self.heard.get(&node);
        for known in held
            .into_iter()
            .chain(heard.map(|heard| heard.report.process))
        {
            if process.is_copy_of(&known) {
                return Err(NoHolder::Copy(process));
            }
            if process < known {
                return Err(NoHolder::Earlier(process));
            }
        }
        match heard {
            Some(heard) if heard.ended && heard.report.process == process => {
                Err(NoHolder::Ended(process))
            }
            _ => Ok(()),
        }
    }

    /// Takes a report; that of an earlier process, or of a copy, says nothing. Gives
    /// whether anything is new.
    pub(crate) fn hear(&mut self, node: NodeNumber, report: Report) -> bool {
        let Some(heard) = self.heard.get_mut(&node) else {
            let ended = false;
            self.heard.insert(node, Heard { report, ended });
            return true;
        };
        let known = heard.report;
        if report.process.is_copy_of(&known.process) || report.process < known.process {
            return false;
        }
        if report.process > known.process {
            let ended = false;
            *heard = Heard { report, ended };
            return true;
        }
        heard.report.applied = known.applied.max(report.applied);
        heard.report.verifiers = known.verifiers.max(report.verifiers);
        heard.report != known
    }

    /// The process has withdrawn its proofs and asks for none again: said to the leader of
    /// this table's term. It was alive in that term, so no later process of its node holds
    /// a proof of an earlier one; what is said to another leader says nothing here.
    /// Gives whether it was said to this table's.
    pub(crate) fn end(
        &mut self,
        node: NodeNumber,
        report: Report,
        term: u64,
        now: BootTime,
    ) -> bool {
        if !self.is_of(term) {
            return false;
        }
        self.hear(node, report);
        let Some(heard) = self.heard.get_mut(&node) else {
            return true;
        };
        if heard.report.process != report.process {
            return true;
        }
        heard.ended = true;
        // A later process has a row of its own by now.
        let is_last =
            |row: &&mut Row| (row.held.as_ref()).is_none_or(|held| held.process <= report.process);
        if let Some(row) = self.rows.get_mut(&node).filter(is_last) {
            // It served until now, and so did what it answered verifiers with.
            let held = row.held.take();
            let held = held.iter().flat_map(|held| &held.proofs);
            let until = held.map(|proofs| proofs.until);
            row.before = until.fold(row.before, BootTime::max).min(now);
        }
        true
    }

    /// What `revision`, which this node has applied, has to wait for, from now on, of all
    /// that it has `applied`. `verifiers_outlive` is V_max·κ.
    pub(crate) fn outstanding(
        &mut self,
        revision: Revision,
        applied: Revision,
        now: BootTime,
        verifiers_outlive: Duration,
    ) -> Outstanding {
        self.reach(applied, now, verifiers_outlive);
        let known_since = self.reached_by(revision, now);
        let mut outstanding = Outstanding {
            revision,
            #[cfg(test)]
            asked: now,
            holders: Vec::new(),
            verifiers: Vec::new(),
        };
        for (node, row) in &self.rows {
            if row.before > now {
                outstanding.holders.push((*node, Holder::Any, row.before));
            }
            if row.foreign > now {
                outstanding
                    .holders
                    .push((*node, Holder::Foreign, row.foreign));
            }
            if let Some(held) = &row.held
                && let Some(until) = held.without(revision)
                && until > now
            {
                let holder = Holder::Process(held.process);
                outstanding.holders.push((*node, holder, until));
            }
            // A verifier accepts on nothing that is older than V by its own clock,
            // whoever answered it and when: V·κ after the commit it knows, or refuses.
            let until = row.served_until().min(known_since).plus(verifiers_outlive);
            if until > now {
                outstanding.verifiers.push((*node, until));
            }
        }
        outstanding
    }

    /// Takes down that so much was applied by now, for as long as it says something.
    fn reach(&mut self, applied: Revision, now: BootTime, verifiers_outlive: Duration) {
        let is_over = |(_, at): &(Revision, BootTime)| at.plus(verifiers_outlive) <= now;
        while self.reached.get(1).is_some_and(is_over) {
            self.reached.pop_front();
        }
        if self
            .reached
            .back()
            .is_some_and(|(last, _)| *last >= applied)
        {
            return;
        }
        // Two within a grain are told apart, not more: the last of them moves.
        let grain = verifiers_outlive / GRAINS;
        let before_last = self.reached.len().checked_sub(2);
        let before_last = before_last.and_then(|at| self.reached.get(at));
        let is_crowded =
            before_last.is_some_and(|(_, at)| now.since(*at).is_some_and(|passed| passed < grain));
        if is_crowded {
            self.reached.pop_back();
        }
        self.reached.push_back((applied, now));
    }

    /// When a revision had been applied here at the latest; never before it was.
    fn reached_by(&self, revision: Revision, now: BootTime) -> BootTime {
        let first = self
            .reached
            .partition_point(|(reached, _)| *reached < revision);
        self.reached.get(first).map_or(now, |(_, at)| *at)
    }

    /// How far what a change had to wait for has come. What was in force once stays so.
    pub(crate) fn look(&mut self, outstanding: &Outstanding, now: BootTime) -> Look {
        let mut look = self.look_again(outstanding, now);
        let revision = outstanding.revision;
        if revision <= self.in_force {
            look.waiting_for.clear();
        }
        if look.waiting_for.is_empty() {
            self.in_force = self.in_force.max(revision);
            if look.verifiers.is_empty() {
                self.in_force_in_verifiers = self.in_force_in_verifiers.max(revision);
            }
        }
        if revision <= self.in_force_in_verifiers {
            look.verifiers.clear();
        }
        look
    }

    fn look_again(&self, outstanding: &Outstanding, now: BootTime) -> Look {
        let mut look = Look::default();
        for (node, holder, until) in &outstanding.holders {
            if self.has_applied(*node, *holder, outstanding.revision) {
                continue;
            }
            if *until > now {
                look.waiting_for.push((*node, *until));
            } else {
                look.waited_out.push(*node);
            }
        }
        look.waited_out.dedup();
        let waiting = &look.waiting_for;
        look.waited_out
            .retain(|node| !waiting.iter().any(|(waited, _)| waited == node));
        let waits = |(node, until): &&(NodeNumber, BootTime)| {
            *until > now && !self.verifiers_know(*node, outstanding.revision)
        };
        look.verifiers = (outstanding.verifiers.iter().filter(waits).copied()).collect();
        look
    }

    /// Nothing that a holder begins from now on, on any proof that it was given before,
    /// is without the revision.
    fn has_applied(&self, node: NodeNumber, holder: Holder, revision: Revision) -> bool {
        let Some(Heard { report, ended }) = self.heard.get(&node) else {
            return false;
        };
        match holder {
            Holder::Foreign => false,
            Holder::Process(holder) if report.process.is_copy_of(&holder) => false,
            // Who was heard of later began when the holder was dead.
            Holder::Process(holder) if report.process > holder => true,
            Holder::Process(holder) if report.process < holder => false,
            Holder::Process(_) | Holder::Any => *ended || report.applied >= revision,
        }
    }

    fn verifiers_know(&self, node: NodeNumber, revision: Revision) -> bool {
        let heard = self.heard.get(&node);
        heard.is_some_and(|heard| heard.report.verifiers >= Some(revision))
    }
}

/// Who may hold a proof.
#[derive(Clone, Copy, Debug)]
enum Holder {
    Process(Process),
    /// Any process of the node.
    Any,
    /// One that what is heard of the node says nothing of.
    Foreign,
}

/// What one change waits for: the rows as they were when the leader had applied it.
#[derive(Clone, Debug)]
pub(crate) struct Outstanding {
    revision: Revision,
    #[cfg(test)]
    asked: BootTime,
    /// Who, and until when it may go by an older proof.
    holders: Vec<(NodeNumber, Holder, BootTime)>,
    /// Until when a verifier may go by what a node told it before.
    verifiers: Vec<(NodeNumber, BootTime)>,
}

/// How far it has come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Look {
    /// Whose proofs ran out before they reported it.
    pub(crate) waited_out: Vec<NodeNumber>,
    /// Who may still go by an older proof, and until when.
    pub(crate) waiting_for: Vec<(NodeNumber, BootTime)>,
    /// Whose verifiers may still go by an older answer, and until when.
    pub(crate) verifiers: Vec<(NodeNumber, BootTime)>,
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
#[path = "table_tests.rs"]
mod tests;
