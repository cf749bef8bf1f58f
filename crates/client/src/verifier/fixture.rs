//! A view and tokens for tests, and a verifier over it that follows nobody.

#![allow(clippy::unwrap_used)]

use chancery_credential::{
    CertificateThumbprint, Claims, EpochNumber, IssuerNumber, Lineage, NodeNumber, Revision,
    SigningKey, TokenId,
};
use chancery_revocation::{Change, Limits};
use chancery_wire::v1;
use parking_lot::Mutex;

use super::*;

pub(crate) const WALL: u64 = 1_000_000;
/// The view is proved as of here, for [`BOUND`].
pub(crate) const PROVED: BootTime = BootTime(100_000_000_000);
pub(crate) const BOUND: Duration = Duration::from_secs(5);
pub(crate) const AUDIENCE: &str = "https://ledger.example/v1";
const ISSUER: &str = "https://chancery.example.org";

/// Clocks that a test sets.
#[derive(Clone)]
pub(crate) struct Dial(Arc<Mutex<Now>>);

impl Dial {
    fn new() -> Self {
        let boot = PROVED.plus(Duration::from_millis(500));
        Self(Arc::new(Mutex::new(Now { wall: WALL, boot })))
    }

    pub(crate) fn pass(&self, time: Duration) {
        let mut now = self.0.lock();
        now.boot = now.boot.plus(time);
        now.wall += time.as_secs();
    }
}

impl Clock for Dial {
    fn now(&self) -> Now {
        *self.0.lock()
    }
}

fn key(issuer: u32) -> SigningKey {
    SigningKey::from_seed(&[u8::try_from(issuer).unwrap(); 32])
}

pub(crate) fn opening(number: u32) -> Change {
    Change::IssuerOpened {
        number: IssuerNumber(number),
        node: NodeNumber(1),
        epoch: EpochNumber(1),
        opened_at: Revision(5),
        key: Box::new(key(number).public()),
    }
}

/// The same, as a node tells it.
pub(crate) fn opened(number: u32) -> v1::ViewChange {
    v1::ViewChange {
        change: Some(v1::view_change::Change::IssuerOpened(v1::IssuerOpened {
            number,
            node: 1,
            epoch: 1,
            opened_at: 5,
            ed25519: key(number).public().as_bytes().to_vec(),
        })),
    }
}

pub(crate) fn id(issuer: u32, random: u8) -> TokenId {
    TokenId::new(IssuerNumber(issuer), [random; 12])
}

/// A bearer's token of issuer 1, minted at revision 10.
pub(crate) fn claims() -> Claims {
    Claims {
        iss: ISSUER.to_owned(),
        sub: "spiffe://example.org/planner".parse().unwrap(),
        aud: AUDIENCE.parse().unwrap(),
        client_id: "spiffe://example.org/planner".parse().unwrap(),
        iat: WALL - 10,
        exp: WALL + 290,
        jti: id(1, 1),
        scope: "ledger:read ledger:list".parse().unwrap(),
        rev: Revision(10),
        own: vec!["payments".parse().unwrap()],
        set: Vec::new(),
        anc: Vec::new(),
        act: Vec::new(),
        cnf: None,
    }
}

pub(crate) fn token(claims: &Claims) -> String {
    key(claims.jti.issuer().0).token(claims).unwrap()
}

pub(crate) fn bound_to(certificate: &[u8]) -> Claims {
    Claims {
        cnf: Some(CertificateThumbprint::of_certificate(certificate)),
        ..claims()
    }
}

/// A verifier over a view at revision 20.
pub(crate) struct Fixture {
    pub(crate) verifier: Verifier,
    pub(crate) view: Arc<View>,
    pub(crate) dial: Dial,
}

impl Fixture {
    /// Within a runtime.
    pub(crate) fn new(when_stale: WhenStale, catch_up: Duration) -> Self {
        let dial = Dial::new();
        let inner = Inner {
            shared: Arc::new(Shared::new()),
            signatures: Signatures::of_at_most(1 << 20),
            when_stale,
            catch_up,
            clock: Arc::new(dial.clone()),
            waiting: Semaphore::new(MOST_WAITING),
            following: tokio::spawn(std::future::pending::<()>()).abort_handle(),
        };
        let mut fixture = Self {
            verifier: Verifier(Arc::new(inner)),
            view: Arc::new(View::new(Lineage {
                generation: 1,
                random: 7,
            })),
            dial,
        };
        fixture.publish(20, &[opening(1), Change::Time(WALL - 1)]);
        fixture.view.prove_fresh(PROVED, BOUND);
        fixture.follow(fixture.view.clone());
        fixture
    }

    pub(crate) fn strict() -> Self {
        Self::new(WhenStale::Refuse, Duration::from_secs(60))
    }

    /// Another view is judged by from now on.
    pub(crate) fn follow(&mut self, view: Arc<View>) {
        self.view = view.clone();
        self.verifier
            .0
            .shared
            .current
            .store(Some(Arc::new(Following {
                view,
                issuer: ISSUER.to_owned(),
                limits: Limits {
                    leeway: 2,
                    ttl_cap: 900,
                },
            })));
    }

    pub(crate) fn publish(&self, revision: u64, changes: &[Change]) {
        self.view.publish_changes(Revision(revision), changes);
        self.view.publish_revision(Revision(revision));
    }

    /// A ping that is sent now is answered.
    pub(crate) fn answer(&self) {
        self.dial.pass(Duration::from_millis(1));
        let now = self.dial.now().boot;
        self.verifier.0.shared.answered.send_replace(Some(now));
    }
}
