//! The view and the judgement once more, as the design states them: nothing is ever
//! dropped, and everything is searched.

use std::collections::{BTreeMap, BTreeSet};

use chancery_credential::{KeyId, Revision, Subject, TokenId};
use chancery_revocation::{Change, Delta, Facts, Limits};

#[derive(Copy, Clone, PartialEq)]
enum State {
    Open,
    Retired(Revision),
    Expired,
    Revoked,
}

struct Issuer {
    key_id: KeyId,
    opened_at: Revision,
    state: State,
}

#[derive(Default)]
pub struct Naive {
    pub revision: Revision,
    pub view_revision: Revision,
    time: u64,
    floor: Revision,
    issuers: BTreeMap<u32, Issuer>,
    watermarks: BTreeMap<Subject, Revision>,
    revoked: BTreeSet<TokenId>,
}

#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Opinion {
    Valid,
    Refused,
    Behind,
    Stale,
}

impl Naive {
    pub fn apply(&mut self, delta: &Delta) {
        for change in &delta.changes {
            self.change(change);
            if change.changes_the_view() {
                self.view_revision = delta.revision;
            }
        }
        self.revision = delta.revision;
    }

    fn change(&mut self, change: &Change) {
        match change {
            Change::IssuerOpened {
                number,
                opened_at,
                key,
                ..
            } => {
                let issuer = Issuer {
                    key_id: key.key_id(),
                    opened_at: *opened_at,
                    state: State::Open,
                };
                self.issuers.insert(number.0, issuer);
            }
            Change::IssuerRetired { number, retired_at } => {
                let issuer = self.issuers.get_mut(&number.0).unwrap();
                if issuer.state == State::Open {
                    issuer.state = State::Retired(*retired_at);
                }
            }
            Change::IssuerExpired(number) => {
                self.issuers.get_mut(&number.0).unwrap().state = State::Expired;
            }
            Change::IssuerRevoked(number) => {
                let issuer = self.issuers.get_mut(&number.0).unwrap();
                if issuer.state != State::Expired {
                    issuer.state = State::Revoked;
                }
            }
            Change::Watermark { subject, revision } => {
                self.watermarks.insert(subject.clone(), *revision);
            }
            Change::TokenRevoked(id) => {
                self.revoked.insert(*id);
            }
            Change::Floor(floor) => self.floor = self.floor.max(*floor),
            Change::Time(time) => self.time = self.time.max(*time),
        }
    }

    /// `fresh`: whether the view is.
    pub fn judge(&self, facts: &Facts<'_>, limits: Limits, now: u64, fresh: bool) -> Opinion {
        let issuer = self
            .issuers
            .iter()
            .find(|(_, issuer)| issuer.key_id == facts.key_id && issuer.state != State::Expired);
        let number = facts.token_id.issuer().0;
        let refused_by_issuer = match issuer {
            Some((found, issuer)) => {
                *found != number
                    || !verifies(issuer)
                    || facts.revision < issuer.opened_at
                    || matches!(issuer.state, State::Retired(at) if facts.revision > at)
            }
            // Numbers are never reused: this one is over, or is another key's.
            None => self.issuers.contains_key(&number),
        };
        let t = now.max(self.time);
        let refused = refused_by_issuer
            || facts.owners.is_empty()
            || facts.expires_at <= facts.issued_at
            || facts.expires_at - facts.issued_at > limits.ttl_cap
            || !(facts.issued_at <= t + limits.leeway && t < facts.expires_at)
            || facts.revision < self.floor
            || !self.is_above_watermarks(facts)
            || self.revoked.contains(&facts.token_id)
            || facts.ancestors.iter().any(|id| self.kills(id, facts));
        if refused {
            Opinion::Refused
        } else if issuer.is_none() || facts.revision > self.revision {
            Opinion::Behind
        } else if fresh {
            Opinion::Valid
        } else {
            Opinion::Stale
        }
    }

    fn is_above_watermarks(&self, facts: &Facts<'_>) -> bool {
        let agents = facts.actors.iter().chain([facts.subject]).cloned();
        agents
            .map(Subject::Agent)
            .chain(facts.owners.iter().cloned().map(Subject::Owner))
            .chain(facts.grant_sets.iter().cloned().map(Subject::GrantSet))
            .chain([Subject::Everything])
            .filter_map(|subject| self.watermarks.get(&subject))
            .all(|watermark| *watermark <= facts.revision)
    }

    fn kills(&self, ancestor: &TokenId, facts: &Facts<'_>) -> bool {
        self.revoked.contains(ancestor)
            || match self.issuers.get(&ancestor.issuer().0) {
                Some(issuer) => !verifies(issuer) || issuer.opened_at > facts.revision,
                None => facts.revision <= self.revision,
            }
    }
}

fn verifies(issuer: &Issuer) -> bool {
    matches!(issuer.state, State::Open | State::Retired(_))
}
