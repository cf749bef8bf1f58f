//! A thief of a node's memory has the keys of its issuers. What the thief signs is
//! good, as SECURITY.md says, until the issuer is revoked, and worth nothing after:
//! whatever `rev` it bears, and however often it was exchanged.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use chancery_client::{Minted, meta, v1};
use chancery_credential::{Claims, IssuerNumber, Revision, SigningKey, TokenId, UnverifiedToken};
use chancery_tests::{
    agent::{Agent, wanted},
    call,
    cluster::Cluster,
    inside::ChosenSeeds,
    until::until,
    verify::verdict,
};
use v1::{
    key_service_client::KeyServiceClient, revocation_service_client::RevocationServiceClient,
    revoke_key_request::Keys,
};

/// The node whose memory is stolen: it runs inside the test.
const STOLEN: usize = 1;

/// Three nodes, of which one draws its signing keys from `seeds`.
async fn cluster(seeds: &ChosenSeeds) -> Cluster {
    let mut cluster = Cluster::found(&["--jwks-max-age", "1s"]).await;
    for position in 1..=2 {
        assert_eq!(cluster.admit(), position);
        if position == STOLEN {
            cluster.nodes[position].start_inside(seeds.draw());
        } else {
            cluster.nodes[position].start();
        }
        cluster.serving(position).await;
        cluster.promote(position).await;
    }
    cluster
}

/// The issuer that signs on the stolen node, with the key that the thief has.
async fn stolen_issuer(cluster: &Cluster, seeds: &ChosenSeeds) -> (IssuerNumber, SigningKey) {
    let number = cluster.status(STOLEN).await.unwrap().issuer.unwrap();
    let request = v1::ListKeysRequest::default();
    let keys = call!(cluster.operator(), KeyServiceClient::list, request).unwrap();
    let issuer = keys
        .issuers
        .into_iter()
        .find(|issuer| issuer.number == number)
        .unwrap();
    let key = seeds.stolen(&issuer.ed25519).expect("its seed was chosen");
    (IssuerNumber(number), key)
}

fn claims(minted: &Minted) -> Claims {
    UnverifiedToken::parse(&minted.token)
        .unwrap()
        .claims()
        .clone()
}

/// The claims of an honest token, under an id of another issuer.
fn forged(honest: &Claims, issuer: IssuerNumber, tag: u8) -> Claims {
    Claims {
        jti: TokenId::new(issuer, [tag; 12]),
        ..honest.clone()
    }
}

async fn everywhere(cluster: &Cluster, agent: &Agent, token: &str, seen: &str, said: Option<&str>) {
    for position in 0..cluster.nodes.len() {
        let verdict = verdict(cluster, position, agent, token, seen).await;
        assert_eq!(verdict.as_deref(), said, "on node {position}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_that_a_revoked_issuer_signs_is_accepted_whatever_it_says() {
    let seeds = ChosenSeeds::default();
    let cluster = cluster(&seeds).await;
    let agent = Agent::register(&cluster, "impersonated").await;
    let (number, key) = stolen_issuer(&cluster, &seeds).await;

    // As long as nobody knows of the theft, forgeries pass.
    let minted = agent.at(&cluster, &[0]).mint(wanted()).await.unwrap();
    let before = forged(&claims(&minted), number, 1);
    let forgery = key.token(&before).unwrap();
    everywhere(&cluster, &agent, &forgery, &minted.consistency_token, None).await;
    from_beyond_everything_committed(&cluster, &agent, &key, &before).await;

    let request = v1::RevokeKeyRequest {
        meta: meta("its memory was read").unwrap(),
        keys: Some(Keys::Issuer(number.0)),
    };
    let revoked = call!(cluster.operator(), KeyServiceClient::revoke, request).unwrap();
    let seen = revoked.committed.unwrap().consistency_token;
    everywhere(&cluster, &agent, &forgery, &seen, Some("ISSUER_REVOKED")).await;

    // With the newest revision that there is, and with one that there is not yet.
    let minted = agent
        .at(&cluster, &[0])
        .mint(v1::MintRequest {
            min_revision: seen.clone(),
            ..wanted()
        })
        .await
        .unwrap();
    let honest = claims(&minted);
    assert!(honest.rev > before.rev, "the revocation changed the view");
    for rev in [honest.rev, Revision(honest.rev.0 + 1_000_000)] {
        let forgery = Claims {
            rev,
            ..forged(&honest, number, 2)
        };
        let token = key.token(&forgery).unwrap();
        everywhere(&cluster, &agent, &token, &seen, Some("ISSUER_REVOKED")).await;
    }

    // The node opens another issuer; the thief takes that key too, and exchanges
    // the dead token by hand.
    let (next, next_key) = until("the node signs with another issuer", || async {
        let now = cluster.status(STOLEN).await.ok()?.issuer?;
        if now == number.0 {
            return None;
        }
        Some(stolen_issuer(&cluster, &seeds).await)
    })
    .await;
    let minted = agent.at(&cluster, &[STOLEN]).mint(wanted()).await.unwrap();
    let honest = claims(&minted);
    let alone = next_key.token(&forged(&honest, next, 3)).unwrap();
    let seen = minted.consistency_token;
    everywhere(&cluster, &agent, &alone, &seen, None).await;
    let exchanged = Claims {
        anc: vec![before.jti],
        ..forged(&honest, next, 4)
    };
    let exchanged = next_key.token(&exchanged).unwrap();
    everywhere(
        &cluster,
        &agent,
        &exchanged,
        &seen,
        Some("ANCESTOR_ISSUER_REVOKED"),
    )
    .await;
}

/// Nobody honest signs with a revision that was never committed: whoever does has an
/// open issuer's key, and the node that sees it says so. Facts without a signature
/// accuse nobody.
async fn from_beyond_everything_committed(
    cluster: &Cluster,
    agent: &Agent,
    key: &SigningKey,
    known: &Claims,
) {
    let beyond = Claims {
        rev: Revision(1 << 40),
        ..known.clone()
    };
    let facts = v1::TokenFacts {
        agents: vec![agent.id.clone()],
        key_id: key.public().key_id().to_string(),
        token_id: beyond.jti.to_string(),
        revision: beyond.rev.0,
        owners: beyond.own.iter().map(ToString::to_string).collect(),
        issued_at: beyond.iat,
        expires_at: beyond.exp,
        ..v1::TokenFacts::default()
    };
    let request = v1::CheckRequest {
        credential: Some(v1::check_request::Credential::Facts(facts)),
        ..v1::CheckRequest::default()
    };
    let operator = cluster.operator_at(0);
    let checked = call!(operator, RevocationServiceClient::check, request).unwrap();
    assert_eq!(checked.reason, "REVISION_UNKNOWN");
    assert!(!alarmed(cluster, 0), "facts raised the alarm");

    let token = key.token(&beyond).unwrap();
    let said = verdict(cluster, 0, agent, &token, "").await;
    assert_eq!(said.as_deref(), Some("REVISION_UNKNOWN"));
    assert!(alarmed(cluster, 0), "nobody was told");
}

/// Whether the log of a node tells of a key in other hands.
fn alarmed(cluster: &Cluster, position: usize) -> bool {
    let log = std::fs::read_to_string(cluster.nodes[position].log()).unwrap();
    log.contains("ERROR") && log.contains("key may be in other hands")
}
