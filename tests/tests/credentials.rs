//! What is minted and verified, over real nodes and with an unrelated JOSE library
//! on the other side.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use chancery_client::{Identity, Minted, meta, v1};
use chancery_credential::{CertificateThumbprint, ConsistencyToken, Revision};
use chancery_tests::{
    agent::{AUDIENCE, Agent, OWNER, add_owner, mint, register, wanted},
    call,
    cluster::Cluster,
    http,
    until::until,
    verify::{by_jose, verdict},
};
use v1::{
    agent_service_client::AgentServiceClient, key_service_client::KeyServiceClient,
    token_service_client::TokenServiceClient,
};

async fn valid_everywhere(cluster: &Cluster, agent: &Agent, token: &str) {
    for position in 0..cluster.nodes.len() {
        assert_eq!(verdict(cluster, position, agent, token, "").await, None);
        assert_eq!(by_jose(cluster, position, token).await, Ok(()));
    }
}

/// The epoch of the issuer that signed a token, by the keys that are listed.
async fn epoch_of(cluster: &Cluster, token: &str) -> Option<u64> {
    let keys = call!(
        cluster.operator(),
        KeyServiceClient::list,
        v1::ListKeysRequest::default()
    );
    let header = jsonwebtoken::decode_header(token).ok()?;
    let mut issuers = keys.ok()?.issuers.into_iter();
    let signer = issuers.find(|issuer| Some(&issuer.key_id) == header.kid.as_ref())?;
    Some(signer.epoch)
}

/// A token that a node signed in that epoch.
async fn minted_in(cluster: &Cluster, agent: &Agent, position: usize, epoch: u64) -> Minted {
    until("a token of the new epoch was minted", || async {
        let minted = mint(&agent.at(cluster, &[position])).await.ok()?;
        let of_epoch = epoch_of(cluster, &minted.token).await == Some(epoch);
        of_epoch.then_some(minted)
    })
    .await
}

async fn rotate(cluster: &Cluster, emergency: bool) -> v1::RotateResponse {
    let request = v1::RotateRequest {
        meta: meta("rotated").unwrap(),
        emergency,
    };
    call!(cluster.operator(), KeyServiceClient::rotate, request).unwrap()
}

fn is_none(span: Option<&prost_types::Duration>) -> bool {
    span.is_none_or(|span| span.seconds == 0 && span.nanos == 0)
}

/// What `/readyz` says of each node.
fn readiness(cluster: &Cluster) -> Vec<u16> {
    let nodes = cluster.nodes.iter();
    nodes
        .map(|node| http::get(&node.admin(), "/readyz").unwrap().0)
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_verify_everywhere_before_during_and_after_a_rotation_and_a_restart() {
    let mut cluster = Cluster::of(3).await;
    let agent = Agent::register(&cluster, "rotating").await;
    let at = |cluster: &Cluster, position| agent.at(cluster, &[position]);

    let before = mint(&at(&cluster, 0)).await.unwrap();
    valid_everywhere(&cluster, &agent, &before.token).await;

    let rotated = rotate(&cluster, false).await;
    assert!(!is_none(rotated.lead.as_ref()), "{rotated:?}");
    assert!(
        is_none(rotated.jwks_refusals_at_most.as_ref()),
        "{rotated:?}"
    );
    let during = mint(&at(&cluster, 0)).await.unwrap();
    valid_everywhere(&cluster, &agent, &before.token).await;
    valid_everywhere(&cluster, &agent, &during.token).await;

    let signed_in = epoch_of(&cluster, &during.token).await;
    assert_eq!(
        signed_in,
        Some(rotated.epoch - 1),
        "nothing is signed before the lead"
    );
    // After the lead, each node signs with its issuer of the new epoch.
    let after = minted_in(&cluster, &agent, 0, rotated.epoch).await;
    minted_in(&cluster, &agent, 1, rotated.epoch).await;
    minted_in(&cluster, &agent, 2, rotated.epoch).await;
    for token in [&before, &during, &after] {
        valid_everywhere(&cluster, &agent, &token.token).await;
    }

    // An emergency waits for nobody, says what that costs, and takes no node away from
    // balancers: no other is better.
    until("every node is known for long", || async {
        (readiness(&cluster) == [200; 3]).then_some(())
    })
    .await;
    let rotated = rotate(&cluster, true).await;
    assert!(is_none(rotated.lead.as_ref()), "{rotated:?}");
    assert!(
        !is_none(rotated.jwks_refusals_at_most.as_ref()),
        "{rotated:?}"
    );
    for position in 0..3 {
        minted_in(&cluster, &agent, position, rotated.epoch).await;
    }
    assert_eq!(readiness(&cluster), [200; 3]);

    assert_eq!(cluster.nodes[0].stop(), Some(0), "SIGTERM drains");
    cluster.nodes[0].start();
    cluster.serving(0).await;
    assert_eq!(
        http::get(&cluster.nodes[0].admin(), "/readyz").unwrap().0,
        503,
        "it settles"
    );
    let restarted = mint(&at(&cluster, 0)).await.unwrap();
    for token in [&before, &during, &after, &restarted] {
        valid_everywhere(&cluster, &agent, &token.token).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bound_token_is_nothing_without_its_key() {
    let cluster = Cluster::of(1).await;
    let agent = Agent::register(&cluster, "bound").await;
    let token = mint(&agent.at(&cluster, &[0])).await.unwrap().token;
    let before = cluster.status(0).await.unwrap().state_digest;
    let thief = CertificateThumbprint::of_certificate(b"a thief's");
    let presented = [
        ("PROOF_MISMATCH", thief.as_bytes().to_vec()),
        ("PROOF_MISSING", Vec::new()),
    ];
    for (expected, certificate) in presented {
        let response = call!(
            cluster.operator(),
            TokenServiceClient::verify,
            v1::VerifyRequest {
                token: token.clone(),
                audience: AUDIENCE.to_owned(),
                certificate_sha256: certificate,
                min_revision: String::new(),
            }
        )
        .unwrap();
        assert_eq!(response.verdict(), v1::verify_response::Verdict::Refused);
        assert_eq!(response.reason, expected);
    }
    assert_eq!(cluster.status(0).await.unwrap().state_digest, before);
}

/// Whoever takes a key away while its holder asks: the mint that waits meanwhile is
/// refused, and the token of one that did not wait is dead.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mint_under_way_does_not_outlive_the_key_that_asked_for_it() {
    let cluster = Cluster::of(1).await;
    let agent = Agent::register(&cluster, "robbed").await;
    let client = agent.at(&cluster, &[0]);
    let seen: ConsistencyToken = mint(&client)
        .await
        .unwrap()
        .consistency_token
        .parse()
        .unwrap();
    let next = seen.revision.0 + 1;
    // Each waits for a revision that is not there yet: the one that takes the key
    // away is among them.
    let waiting: Vec<_> = (next..next + 40)
        .map(|revision| {
            let client = client.clone();
            let min_revision = ConsistencyToken {
                revision: Revision(revision),
                ..seen
            };
            let request = v1::MintRequest {
                min_revision: min_revision.to_string(),
                ..wanted()
            };
            tokio::spawn(async move { client.mint(request).await })
        })
        .collect();
    let mut spec = agent.spec();
    spec.public_keys = vec![Identity::generate().unwrap().public_key().to_vec()];
    let update = v1::UpdateRequest {
        changed_at: 0,
        meta: meta("stolen").unwrap(),
        agent: Some(spec),
        keep_held: false,
    };
    let updated = call!(cluster.operator(), AgentServiceClient::update, update).unwrap();
    let after = updated.committed.unwrap().consistency_token;
    for mint in waiting {
        if let Ok(minted) = mint.await.unwrap() {
            let said = verdict(&cluster, 0, &agent, &minted.token, &after).await;
            assert_eq!(said.as_deref(), Some("AGENT_REVOKED"));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_ends_with_the_registration_that_it_was_minted_under() {
    let cluster = Cluster::of(1).await;
    add_owner(&cluster.operator(), OWNER).await;
    let agent = Agent::unregistered("brief", OWNER);
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap()
        .as_secs();
    let spec = v1::AgentSpec {
        expires_at: now + 120,
        ..agent.spec()
    };
    register(&cluster.operator(), spec).await.unwrap();
    let client = agent.at(&cluster, &[0]);
    // The default is five minutes.
    assert_eq!(mint(&client).await.unwrap().expires_at, now + 120);
    let longer = v1::MintRequest {
        ttl_seconds: 300,
        ..wanted()
    };
    let refused = client.mint(longer).await.unwrap_err();
    assert_eq!(refused.reason(), Some("TTL_OVER_CAP"), "{refused}");
}
