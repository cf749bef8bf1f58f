//! The commands of a story, and their consequences in words.

use chancery_authority::{
    AgentSpec, Answer, Command, Event, Limits, OperatorSpec, Rejection, Role, Roles, Seat,
    ServiceSpec, SettingsChange,
};
use chancery_credential::{
    EpochNumber, IssuerNumber, NodeNumber, Revision, Subject, UnverifiedToken,
};
use chancery_revocation::Change;

use super::{Narrator, Words};
use crate::support::{
    self, agent_id, grant, node_spec, owner, peer_key, principal, set, signing_key,
};

impl Narrator {
    pub(super) fn command(&mut self, words: &Words<'_>) -> Vec<String> {
        let command = self.understood(words);
        let (actor, key) = support::World::actor(words.first());
        let key = words.value("key").map(|name| self.key(name)).or(key);
        let mut stamped = self.world.stamped(actor, key, command);
        if let Some(via) = words.value("via") {
            stamped.meta.via = NodeNumber(via.parse().unwrap());
        }
        let outcome = self.world.apply(stamped);
        if let Ok(events) = &outcome
            && let Answer::Issuer(number) = support::answer(events)
        {
            let signing = signing_key(words.number("key-number"));
            self.world.consumers.signers.insert(number, signing);
        }
        self.consequences(&outcome)
    }

    fn understood(&mut self, words: &Words<'_>) -> Command {
        let number = || words.word(2).parse::<u64>().unwrap();
        let issuer = || IssuerNumber(words.word(2).parse().unwrap());
        match words.word(1) {
            "tick" => Command::Tick,
            "owner" => Command::AddOwner {
                name: owner(words.word(2)),
                description: String::new(),
            },
            "set" => Command::PutGrantSet {
                name: set(words.word(2)),
                grants: words.list("grants").into_iter().map(grant).collect(),
                keep_held: words.flag("keep"),
            },
            "remove-set" => Command::RemoveGrantSet(set(words.word(2))),
            "register" => Command::RegisterAgent(self.agent(words)),
            "update" => Command::UpdateAgent {
                spec: self.agent(words),
                keep_held: words.flag("keep"),
                changed_at: None,
            },
            "remove" => Command::RemoveAgent(agent_id(words.word(2))),
            "suspend" => Command::Suspend(subject(words.word(2))),
            "resume" => Command::Resume(subject(words.word(2))),
            "revoke-held" => Command::RevokeHeld(subject(words.word(2))),
            "revoke-token" => self.revoke_token(words),
            "operator" => Command::AddOperator(self.operator(words)),
            "remove-operator" => Command::RemoveOperator(principal(words.word(2))),
            "service" => Command::AddService(ServiceSpec {
                name: principal(words.word(2)),
                audiences: words
                    .list("audiences")
                    .iter()
                    .map(|name| name.parse().unwrap())
                    .collect(),
                keys: words
                    .list("keys")
                    .into_iter()
                    .map(|name| self.key(name))
                    .collect(),
            }),
            "epoch" => Command::OpenEpoch {
                emergency: words.flag("emergency"),
            },
            "open-issuer" => self.open_issuer(words),
            "retire-issuer" => Command::RetireIssuer(issuer()),
            "expire-issuer" => Command::ExpireIssuer(issuer()),
            "revoke-issuer" => Command::RevokeIssuer(issuer()),
            "revoke-epoch" => Command::RevokeEpoch(EpochNumber(number())),
            "revoke-node" => Command::RevokeNode(NodeNumber(number())),
            "seat-node" => Command::SeatNode {
                node: NodeNumber(number()),
                seat: match words.word(3) {
                    "learner" => Seat::Learner,
                    "voter" => Seat::Voter,
                    "leader" => Seat::Leader,
                    other => panic!("no seat {other}"),
                },
            },
            "remove-node" => Command::RemoveNode {
                node: NodeNumber(number()),
                key: peer_key(words.number("peer-key")).public().thumbprint(),
            },
            "retire-node" => Command::RetireNode(NodeNumber(number())),
            "readmit-node" => Command::ReadmitNode {
                node: NodeNumber(number()),
                peer_key: peer_key(words.number("peer-key")).public().clone(),
            },
            "admit-node" => Command::AdmitNode(node_spec(number())),
            "expire-registrations" => Command::ExpireRegistrations,
            "floor" => Command::RaiseFloor(Revision(number())),
            "ttl-cap" => Command::SetSettings(SettingsChange {
                ttl_cap_s: Some(number()),
                ..SettingsChange::default()
            }),
            other => panic!("no verb {other}"),
        }
    }

    fn agent(&mut self, words: &Words<'_>) -> AgentSpec {
        let lasts_s = words.number("lasts");
        AgentSpec {
            id: agent_id(words.word(2)),
            owners: words.list("owners").into_iter().map(owner).collect(),
            keys: words
                .list("keys")
                .into_iter()
                .map(|name| self.key(name))
                .collect(),
            grants: words.list("grants").into_iter().map(grant).collect(),
            grant_sets: words.list("sets").into_iter().map(set).collect(),
            limits: Limits {
                rate: u32::try_from(words.number("rate")).unwrap(),
            },
            expires_at: match lasts_s {
                0 => 0,
                lasts_s => self.world.now_ms / 1_000 + lasts_s,
            },
            description: String::new(),
        }
    }

    fn operator(&mut self, words: &Words<'_>) -> OperatorSpec {
        let role = |name: &str| *Role::ALL.iter().find(|role| role.as_str() == name).unwrap();
        OperatorSpec {
            name: principal(words.word(2)),
            roles: words.list("roles").into_iter().map(role).collect::<Roles>(),
            keys: vec![self.key(words.word(2))],
            expires_at: 0,
        }
    }

    /// The token's agent is known to whoever verified it; `bare` says that nobody
    /// did.
    fn revoke_token(&self, words: &Words<'_>) -> Command {
        let token = UnverifiedToken::parse(&self.tokens[words.word(2)]).unwrap();
        let claims = token.claims();
        Command::RevokeToken {
            token: claims.jti,
            agent: (!words.flag("bare")).then(|| claims.sub.clone()),
        }
    }

    /// After the node's newest issuer, unless the story says after which.
    fn open_issuer(&self, words: &Words<'_>) -> Command {
        let (_, node) = words.first().split_once(':').unwrap();
        let node: u64 = words.value("for").unwrap_or(node).parse().unwrap();
        let signing = signing_key(words.number("key-number"));
        let process = words.number("process");
        let mut request = self.world.open_request(node, process, &signing);
        if let Some(former) = words.value("after") {
            let former = former.parse().ok().map(IssuerNumber);
            let node = NodeNumber(node);
            request = support::World::proved(node, request.epoch, process, former, &signing);
        }
        Command::OpenIssuer(request)
    }

    fn consequences(&self, outcome: &Result<Vec<Event>, Rejection>) -> Vec<String> {
        let now = self.world.state.revision();
        match outcome {
            Err(rejection) => vec![
                format!("  {now}: refused, {}", rejection.code()),
                format!("    {rejection}"),
            ],
            Ok(events) => {
                let (last, others) = events.split_last().unwrap();
                let told = others
                    .iter()
                    .map(|event| format!("    {}", self.event(event)));
                let answer = format!("  {now}: {}", said(last));
                std::iter::once(answer).chain(told).collect()
            }
        }
    }

    fn event(&self, event: &Event) -> String {
        match event {
            Event::View(change) => format!("view: {}", view(change)),
            Event::AgentChanged(id) => format!("agent {}", id.path()),
            Event::OwnerChanged(name) => format!("owner {name}"),
            Event::GrantSetChanged(name) => format!("grant set {name}"),
            Event::OperatorChanged(name) => format!("operator {name}"),
            Event::ServiceChanged(name) => format!("service {name}"),
            Event::KeyChanged(key) => match (self.keys.get(key), self.world.state.holder(key)) {
                (Some(name), Some(_)) => format!("key {name} is held"),
                (Some(name), None) => format!("key {name} is nobody's"),
                (None, _) => "a node's key".to_owned(),
            },
            Event::NodeChanged(number) => format!("node {number}"),
            Event::SettingsChanged => "settings".to_owned(),
            Event::EpochOpened { epoch, emergency } => match emergency {
                true => format!("epoch {epoch}, at once"),
                false => format!("epoch {epoch}, after the lead"),
            },
            Event::EverythingSuspended(suspended) => format!("everything suspended: {suspended}"),
            Event::StandingLost => "somebody lost their standing".to_owned(),
            Event::Answer { .. } => panic!("the answer is last"),
        }
    }
}

/// `agent:a` stands for the agent's whole id.
fn subject(text: &str) -> Subject {
    match text.strip_prefix("agent:") {
        Some(name) => support::agent(name),
        None => text.parse().unwrap(),
    }
}

fn said(event: &Event) -> String {
    let Event::Answer { answer, .. } = event else {
        panic!("the answer is last");
    };
    match answer {
        Answer::Nothing => "done".to_owned(),
        Answer::Agent(id) => format!("agent {id}"),
        Answer::Node(number) => format!("node {number}"),
        Answer::Issuer(number) => format!("issuer {number}"),
        Answer::Epoch(number) => format!("epoch {number}"),
        Answer::Issuers(numbers) => {
            let numbers: Vec<_> = numbers.iter().map(ToString::to_string).collect();
            format!("issuers [{}]", numbers.join(", "))
        }
        Answer::HeldKilled(true) => "done, and what was held is dead".to_owned(),
        Answer::HeldKilled(false) => "done, and what was held is as it was".to_owned(),
        Answer::Expired(count) => format!("{count} registrations expired"),
        Answer::MayMintAnew(true) => "done, and it may mint anew".to_owned(),
        Answer::MayMintAnew(false) => "done, and it may not mint anew".to_owned(),
    }
}

fn view(change: &Change) -> String {
    match change {
        Change::IssuerOpened { number, .. } => format!("issuer {number} opened"),
        Change::IssuerRetired { number, retired_at } => {
            format!("issuer {number} retired at {retired_at}")
        }
        Change::IssuerExpired(number) => format!("issuer {number} expired"),
        Change::IssuerRevoked(number) => format!("issuer {number} revoked"),
        Change::Watermark { subject, revision } => format!("watermark of {subject} is {revision}"),
        Change::TokenRevoked(_) => "a token revoked".to_owned(),
        Change::Floor(floor) => format!("floor {floor}"),
        Change::Time(_) => "time".to_owned(),
    }
}
