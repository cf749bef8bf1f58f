//! The authority as one would tell it: lists and sets, searched from end to end,
//! nothing kept up to date that can be worked out again. Written from the design,
//! not from the code. What was killed is a history, and a token is dead if
//! anything in it says so.

use std::collections::{BTreeMap, BTreeSet};

use chancery_authority::{
    Actor, AgentSpec, Answer, Command, NodeSpec, OperatorSpec, Reason, RequestId, ServiceSpec,
    Settings, Stamped,
};
use chancery_credential::{
    Claims, Ed25519PublicKey, Grant, GrantSetName, KeyThumbprint, Lineage, OwnerName,
    PrincipalName, SpiffeId, Subject, TokenId,
};

/// Every rule that a command breaks.
pub type Refusals = BTreeSet<Reason>;
pub type Outcome = Result<Answer, Refusals>;

pub struct Node {
    pub spec: NodeSpec,
    pub barred: bool,
    pub retiring: bool,
    pub removed: bool,
    pub votes: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    Open,
    Retired(u64),
    Revoked,
    Expired,
}

/// Kept for ever; its number is its place in the list, from 1.
pub struct Issuer {
    pub node: u64,
    pub epoch: u64,
    pub process: u64,
    pub key: Ed25519PublicKey,
    pub opened_at: u64,
    pub ended_at: u64,
    /// Every settings under which it signed.
    pub outlives: Vec<Settings>,
    pub standing: Standing,
}

/// Something that was said once and holds for ever.
pub enum Kill {
    Held(Subject, u64),
    Token(TokenId),
}

pub struct Decided {
    pub actor: Actor,
    pub id: RequestId,
    pub digest: [u8; 32],
    pub outcome: Outcome,
}

#[derive(Default)]
pub struct Twin {
    pub lineage: Lineage,
    pub settings: Option<Settings>,
    pub revision: u64,
    pub time_ms: u64,
    pub agents: BTreeMap<SpiffeId, AgentSpec>,
    pub owners: BTreeSet<OwnerName>,
    pub sets: BTreeMap<GrantSetName, Vec<Grant>>,
    /// What has to be asked later to change an operator, a service or a set.
    pub operators_asked: BTreeMap<PrincipalName, u64>,
    pub services_asked: BTreeMap<PrincipalName, u64>,
    pub sets_asked: BTreeMap<GrantSetName, u64>,
    pub operators: BTreeMap<PrincipalName, OperatorSpec>,
    pub services: BTreeMap<PrincipalName, ServiceSpec>,
    pub nodes: Vec<Node>,
    pub issuers: Vec<Issuer>,
    pub epoch: u64,
    pub epoch_opened_ms: u64,
    /// Each with what has to be asked later to lift it.
    pub suspended: BTreeMap<Subject, u64>,
    pub kills: Vec<Kill>,
    pub floor: u64,
    pub requests: Vec<Decided>,
}

impl Twin {
    /// Whether a token is in force, its lifetime aside.
    pub fn is_alive(&self, claims: &Claims) -> bool {
        let rev = claims.rev.0;
        let Some(issuer) = self.issuer(claims.jti.issuer().0) else {
            return false;
        };
        let signed = match issuer.standing {
            Standing::Open => issuer.opened_at <= rev,
            Standing::Retired(at) => issuer.opened_at <= rev && rev <= at,
            Standing::Revoked | Standing::Expired => false,
        };
        let killed = self.kills.iter().any(|kill| match kill {
            Kill::Token(id) => *id == claims.jti,
            Kill::Held(subject, at) => {
                *at > rev
                    && match subject {
                        Subject::Agent(id) => *id == claims.sub || claims.act.contains(id),
                        Subject::Owner(name) => claims.own.contains(name),
                        Subject::GrantSet(name) => claims.set.contains(name),
                        Subject::Everything => true,
                    }
            }
        });
        signed && !killed && rev >= self.floor
    }

    /// Whether an agent may mint at all.
    pub fn may_mint(&self, id: &SpiffeId) -> bool {
        let suspended = |subject| self.suspended.contains_key(&subject);
        let Some(agent) = self.agents.get(id) else {
            return false;
        };
        let ground = !agent.grants.is_empty()
            || (agent.grant_sets.iter()).any(|set| !suspended(Subject::GrantSet(set.clone())));
        ground
            && !self.has_ended(agent.expires_at)
            && !suspended(Subject::Everything)
            && !self.is_kept_down(id)
    }

    pub fn is_kept_down(&self, id: &SpiffeId) -> bool {
        let owners = self.agents.get(id).map(|agent| agent.owners.clone());
        self.suspended.contains_key(&Subject::Agent(id.clone()))
            || (owners.into_iter().flatten())
                .any(|owner| self.suspended.contains_key(&Subject::Owner(owner)))
    }

    pub fn has_ended(&self, expires_at: u64) -> bool {
        expires_at != 0 && self.time_ms / 1_000 >= expires_at
    }

    pub fn issuer(&self, number: u32) -> Option<&Issuer> {
        self.issuers.get((number as usize).checked_sub(1)?)
    }

    /// Those that have not expired, with their numbers.
    pub fn unexpired(&self) -> impl Iterator<Item = (u32, &Issuer)> {
        let numbered = (1..).zip(&self.issuers);
        numbered.filter(|(_, issuer)| issuer.standing != Standing::Expired)
    }

    pub fn newest_of(&self, node: u64) -> Option<u32> {
        let numbered = (1..).zip(&self.issuers);
        numbered
            .filter(|(_, issuer)| issuer.node == node)
            .map(|(number, _)| number)
            .max()
    }

    pub fn node(&self, number: u64) -> Option<&Node> {
        self.nodes.get((number as usize).checked_sub(1)?)
    }

    /// Whose key it is, as text.
    pub fn holder(&self, key: &KeyThumbprint) -> Option<String> {
        let agents = (self.agents.values())
            .filter(|agent| agent.keys.contains(key))
            .map(|agent| Actor::Agent(agent.id.clone()).to_string());
        let operators = (self.operators.values())
            .filter(|operator| operator.keys.contains(key))
            .map(|operator| Actor::Operator(operator.name.clone()).to_string());
        let services = (self.services.values())
            .filter(|service| service.keys.contains(key))
            .map(|service| Actor::Service(service.name.clone()).to_string());
        let nodes = (1..)
            .zip(&self.nodes)
            .filter(|(_, node)| node.spec.peer_key.thumbprint() == *key)
            .map(|(number, _)| format!("node:{number}"));
        let mut holders = agents.chain(operators).chain(services).chain(nodes);
        let holder = holders.next();
        assert_eq!(holders.next(), None, "a key of two");
        holder
    }

    /// When what the subject held was last killed, unless the floor says as much.
    pub fn watermark(&self, subject: &Subject) -> Option<u64> {
        let of_it = self.kills.iter().filter_map(|kill| match kill {
            Kill::Held(killed, at) if killed == subject => Some(*at),
            _ => None,
        });
        of_it.max().filter(|at| *at > self.floor)
    }

    pub fn is_revoked(&self, token: &TokenId) -> bool {
        let known = self
            .unexpired()
            .any(|(number, _)| number == token.issuer().0);
        known && (self.kills.iter()).any(|kill| matches!(kill, Kill::Token(id) if id == token))
    }

    /// Takes an entry of the log.
    pub fn step(&mut self, revision: u64, stamped: &Stamped) -> Outcome {
        self.revision = revision;
        if !matches!(stamped.command, Command::Birth(_)) {
            self.time_ms = self.time_ms.max(stamped.stamp.time_ms);
        }
        let meta = &stamped.meta;
        match stamped.command {
            Command::Birth(_) => return Err(Refusals::from([Reason::AlreadyBorn])),
            Command::Tick => return self.decide(stamped),
            _ => {}
        }
        if meta.request.time_ms + 60_000 < self.time_ms {
            return Err(Refusals::from([Reason::RequestTooOld]));
        }
        if meta.request.time_ms > self.time_ms + 60_000 {
            return Err(Refusals::from([Reason::RequestAhead]));
        }
        let known = |decided: &&Decided| decided.actor == meta.actor && decided.id == meta.request;
        if let Some(decided) = self.requests.iter().find(known) {
            if decided.digest != meta.digest {
                return Err(Refusals::from([Reason::RequestReused]));
            }
            return decided.outcome.clone();
        }
        if let Some(reason) = self.unheard(meta) {
            return Err(Refusals::from([reason]));
        }
        let outcome = self.decide(stamped);
        self.requests.push(Decided {
            actor: meta.actor.clone(),
            id: meta.request,
            digest: meta.digest,
            outcome: outcome.clone(),
        });
        outcome
    }
}
