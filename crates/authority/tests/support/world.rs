//! One state, fed by named actors.

use std::collections::BTreeSet;

use chancery_authority::{
    Actor, Answer, Command, Event, Foreseen, Meta, OpenIssuer, Reason, Rejection, RequestId, Row,
    Stamp, Stamped, State, Table, open_issuer_message,
};
use chancery_credential::{
    EpochNumber, IssuerNumber, KeyThumbprint, NodeNumber, PeerSigningKey, Revision, SigningKey,
};

use super::{
    Consumers, DAWN_MS, LINEAGE, agent_id, answer, birth, key, later_peer_key, peer_key, principal,
    signing_key,
};

/// A state, the log that led to it, and a clock that the test moves.
pub struct World {
    pub state: State,
    pub log: Vec<(Revision, Stamped)>,
    pub now_ms: u64,
    /// What a node publishes to.
    pub consumers: Consumers,
    requests: u64,
}

impl World {
    pub fn unborn() -> Self {
        Self {
            state: State::default(),
            log: Vec::new(),
            now_ms: DAWN_MS,
            consumers: Consumers::new(),
            requests: 0,
        }
    }

    /// One node, one operator a role, no agent.
    pub fn born() -> Self {
        let mut world = Self::unborn();
        world.birth(birth()).unwrap();
        world
    }

    /// With owners alice and bob, and grant set base.
    pub fn furnished() -> Self {
        let mut world = Self::born();
        for name in ["alice", "bob"] {
            let name = name.parse().unwrap();
            let description = String::new();
            world.must("rita", Command::AddOwner { name, description });
        }
        world.must(
            "rita",
            Command::PutGrantSet {
                name: "base".parse().unwrap(),
                grants: vec![super::grant("mail:send")],
                keep_held: false,
            },
        );
        world
    }

    pub fn birth(&mut self, birth: chancery_authority::Birth) -> Result<Vec<Event>, Rejection> {
        let mut stamped = self.stamped(Actor::Birth, None, Command::Birth(birth));
        stamped.meta.authorised_at = Revision(0);
        self.apply(stamped)
    }

    /// `operator`, `agent:name`, `service:name`, `node:number`.
    pub fn actor(name: &str) -> (Actor, Option<KeyThumbprint>) {
        match name.split_once(':') {
            None => (Actor::Operator(principal(name)), Some(key(name))),
            Some(("agent", id)) => (Actor::Agent(agent_id(id)), Some(key(id))),
            Some(("service", name)) => (Actor::Service(principal(name)), Some(key(name))),
            Some(("node", number)) => (Actor::Node(NodeNumber(number.parse().unwrap())), None),
            Some(_) => panic!("no actor {name}"),
        }
    }

    /// A command of a named actor, as a new request.
    pub fn by(&mut self, name: &str, command: Command) -> Result<Vec<Event>, Rejection> {
        let (actor, key) = Self::actor(name);
        let stamped = self.stamped(actor, key, command);
        self.apply(stamped)
    }

    pub fn must(&mut self, name: &str, command: Command) -> Answer {
        let shown = format!("{name}: {command:?}");
        match self.by(name, command) {
            Ok(events) => answer(&events),
            Err(rejection) => panic!("{shown}: {rejection}"),
        }
    }

    pub fn refused(&mut self, name: &str, command: Command) -> Reason {
        let shown = format!("{name}: {command:?}");
        match self.by(name, command) {
            Ok(events) => panic!("{shown}: {events:?}"),
            Err(rejection) => rejection.reason(),
        }
    }

    pub fn stamped(
        &mut self,
        actor: Actor,
        key: Option<KeyThumbprint>,
        command: Command,
    ) -> Stamped {
        self.requests += 1;
        let mut random = [0; 16];
        random[..8].copy_from_slice(&self.requests.to_be_bytes());
        let via = match actor {
            Actor::Node(number) => number,
            _ => self.doorway(),
        };
        let digest = KeyThumbprint::of_spki(format!("{command:?}").as_bytes());
        Stamped {
            command,
            meta: Meta {
                actor,
                key,
                via,
                authorised_at: self.state.revision(),
                reason: "a test".to_owned(),
                request: RequestId {
                    time_ms: self.now_ms,
                    random,
                },
                digest: *digest.as_bytes(),
            },
            stamp: Stamp {
                time_ms: self.now_ms,
                entropy: [7; 32],
            },
        }
    }

    /// The node that a caller who has the choice would use.
    fn doorway(&self) -> NodeNumber {
        let stands = (self.state.nodes()).find(|node| !node.barred && node.removed_at.is_none());
        stands.map_or(NodeNumber(1), |node| node.number)
    }

    /// A command of a named actor that came by this node.
    pub fn through(&mut self, via: u64, name: &str, command: Command) -> Stamped {
        let (actor, key) = Self::actor(name);
        let mut stamped = self.stamped(actor, key, command);
        stamped.meta.via = NodeNumber(via);
        stamped
    }

    /// Undoes a bar, with the next of the node's peer keys.
    pub fn readmit(&mut self, number: u64) {
        let times = (0..).find(|times| {
            let key = later_peer_key(number, *times).public().thumbprint();
            self.state.holder(&key).is_some()
        });
        let peer_key = later_peer_key(number, times.unwrap() + 1).public().clone();
        let node = NodeNumber(number);
        self.must("root", Command::ReadmitNode { node, peer_key });
    }

    /// Applies at the next revision, and checks what every command has to leave
    /// behind.
    pub fn apply(&mut self, stamped: Stamped) -> Result<Vec<Event>, Rejection> {
        let revision = Revision(self.state.revision().0 + 1);
        let before = self.state.clone();
        self.state.take_changed_rows();
        let foreseen = before.foresee(&stamped);
        let outcome = self.state.apply(revision, &stamped);
        check_foresight(&before, &self.state, &foreseen, &outcome, &stamped);
        self.log.push((revision, stamped));
        self.state.validate().unwrap();
        self.check_changed_rows(&before);
        match &outcome {
            Ok(events) => {
                self.consumers.publish(&self.state, revision, events);
                answer(events);
            }
            Err(rejection) => check_rejection(&before, &self.state, rejection),
        }
        outcome
    }

    /// Writing the rows that are said to have changed, and no others, to a copy of
    /// the state before makes the state after.
    fn check_changed_rows(&mut self, before: &State) {
        let changed: BTreeSet<_> = self.state.clone().take_changed_rows().into_iter().collect();
        let mut copy = State::default();
        let unchanged = before.rows().filter(|row| !changed.contains(&row.key()));
        let written = changed.iter().filter_map(|key| self.state.row(key));
        unchanged.chain(written).for_each(|row| copy.load_row(row));
        assert!(
            copy == self.state,
            "the changed rows are not all: {changed:?}"
        );
        assert_eq!(copy.digest(), self.state.digest());
    }

    /// A request of a process for the newest epoch, proved.
    pub fn open_request(&self, node: u64, process: u64, key: &SigningKey) -> OpenIssuer {
        let node = NodeNumber(node);
        let former = self.state.node(node).and_then(|node| node.newest_issuer);
        let epoch = self
            .state
            .epoch()
            .map_or(EpochNumber(1), |epoch| epoch.number);
        Self::proved_by(&self.peer_key(node), node, epoch, process, former, key)
    }

    /// The peer key that the node has now; its first, if it is not admitted.
    fn peer_key(&self, node: NodeNumber) -> PeerSigningKey {
        let mut later = (0..10).map(|times| later_peer_key(node.0, times));
        let own = later
            .find(|key| (self.state.node(node)).is_some_and(|node| node.peer_key == *key.public()));
        own.unwrap_or_else(|| peer_key(node.0))
    }

    /// Signed by the node's first peer key.
    pub fn proved(
        node: NodeNumber,
        epoch: EpochNumber,
        process: u64,
        former: Option<IssuerNumber>,
        key: &SigningKey,
    ) -> OpenIssuer {
        Self::proved_by(&peer_key(node.0), node, epoch, process, former, key)
    }

    fn proved_by(
        peer_key: &PeerSigningKey,
        node: NodeNumber,
        epoch: EpochNumber,
        process: u64,
        former: Option<IssuerNumber>,
        key: &SigningKey,
    ) -> OpenIssuer {
        let keys = vec![key.public()];
        let message = open_issuer_message(LINEAGE, node, epoch, process, former, &keys);
        OpenIssuer {
            node,
            epoch,
            process,
            former,
            keys,
            peer_signature: peer_key.sign(&message),
            key_signatures: vec![key.sign(&message).to_vec()],
        }
    }

    /// Opens an issuer with the signing key that has the number of the log entry.
    pub fn open_issuer(&mut self, node: u64, process: u64) -> IssuerNumber {
        let signing = signing_key(self.state.revision().0);
        let request = self.open_request(node, process, &signing);
        match self.must(&format!("node:{node}"), Command::OpenIssuer(request)) {
            Answer::Issuer(number) => {
                self.consumers.signers.insert(number, signing);
                number
            }
            other => panic!("{other:?}"),
        }
    }

    /// A token of the agent, as a node would mint it; or why it would not.
    pub fn mint(&self, agent: &str, issuer: IssuerNumber) -> Result<String, String> {
        self.consumers.mint(agent, issuer, self.now_ms / 1_000)
    }

    /// `VALID`, or the code of the refusal.
    pub fn judge(&self, token: &str) -> &'static str {
        self.consumers.judge(token, self.now_ms / 1_000)
    }

    pub fn pass_ms(&mut self, ms: u64) {
        self.now_ms += ms;
    }
}

/// What was foreseen is what came.
fn check_foresight(
    before: &State,
    after: &State,
    foreseen: &Foreseen,
    outcome: &Result<Vec<Event>, Rejection>,
    stamped: &Stamped,
) {
    let recorded = |state: &State| {
        let key = chancery_authority::RequestKey {
            id: stamped.meta.request,
            actor: stamped.meta.actor.clone(),
        };
        state
            .row(&chancery_authority::RowKey::Request(key))
            .is_some()
    };
    match (foreseen, outcome) {
        (Foreseen::Open, Ok(_)) => {}
        // What nobody looks at before the log.
        (Foreseen::Open, Err(rejection)) => {
            let reason = rejection.reason();
            let unforeseen = matches!(
                reason,
                Reason::NotBorn
                    | Reason::AlreadyBorn
                    | Reason::AuthorisedAhead
                    | Reason::RequestsFull
            );
            let birth = matches!(stamped.command, Command::Birth(_) | Command::Tick);
            assert!(unforeseen || birth, "{rejection} was not foreseen");
        }
        (Foreseen::Decided { revision, outcome }, Ok(events)) => {
            let answer = outcome.clone().unwrap();
            let revision = *revision;
            assert_eq!(events.last(), Some(&Event::Answer { revision, answer }));
        }
        (Foreseen::Decided { outcome, .. }, Err(rejection)) => {
            assert_eq!(outcome.as_ref(), Err(rejection));
        }
        (
            Foreseen::Rejected {
                rejection,
                remembered,
            },
            outcome,
        ) => {
            assert_eq!(outcome.as_ref(), Err(rejection));
            let now = recorded(after) && !recorded(before);
            assert_eq!(*remembered, now, "{rejection}");
        }
    }
}

/// A rejection moved the clock and was recorded. Nothing else is new, and nothing
/// that anybody can reach is gone.
fn check_rejection(before: &State, after: &State, rejection: &Rejection) {
    let counted = |row: &Row| !matches!(row.key().table(), Table::Clock | Table::Request);
    let reachable = |row: &Row| match row {
        Row::Watermark(_, revision) => *revision > before.floor(),
        Row::RevokedToken(token) => before.issuer(token.issuer()).is_some(),
        _ => true,
    };
    let rows =
        |state: &State| -> Vec<Row> { state.rows().filter(counted).filter(reachable).collect() };
    assert!(rows(before) == rows(after), "{rejection} changed something");
}
