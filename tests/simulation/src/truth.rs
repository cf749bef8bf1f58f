//! What the log has decided, as the first node that applied it told: which entry stands
//! where, what it killed, and from when on that was committed for certain.

use std::collections::{BTreeMap, VecDeque};

use chancery_authority::{Event, State};
use chancery_credential::{Claims, IssuerNumber, Revision, Subject, TokenId};
use chancery_revocation::Change;

/// At which revision, and when somebody had applied it, microseconds of true time.
#[derive(Clone, Copy, Debug)]
pub struct Decided {
    pub revision: u64,
    pub at_us: u64,
}

#[derive(Default)]
pub struct Truth {
    /// What each entry did, in words that are the same on every node.
    entries: BTreeMap<u64, String>,
    digests: BTreeMap<u64, [u8; 32]>,
    /// The highest revision that anybody had applied, by when.
    reached: VecDeque<Decided>,
    watermarks: BTreeMap<Subject, Vec<Decided>>,
    suspended: BTreeMap<Subject, Vec<(Decided, bool)>>,
    dead_issuers: BTreeMap<IssuerNumber, Decided>,
    retired_issuers: BTreeMap<IssuerNumber, Decided>,
    dead_tokens: BTreeMap<TokenId, Decided>,
    newest_issuer: Option<IssuerNumber>,
    removed: BTreeMap<u64, Decided>,
    pub newest_node: u64,
}

/// How long what was reached when is remembered: longer than anything is fresh.
const REMEMBERED_US: u64 = 20_000_000;

impl Truth {
    /// A node has applied an entry that did `events`. Says what is wrong with that.
    pub fn applied(
        &mut self,
        at_us: u64,
        revision: u64,
        state: &State,
        events: &[Event],
    ) -> Result<(), String> {
        let words = format!("{events:?}");
        if let Some(known) = self.entries.get(&revision) {
            if *known != words {
                return Err(format!(
                    "entry {revision} is {words} here, and was {known} elsewhere"
                ));
            }
        } else {
            self.entries.insert(revision, words);
            let decided = Decided { revision, at_us };
            for event in events {
                self.decide(decided, state, events, event)?;
            }
        }
        self.reach(Decided { revision, at_us });
        if state.revision().0 == revision {
            self.digest(revision, state.digest())?;
        }
        Ok(())
    }

    /// A node's whole state at a revision.
    pub fn digest(&mut self, revision: u64, digest: [u8; 32]) -> Result<(), String> {
        if revision == 0 {
            return Ok(());
        }
        match self.digests.insert(revision, digest) {
            Some(known) if known != digest => {
                Err(format!("two states at revision {revision} differ"))
            }
            _ => Ok(()),
        }
    }

    pub fn reach(&mut self, reached: Decided) {
        if self
            .reached
            .back()
            .is_none_or(|last| last.revision < reached.revision)
        {
            self.reached.push_back(reached);
        }
        while self.reached.len() > 1 && self.reached[1].at_us + REMEMBERED_US < reached.at_us {
            self.reached.pop_front();
        }
    }

    fn decide(
        &mut self,
        decided: Decided,
        state: &State,
        events: &[Event],
        event: &Event,
    ) -> Result<(), String> {
        match event {
            Event::View(Change::Watermark { subject, revision })
                if revision.0 == decided.revision =>
            {
                let marks = self.watermarks.entry(subject.clone()).or_default();
                marks.push(decided);
            }
            Event::View(Change::IssuerRevoked(number)) => {
                self.dead_issuers.entry(*number).or_insert(decided);
            }
            Event::View(Change::IssuerRetired { number, .. }) => {
                self.retired_issuers.entry(*number).or_insert(decided);
            }
            Event::View(Change::TokenRevoked(id)) => {
                self.dead_tokens.entry(*id).or_insert(decided);
            }
            Event::View(Change::IssuerOpened { number, .. }) => {
                if self.newest_issuer.is_some_and(|newest| *number <= newest) {
                    return Err(format!("issuer number {number} is handed out again"));
                }
                self.newest_issuer = Some(*number);
            }
            Event::AgentChanged(id) => {
                let subject = Subject::Agent(id.clone());
                // A suspension kills what was held, a registration and a resumption nothing.
                let kills = |event: &Event| match event {
                    Event::View(Change::Watermark {
                        subject: killed, ..
                    }) => *killed == subject,
                    _ => false,
                };
                let is = events.iter().any(kills);
                let states = self.suspended.entry(subject).or_default();
                states.push((decided, is));
            }
            Event::NodeChanged(node) => {
                self.newest_node = self.newest_node.max(node.0);
                let gone = state.revision().0 == decided.revision
                    && state
                        .node(*node)
                        .is_some_and(|node| node.removed_at.is_some());
                if gone {
                    self.removed.entry(node.0).or_insert(decided);
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// What was applied somewhere before that moment.
    pub fn reached_before(&self, at_us: u64) -> u64 {
        let before = self
            .reached
            .iter()
            .rev()
            .find(|reached| reached.at_us < at_us);
        before.map_or(0, |reached| reached.revision)
    }

    pub fn newest(&self) -> u64 {
        self.reached.back().map_or(0, |reached| reached.revision)
    }

    /// All that kills a token that states these claims.
    pub fn killers(&self, claims: &Claims, issuer: IssuerNumber) -> Vec<Decided> {
        let mut subjects = vec![Subject::Agent(claims.sub.clone()), Subject::Everything];
        subjects.extend(claims.own.iter().cloned().map(Subject::Owner));
        let mut killers: Vec<Decided> = subjects
            .iter()
            .filter_map(|subject| self.watermarks.get(subject))
            .flatten()
            .filter(|mark| mark.revision > claims.rev.0)
            .copied()
            .collect();
        killers.extend(self.dead_issuers.get(&issuer));
        killers.extend(self.dead_tokens.get(&claims.jti));
        let retired = self.retired_issuers.get(&issuer);
        killers.extend(retired.filter(|retired| retired.revision < claims.rev.0));
        killers
    }

    /// By what an agent is kept from minting, for somebody who may see entries through
    /// `seen` and must see those through `must`.
    pub fn keeps_down(&self, agent: &Subject, must: Revision, seen: Revision) -> Option<Decided> {
        let states = self.suspended.get(agent)?;
        let (since, is_down) = states.iter().rev().find(|(at, _)| at.revision <= must.0)?;
        let resumed = states
            .iter()
            .any(|(at, is)| !is && at.revision > must.0 && at.revision <= seen.0);
        (*is_down && !resumed).then_some(*since)
    }

    /// The last word on an agent that was spoken before that moment, if it is that it is
    /// suspended and nobody has heard of another since.
    pub fn is_down_since(&self, agent: &Subject) -> Option<Decided> {
        let (since, is_down) = self.suspended.get(agent)?.last()?;
        is_down.then_some(*since)
    }

    pub fn removed(&self, node: u64) -> Option<Decided> {
        self.removed.get(&node).copied()
    }
}
