//! No command writes more than a bounded number of bytes, however large the state.

use std::{sync::Arc, time::Duration};

use chancery_authority::{
    Actor, AgentSpec, Answer, Birth, Command, Event, IssuerRecord, IssuerStanding, Limits,
    MAX_AGENT_GRANT_SETS, MAX_AGENT_OWNERS, MAX_DESCRIPTION_BYTES, MAX_KEYS, MAX_NODE_ISSUERS,
    MAX_NODES, Meta, NodeRecord, NodeSpec, OperatorSpec, Reason, Rejection, RequestId, RequestKey,
    RequestRecord, Role, Roles, Row, SWEPT_ROWS, Settings, Stamp, Stamped, State,
};
use chancery_credential::{
    EpochNumber, Grant, IssuerNumber, KeyThumbprint, NodeNumber, Revision, SigningKey, SpiffeId,
};

use super::cluster::{LINEAGE, new_peer_key};
use crate::{
    HistoryBounds, HistoryEntry, PeerIdentity,
    codec::{encode_key, encode_row},
    history::{chronicle::Chronicle, named},
};

/// What one command writes at most, keys and values together: what it drops of what
/// nothing can reach any more ([`SWEPT_ROWS`], whose longest keys name an agent), what
/// it changes, its entry in the history, and the entries that go for that. Of changes
/// the greatest is to revoke an epoch in which every node has all the issuers that it
/// may have.
const MOST_BYTES: usize = 12 << 20;

const NOW_MS: u64 = 1_800_000_000_000;

/// A state, and the next entry of its log.
struct World {
    state: State,
    requests: u64,
    history: Chronicle,
}

impl World {
    fn born() -> Self {
        let mut world = Self {
            state: State::default(),
            requests: 0,
            history: Chronicle::within(HistoryBounds::default()),
        };
        let operator = OperatorSpec {
            name: "root".parse().unwrap(),
            roles: Roles::of(&Role::ALL),
            keys: vec![root_key()],
            expires_at: 0,
        };
        let birth = Birth {
            lineage: LINEAGE,
            settings: Settings::new(
                "example.org".parse().unwrap(),
                "https://chancery.example.org",
            ),
            node: NodeSpec {
                name: "n1".into(),
                api_address: "127.0.0.1:1".into(),
                peer_address: "127.0.0.1:2".into(),
                peer_key: peer_key(),
                check_only: false,
            },
            operators: vec![operator],
        };
        world.write(Actor::Birth, Command::Birth(birth));
        world
    }

    /// Applies a command that is carried out, and gives the bytes that it writes.
    fn write(&mut self, actor: Actor, command: Command) -> usize {
        self.requests += 1;
        let mut random = [0; 16];
        random[..8].copy_from_slice(&self.requests.to_be_bytes());
        let key = matches!(actor, Actor::Operator(_)).then(root_key);
        let meta = Meta {
            actor,
            key,
            via: NodeNumber(1),
            authorised_at: self.state.revision(),
            reason: "a test".into(),
            request: RequestId {
                time_ms: NOW_MS,
                random,
            },
            digest: [0; 32],
        };
        let stamp = Stamp {
            time_ms: NOW_MS,
            entropy: [0; 32],
        };
        let stamped = Stamped {
            command,
            meta,
            stamp,
        };
        let next = Revision(self.state.revision().0 + 1);
        self.state.take_changed_rows();
        let named = named(&self.state, &stamped.command);
        let events = self.state.apply(next, &stamped).unwrap();
        let Some(Event::Answer { revision, answer }) = events.last() else {
            panic!("{events:?}");
        };
        let told = self.history.apply(&[HistoryEntry {
            revision: self.history.next(),
            log_time_ms: self.state.log_time_ms(),
            command: stamped.command,
            named,
            meta: stamped.meta,
            verdict: Ok(answer.clone()),
            decided_at: *revision,
        }]);
        let changed = self.state.take_changed_rows();
        let of_row = |key| {
            let value = self.state.row(key).map(|row| encode_row(&row).len());
            encode_key(key).len() + value.unwrap_or(0)
        };
        told + changed.iter().map(of_row).sum::<usize>()
    }

    /// A history of the smallest entries, all of which are beyond its bounds by now.
    fn outlive_the_history(&mut self) {
        let actors = [
            Actor::Operator("r".parse().unwrap()),
            Actor::Node(NodeNumber(1)),
            Actor::Agent("spiffe://a/b".parse().unwrap()),
        ];
        for actor in &actors {
            for _ in 0..8 {
                let done = |_| self.history.entry(actor.clone(), 1, 0);
                let done: Vec<_> = (0..500).map(done).collect();
                self.history.apply(&done);
                let refused = |_| {
                    let why = Rejection::new(Reason::OwnerUnknown, "");
                    Chronicle::refused(self.history.entry(actor.clone(), 1, 0), why)
                };
                let refused: Vec<_> = (0..500).map(refused).collect();
                self.history.apply(&refused);
            }
        }
        self.history.bind(HistoryBounds {
            bytes: 0,
            age: Duration::ZERO,
        });
    }

    fn by_root(&mut self, command: Command) -> usize {
        self.write(Actor::Operator("root".parse().unwrap()), command)
    }

    /// Requests that are long forgotten, with the longest keys that there can be.
    fn forget_requests(&mut self, count: usize) {
        for number in 0..count {
            let mut random = [0; 16];
            random[8..].copy_from_slice(&number.to_be_bytes());
            let key = RequestKey {
                id: RequestId { time_ms: 1, random },
                actor: Actor::Agent(longest_id(number)),
            };
            let record = RequestRecord {
                digest: [0; 32],
                revision: Revision(1),
                outcome: Ok(Answer::Nothing),
            };
            self.state.load_row(Row::Request(key, Arc::new(record)));
        }
    }

    /// As many nodes and issuers as there can be, all of them of the first epoch.
    fn crowd(&mut self) {
        let mut issuer = 0;
        for number in 1..=MAX_NODES as u64 {
            if number > 1 {
                let record = NodeRecord {
                    number: NodeNumber(number),
                    name: format!("n{number}").into(),
                    api_address: "127.0.0.1:1".into(),
                    peer_address: "127.0.0.1:2".into(),
                    peer_key: peer_key(),
                    check_only: false,
                    barred: false,
                    retiring: false,
                    votes: false,
                    lead_asked_at: None,
                    newest_issuer: None,
                    admitted_at: Revision(1),
                    removed_at: None,
                };
                self.state.load_row(Row::Node(Arc::new(record)));
            }
            for _ in 0..MAX_NODE_ISSUERS {
                issuer += 1;
                let mut seed = [0; 32];
                seed[..4].copy_from_slice(&u32::to_be_bytes(issuer));
                let record = IssuerRecord {
                    number: IssuerNumber(issuer),
                    node: NodeNumber(number),
                    epoch: EpochNumber(1),
                    process: u64::MAX,
                    key: SigningKey::from_seed(&seed).public(),
                    opened_at: Revision(1),
                    expiry_ms: 1,
                    standing: IssuerStanding::Retired(Revision(1)),
                };
                self.state.load_row(Row::Issuer(Arc::new(record)));
            }
        }
    }
}

fn root_key() -> KeyThumbprint {
    KeyThumbprint::of_spki(b"the root operator's key")
}

fn peer_key() -> chancery_credential::PeerPublicKey {
    let identity = PeerIdentity::from_pkcs8(&new_peer_key()).unwrap();
    chancery_credential::PeerPublicKey::from_spki(identity.spki()).unwrap()
}

/// 2,048 bytes, the most that an id may have.
fn longest_id(number: usize) -> SpiffeId {
    let prefix = "spiffe://example.org/";
    let path = format!("{number:0>width$}", width = 2_048 - prefix.len());
    format!("{prefix}{path}").parse().unwrap()
}

#[test]
fn what_is_swept_out_on_the_way_is_bounded() {
    let mut world = World::born();
    world.outlive_the_history();
    world.forget_requests(2 * SWEPT_ROWS);
    let written = world.by_root(Command::OpenEpoch { emergency: false });
    assert!(
        written > SWEPT_ROWS * 2_048,
        "{written} bytes: the longest rows were swept out"
    );
    assert!(written <= MOST_BYTES, "{written} bytes");
}

#[test]
fn the_revocation_of_a_whole_epoch_is_bounded() {
    let mut world = World::born();
    world.outlive_the_history();
    world.crowd();
    world.forget_requests(2 * SWEPT_ROWS);
    let written = world.by_root(Command::RevokeEpoch(EpochNumber(1)));
    let revoked = |issuer: &Arc<IssuerRecord>| {
        matches!(issuer.standing, IssuerStanding::Revoked(_)) && issuer.epoch == EpochNumber(1)
    };
    let count = world
        .state
        .issuers()
        .filter(|issuer| revoked(issuer))
        .count();
    assert_eq!(count, MAX_NODES * MAX_NODE_ISSUERS);
    assert!(written <= MOST_BYTES, "{written} bytes");
}

#[test]
fn the_greatest_registration_is_bounded() {
    let mut world = World::born();
    let name = |kind: char, number: usize| format!("{kind}{number:0>127}");
    for number in 0..MAX_AGENT_OWNERS {
        world.by_root(Command::AddOwner {
            name: name('o', number).parse().unwrap(),
            description: String::new(),
        });
    }
    for number in 0..MAX_AGENT_GRANT_SETS {
        world.by_root(Command::PutGrantSet {
            name: name('s', number).parse().unwrap(),
            grants: Vec::new(),
            keep_held: false,
        });
    }
    // 64 grants of 256 bytes.
    let grant = |number: usize| Grant {
        audience: format!("https://a.example/{number:0>226}/*")
            .parse()
            .unwrap(),
        scopes: vec!["a:*".parse().unwrap()],
        max_ttl_seconds: u32::MAX,
        bearer: true,
    };
    let spec = AgentSpec {
        id: longest_id(1),
        owners: (0..MAX_AGENT_OWNERS)
            .map(|number| name('o', number).parse().unwrap())
            .collect(),
        keys: (0..MAX_KEYS)
            .map(|number| KeyThumbprint::of_spki(&number.to_be_bytes()))
            .collect(),
        grants: (0..64).map(grant).collect(),
        grant_sets: (0..MAX_AGENT_GRANT_SETS)
            .map(|number| name('s', number).parse().unwrap())
            .collect(),
        limits: Limits { rate: u32::MAX },
        expires_at: u64::MAX,
        description: "x".repeat(MAX_DESCRIPTION_BYTES),
    };
    // The row, and the same in the history.
    let written = world.by_root(Command::RegisterAgent(spec));
    assert!((32 << 10..128 << 10).contains(&written), "{written} bytes");
    // What ends all that it holds, and all that everybody holds, is one row.
    let written = world.by_root(Command::Suspend(chancery_credential::Subject::Everything));
    assert!(written < 1 << 10, "{written} bytes");
}
