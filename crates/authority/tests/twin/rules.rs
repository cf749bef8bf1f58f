//! What each command demands and does, for the twin.

use std::collections::BTreeSet;

use chancery_authority::{
    Actor, AgentSpec, Answer, Command, OpenIssuer, Reason, Role, Seat, Stamped,
};
use chancery_credential::{EpochNumber, Grant, IssuerNumber, NodeNumber, Subject, TokenId};

use crate::model::{Issuer, Kill, Node, Outcome, Refusals, Standing, Twin};

pub fn refuse(rules: &[(bool, Reason)]) -> Result<(), Refusals> {
    let broken = rules.iter().filter(|(broken, _)| *broken);
    let broken: Refusals = broken.map(|(_, reason)| *reason).collect();
    if broken.is_empty() {
        Ok(())
    } else {
        Err(broken)
    }
}

impl Twin {
    pub fn decide(&mut self, stamped: &Stamped) -> Outcome {
        self.authorise(stamped)?;
        let actor = &stamped.meta.actor;
        let asked_ms = stamped.meta.request.time_ms;
        match &stamped.command {
            Command::Tick => Ok(Answer::Nothing),
            Command::RegisterAgent(spec) => self.register(spec),
            Command::UpdateAgent {
                spec, keep_held, ..
            } => self.update(spec, *keep_held),
            Command::RemoveAgent(id) => {
                refuse(&[(!self.agents.contains_key(id), Reason::AgentUnknown)])?;
                self.agents.remove(id);
                self.kill(Subject::Agent(id.clone()));
                Ok(Answer::Nothing)
            }
            Command::Suspend(subject) => {
                self.must_know(subject)?;
                let asked = asked_ms.max(self.time_ms.saturating_sub(2_000));
                let stands = self.suspended.entry(subject.clone()).or_default();
                *stands = asked.max(*stands);
                self.kill(subject.clone());
                Ok(Answer::Nothing)
            }
            Command::Resume(subject) => {
                match self.suspended.get(subject) {
                    Some(stands) => refuse(&[(asked_ms < *stands, Reason::AskedBefore)])?,
                    None => self.must_know(subject)?,
                }
                self.suspended.remove(subject);
                Ok(self.may_mint_anew(subject))
            }
            Command::RevokeHeld(subject) => self.revoke_held(subject),
            Command::RevokeToken { token, .. } => self.revoke_token(*token),
            Command::AddOwner { name, .. } => {
                refuse(&[(self.owners.contains(name), Reason::OwnerExists)])?;
                self.owners.insert(name.clone());
                Ok(Answer::Nothing)
            }
            Command::PutGrantSet {
                name,
                grants,
                keep_held,
            } => {
                let asked = asked_ms.max(self.time_ms.saturating_sub(2_000));
                if let Some(stands) = self.sets_asked.get(name) {
                    refuse(&[(asked_ms < *stands, Reason::AskedBefore)])?;
                }
                let stands = self.sets_asked.entry(name.clone()).or_default();
                *stands = asked.max(*stands);
                let former = self.sets.insert(name.clone(), grants.clone());
                let kill = !keep_held && former.is_some_and(|former| takes_away(&former, grants));
                if kill {
                    self.kill(Subject::GrantSet(name.clone()));
                }
                Ok(Answer::HeldKilled(kill))
            }
            Command::RemoveGrantSet(name) => {
                let mut specs = self.agents.values();
                let used = specs.any(|spec| spec.grant_sets.contains(name));
                refuse(&[
                    (!self.sets.contains_key(name), Reason::GrantSetUnknown),
                    (used, Reason::GrantSetInUse),
                ])?;
                self.sets.remove(name);
                self.sets_asked.remove(name);
                self.kill(Subject::GrantSet(name.clone()));
                Ok(Answer::Nothing)
            }
            Command::OpenEpoch { .. } => self.open_epoch(actor),
            Command::OpenIssuer(request) => self.open_issuer(request),
            Command::RetireIssuer(number) => self.retire_issuer(actor, *number),
            Command::ExpireIssuer(number) => self.expire_issuer(*number),
            Command::RevokeIssuer(number) => {
                self.must_be_unexpired(*number)?;
                Ok(self.revoke(|at, _| at == number.0))
            }
            Command::RevokeEpoch(EpochNumber(epoch)) => {
                refuse(&[(*epoch == 0 || *epoch > self.epoch, Reason::EpochUnknown)])?;
                let answer = self.revoke(|_, issuer| issuer.epoch == *epoch);
                if *epoch == self.epoch {
                    self.next_epoch();
                }
                Ok(answer)
            }
            Command::RaiseFloor(floor) => self.raise_floor(floor.0),
            Command::ExpireRegistrations => Ok(self.expire_registrations()),
            Command::CompareState { at, .. } => {
                refuse(&[(at.0 >= self.revision, Reason::ComparedAhead)])?;
                Ok(Answer::Nothing)
            }
            other => self.decide_on_people_and_nodes(other, asked_ms),
        }
    }

    fn decide_on_people_and_nodes(&mut self, command: &Command, asked_ms: u64) -> Outcome {
        match command {
            Command::AddOperator(spec) => {
                let mut broken = self.keys_broken(&spec.keys, None);
                broken.push((
                    self.operators.contains_key(&spec.name),
                    Reason::OperatorExists,
                ));
                broken.push((self.has_ended(spec.expires_at), Reason::ExpiryPast));
                refuse(&broken)?;
                self.operators.insert(spec.name.clone(), spec.clone());
                let stands = asked_ms.max(self.time_ms.saturating_sub(2_000));
                self.operators_asked.insert(spec.name.clone(), stands);
            }
            Command::UpdateOperator(change) => self.update_operator(change, asked_ms)?,
            Command::UpdateService(change) => self.update_service(change, asked_ms)?,
            Command::RemoveOperator(name) => {
                refuse(&[(!self.operators.contains_key(name), Reason::OperatorUnknown)])?;
                let lasting = self.operators.values().any(|operator| {
                    operator.name != *name
                        && operator.roles.contains(Role::Keeper)
                        && operator.expires_at == 0
                });
                refuse(&[(!lasting, Reason::LastKeeper)])?;
                self.operators.remove(name);
            }
            Command::AddService(spec) => {
                let mut broken = self.keys_broken(&spec.keys, None);
                broken.push((
                    self.services.contains_key(&spec.name),
                    Reason::ServiceExists,
                ));
                refuse(&broken)?;
                self.services.insert(spec.name.clone(), spec.clone());
                let stands = asked_ms.max(self.time_ms.saturating_sub(2_000));
                self.services_asked.insert(spec.name.clone(), stands);
            }
            Command::RemoveService(name) => {
                refuse(&[(!self.services.contains_key(name), Reason::ServiceUnknown)])?;
                self.services.remove(name);
            }
            Command::AdmitNode(spec) => {
                let named =
                    (self.nodes.iter()).any(|node| node.spec.name == spec.name && !node.removed);
                let held = self.holder(&spec.peer_key.thumbprint()).is_some();
                refuse(&[(named, Reason::NodeExists), (held, Reason::KeyInUse)])?;
                self.nodes.push(Node {
                    spec: spec.clone(),
                    barred: false,
                    retiring: false,
                    removed: false,
                    votes: false,
                });
                return Ok(Answer::Node(NodeNumber(self.nodes.len() as u64)));
            }
            Command::RevokeNode(number) => {
                self.must_know_node(*number)?;
                self.nodes[number.0 as usize - 1].barred = true;
                return Ok(self.revoke(|_, issuer| issuer.node == number.0));
            }
            Command::RetireNode(number) => {
                self.must_know_node(*number)?;
                let node = &mut self.nodes[number.0 as usize - 1];
                refuse(&[(node.removed, Reason::NodeRemoved)])?;
                node.retiring = true;
                node.votes = false;
                return Ok(self.retire(|issuer| issuer.node == number.0));
            }
            Command::ReadmitNode { node, peer_key } => {
                self.must_know_node(*node)?;
                let holder = self.holder(&peer_key.thumbprint());
                let own = holder == Some(Actor::Node(*node).to_string());
                let record = &mut self.nodes[node.0 as usize - 1];
                refuse(&[
                    (record.removed, Reason::NodeRemoved),
                    (!record.barred && !record.retiring, Reason::NodeStands),
                    (own, Reason::PeerKeyUnchanged),
                    (!own && holder.is_some(), Reason::KeyInUse),
                ])?;
                (record.barred, record.retiring) = (false, false);
                record.spec.peer_key = peer_key.clone();
            }
            Command::SetSettings(change) => {
                let mut next = self.settings.clone().unwrap();
                // The one setting that these histories change.
                next.ttl_cap_s = change.ttl_cap_s.unwrap_or(next.ttl_cap_s);
                refuse(&[(next.check().is_err(), Reason::SettingsUnsound)])?;
                for issuer in &mut self.issuers {
                    if matches!(issuer.standing, Standing::Open | Standing::Retired(_)) {
                        issuer.outlives.push(next.clone());
                    }
                }
                self.settings = Some(next);
            }
            Command::SeatNode { node, seat } => {
                self.must_know_node(*node)?;
                let node = &mut self.nodes[node.0 as usize - 1];
                let votes = *seat != Seat::Learner;
                refuse(&[
                    (node.removed, Reason::NodeRemoved),
                    (votes && (node.barred || node.retiring), Reason::NodeLeaving),
                    (votes && node.spec.check_only, Reason::CheckOnlyVoter),
                ])?;
                node.votes = votes;
            }
            Command::RemoveNode { node, key } => {
                self.must_know_node(*node)?;
                let node = &mut self.nodes[node.0 as usize - 1];
                refuse(&[
                    (!node.barred && !node.retiring, Reason::NodeNotLeaving),
                    (
                        node.spec.peer_key.thumbprint() != *key,
                        Reason::NodeReadmitted,
                    ),
                ])?;
                node.removed = true;
            }
            other => panic!("not in these histories: {other:?}"),
        }
        Ok(Answer::Nothing)
    }

    fn register(&mut self, spec: &AgentSpec) -> Outcome {
        let mut broken = self.agent_broken(spec);
        broken.push((self.agents.contains_key(&spec.id), Reason::AgentExists));
        refuse(&broken)?;
        self.agents.insert(spec.id.clone(), spec.clone());
        Ok(Answer::Agent(spec.id.clone()))
    }

    fn update(&mut self, spec: &AgentSpec, keep_held: bool) -> Outcome {
        let Some(former) = self.agents.get(&spec.id).cloned() else {
            return Err(Refusals::from([Reason::AgentUnknown]));
        };
        refuse(&self.agent_broken(spec))?;
        let set = |spec: &AgentSpec| -> [BTreeSet<String>; 3] {
            [
                spec.owners.iter().map(ToString::to_string).collect(),
                spec.keys.iter().map(ToString::to_string).collect(),
                spec.grant_sets.iter().map(ToString::to_string).collect(),
            ]
        };
        let ([owners, keys, sets], [old_owners, old_keys, old_sets]) = (set(spec), set(&former));
        let tighter = |new: u64, old: u64| new != 0 && (old == 0 || new < old);
        let narrowed = owners != old_owners
            || !keys.is_superset(&old_keys)
            || !sets.is_superset(&old_sets)
            || takes_away(&former.grants, &spec.grants)
            || tighter(spec.limits.rate.into(), former.limits.rate.into())
            || tighter(spec.expires_at, former.expires_at);
        self.agents.insert(spec.id.clone(), spec.clone());
        let kill = narrowed && !keep_held;
        if kill {
            self.kill(Subject::Agent(spec.id.clone()));
        }
        Ok(Answer::HeldKilled(kill))
    }

    fn revoke_held(&mut self, subject: &Subject) -> Outcome {
        self.must_know(subject)?;
        self.kill(subject.clone());
        Ok(self.may_mint_anew(subject))
    }

    fn may_mint_anew(&self, subject: &Subject) -> Answer {
        let kept_down = match subject {
            Subject::Agent(id) => self.is_kept_down(id),
            other => self.suspended.contains_key(other),
        };
        let everything = self.suspended.contains_key(&Subject::Everything);
        Answer::MayMintAnew(!kept_down && !everything)
    }

    fn revoke_token(&mut self, token: TokenId) -> Outcome {
        self.must_be_unexpired(token.issuer())?;
        self.kills.push(Kill::Token(token));
        Ok(Answer::Nothing)
    }

    fn open_epoch(&mut self, actor: &Actor) -> Outcome {
        let length_ms = self
            .settings
            .as_ref()
            .map_or(0, |settings| settings.epoch_s * 1_000);
        let early = self.time_ms < self.epoch_opened_ms + length_ms;
        let mut live: BTreeSet<u64> = self.unexpired().map(|(_, issuer)| issuer.epoch).collect();
        live.insert(self.epoch);
        refuse(&[
            (
                matches!(actor, Actor::Node(_)) && early,
                Reason::EpochNotDue,
            ),
            (live.len() >= 16, Reason::EpochsFull),
        ])?;
        self.next_epoch();
        Ok(Answer::Epoch(EpochNumber(self.epoch)))
    }

    fn next_epoch(&mut self) {
        self.epoch += 1;
        self.epoch_opened_ms = self.time_ms;
    }

    fn open_issuer(&mut self, request: &OpenIssuer) -> Outcome {
        self.must_know_node(request.node)?;
        let node = &self.nodes[request.node.0 as usize - 1];
        let key = request.keys[0];
        let message = message(self.lineage, request);
        let newest = self.newest_of(request.node.0).map(IssuerNumber);
        let own = self
            .unexpired()
            .filter(|(_, issuer)| issuer.node == request.node.0);
        refuse(&[
            (node.retiring, Reason::NodeRetiring),
            (node.spec.check_only, Reason::NodeCheckOnly),
            (request.epoch.0 != self.epoch, Reason::EpochNotNewest),
            (request.former != newest, Reason::FormerNotNewest),
            (own.count() >= 32, Reason::IssuersFull),
            (
                self.unexpired().any(|(_, issuer)| issuer.key == key),
                Reason::IssuerKeyInUse,
            ),
            (
                !node.spec.peer_key.verify(&message, &request.peer_signature),
                Reason::PeerProofWrong,
            ),
            (
                !key.verify(&message, &request.key_signatures[0]),
                Reason::KeyProofWrong,
            ),
        ])?;
        self.retire(|issuer| {
            issuer.node == request.node.0
                && !(issuer.process == request.process && issuer.epoch < request.epoch.0)
        });
        self.issuers.push(Issuer {
            node: request.node.0,
            epoch: request.epoch.0,
            process: request.process,
            key,
            opened_at: self.revision,
            ended_at: 0,
            outlives: self.settings.iter().cloned().collect(),
            standing: Standing::Open,
        });
        Ok(Answer::Issuer(IssuerNumber(self.issuers.len() as u32)))
    }

    fn retire_issuer(&mut self, actor: &Actor, number: IssuerNumber) -> Outcome {
        self.must_be_unexpired(number)?;
        let issuer = &self.issuers[number.0 as usize - 1];
        let own = *actor == Actor::Node(NodeNumber(issuer.node));
        refuse(&[(!own && issuer.epoch == self.epoch, Reason::IssuerInForce)])?;
        let (node, opened_at) = (issuer.node, issuer.opened_at);
        self.retire(|issuer| issuer.node == node && issuer.opened_at == opened_at);
        Ok(Answer::Nothing)
    }

    fn expire_issuer(&mut self, number: IssuerNumber) -> Outcome {
        self.must_be_unexpired(number)?;
        let issuer = &mut self.issuers[number.0 as usize - 1];
        refuse(&[(issuer.standing == Standing::Open, Reason::IssuerStillOpen)])?;
        issuer.standing = Standing::Expired;
        Ok(Answer::Nothing)
    }

    fn retire(&mut self, which: impl Fn(&Issuer) -> bool) -> Answer {
        let mut retired = Vec::new();
        for (number, issuer) in (1..).zip(&mut self.issuers) {
            if issuer.standing == Standing::Open && which(issuer) {
                issuer.standing = Standing::Retired(self.revision);
                issuer.ended_at = self.revision;
                retired.push(IssuerNumber(number));
            }
        }
        Answer::Issuers(retired)
    }

    fn revoke(&mut self, which: impl Fn(u32, &Issuer) -> bool) -> Answer {
        let mut revoked = Vec::new();
        for (number, issuer) in (1..).zip(&mut self.issuers) {
            let alive = matches!(issuer.standing, Standing::Open | Standing::Retired(_));
            if alive && which(number, issuer) {
                issuer.standing = Standing::Revoked;
                issuer.ended_at = self.revision;
                revoked.push(IssuerNumber(number));
            }
        }
        Answer::Issuers(revoked)
    }

    /// To a revision that the state shows to have changed what is in force.
    fn raise_floor(&mut self, floor: u64) -> Outcome {
        let killed = self.kills.iter().any(|kill| match kill {
            Kill::Held(subject, at) => *at == floor && self.watermark(subject) == Some(floor),
            Kill::Token(_) => false,
        });
        let turned = self.unexpired().any(|(_, issuer)| {
            issuer.opened_at == floor || (floor > 0 && issuer.ended_at == floor)
        });
        refuse(&[
            (floor <= self.floor, Reason::FloorNotRaised),
            (!killed && !turned, Reason::FloorNotAChange),
        ])?;
        self.floor = floor;
        Ok(Answer::Nothing)
    }

    fn expire_registrations(&mut self) -> Answer {
        let now_s = self.time_ms / 1_000;
        let ended = |expires_at: u64| expires_at != 0 && expires_at <= now_s;
        let before = self.agents.len() + self.operators.len();
        self.agents.retain(|_, agent| !ended(agent.expires_at));
        self.operators
            .retain(|_, operator| !ended(operator.expires_at));
        Answer::Expired((before - self.agents.len() - self.operators.len()) as u32)
    }

    fn kill(&mut self, subject: Subject) {
        self.kills.push(Kill::Held(subject, self.revision));
    }

    fn must_know(&self, subject: &Subject) -> Result<(), Refusals> {
        refuse(&[match subject {
            Subject::Agent(id) => (!self.agents.contains_key(id), Reason::AgentUnknown),
            Subject::Owner(name) => (!self.owners.contains(name), Reason::OwnerUnknown),
            Subject::GrantSet(name) => (!self.sets.contains_key(name), Reason::GrantSetUnknown),
            Subject::Everything => (false, Reason::NotBorn),
        }])
    }

    fn must_be_unexpired(&self, number: IssuerNumber) -> Result<(), Refusals> {
        let known = self.unexpired().any(|(unexpired, _)| unexpired == number.0);
        refuse(&[(!known, Reason::IssuerUnknown)])
    }

    fn must_know_node(&self, number: NodeNumber) -> Result<(), Refusals> {
        refuse(&[(self.node(number.0).is_none(), Reason::NodeUnknown)])
    }

    fn agent_broken(&self, spec: &AgentSpec) -> Vec<(bool, Reason)> {
        let mut broken = self.keys_broken(&spec.keys, Some(Actor::Agent(spec.id.clone())));
        let unknown_owner = spec.owners.iter().any(|owner| !self.owners.contains(owner));
        let unknown_set = spec
            .grant_sets
            .iter()
            .any(|set| !self.sets.contains_key(set));
        broken.extend([
            (spec.owners.is_empty(), Reason::OwnersCount),
            (unknown_owner, Reason::OwnerUnknown),
            (unknown_set, Reason::GrantSetUnknown),
            (self.has_ended(spec.expires_at), Reason::ExpiryPast),
        ]);
        broken
    }
}

/// Whether some former grant is covered by none of the new ones.
fn takes_away(former: &[Grant], next: &[Grant]) -> bool {
    !former
        .iter()
        .all(|old| next.iter().any(|new| new.covers(old)))
}

/// The message of an `OpenIssuer`, spelled out once more.
fn message(lineage: chancery_credential::Lineage, request: &OpenIssuer) -> Vec<u8> {
    [
        b"chancery open-issuer v1\0".as_slice(),
        &lineage.generation.to_be_bytes(),
        &lineage.random.to_be_bytes(),
        &request.node.0.to_be_bytes(),
        &request.epoch.0.to_be_bytes(),
        &request.process.to_be_bytes(),
        &1_u64.to_be_bytes(),
        &[u8::from(request.former.is_some())],
        &request.former.map_or(0, |number| number.0).to_be_bytes(),
        request.keys[0].as_bytes(),
    ]
    .concat()
}
