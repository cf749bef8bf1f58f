//! Who may not, at every method that the descriptors list: refused with a reason,
//! and nothing of the registry changed.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use chancery_client::{Client, Identity, v1};
use chancery_tests::{
    agent::{AUDIENCE, Agent, wanted},
    cluster::{Cluster, impatient},
    method::{self, Method, reason, refusal},
    peer,
};
use futures::{StreamExt, stream};
use rustls::{AlertDescription, Error as TlsError};
use tonic::Code;
use v1::token_service_client::TokenServiceClient;

/// Who a caller is, and the code that all refusals then bear.
async fn refused_everywhere(
    who: &str,
    client: &Client,
    code: Code,
    allowed: impl Fn(&Method) -> bool,
) {
    for method in method::public() {
        if allowed(&method) {
            continue;
        }
        let status = refusal(&client.channel().unwrap(), &method)
            .await
            .unwrap_or_else(|| panic!("{who} got into {method:?}"));
        assert_eq!(status.code(), code, "{who} at {method:?}: {status:?}");
        assert!(
            !reason(&status).is_empty(),
            "{who} at {method:?} is told why"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_gets_in_who_may_not() {
    let cluster = Cluster::of(1).await;
    let agent = Agent::register(&cluster, "curious").await;
    let digest = cluster.status(0).await.unwrap().state_digest;

    let stranger = cluster.client(&[0], Some(Identity::generate().unwrap()), impatient());
    refused_everywhere("a stranger", &stranger, Code::Unauthenticated, |_| false).await;
    let nobody = cluster.client(&[0], None, impatient());
    refused_everywhere("nobody", &nobody, Code::Unauthenticated, |_| false).await;
    let may = [
        "TokenService/Mint",
        "TokenService/MintStream",
        "RevocationService/AwaitEnforced",
        "RevocationService/Revoke",
        "KeyService/List",
        "PrincipalService/WhoAmI",
    ];
    let client = agent.at(&cluster, &[0]);
    refused_everywhere("an agent", &client, Code::PermissionDenied, |method| {
        may.iter().any(|may| method.path.ends_with(may))
    })
    .await;

    // Its key was an agent's a moment ago: at every method it is nobody's now.
    suspend(&cluster, &agent.id);
    let client = agent.at(&cluster, &[0]);
    for method in &method::public() {
        let status = refusal(&client.channel().unwrap(), method).await.unwrap();
        assert_eq!(
            status.code(),
            Code::PermissionDenied,
            "{method:?}: {status}"
        );
        assert_eq!(reason(&status), "AGENT_SUSPENDED", "{method:?}: {status}");
    }
    resume(&cluster, &agent.id);
    let after = cluster.status(0).await.unwrap().state_digest;
    assert_ne!(after, digest, "the suspension stands in it");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_refused_leaves_no_trace_in_the_state() {
    let cluster = Cluster::of(1).await;
    let agent = Agent::register(&cluster, "curious").await;
    let before = cluster.status(0).await.unwrap().state_digest;
    let stranger = cluster.client(&[0], Some(Identity::generate().unwrap()), impatient());
    let nobody = cluster.client(&[0], None, impatient());
    for client in [stranger, nobody, agent.at(&cluster, &[0])] {
        for method in method::public() {
            let _ = refusal(&client.channel().unwrap(), &method).await;
        }
    }
    assert_eq!(cluster.status(0).await.unwrap().state_digest, before);
}

/// Whether a service answered, and not the transport in its place.
fn answered(status: &tonic::Status) -> bool {
    std::error::Error::source(status).is_none()
}

/// The nodes' own door: whoever is not in the record is hung up on at every
/// method, before any service hears of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_whose_key_is_not_in_the_record_reaches_no_method() {
    let cluster = Cluster::of(3).await;
    let before = cluster.status(0).await.unwrap().state_digest;
    let strange = Identity::generate().unwrap().private_key_pem().to_string();
    let operator = cluster.operator_identity().private_key_pem().to_string();
    for key in [&strange, &operator] {
        for node in &cluster.nodes {
            let told = peer::handshake(&node.peer(), key).await.unwrap_err();
            assert_eq!(
                told,
                TlsError::AlertReceived(AlertDescription::AccessDenied)
            );
            for method in method::between_nodes() {
                let status = refusal(&peer::channel(&node.peer(), key), &method)
                    .await
                    .unwrap_or_else(|| panic!("a stranger got into {method:?}"));
                assert!(!answered(&status), "{method:?}: {status:?}");
            }
        }
    }
    // With a key of the record the same door opens: what is said is then judged.
    let key = cluster.nodes[1].directory().join("peer.key");
    let key = std::fs::read_to_string(key).unwrap();
    peer::handshake(&cluster.nodes[0].peer(), &key)
        .await
        .unwrap();
    for method in method::between_nodes() {
        let channel = peer::channel(&cluster.nodes[0].peer(), &key);
        let status = refusal(&channel, &method).await.unwrap();
        assert!(answered(&status), "{method:?}: {status:?}");
    }
    assert_eq!(cluster.status(0).await.unwrap().state_digest, before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_gets_no_more_than_its_grant() {
    let cluster = Cluster::of(1).await;
    let agent = Agent::register(&cluster, "modest").await;
    Agent::register(&cluster, "another").await;
    let client = agent.at(&cluster, &[0]);
    let cases: [(&str, v1::MintRequest); 5] = [
        (
            "OTHER_AGENT",
            v1::MintRequest {
                agent: "spiffe://test.example/another".into(),
                ..wanted()
            },
        ),
        (
            "NOT_GRANTED",
            v1::MintRequest {
                scopes: vec!["admin:all".into()],
                ..wanted()
            },
        ),
        (
            "NOT_GRANTED",
            v1::MintRequest {
                audience: "https://other.example/v1".into(),
                ..wanted()
            },
        ),
        (
            "TTL_OVER_CAP",
            v1::MintRequest {
                ttl_seconds: 3600,
                ..wanted()
            },
        ),
        (
            "BEARER_NOT_GRANTED",
            v1::MintRequest {
                bearer: true,
                ..wanted()
            },
        ),
    ];
    let before = cluster.status(0).await.unwrap().state_digest;
    let mut stream = client.mint_stream().await.unwrap();
    for (expected, request) in cases {
        let refused = client.mint(request.clone()).await.unwrap_err();
        assert_eq!(refused.reason(), Some(expected), "{refused}");
        stream.send(request).await.unwrap();
        let (_, refused) = stream.receive().await.unwrap();
        assert_eq!(refused.unwrap_err().reason, expected, "over a stream");
    }
    assert!(client.mint(wanted()).await.is_ok());
    stream.send(wanted()).await.unwrap();
    let (_, minted) = stream.receive().await.unwrap();
    assert!(minted.is_ok(), "a refusal ends no stream");
    assert_eq!(cluster.status(0).await.unwrap().state_digest, before);
}

/// Runs a verb against an agent, as the operator.
fn verb(cluster: &Cluster, verb: &str, agent: &str) {
    chancery_tests::chancery::succeed(
        &cluster.path(),
        &[
            verb,
            "agent",
            agent,
            "--profile",
            "profile",
            "--reason",
            "a test",
        ],
    );
}

fn suspend(cluster: &Cluster, agent: &str) {
    verb(cluster, "suspend", agent);
}

fn resume(cluster: &Cluster, agent: &str) {
    verb(cluster, "resume", agent);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_ends_when_its_agent_is_suspended() {
    let cluster = Cluster::of(1).await;
    let agent = Agent::register(&cluster, "streaming").await;
    let mut stream = agent.at(&cluster, &[0]).mint_stream().await.unwrap();
    stream.send(wanted()).await.unwrap();
    let (_, minted) = stream.receive().await.unwrap();
    assert!(minted.is_ok());

    suspend(&cluster, &agent.id);
    // Idle: nothing is sent, and still it ends.
    let ended = stream.receive().await.unwrap_err();
    assert_eq!(ended.reason(), Some("AGENT_SUSPENDED"), "{ended}");
}

/// Every stream of the descriptors but the agents' own, ended under its caller.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_ends_when_its_service_is_removed() {
    let cluster = Cluster::of(1).await;
    let streams: Vec<Method> = method::public()
        .into_iter()
        .filter(|method| method.streams && !method.path.ends_with("MintStream"))
        .collect();
    assert!(!streams.is_empty());
    for (number, method) in streams.iter().enumerate() {
        let name = format!("watcher-{number}");
        let channel = service(&cluster, &name).channel().unwrap();
        let mut client = tonic::client::Grpc::new(channel);
        client.ready().await.unwrap();
        let path = method.path.parse().unwrap();
        let codec = tonic_prost::ProstCodec::<(), ()>::default();
        let rest = if method.takes_stream {
            stream::pending().left_stream()
        } else {
            stream::empty().right_stream()
        };
        let request = tonic::Request::new(stream::once(async {}).chain(rest));
        let answers = client.streaming(request, path, codec).await;
        let mut stream = answers.unwrap().into_inner();
        assert!(stream.message().await.unwrap().is_some(), "{method:?}");

        let remove = [
            "service",
            "remove",
            &name,
            "--profile",
            "profile",
            "--reason",
            "a test",
        ];
        chancery_tests::chancery::succeed(&cluster.path(), &remove);
        let ended = loop {
            match stream.message().await {
                Ok(Some(())) => {}
                Ok(None) => panic!("{method:?} ended without a reason"),
                Err(status) => break status,
            }
        };
        assert_eq!(reason(&ended), "UNKNOWN_KEY", "{method:?}: {ended}");
    }
}

/// Registers a service for [`AUDIENCE`], and gives its SDK.
fn service(cluster: &Cluster, name: &str) -> Client {
    let identity = Identity::generate().unwrap();
    let key = cluster.path().join(format!("{name}.pub"));
    let public = base64::Engine::encode(
        &base64::engine::general_purpose::STANDARD,
        identity.public_key(),
    );
    let public = format!("-----BEGIN PUBLIC KEY-----\n{public}\n-----END PUBLIC KEY-----\n");
    std::fs::write(&key, public).unwrap();
    chancery_tests::chancery::succeed(
        &cluster.path(),
        &[
            "service",
            "add",
            name,
            "--audience",
            AUDIENCE,
            "--public-key",
            key.to_str().unwrap(),
            "--profile",
            "profile",
        ],
    );
    cluster.client(&[0], Some(identity), impatient())
}

/// `Verify` is for services and operators: a service only for its audiences.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_verifies_for_its_own_audiences_only() {
    let cluster = Cluster::of(1).await;
    let service = service(&cluster, "ledger").channel().unwrap();
    let request = |audience: &str| v1::VerifyRequest {
        token: "no token".to_owned(),
        audience: audience.to_owned(),
        ..v1::VerifyRequest::default()
    };
    let own = TokenServiceClient::new(service.clone())
        .verify(request(AUDIENCE))
        .await
        .unwrap();
    assert_eq!(
        own.into_inner().verdict(),
        v1::verify_response::Verdict::Refused
    );
    let other = TokenServiceClient::new(service)
        .verify(request("https://other.example"))
        .await
        .unwrap_err();
    assert_eq!(reason(&other), "OTHER_AUDIENCE");
}
