//! Keys that rotate every ten seconds, under load, while leaders are killed and nodes
//! restarted: every token verifies until it ends and never after, on every node and
//! with the published keys alone.
//!
//! A minute of it here. `CHANCERY_ROTATION_SECONDS=300` makes it five.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use chancery_authority::KEPT_EPOCHS;
use chancery_client::{Client, v1};
use chancery_tests::{
    agent::{AUDIENCE, Agent, wanted},
    call,
    chancery::{json, run, succeed},
    cluster::{Cluster, ISSUER},
    jwks,
    spans::SHORT,
    until::until,
};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, jwk::JwkSet};
use v1::{
    revocation_service_client::RevocationServiceClient, revoke_request::Credential,
    token_service_client::TokenServiceClient,
};

const EPOCH: Duration = Duration::from_secs(10);
/// A story in which keys expire too.
const LONG: Duration = Duration::from_secs(240);
/// How long a verifier that knows keys only by JWKS keeps them.
const MAX_AGE: Duration = Duration::from_secs(2);
/// One token of so many is revoked, and then looked at so often.
const ONE_IN: usize = 10;
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// A token is looked at again so long before it ends, and so long after.
const NEAR: u64 = 2;
const LIFETIMES: [u32; 3] = [8, 20, 60];
const MINT_EVERY: Duration = Duration::from_millis(150);

fn length() -> Duration {
    let seconds = std::env::var("CHANCERY_ROTATION_SECONDS");
    Duration::from_secs(seconds.map_or(60, |seconds| seconds.parse().unwrap()))
}

/// A process has to live for longer than what it lets expire.
fn rotations_between_faults() -> u64 {
    if length() > Duration::from_secs(120) {
        3
    } else {
        1
    }
}

fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.unwrap().as_secs()
}

struct Token {
    token: String,
    expires_at: u64,
    /// It is revoked once it was found valid.
    revoked: bool,
}

/// What the story counts.
#[derive(Default)]
struct Counts {
    minted: AtomicU64,
    found_valid: AtomicU64,
    found_ended: AtomicU64,
    found_revoked: AtomicU64,
    /// Keys of valid tokens that were not in a cache that was young enough.
    refetched: AtomicU64,
    most_keys: AtomicU64,
}

impl Counts {
    fn one_more(count: &AtomicU64) {
        count.fetch_add(1, Ordering::Relaxed);
    }

    fn of(count: &AtomicU64) -> u64 {
        count.load(Ordering::Relaxed)
    }
}

/// A verifier that knows nothing but the published keys, and keeps them as long as it
/// may.
struct JwksOnly {
    apis: Vec<String>,
    root: String,
    cached: Mutex<Option<(Instant, JwkSet)>>,
}

impl JwksOnly {
    /// From whichever node answers.
    async fn fetch(&self, counts: &Counts) -> JwkSet {
        loop {
            for api in &self.apis {
                // A node that is down, or cannot prove that it is fresh.
                let Some((line, body)) = jwks::try_fetch(api, &self.root).await else {
                    continue;
                };
                if !line.contains("200") {
                    continue;
                }
                let keys: JwkSet = serde_json::from_str(&body).unwrap();
                counts
                    .most_keys
                    .fetch_max(keys.keys.len() as u64, Ordering::Relaxed);
                *self.cached.lock().unwrap() = Some((Instant::now(), keys.clone()));
                return keys;
            }
            tokio::task::yield_now().await;
        }
    }

    async fn keys(&self, counts: &Counts) -> JwkSet {
        let kept = self.cached.lock().unwrap().clone();
        match kept {
            Some((at, keys)) if at.elapsed() < MAX_AGE => keys,
            _ => self.fetch(counts).await,
        }
    }

    /// A new process signs at once: its key is fetched when it is first met.
    async fn verifies(&self, token: &str, counts: &Counts) -> bool {
        let kid = jsonwebtoken::decode_header(token).unwrap().kid.unwrap();
        let mut keys = self.keys(counts).await;
        if keys.find(&kid).is_none() {
            keys = self.fetch(counts).await;
            if keys.find(&kid).is_some() {
                Counts::one_more(&counts.refetched);
            }
        }
        let Some(key) = keys.find(&kid) else {
            return false;
        };
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.set_audience(&[AUDIENCE]);
        validation.set_issuer(&[ISSUER]);
        validation.leeway = 0;
        let key = DecodingKey::from_jwk(key).unwrap();
        jsonwebtoken::decode::<serde_json::Value>(token, &key, &validation).is_ok()
    }
}

/// Everybody who can be asked about a token.
struct Verifiers {
    nodes: Vec<Client>,
    operator: Client,
    jwks: JwksOnly,
    certificate: Vec<u8>,
    counts: Arc<Counts>,
}

impl Verifiers {
    /// What each node says that answers: a node that is down, or cannot prove that it is
    /// fresh, says nothing of a token.
    async fn verdicts(&self, token: &str, min_revision: &str) -> Vec<Option<String>> {
        let mut verdicts = Vec::new();
        for node in &self.nodes {
            let request = v1::VerifyRequest {
                token: token.to_owned(),
                audience: AUDIENCE.to_owned(),
                certificate_sha256: self.certificate.clone(),
                min_revision: min_revision.to_owned(),
            };
            if let Ok(response) = call!(node, TokenServiceClient::verify, request) {
                let valid = response.verdict() == v1::verify_response::Verdict::Valid;
                verdicts.push((!valid).then_some(response.reason));
            }
        }
        verdicts
    }

    async fn must_be_valid(&self, token: &Token) {
        let verdicts = self.verdicts(&token.token, "").await;
        let by_jwks = self.jwks.verifies(&token.token, &self.counts).await;
        // Too late to tell, on a machine that is busy.
        if now() + 1 < token.expires_at {
            assert!(verdicts.iter().all(Option::is_none), "{verdicts:?}");
            assert!(by_jwks, "the published keys do not verify it");
            Counts::one_more(&self.counts.found_valid);
        }
    }

    /// Revokes it, and from then on it is refused by whoever answers.
    async fn must_stay_revoked(&self, token: &Token) {
        let request = v1::RevokeRequest {
            meta: chancery_client::meta("a slip").unwrap(),
            credential: Some(Credential::Token(token.token.clone())),
        };
        let revoked = call!(self.operator, RevocationServiceClient::revoke, request);
        let revoked = revoked.expect("no revocation fails through the SDK");
        let since = revoked.committed.unwrap().consistency_token;
        while now() < token.expires_at {
            let verdicts = self.verdicts(&token.token, &since).await;
            assert!(verdicts.iter().all(Option::is_some), "{verdicts:?}");
            if !verdicts.is_empty() {
                Counts::one_more(&self.counts.found_revoked);
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    async fn must_have_ended(&self, token: &Token) {
        let verdicts = self.verdicts(&token.token, "").await;
        assert!(verdicts.iter().all(Option::is_some), "{verdicts:?}");
        assert!(!self.jwks.verifies(&token.token, &self.counts).await);
        Counts::one_more(&self.counts.found_ended);
    }

    /// From its mint to its end.
    async fn follow(self: Arc<Self>, token: Token) {
        self.must_be_valid(&token).await;
        if token.revoked {
            self.must_stay_revoked(&token).await;
        } else {
            until_second(token.expires_at - NEAR).await;
            self.must_be_valid(&token).await;
        }
        until_second(token.expires_at + NEAR).await;
        self.must_have_ended(&token).await;
    }
}

/// Until the wall clock says so: what is waited for is that second.
async fn until_second(second: u64) {
    while now() < second {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Mints on every node in turn, through the SDK, and has each token followed.
async fn mint_on(
    clients: Vec<Client>,
    verifiers: Arc<Verifiers>,
    until: Instant,
) -> Vec<tokio::task::JoinHandle<()>> {
    let mut followed = Vec::new();
    let mut every = tokio::time::interval(MINT_EVERY);
    let turns = clients.iter().cycle().zip(LIFETIMES.iter().cycle());
    for (number, (client, lifetime)) in turns.enumerate() {
        every.tick().await;
        let left = until.saturating_duration_since(Instant::now()).as_secs();
        if left == 0 {
            return followed;
        }
        // None outlives the story by much.
        let most = u32::try_from(left).unwrap() + 8;
        let request = v1::MintRequest {
            ttl_seconds: (*lifetime).min(most),
            ..wanted()
        };
        let minted = client
            .mint(request)
            .await
            .expect("no mint fails through the SDK");
        Counts::one_more(&verifiers.counts.minted);
        let token = Token {
            token: minted.token,
            expires_at: minted.expires_at,
            revoked: number % ONE_IN == 0,
        };
        followed.push(tokio::spawn(verifiers.clone().follow(token)));
    }
    followed
}

/// Those that have an issuer which has not expired.
fn epochs(cluster: &Cluster) -> BTreeSet<u64> {
    let issuers = json(&cluster.path(), &["epoch", "show", "--profile", "profile"]);
    let issuers = issuers.as_array().unwrap().iter();
    issuers
        .map(|issuer| issuer["epoch"].as_u64().unwrap())
        .collect()
}

fn newest_epoch(cluster: &Cluster) -> u64 {
    epochs(cluster).into_iter().next_back().unwrap()
}

/// As short as they may be for epochs of ten seconds: those once nobody goes by the
/// former spans any more.
async fn rotate_quickly(cluster: &Cluster) {
    let home = cluster.path();
    let set = ["settings", "set", "--profile", "profile"];
    succeed(&home, &[&set[..], &SHORT].concat());
    let epoch = [&set[..], &["--epoch", "10s"]].concat();
    until("nobody goes by the former spans any more", || {
        let has_set = run(&home, &epoch).status.success();
        async move { has_set.then_some(()) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_verify_until_they_end_while_keys_rotate_and_leaders_die() {
    let mut cluster = Cluster::of(3).await;
    rotate_quickly(&cluster).await;
    let agent = Agent::register(&cluster, "rotating").await;
    let first_epoch = newest_epoch(&cluster);

    let counts = Arc::new(Counts::default());
    let verifiers = Arc::new(Verifiers {
        nodes: (0..3)
            .map(|position| cluster.operator_at(position))
            .collect(),
        operator: cluster.operator(),
        jwks: JwksOnly {
            apis: cluster
                .nodes
                .iter()
                .map(chancery_tests::node::Node::api)
                .collect(),
            root: cluster.root(),
            cached: Mutex::default(),
        },
        certificate: agent
            .identity()
            .certificate_thumbprint()
            .as_bytes()
            .to_vec(),
        counts: counts.clone(),
    });
    let clients = [[0, 1, 2], [1, 2, 0], [2, 0, 1]].map(|order| agent.at(&cluster, &order));
    let until = Instant::now() + length();
    let minting = tokio::spawn(mint_on(clients.to_vec(), verifiers.clone(), until));

    // In turn: the leader is killed, and the node that was killed last is restarted in
    // order. No faster than the keys rotate, or no process would live long enough to
    // let an issuer expire.
    let mut restarts = 0;
    let mut killed = None;
    while Instant::now() + EPOCH < until {
        match killed.take() {
            None => {
                let leader = cluster.leader(&[0, 1, 2]).await;
                cluster.nodes[leader].kill();
                let others: Vec<usize> = (0..3).filter(|other| *other != leader).collect();
                cluster.leader(&others).await;
                cluster.nodes[leader].start();
                cluster.serving(leader).await;
                killed = Some(leader);
            }
            Some(node) => {
                assert_eq!(cluster.nodes[node].stop(), Some(0), "SIGTERM drains");
                cluster.nodes[node].start();
                cluster.serving(node).await;
            }
        }
        restarts += 1;
        let next = newest_epoch(&cluster) + rotations_between_faults();
        chancery_tests::until::until("the keys rotated", || async {
            (newest_epoch(&cluster) >= next || Instant::now() > until).then_some(())
        })
        .await;
    }

    for followed in minting.await.unwrap() {
        followed.await.unwrap();
    }
    let rotations = newest_epoch(&cluster) - first_epoch;
    let (minted, valid, ended) = (
        Counts::of(&counts.minted),
        Counts::of(&counts.found_valid),
        Counts::of(&counts.found_ended),
    );
    println!(
        "{rotations} rotations, {restarts} restarts, {minted} minted, {valid} times valid, \
         {ended} ended, at most {} keys published, {} refetches",
        Counts::of(&counts.most_keys),
        Counts::of(&counts.refetched),
    );
    let expected = length().as_secs() / EPOCH.as_secs();
    assert!(
        rotations >= expected / 2,
        "{rotations} rotations of {expected}"
    );
    assert_eq!(ended, minted, "each was followed to its end");
    assert!(valid > minted, "most were found valid at both ends");
    let revoked = Counts::of(&counts.found_revoked);
    assert!(
        revoked > minted / ONE_IN as u64,
        "{revoked} looks at revoked tokens"
    );
    // A planned rotation asks nothing of a verifier that keeps keys as long as it may:
    // only the first issuer of a process is unknown when it signs.
    let refetched = Counts::of(&counts.refetched);
    assert!(
        refetched <= restarts,
        "{refetched} keys were not known in time, {restarts} processes began"
    );
    // Those of the epochs that the keeper lets live at once, one a node, and one a
    // restart.
    let bound = 3 * KEPT_EPOCHS as u64 + restarts;
    let most = Counts::of(&counts.most_keys);
    assert!(
        most <= bound,
        "{most} keys are published, {bound} expected at most"
    );
    // Longer than an issuer lives on after its epoch, whoever leads last: those before were
    // opened when tokens could still live for long.
    if length() >= LONG {
        let early = first_epoch + 1;
        assert!(
            !epochs(&cluster).contains(&early),
            "epoch {early} has not expired"
        );
    }
}
