//! A registry for the stories of this crate's own tests: born, with one node, one
//! operator who may do everything, and what a story adds.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::sync::Arc;

use chancery_authority::{
    Actor, AgentSpec, Answer, Birth, Command, Directory, Event, Limits, Meta, NodeSpec, OpenIssuer,
    OperatorSpec, RequestId, Role, Roles, Settings, Stamp, Stamped, State, open_issuer_message,
};
use chancery_credential::{
    Grant, IssuerNumber, KeyThumbprint, Lineage, NodeNumber, PeerSigningKey, Revision, SigningKey,
    Subject,
};
use chancery_revocation::{Change, View};

const LINEAGE: Lineage = Lineage {
    generation: 1,
    random: 5,
};
/// When everything happens, unless time passes, milliseconds since the Unix epoch.
pub(crate) const NOW_MS: u64 = 1_800_000_000_000;

/// The state, and what a node publishes of it.
pub(crate) struct Story {
    pub(crate) state: State,
    pub(crate) directory: Arc<Directory>,
    pub(crate) view: Arc<View>,
    peer: PeerSigningKey,
    requests: u64,
    /// Milliseconds since the Unix epoch.
    now_ms: u64,
}

impl Story {
    pub(crate) fn born() -> Self {
        let peer = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
        let mut story = Self {
            state: State::default(),
            directory: Arc::new(Directory::new()),
            view: Arc::new(View::new(LINEAGE)),
            peer: PeerSigningKey::from_pkcs8_der(&peer.serialize_der()).unwrap(),
            requests: 0,
            now_ms: NOW_MS,
        };
        let birth = Birth {
            lineage: LINEAGE,
            settings: Settings::new("example.org".parse().unwrap(), "https://chancery.example"),
            node: NodeSpec {
                name: "node-1".into(),
                api_address: "node-1:7411".into(),
                peer_address: "node-1:7412".into(),
                peer_key: story.peer.public().clone(),
                check_only: false,
            },
            operators: vec![OperatorSpec {
                name: "root".parse().unwrap(),
                roles: Roles::of(&Role::ALL),
                keys: vec![key("root")],
                expires_at: 0,
            }],
        };
        story.apply(Actor::Birth, None, Command::Birth(birth));
        let (name, description) = ("payments".parse().unwrap(), String::new());
        story.order(Command::AddOwner { name, description });
        story
    }

    /// A command of the operator. Gives what it did, its answer last.
    pub(crate) fn order(&mut self, command: Command) -> Vec<Event> {
        let root = Actor::Operator("root".parse().unwrap());
        self.apply(root, Some(key("root")), command)
    }

    /// A command of the node.
    pub(crate) fn node(&mut self, command: Command) -> Vec<Event> {
        self.apply(Actor::Node(NodeNumber(1)), None, command)
    }

    fn apply(&mut self, actor: Actor, key: Option<KeyThumbprint>, command: Command) -> Vec<Event> {
        self.requests += 1;
        let mut random = [0; 16];
        random[..8].copy_from_slice(&self.requests.to_be_bytes());
        let revision = Revision(self.state.revision().0 + 1);
        let stamped = Stamped {
            command,
            meta: Meta {
                actor,
                key,
                via: NodeNumber(1),
                authorised_at: self.state.revision(),
                reason: "a story".to_owned(),
                request: RequestId {
                    time_ms: self.now_ms,
                    random,
                },
                digest: [0; 32],
            },
            stamp: Stamp {
                time_ms: self.now_ms,
                entropy: [7; 32],
            },
        };
        let events = self.state.apply(revision, &stamped).unwrap();
        let changes: Vec<Change> = events
            .iter()
            .filter_map(|event| match event {
                Event::View(change) => Some(change.clone()),
                _ => None,
            })
            .collect();
        self.view
            .publish_entries([(revision, changes.as_slice())], revision, || {
                self.directory.publish(&self.state, &events);
            });
        events
    }

    /// Time passes, and a tick says so.
    pub(crate) fn pass_to(&mut self, now_ms: u64) -> Vec<Event> {
        self.now_ms = now_ms;
        self.node(Command::Tick)
    }

    /// The numbers of the issuers that have not expired.
    pub(crate) fn issuers(&self) -> Vec<IssuerNumber> {
        let issuers = self.state.issuers();
        issuers.map(|issuer| issuer.number).collect()
    }

    /// An agent that ends at `expires_at`, seconds since the Unix epoch; 0: never.
    pub(crate) fn register(&mut self, name: &str, expires_at: u64) -> Subject {
        let spec = AgentSpec {
            expires_at,
            ..agent(name, Vec::new())
        };
        let subject = Subject::Agent(spec.id.clone());
        self.order(Command::RegisterAgent(spec));
        subject
    }

    /// Opens an issuer of process 1 in the newest epoch. Gives its key too.
    pub(crate) fn open_issuer(&mut self) -> (IssuerNumber, SigningKey) {
        let (opened, _) = self.open_issuer_telling();
        opened
    }

    /// The same, and what it did.
    pub(crate) fn open_issuer_telling(&mut self) -> ((IssuerNumber, SigningKey), Vec<Event>) {
        self.requests += 1;
        let seed = [u8::try_from(self.requests).unwrap(); 32];
        let signing = SigningKey::from_seed(&seed);
        let (node, process, keys) = (NodeNumber(1), 1, vec![signing.public()]);
        let epoch = self.state.epoch().unwrap().number;
        let former = self.state.node(node).unwrap().newest_issuer;
        let message = open_issuer_message(LINEAGE, node, epoch, process, former, &keys);
        let events = self.node(Command::OpenIssuer(OpenIssuer {
            node,
            epoch,
            process,
            former,
            keys,
            peer_signature: self.peer.sign(&message),
            key_signatures: vec![signing.sign(&message).to_vec()],
        }));
        match events.last() {
            Some(Event::Answer {
                answer: Answer::Issuer(number),
                ..
            }) => ((*number, signing), events),
            other => panic!("no issuer: {other:?}"),
        }
    }
}

/// A key that is named.
pub(crate) fn key(name: &str) -> KeyThumbprint {
    KeyThumbprint::of_spki(name.as_bytes())
}

/// An agent of `payments` with a key named after it.
pub(crate) fn agent(name: &str, grants: Vec<Grant>) -> AgentSpec {
    AgentSpec {
        id: format!("spiffe://example.org/{name}").parse().unwrap(),
        owners: vec!["payments".parse().unwrap()],
        keys: vec![key(name)],
        grants,
        grant_sets: Vec::new(),
        limits: Limits::default(),
        expires_at: 0,
        description: String::new(),
    }
}

/// Scopes for an audience, for at most `max_ttl_seconds`.
pub(crate) fn grant(audience: &str, scopes: &[&str], max_ttl_seconds: u32, bearer: bool) -> Grant {
    Grant {
        audience: audience.parse().unwrap(),
        scopes: scopes.iter().map(|scope| scope.parse().unwrap()).collect(),
        max_ttl_seconds,
        bearer,
    }
}
