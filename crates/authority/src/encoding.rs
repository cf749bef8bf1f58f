//! The canonical bytes of a row, for the digest and for nothing else: what is
//! written to disk or sent has an encoding of its own, which may evolve.
//!
//! Integers are big-endian and of fixed width; texts, byte strings and lists come
//! after their length (32 bits); options after 0 or 1; variants after their
//! number. So no two rows have the same bytes.

use std::fmt::Display;

use chancery_credential::{Grant, Subject};

use crate::event::Answer;
use crate::record::{
    AgentRecord, GrantSetRecord, IssuerRecord, IssuerStanding, NodeRecord, OperatorRecord,
    RequestKey, RequestRecord, ServiceRecord,
};
use crate::row::Row;
use crate::settings::{Settings, WhenBehind};
use crate::stamped::Actor;

/// The canonical bytes of a row, its table and key included.
pub(crate) fn canonical(row: &Row) -> Vec<u8> {
    let mut out = Bytes(Vec::with_capacity(128));
    out.u8(row.key().table() as u8);
    match row {
        Row::Clock(clock) => {
            out.u64(clock.applied.0);
            out.u64(clock.log_time_ms);
            out.u64(clock.told_time_s);
        }
        Row::Meta(meta) => {
            out.u64(meta.lineage.generation);
            out.u64(meta.lineage.random);
            out.u32(meta.next_issuer);
            out.u64(meta.next_node);
            out.u64(meta.floor.0);
            out.u64(meta.view_revision.0);
        }
        Row::Settings(settings) => out.settings(settings),
        Row::Epoch(epoch) => {
            out.u64(epoch.number.0);
            out.u64(epoch.opened_at.0);
            out.u64(epoch.opened_at_ms);
            out.flag(epoch.emergency);
        }
        Row::Agent(agent) => out.agent(agent),
        Row::Owner(owner) => {
            out.text(owner.name.as_str());
            out.text(&owner.description);
            out.u64(owner.added_at.0);
        }
        Row::GrantSet(set) => out.grant_set(set),
        Row::Operator(operator) => out.operator(operator),
        Row::Service(service) => out.service(service),
        Row::Node(node) => out.node(node),
        Row::Issuer(issuer) => out.issuer(issuer),
        Row::Suspension(subject, record) => {
            out.subject(subject);
            out.u64(record.since.0);
            out.u64(record.asked_ms);
        }
        Row::Watermark(subject, revision) => {
            out.subject(subject);
            out.u64(revision.0);
        }
        Row::RevokedToken(token) => out.fixed(token.as_bytes()),
        Row::Request(key, record) => out.request(key, record),
    }
    out.0
}

struct Bytes(Vec<u8>);

impl Bytes {
    fn u8(&mut self, number: u8) {
        self.0.push(number);
    }

    fn u32(&mut self, number: u32) {
        self.0.extend_from_slice(&number.to_be_bytes());
    }

    fn u64(&mut self, number: u64) {
        self.0.extend_from_slice(&number.to_be_bytes());
    }

    fn flag(&mut self, flag: bool) {
        self.u8(u8::from(flag));
    }

    /// Bytes whose number their kind fixes.
    fn fixed(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    /// Every list is bounded far below 2^32.
    fn length(&mut self, length: usize) {
        self.u32(u32::try_from(length).unwrap_or(u32::MAX));
    }

    fn text(&mut self, text: &str) {
        self.length(text.len());
        self.fixed(text.as_bytes());
    }

    fn shown(&mut self, value: &impl Display) {
        self.text(&value.to_string());
    }

    fn list<T>(&mut self, list: &[T], mut each: impl FnMut(&mut Self, &T)) {
        self.length(list.len());
        for item in list {
            each(self, item);
        }
    }

    fn subject(&mut self, subject: &Subject) {
        match subject {
            Subject::Agent(id) => {
                self.u8(1);
                self.text(id.as_str());
            }
            Subject::Owner(name) => {
                self.u8(2);
                self.text(name.as_str());
            }
            Subject::GrantSet(name) => {
                self.u8(3);
                self.text(name.as_str());
            }
            Subject::Everything => self.u8(4),
        }
    }

    fn settings(&mut self, settings: &Settings) {
        self.text(settings.trust_domain.as_str());
        self.text(&settings.issuer_url);
        for number in [
            settings.freshness_ms,
            settings.rho_percent,
            settings.tick_ms,
            settings.heartbeat_ms,
            settings.election_min_ms,
            settings.election_max_ms,
            settings.v_default_ms,
            settings.v_max_ms,
            settings.leeway_s,
            settings.ttl_default_s,
            settings.ttl_cap_s,
            settings.jwks_max_age_s,
            settings.epoch_s,
        ] {
            self.u64(number);
        }
        self.u8(match settings.records_when_behind {
            WhenBehind::Refuse => 1,
            WhenBehind::Drop => 2,
        });
        let former = &settings.former;
        for number in [
            former.since.0,
            former.freshness_ms,
            former.v_max_ms,
            former.jwks_max_age_s,
        ] {
            self.u64(number);
        }
    }

    fn grants(&mut self, grants: &[Grant]) {
        self.list(grants, |out, grant| {
            out.shown(&grant.audience);
            out.list(&grant.scopes, |out, scope| out.shown(scope));
            out.u32(grant.max_ttl_seconds);
            out.flag(grant.bearer);
        });
    }

    fn agent(&mut self, agent: &AgentRecord) {
        self.text(agent.id.as_str());
        self.list(&agent.owners, |out, owner| out.text(owner.as_str()));
        self.list(&agent.keys, |out, key| out.fixed(key.as_bytes()));
        self.grants(&agent.grants);
        self.list(&agent.grant_sets, |out, set| out.text(set.as_str()));
        self.u32(agent.limits.rate);
        self.u64(agent.expires_at);
        self.text(&agent.description);
        self.u64(agent.registered_at.0);
        self.u64(agent.changed_at.0);
    }

    fn grant_set(&mut self, set: &GrantSetRecord) {
        self.text(set.name.as_str());
        self.grants(&set.grants);
        self.u64(set.changed_at.0);
        self.u64(set.asked_ms);
    }

    fn operator(&mut self, operator: &OperatorRecord) {
        self.text(operator.name.as_str());
        self.u8(operator.roles.bits());
        self.list(&operator.keys, |out, key| out.fixed(key.as_bytes()));
        self.u64(operator.expires_at);
        self.u64(operator.added_at.0);
        self.u64(operator.asked_ms);
    }

    fn service(&mut self, service: &ServiceRecord) {
        self.text(service.name.as_str());
        self.list(&service.audiences, |out, audience| {
            out.text(audience.as_str())
        });
        self.list(&service.keys, |out, key| out.fixed(key.as_bytes()));
        self.u64(service.added_at.0);
        self.u64(service.asked_ms);
    }

    fn node(&mut self, node: &NodeRecord) {
        self.u64(node.number.0);
        self.text(&node.name);
        self.text(&node.api_address);
        self.text(&node.peer_address);
        self.length(node.peer_key.spki().len());
        self.fixed(node.peer_key.spki());
        self.flag(node.check_only);
        self.flag(node.barred);
        self.flag(node.retiring);
        self.flag(node.votes);
        self.flag(node.lead_asked_at.is_some());
        self.u64(node.lead_asked_at.map_or(0, |at| at.0));
        self.flag(node.newest_issuer.is_some());
        self.u32(node.newest_issuer.map_or(0, |number| number.0));
        self.u64(node.admitted_at.0);
        self.flag(node.removed_at.is_some());
        self.u64(node.removed_at.map_or(0, |at| at.0));
    }

    fn issuer(&mut self, issuer: &IssuerRecord) {
        self.u32(issuer.number.0);
        self.u64(issuer.node.0);
        self.u64(issuer.epoch.0);
        self.u64(issuer.process);
        self.fixed(issuer.key.as_bytes());
        self.u64(issuer.opened_at.0);
        self.u64(issuer.expiry_ms);
        let (standing, since) = match issuer.standing {
            IssuerStanding::Open => (1, 0),
            IssuerStanding::Retired(at) => (2, at.0),
            IssuerStanding::Revoked(at) => (3, at.0),
        };
        self.u8(standing);
        self.u64(since);
    }

    fn actor(&mut self, actor: &Actor) {
        match actor {
            Actor::Operator(name) => {
                self.u8(1);
                self.text(name.as_str());
            }
            Actor::Service(name) => {
                self.u8(2);
                self.text(name.as_str());
            }
            Actor::Agent(id) => {
                self.u8(3);
                self.text(id.as_str());
            }
            Actor::Node(number) => {
                self.u8(4);
                self.u64(number.0);
            }
            Actor::Birth => self.u8(5),
        }
    }

    /// A refusal counts by its code alone: what it is about follows from the
    /// command, and its wording may differ between versions.
    fn request(&mut self, key: &RequestKey, record: &RequestRecord) {
        self.u64(key.id.time_ms);
        self.fixed(&key.id.random);
        self.actor(&key.actor);
        self.fixed(&record.digest);
        self.u64(record.revision.0);
        match &record.outcome {
            Ok(answer) => self.answer(answer),
            Err(rejection) => {
                self.u8(0);
                self.text(rejection.code());
            }
        }
    }

    fn answer(&mut self, answer: &Answer) {
        match answer {
            Answer::Nothing => self.u8(1),
            Answer::Agent(id) => {
                self.u8(2);
                self.text(id.as_str());
            }
            Answer::Node(number) => {
                self.u8(3);
                self.u64(number.0);
            }
            Answer::Issuer(number) => {
                self.u8(4);
                self.u32(number.0);
            }
            Answer::Epoch(number) => {
                self.u8(5);
                self.u64(number.0);
            }
            Answer::Issuers(numbers) => {
                self.u8(6);
                self.list(numbers, |out, number| out.u32(number.0));
            }
            Answer::HeldKilled(killed) => {
                self.u8(7);
                self.flag(*killed);
            }
            Answer::MayMintAnew(may) => {
                self.u8(8);
                self.flag(*may);
            }
            Answer::Expired(count) => {
                self.u8(9);
                self.u32(*count);
            }
        }
    }
}
