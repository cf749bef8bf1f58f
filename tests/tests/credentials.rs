//! What is minted, verified and killed, over real nodes and with an unrelated
//! JOSE library on the other side.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use chancery_client::{Client, Idempotence, meta, v1};
use chancery_credential::CertificateThumbprint;
use chancery_tests::{
    agent::{AUDIENCE, Agent, OWNER, mint},
    cluster::{Cluster, ISSUER},
    jwks,
    until::until,
};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, jwk::JwkSet};
use v1::{
    agent_service_client::AgentServiceClient, key_service_client::KeyServiceClient,
    revocation_service_client::RevocationServiceClient, token_service_client::TokenServiceClient,
};

/// Calls one method with failover and one request id.
macro_rules! call {
    ($client:expr, $service:ident :: $method:ident, $request:expr) => {{
        let request = $request;
        $client
            .call(Idempotence::Repeatable, |channel| {
                let request = request.clone();
                async move { $service::new(channel).$method(request).await }
            })
            .await
    }};
}

/// The reason why `token` is refused at a node; `None` when it is valid.
async fn verdict(
    cluster: &Cluster,
    position: usize,
    agent: &Agent,
    token: &str,
    min_revision: &str,
) -> Option<String> {
    let response = call!(
        cluster.operator_at(position),
        TokenServiceClient::verify,
        v1::VerifyRequest {
            token: token.to_owned(),
            audience: AUDIENCE.to_owned(),
            certificate_sha256: agent
                .identity()
                .certificate_thumbprint()
                .as_bytes()
                .to_vec(),
            min_revision: min_revision.to_owned(),
        }
    )
    .unwrap();
    match response.verdict() {
        v1::verify_response::Verdict::Valid => None,
        _ => Some(response.reason),
    }
}

/// What a verifier that knows only the published JWKS says.
async fn by_jose(cluster: &Cluster, position: usize, token: &str) -> Result<(), String> {
    let (line, body) = jwks::fetch(&cluster.nodes[position].api(), &cluster.root()).await;
    assert!(line.contains("200"), "{line}");
    let keys: JwkSet = serde_json::from_str(&body).unwrap();
    let header = jsonwebtoken::decode_header(token).unwrap();
    assert_eq!(header.alg, Algorithm::EdDSA);
    let key = keys
        .find(&header.kid.unwrap())
        .ok_or("no such key is published")?;
    let mut validation = Validation::new(Algorithm::EdDSA);
    validation.set_audience(&[AUDIENCE]);
    validation.set_issuer(&[ISSUER]);
    let key = DecodingKey::from_jwk(key).unwrap();
    jsonwebtoken::decode::<serde_json::Value>(token, &key, &validation)
        .map(|_| ())
        .map_err(|error| error.to_string())
}

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
async fn each_verb_kills_exactly_what_its_row_says() {
    let cluster = Cluster::of(3).await;
    let operator = cluster.operator();
    let agent = Agent::register(&cluster, "subject").await;
    let bystander = Agent::register(&cluster, "bystander").await;
    let client = agent.at(&cluster, &[0]);
    let other = mint(&bystander.at(&cluster, &[1])).await.unwrap();

    // Revoke(token): that token, and no other.
    let (held, kept) = (mint(&client).await.unwrap(), mint(&client).await.unwrap());
    let revoked = call!(
        operator,
        RevocationServiceClient::revoke,
        v1::RevokeRequest {
            meta: meta("leaked").unwrap(),
            credential: Some(v1::revoke_request::Credential::Token(held.token.clone())),
        }
    )
    .unwrap();
    let committed = revoked.committed.unwrap();
    assert_eq!(
        committed.enforcement.unwrap().state(),
        v1::EnforcementState::Committed
    );
    let seen = committed.consistency_token;
    for position in 0..3 {
        let reason = verdict(&cluster, position, &agent, &held.token, &seen).await;
        assert_eq!(reason.as_deref(), Some("TOKEN_REVOKED"));
        assert_eq!(
            verdict(&cluster, position, &agent, &kept.token, &seen).await,
            None
        );
    }

    // RevokeHeld(owner): all that was held, of every agent of the owner; minting goes on.
    let seen = revoke_held(&operator, subject_owner()).await;
    for position in 0..3 {
        assert!(
            verdict(&cluster, position, &agent, &kept.token, &seen)
                .await
                .is_some()
        );
        assert!(
            verdict(&cluster, position, &bystander, &other.token, &seen)
                .await
                .is_some()
        );
    }
    let anew = mint(&client).await.unwrap();
    assert_eq!(
        verdict(&cluster, 2, &agent, &anew.token, &anew.consistency_token).await,
        None
    );

    // Suspend(agent): what was held is dead, and nothing is minted until resumed.
    let seen = suspend(&operator, &agent.id).await;
    for position in 0..3 {
        assert!(
            verdict(&cluster, position, &agent, &anew.token, &seen)
                .await
                .is_some()
        );
    }
    let refused = mint(&client).await.unwrap_err();
    assert_eq!(refused.reason(), Some("AGENT_SUSPENDED"), "{refused}");
    let resumed = call!(
        operator,
        AgentServiceClient::resume,
        v1::ResumeRequest {
            meta: meta("cleared").unwrap(),
            subject: Some(subject_agent(&agent.id)),
        }
    )
    .unwrap();
    let seen = resumed.committed.unwrap().consistency_token;
    assert!(
        verdict(&cluster, 1, &agent, &anew.token, &seen)
            .await
            .is_some(),
        "dead for good"
    );
    let alive = mint(&client).await.unwrap();
    assert_eq!(
        verdict(&cluster, 1, &agent, &alive.token, &alive.consistency_token).await,
        None
    );

    // Revoke(node): what node 1 signed is dead; the others mint on.
    let spared = mint(&agent.at(&cluster, &[1])).await.unwrap();
    let killed = call!(
        operator,
        KeyServiceClient::revoke,
        v1::RevokeKeyRequest {
            meta: meta("stolen").unwrap(),
            keys: Some(v1::revoke_key_request::Keys::Node(1)),
        }
    )
    .unwrap();
    assert!(!killed.issuers.is_empty());
    let seen = killed.committed.unwrap().consistency_token;
    for position in 0..3 {
        let reason = verdict(&cluster, position, &agent, &alive.token, &seen).await;
        assert_eq!(reason.as_deref(), Some("ISSUER_REVOKED"));
        assert_eq!(
            verdict(&cluster, position, &agent, &spared.token, &seen).await,
            None
        );
        assert!(
            by_jose(&cluster, position, &alive.token).await.is_err(),
            "no longer published"
        );
    }

    // Remove(agent): dead, and never again under that registration.
    let removed = call!(
        operator,
        AgentServiceClient::remove,
        v1::RemoveRequest {
            meta: meta("retired").unwrap(),
            id: agent.id.clone(),
        }
    )
    .unwrap();
    let seen = removed.committed.unwrap().consistency_token;
    for position in 0..3 {
        assert!(
            verdict(&cluster, position, &agent, &spared.token, &seen)
                .await
                .is_some()
        );
    }
    let refused = mint(&agent.at(&cluster, &[1])).await.unwrap_err();
    assert_eq!(refused.reason(), Some("UNKNOWN_KEY"), "{refused}");
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

fn subject_agent(id: &str) -> v1::Subject {
    v1::Subject {
        subject: Some(v1::subject::Subject::Agent(id.to_owned())),
    }
}

fn subject_owner() -> v1::Subject {
    v1::Subject {
        subject: Some(v1::subject::Subject::Owner(OWNER.to_owned())),
    }
}

async fn suspend(operator: &Client, agent: &str) -> String {
    let response = call!(
        operator,
        AgentServiceClient::suspend,
        v1::SuspendRequest {
            meta: meta("odd").unwrap(),
            subject: Some(subject_agent(agent)),
        }
    )
    .unwrap();
    response.committed.unwrap().consistency_token
}

async fn revoke_held(operator: &Client, subject: v1::Subject) -> String {
    let response = call!(
        operator,
        RevocationServiceClient::revoke_held,
        v1::RevokeHeldRequest {
            meta: meta("to be sure").unwrap(),
            subject: Some(subject.clone()),
        }
    )
    .unwrap();
    assert!(response.may_mint_anew);
    response.committed.unwrap().consistency_token
}
