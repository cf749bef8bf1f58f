//! The state machine beside a deliberately naive twin, on random histories: the
//! same outcomes, the same state, and every token judged alike.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod actors;
mod model;
mod people;
mod rules;
#[path = "../support/mod.rs"]
mod support;

use std::collections::BTreeSet;
use std::sync::LazyLock;

use chancery_authority::{Actor, Holder, IssuerStanding, Settings};
use chancery_credential::{
    IssuerNumber, KeyThumbprint, NodeNumber, OwnerName, Revision, Subject, UnverifiedToken,
};
use model::{Standing, Twin};
use proptest::prelude::*;
use support::histories::{AGENTS, KEYS, OWNERS, SETS, Step, furniture, history};
use support::{World, agent_id, birth, key, later_peer_key, owner, set};

/// Of the peer keys that these histories know.
static PEERS: LazyLock<Vec<KeyThumbprint>> = LazyLock::new(|| {
    let keys = (1..5).flat_map(|number| (0..4).map(move |times| later_peer_key(number, times)));
    keys.map(|key| key.public().thumbprint()).collect()
});

/// The twin of [`World::born`].
fn twin_of_birth(world: &World) -> Twin {
    let birth = birth();
    let operators = birth.operators.iter();
    let mut twin = Twin {
        lineage: birth.lineage,
        settings: Some(birth.settings.clone()),
        revision: world.state.revision().0,
        time_ms: world.state.log_time_ms(),
        operators: operators
            .map(|spec| (spec.name.clone(), spec.clone()))
            .collect(),
        operators_asked: birth
            .operators
            .iter()
            .map(|spec| (spec.name.clone(), world.state.log_time_ms()))
            .collect(),
        epoch: 1,
        epoch_opened_ms: world.state.log_time_ms(),
        ..Twin::default()
    };
    twin.nodes.push(model::Node {
        spec: birth.node,
        barred: false,
        retiring: false,
        removed: false,
        votes: true,
    });
    twin
}

fn live(history: &[Step]) {
    let mut world = World::born();
    let mut twin = twin_of_birth(&world);
    let mut tokens: Vec<String> = Vec::new();
    for step in furniture().iter().chain(history) {
        let stamped = step.resolve(&mut world);
        let real = world.apply(stamped.clone());
        let told = twin.step(world.state.revision().0, &stamped);
        match (&real, &told) {
            (Ok(events), Ok(expected)) => assert_eq!(support::answer(events), *expected),
            (Err(rejection), Err(reasons)) => assert!(
                reasons.contains(&rejection.reason()),
                "{rejection} is none of {reasons:?}: {stamped:?}"
            ),
            _ => panic!("{real:?}, and the twin says {told:?}: {stamped:?}"),
        }
        compare(&world, &twin);
        mint(&world, &twin, &mut tokens);
        for token in &tokens {
            let claims = UnverifiedToken::parse(token).unwrap().claims().clone();
            let judged = world.consumers.judge(token, claims.iat);
            let alive = twin.is_alive(&claims);
            assert_eq!(judged == "VALID", alive, "{judged}: {claims:?}");
        }
    }
}

/// Each agent that may mints under the newest open issuer; the last ten tokens are
/// kept.
fn mint(world: &World, twin: &Twin, tokens: &mut Vec<String>) {
    let open = (world.state.issuers()).filter(|issuer| issuer.standing == IssuerStanding::Open);
    let newest = open.last().map(|issuer| issuer.number);
    for name in AGENTS {
        let Some(issuer) = newest.filter(|issuer| world.consumers.signers.contains_key(issuer))
        else {
            continue;
        };
        let minted = world.mint(name, issuer);
        assert_eq!(
            minted.is_ok(),
            twin.may_mint(&agent_id(name)),
            "{name}: {minted:?}"
        );
        tokens.extend(minted);
    }
    let surplus = tokens.len().saturating_sub(10);
    // From the front and from the middle, so that some grow old.
    tokens.drain(surplus / 2..surplus / 2 + surplus);
}

fn compare(world: &World, twin: &Twin) {
    let state = &world.state;
    assert_eq!(state.log_time_ms(), twin.time_ms);
    assert_eq!(state.floor(), Revision(twin.floor));
    assert_eq!(state.epoch().unwrap().number.0, twin.epoch);
    assert_eq!(
        state.settings().map(|settings| &**settings),
        twin.settings.as_ref()
    );
    assert_eq!(state.agent_count(), twin.agents.len());
    for (id, spec) in &twin.agents {
        let record = state.agent(id).unwrap();
        let owners: BTreeSet<&OwnerName> = spec.owners.iter().collect();
        let keys: BTreeSet<&KeyThumbprint> = spec.keys.iter().collect();
        assert!(record.owners.iter().eq(owners));
        assert!(record.keys.iter().eq(keys));
        assert_eq!(*record.grants, *spec.grants);
        assert_eq!(record.limits, spec.limits);
        assert_eq!(record.expires_at, spec.expires_at);
    }
    for key in KEYS.into_iter().map(key).chain(PEERS.iter().copied()) {
        let holder = state.holder(&key).map(|holder| match holder {
            Holder::Agent(id) => Actor::Agent(id.clone()).to_string(),
            Holder::Operator(name) => Actor::Operator(name.clone()).to_string(),
            Holder::Service(name) => Actor::Service(name.clone()).to_string(),
            Holder::Node(number) => Actor::Node(*number).to_string(),
        });
        assert_eq!(holder, twin.holder(&key));
    }
    let subjects = (AGENTS.into_iter().map(support::agent))
        .chain(OWNERS.into_iter().map(|name| Subject::Owner(owner(name))))
        .chain(SETS.into_iter().map(|name| Subject::GrantSet(set(name))))
        .chain([Subject::Everything]);
    for subject in subjects {
        assert_eq!(
            state.is_suspended(&subject),
            twin.suspended.contains_key(&subject)
        );
        let watermark = state.watermark(&subject).map(|revision| revision.0);
        assert_eq!(watermark, twin.watermark(&subject), "{subject}");
    }
    compare_issuers(world, twin);
}

fn compare_issuers(world: &World, twin: &Twin) {
    for (number, node) in (1..).zip(&twin.nodes) {
        let record = world.state.node(NodeNumber(number)).unwrap();
        assert_eq!(
            (record.barred, record.retiring, record.removed_at.is_some()),
            (node.barred, node.retiring, node.removed)
        );
        assert_eq!(record.votes, node.votes);
        assert_eq!(
            record.newest_issuer,
            twin.newest_of(number).map(IssuerNumber)
        );
    }
    assert_eq!(world.state.issuers().count(), twin.unexpired().count());
    for (number, issuer) in twin.unexpired() {
        let record = world.state.issuer(IssuerNumber(number)).unwrap();
        let standing = match record.standing {
            IssuerStanding::Open => Standing::Open,
            IssuerStanding::Retired(at) => Standing::Retired(at.0),
            IssuerStanding::Revoked(_) => Standing::Revoked,
        };
        assert_eq!(standing, issuer.standing);
        assert_eq!((record.node.0, record.epoch.0), (issuer.node, issuer.epoch));
        assert_eq!(record.opened_at.0, issuer.opened_at);
        let expiries = issuer.outlives.iter().map(Settings::issuer_expiry_ms);
        assert_eq!(Some(record.expiry_ms), expiries.max());
    }
    for kill in &twin.kills {
        if let model::Kill::Token(token) = kill {
            let counts = twin.issuer(token.issuer().0).unwrap().standing != Standing::Revoked;
            if counts {
                assert_eq!(world.state.is_revoked(token), twin.is_revoked(token));
            }
        }
    }
}

proptest! {
    #![proptest_config(support::histories::config(96))]

    #[test]
    fn the_twins_agree(history in history(80)) {
        live(&history);
    }
}
