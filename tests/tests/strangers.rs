//! Who may not, at every method that the descriptors list: refused with a reason,
//! and nothing of the registry changed.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use chancery_client::{Channel, Identity, v1};
use chancery_tests::{
    agent::{AUDIENCE, Agent, wanted},
    cluster::{Cluster, impatient},
};
use prost::Message;
use prost_types::FileDescriptorSet;
use tonic::{Code, Request, Status, codec::Streaming};
use tonic_prost::ProstCodec;
use tonic_types::StatusExt;
use v1::token_service_client::TokenServiceClient;

/// Every method of the public API, by its path.
fn methods() -> Vec<String> {
    let descriptors = FileDescriptorSet::decode(chancery_wire::FILE_DESCRIPTOR_SET).unwrap();
    let mut paths = Vec::new();
    for file in &descriptors.file {
        for service in file
            .service
            .iter()
            .filter(|_| file.package() == "chancery.v1")
        {
            for method in &service.method {
                paths.push(format!(
                    "/{}.{}/{}",
                    file.package(),
                    service.name(),
                    method.name()
                ));
            }
        }
    }
    paths
}

/// Calls a method with an empty message, which every request of the protocol can be
/// read from, and gives the refusal.
async fn refusal(channel: &Channel, path: &str) -> Option<Status> {
    let mut client = tonic::client::Grpc::new(channel.clone());
    client.ready().await.unwrap();
    let path = path.parse().unwrap();
    let codec = ProstCodec::<(), ()>::default();
    let answer: Result<tonic::Response<Streaming<()>>, Status> =
        client.server_streaming(Request::new(()), path, codec).await;
    match answer {
        Err(status) => Some(status),
        Ok(answer) => answer.into_inner().message().await.err(),
    }
}

fn reason(status: &Status) -> String {
    status
        .get_error_details()
        .error_info()
        .map(|info| info.reason.clone())
        .unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_gets_in_who_may_not() {
    let cluster = Cluster::of(1).await;
    let agent = Agent::register(&cluster, "curious").await;
    let digest = cluster.status(0).await.unwrap().state_digest;
    let methods = methods();
    assert!(
        methods.len() > 20,
        "the descriptors list the API: {methods:?}"
    );

    let stranger = cluster.client(&[0], Some(Identity::generate().unwrap()), impatient());
    let nobody = cluster.client(&[0], None, impatient());
    for (who, client) in [("a stranger", &stranger), ("nobody", &nobody)] {
        for path in methods.iter().filter(|path| !path.ends_with("/WhoAmI")) {
            let status = refusal(&client.channel().unwrap(), path)
                .await
                .unwrap_or_else(|| panic!("{who} got into {path}"));
            assert_eq!(
                status.code(),
                Code::Unauthenticated,
                "{who} at {path}: {status:?}"
            );
            assert!(!reason(&status).is_empty(), "{who} at {path} is told why");
        }
    }

    let client = agent.at(&cluster, &[0]);
    let allowed = [
        "TokenService/Mint",
        "TokenService/MintStream",
        "RevocationService/Revoke",
        "KeyService/List",
        "WhoAmI",
    ];
    for path in methods
        .iter()
        .filter(|path| !allowed.iter().any(|may| path.ends_with(may)))
    {
        let status = refusal(&client.channel().unwrap(), path)
            .await
            .unwrap_or_else(|| panic!("an agent got into {path}"));
        assert_eq!(
            status.code(),
            Code::PermissionDenied,
            "an agent at {path}: {status:?}"
        );
        assert!(
            !reason(&status).is_empty(),
            "an agent at {path} is told why"
        );
    }
    assert_eq!(
        cluster.status(0).await.unwrap().state_digest,
        digest,
        "and nothing changed"
    );
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
    for (expected, request) in cases {
        let refused = client.mint(request).await.unwrap_err();
        assert_eq!(refused.reason(), Some(expected), "{refused}");
    }
    assert!(client.mint(wanted()).await.is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_ends_when_its_agent_is_suspended() {
    let cluster = Cluster::of(1).await;
    let agent = Agent::register(&cluster, "streaming").await;
    let mut stream = agent.at(&cluster, &[0]).mint_stream().await.unwrap();
    stream.send(wanted()).await.unwrap();
    let (_, minted) = stream.receive().await.unwrap();
    assert!(minted.is_ok());

    chancery_tests::chancery::succeed(
        &cluster.path(),
        &[
            "suspend",
            "agent",
            &agent.id,
            "--profile",
            "profile",
            "--reason",
            "in the middle of its stream",
        ],
    );
    // Idle: nothing is sent, and still it ends.
    let ended = stream.receive().await.unwrap_err();
    assert_eq!(ended.reason(), Some("AGENT_SUSPENDED"), "{ended}");
}

/// `Verify` is for services and operators: a service only for its audiences.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_verifies_for_its_own_audiences_only() {
    let cluster = Cluster::of(1).await;
    let identity = Identity::generate().unwrap();
    let key = cluster.path().join("service.pub");
    let public = format!(
        "-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n",
        base64::Engine::encode(
            &base64::engine::general_purpose::STANDARD,
            identity.public_key()
        )
    );
    std::fs::write(&key, public).unwrap();
    chancery_tests::chancery::succeed(
        &cluster.path(),
        &[
            "service",
            "add",
            "ledger",
            "--audience",
            AUDIENCE,
            "--public-key",
            key.to_str().unwrap(),
            "--profile",
            "profile",
        ],
    );
    let service = cluster
        .client(&[0], Some(identity), impatient())
        .channel()
        .unwrap();
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
