//! The SDK's verifier, and the example service behind its layer, over real nodes.

use std::time::Duration;

use axum::body::Body;
use chancery_client::{
    Client, ClientCertificate, Config, Expectations, Identity, Minted, Proof, Rejected,
    RetryPolicy, Verifier, VerifierConfig, meta, v1,
};
use chancery_tests::{
    agent::{AUDIENCE, Agent, OWNER, add_owner, mint, register},
    call,
    cluster::Cluster,
    until::until,
};
use http::{Request, StatusCode};
use rustix::process::Signal;
use tower::ServiceExt;
use v1::{
    agent_service_client::AgentServiceClient, principal_service_client::PrincipalServiceClient,
    revocation_service_client::RevocationServiceClient,
};

#[path = "../../../crates/client/examples/ledger.rs"]
#[allow(dead_code)]
mod ledger;

/// Until a verifier has to be ready on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A service that is registered for [`AUDIENCE`], over the nodes at `positions`.
async fn service(cluster: &Cluster, name: &str, positions: &[usize]) -> Client {
    let identity = Identity::generate().unwrap();
    let request = v1::AddServiceRequest {
        meta: meta("a test").unwrap(),
        name: name.to_owned(),
        audiences: vec![AUDIENCE.to_owned()],
        public_keys: vec![identity.public_key().to_vec()],
    };
    let operator = cluster.operator();
    call!(operator, PrincipalServiceClient::add_service, request).unwrap();
    let endpoints = positions.iter().map(|at| cluster.nodes[*at].api());
    Client::new(Config {
        endpoints: endpoints.collect(),
        root: cluster.root(),
        identity: Some(identity),
        retry: RetryPolicy::default(),
    })
    .unwrap()
}

async fn verifier(client: &Client) -> Verifier {
    let verifier = Verifier::follow(client, VerifierConfig::default());
    verifier.ready(PATIENCE).await.unwrap();
    verifier
}

fn expected() -> Expectations {
    Expectations::of(AUDIENCE.parse().unwrap())
}

fn proof(agent: &Agent) -> Proof {
    Proof {
        certificate: Some(agent.identity().certificate_thumbprint()),
    }
}

async fn revoke(cluster: &Cluster, token: &Minted) {
    let request = v1::RevokeRequest {
        meta: meta("a test").unwrap(),
        credential: Some(v1::revoke_request::Credential::Token(token.token.clone())),
    };
    call!(cluster.operator(), RevocationServiceClient::revoke, request).unwrap();
}

fn pause(cluster: &Cluster, positions: &[usize]) {
    for position in positions {
        cluster.nodes[*position].signal(Signal::STOP);
    }
}

fn go_on(cluster: &Cluster, positions: &[usize]) {
    for position in positions {
        cluster.nodes[*position].signal(Signal::CONT);
    }
}

/// Waits until this token is not accepted any more, and gives why.
async fn rejected(verifier: &Verifier, token: &Minted, proof: &Proof) -> Rejected {
    until("the token was not accepted", || async {
        let judged = verifier.verify(&token.token, &expected(), proof).await;
        judged.err()
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_verifier_accepts_what_is_in_force_and_knows_what_was_revoked() {
    let cluster = Cluster::of(1).await;
    let agent = Agent::register(&cluster, "verified").await;
    let minting = agent.at(&cluster, &[0]);
    let verifier = verifier(&service(&cluster, "shop", &[0]).await).await;
    let proof = proof(&agent);
    let (kept, revoked) = (mint(&minting).await.unwrap(), mint(&minting).await.unwrap());
    for token in [&kept, &revoked] {
        let accepted = verifier.verify(&token.token, &expected(), &proof).await;
        assert_eq!(accepted.unwrap().jti.to_string(), token.token_id);
    }
    let unproved = verifier
        .verify(&kept.token, &expected(), &Proof::default())
        .await;
    assert!(matches!(unproved, Err(Rejected::Refused(_))));

    revoke(&cluster, &revoked).await;
    let Rejected::Refused(reason) = rejected(&verifier, &revoked, &proof).await else {
        panic!("it was not refused");
    };
    assert_eq!(reason.code(), "TOKEN_REVOKED");
    let accepted = verifier.verify(&kept.token, &expected(), &proof).await;
    accepted.unwrap();

    // What was minted after the revocation is accepted at once: its view catches up.
    let younger = mint(&minting).await.unwrap();
    verifier
        .verify(&younger.token, &expected(), &proof)
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whose_node_falls_silent_follows_another_and_who_is_alone_accepts_nothing() {
    let cluster = Cluster::of(3).await;
    let agent = Agent::register(&cluster, "verified").await;
    let token = mint(&agent.at(&cluster, &[0, 1, 2])).await.unwrap();
    let everywhere = verifier(&service(&cluster, "everywhere", &[2, 0, 1]).await).await;
    let lonely = verifier(&service(&cluster, "lonely", &[2]).await).await;
    let proof = proof(&agent);

    // Their node breaks no connection, and answers nothing.
    pause(&cluster, &[2]);
    let stale = rejected(&lonely, &token, &proof).await;
    assert_eq!(stale, Rejected::Stale);
    assert_eq!(lonely.age(), None);
    // It has gone elsewhere, and knows what is revoked there.
    revoke(&cluster, &token).await;
    let reason = rejected(&everywhere, &token, &proof).await;
    assert!(matches!(reason, Rejected::Refused(_)), "{reason:?}");

    // What it was not told of is refused once it is back.
    go_on(&cluster, &[2]);
    until("the lonely verifier knew", || async {
        let judged = lonely.verify(&token.token, &expected(), &proof).await;
        matches!(judged, Err(Rejected::Refused(_))).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_without_a_quorum_makes_no_verifier_fresh() {
    let cluster = Cluster::of(3).await;
    let agent = Agent::register(&cluster, "verified").await;
    let token = mint(&agent.at(&cluster, &[2])).await.unwrap();
    let verifier = verifier(&service(&cluster, "shop", &[2]).await).await;
    let proof = proof(&agent);
    verifier
        .verify(&token.token, &expected(), &proof)
        .await
        .unwrap();
    pause(&cluster, &[0, 1]);
    let stale = rejected(&verifier, &token, &proof).await;
    assert_eq!(stale, Rejected::Stale);
    go_on(&cluster, &[0, 1]);
    until("it accepted again", || async {
        let judged = verifier.verify(&token.token, &expected(), &proof).await;
        judged.ok()
    })
    .await;
}

/// A bearer's agent: its grant says so.
async fn bearer(cluster: &Cluster) -> (Agent, Minted) {
    add_owner(&cluster.operator(), OWNER).await;
    let agent = Agent::unregistered("bearer", OWNER);
    let mut spec = agent.spec();
    spec.grants[0].bearer = true;
    register(&cluster.operator(), spec).await.unwrap();
    let request = v1::MintRequest {
        bearer: true,
        ..chancery_tests::agent::wanted()
    };
    let token = agent.at(cluster, &[0]).mint(request).await.unwrap();
    (agent, token)
}

async fn status(app: &axum::Router, token: Option<&str>, certificate: bool) -> StatusCode {
    let mut request = Request::get("/balance");
    if let Some(token) = token {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    let mut request = request.body(Body::empty()).unwrap();
    if certificate {
        let other = ClientCertificate::of(b"another");
        request.extensions_mut().insert(other);
    }
    app.clone().oneshot(request).await.unwrap().status()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_example_serves_whom_it_should() {
    let cluster = Cluster::of(1).await;
    let (agent, token) = bearer(&cluster).await;
    let verifier = verifier(&service(&cluster, "ledger", &[0]).await).await;
    let app = ledger::app(verifier.clone()).unwrap();

    assert_eq!(
        status(&app, Some(&token.token), false).await,
        StatusCode::OK
    );
    assert_eq!(status(&app, None, false).await, StatusCode::UNAUTHORIZED);
    let bound = mint(&agent.at(&cluster, &[0])).await.unwrap();
    let said = status(&app, Some(&bound.token), true).await;
    assert_eq!(said, StatusCode::UNAUTHORIZED, "it is bound to another");

    // Its node is cut off.
    cluster.nodes[0].signal(Signal::STOP);
    until("the service failed closed", || async {
        let said = status(&app, Some(&token.token), false).await;
        (said == StatusCode::SERVICE_UNAVAILABLE).then_some(())
    })
    .await;
    cluster.nodes[0].signal(Signal::CONT);
    until("the service served again", || async {
        let said = status(&app, Some(&token.token), false).await;
        (said == StatusCode::OK).then_some(())
    })
    .await;

    let subject = v1::subject::Subject::Agent(agent.id.clone());
    let request = v1::SuspendRequest {
        meta: meta("a test").unwrap(),
        subject: Some(v1::Subject {
            subject: Some(subject),
        }),
    };
    call!(cluster.operator(), AgentServiceClient::suspend, request).unwrap();
    until("the suspended agent was refused", || async {
        let said = status(&app, Some(&token.token), false).await;
        (said == StatusCode::UNAUTHORIZED).then_some(())
    })
    .await;
}

/// What the documentation shows is what the example does.
#[test]
fn the_lines_of_the_documentation_are_those_of_the_example() {
    let documentation = include_str!("../../../docs/verifying.md");
    let example = include_str!("../../../crates/client/examples/ledger.rs");
    let lines = |text: &str| -> Vec<String> {
        let trimmed = text.lines().map(|line| line.trim().to_owned());
        trimmed.filter(|line| !line.is_empty()).collect()
    };
    let (_, shown) = documentation.split_once("```rust\n").unwrap();
    let (shown, _) = shown.split_once("```").unwrap();
    let (shown, example) = (lines(shown), lines(example));
    assert_eq!(shown.len(), 5, "five lines: {shown:?}");
    for line in shown {
        assert!(example.contains(&line), "the example has no {line:?}");
    }
}
