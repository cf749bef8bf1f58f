//! What is minted and verified, over real nodes and with an unrelated JOSE library
//! on the other side.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use chancery_client::{meta, v1};
use chancery_credential::CertificateThumbprint;
use chancery_tests::{
    agent::{AUDIENCE, Agent, mint},
    call,
    cluster::Cluster,
    until::until,
    verify::{by_jose, verdict},
};
use v1::{key_service_client::KeyServiceClient, token_service_client::TokenServiceClient};

async fn valid_everywhere(cluster: &Cluster, agent: &Agent, token: &str) {
    for position in 0..cluster.nodes.len() {
        assert_eq!(verdict(cluster, position, agent, token, "").await, None);
        assert_eq!(by_jose(cluster, position, token).await, Ok(()));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_verify_everywhere_before_during_and_after_a_rotation_and_a_restart() {
    let mut cluster = Cluster::of(3).await;
    let agent = Agent::register(&cluster, "rotating").await;
    let at = |cluster: &Cluster, position| agent.at(cluster, &[position]);

    let before = mint(&at(&cluster, 0)).await.unwrap();
    valid_everywhere(&cluster, &agent, &before.token).await;

    let rotated = call!(
        cluster.operator(),
        KeyServiceClient::rotate,
        v1::RotateRequest {
            meta: meta("planned").unwrap(),
            emergency: false,
        }
    )
    .unwrap();
    let during = mint(&at(&cluster, 0)).await.unwrap();
    valid_everywhere(&cluster, &agent, &before.token).await;
    valid_everywhere(&cluster, &agent, &during.token).await;

    // After the lead, node 1 signs with its issuer of the new epoch.
    let after = until("a token of the new epoch was minted", || async {
        let keys = call!(
            cluster.operator(),
            KeyServiceClient::list,
            v1::ListKeysRequest::default()
        )
        .ok()?;
        let minted = mint(&at(&cluster, 0)).await.ok()?;
        let header = jsonwebtoken::decode_header(&minted.token).ok()?;
        let issuer = keys
            .issuers
            .iter()
            .find(|issuer| Some(&issuer.key_id) == header.kid.as_ref())?;
        (issuer.epoch == rotated.epoch).then_some(minted)
    })
    .await;
    for token in [&before, &during, &after] {
        valid_everywhere(&cluster, &agent, &token.token).await;
    }

    assert_eq!(cluster.nodes[0].stop(), Some(0), "SIGTERM drains");
    cluster.nodes[0].start();
    cluster.serving(0).await;
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
    for certificate in [
        CertificateThumbprint::of_certificate(b"a thief's")
            .as_bytes()
            .to_vec(),
        Vec::new(),
    ] {
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
    }
}
