//! Who gets through the handshake, and as whom.

use chancery_authority::Role;
use chancery_credential::CertificateThumbprint;
use chancery_server::listener::Limits;
use futures::FutureExt;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{Client, Node, Person, Settings, call, registry, soon};

const HEALTH: &str = "/grpc.health.v1.Health/Check";
const WHO_AM_I: &str = "/chancery.v1.PrincipalService/WhoAmI";
const STATUS: &str = "/chancery.v1.ClusterService/Status";

#[tokio::test]
async fn without_a_certificate_there_is_health_and_the_jwks() {
    let mut node = Node::start().await;
    let nobody = node.connect_as_nobody().await;

    let answer = nobody.call(HEALTH).await;
    assert_eq!(answer.header("x-caller"), "anyone");
    assert_eq!(answer.status().await.code(), tonic::Code::Ok);
    node.reached("anyone", HEALTH).await;
    node.next().await;

    let jwks = nobody
        .send(http::Request::get(
            "https://localhost/.well-known/jwks.json",
        ))
        .await
        .unwrap();
    assert_eq!(jwks.code, 200);
    node.reached("anyone", "/.well-known/jwks.json").await;
    node.next().await;

    for path in [WHO_AM_I, STATUS, "/chancery.v1.TokenService/Mint"] {
        let status = nobody.call(path).await.status().await;
        assert_eq!(status.code(), tonic::Code::Unauthenticated);
        assert_eq!(call::reason(&status), "NO_CERTIFICATE");
    }
    assert!(node.is_quiet(), "a refused request reached the service");
}

#[tokio::test]
async fn the_jwks_is_served_over_http_1_1_and_grpc_is_not() {
    let node = Node::start().await;
    let ask = async |request: &str| {
        let mut tls = call::shake_hands(node.address, call::client_config(None, b"http/1.1"))
            .await
            .unwrap();
        tls.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        // The server may close without a close_notify after it has answered.
        drop(soon("an answer", tls.read_to_end(&mut answer)).await);
        String::from_utf8(answer).unwrap()
    };
    let get = "GET /.well-known/jwks.json HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    assert!(ask(get).await.starts_with("HTTP/1.1 200"));
    let post = format!(
        "POST {HEALTH} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/grpc\r\n\
         content-length: 0\r\nconnection: close\r\n\r\n"
    );
    assert!(ask(&post).await.starts_with("HTTP/1.1 505"));
}

#[tokio::test]
async fn a_key_of_any_kind_is_who_is_calling_whatever_its_certificate_says() {
    let node = Node::start().await;
    for (name, algorithm) in [
        ("p256", &rcgen::PKCS_ECDSA_P256_SHA256),
        ("p384", &rcgen::PKCS_ECDSA_P384_SHA384),
        ("ed25519", &rcgen::PKCS_ED25519),
        ("rsa", &rcgen::PKCS_RSA_SHA256),
    ] {
        let person = Person::with(algorithm);
        node.registry
            .register(&person, registry::operator(name, &[Role::Auditor]));
        let answer = node.connect(&person).await.call(WHO_AM_I).await;
        assert_eq!(answer.header("x-caller"), format!("operator:{name}"));
        assert_eq!(
            answer.header("x-certificate"),
            CertificateThumbprint::of_certificate(person.certificate()).to_string(),
        );
    }
}

/// A node that has still to catch up knows not whom it does not know: the refusal is
/// not final, and the SDK asks another node.
#[tokio::test]
async fn a_node_that_is_behind_says_so_and_not_that_a_key_is_nobodys() {
    let node = Node::start().await;
    node.registry.go_stale();
    let newcomer = Person::new();
    let answer = node.connect(&newcomer).await.call(WHO_AM_I).await;
    let status = answer.status().await;
    assert_eq!(status.code(), tonic::Code::Unavailable);
    assert_eq!(call::reason(&status), "STALE");
}

/// A copy of it may be on its way: the log tells what becomes of it.
#[tokio::test]
async fn a_request_that_was_sent_before_is_known_as_one() {
    let node = Node::start().await;
    let agent = node.registry.register_agent("one");
    let client = node.connect(&agent).await;
    let first = client.call(WHO_AM_I).await;
    assert_eq!(first.header("x-retried"), "no");
    let retry = http::Request::post(format!("https://localhost{WHO_AM_I}"))
        .header("content-type", "application/grpc")
        .header("grpc-previous-rpc-attempts", "1");
    let retried = client.send(retry).await.unwrap();
    assert_eq!(retried.header("x-retried"), "yes");
}

/// At another node, a moment before: this one has still to apply it.
#[tokio::test]
async fn whoever_was_just_registered_elsewhere_is_let_in_at_the_first_try() {
    let node = Node::start().await;
    let newcomer = Person::new();
    let identity = registry::agent("newcomer");
    node.registry.registered_elsewhere(&newcomer, identity);
    let answer = node.connect(&newcomer).await.call(WHO_AM_I).await;
    assert_eq!(
        answer.header("x-caller"),
        "agent:spiffe://example.org/newcomer"
    );
}

/// What a node says that may be behind is not final.
#[tokio::test]
async fn whoever_was_just_resumed_elsewhere_is_let_in_and_told_to_go_on_where_that_cannot_be_known()
{
    let node = Node::start().await;
    let agent = node.registry.register_agent("one");
    let client = node.connect(&agent).await;
    node.registry.suspend(&agent);
    let status = client.call(WHO_AM_I).await.status().await;
    assert_eq!(call::reason(&status), "AGENT_SUSPENDED");

    let resumed = registry::agent("one");
    node.registry.registered_elsewhere(&agent, resumed);
    let answer = client.call(WHO_AM_I).await;
    assert_eq!(answer.header("x-caller"), "agent:spiffe://example.org/one");

    node.registry.suspend(&agent);
    node.registry.go_stale();
    let status = client.call(WHO_AM_I).await.status().await;
    assert_eq!(status.code(), tonic::Code::Unavailable);
    assert_eq!(call::reason(&status), "STALE");
}

#[tokio::test]
async fn an_unknown_key_is_told_which_key_to_register() {
    let mut node = Node::start().await;
    let stranger = Person::new();
    let status = node
        .connect(&stranger)
        .await
        .call(WHO_AM_I)
        .await
        .status()
        .await;
    assert_eq!(status.code(), tonic::Code::Unauthenticated);
    assert_eq!(call::reason(&status), "UNKNOWN_KEY");
    let details = tonic_types::StatusExt::get_error_details(&status);
    let remedy = &details.localized_message().unwrap().message;
    assert!(
        remedy.contains(&stranger.thumbprint().to_string()),
        "{remedy}"
    );
    assert!(node.is_quiet(), "a refused request reached the service");

    // Nothing is remembered of the refusal: once registered, the same
    // connection will do.
    let client = node.connect(&stranger).await;
    node.registry.register(&stranger, registry::agent("late"));
    assert_eq!(
        client.call(WHO_AM_I).await.header("x-caller"),
        "agent:spiffe://example.org/late"
    );
}

#[tokio::test]
async fn a_certificate_copied_without_its_key_fails_the_handshake() {
    let mut node = Node::start().await;
    let keeper = node.registry.register_operator("keeper", &[Role::Keeper]);
    let thief = Person::impersonating(&keeper);
    // In TLS 1.3 the client has finished before it learns of it.
    let refused = async {
        let tls = call::shake_hands(node.address, call::client_config(Some(&thief), b"h2")).await;
        let mut tls = tls?;
        tls.read_u8().await.map(drop)
    };
    let error = soon("the handshake to fail", refused).await.unwrap_err();
    assert!(error.to_string().contains("DecryptError"), "{error}");
    assert!(node.is_quiet());
}

#[tokio::test]
async fn tls_1_2_is_refused() {
    let node = Node::start().await;
    let mut tcp = TcpStream::connect(node.address).await.unwrap();
    tcp.write_all(&client_hello_of_tls_1_2()).await.unwrap();
    let mut alert = [0; 7];
    soon("an alert", tcp.read_exact(&mut alert)).await.unwrap();
    // RFC 8446 §6: alert record, fatal, protocol_version.
    assert_eq!((alert[0], alert[5], alert[6]), (21, 2, 70));
}

/// RFC 5246 §7.4.1.2: a hello that a TLS 1.2 server would take.
fn client_hello_of_tls_1_2() -> Vec<u8> {
    let mut body = vec![3, 3];
    body.extend([7; 32]);
    body.push(0);
    body.extend([0, 4, 0xc0, 0x2b, 0xc0, 0x2f]); // ECDHE with ECDSA or RSA, AES-128-GCM
    body.extend([1, 0]);
    let extensions = [
        &[0, 10, 0, 4, 0, 2, 0, 23][..],  // supported_groups: secp256r1
        &[0, 11, 0, 2, 1, 0],             // ec_point_formats: uncompressed
        &[0, 13, 0, 6, 0, 4, 4, 3, 8, 4], // signature_algorithms
    ]
    .concat();
    body.extend((extensions.len() as u16).to_be_bytes());
    body.extend(extensions);
    let mut record = vec![22, 3, 1];
    record.extend((body.len() as u16 + 4).to_be_bytes());
    record.extend([1, 0]);
    record.extend((body.len() as u16).to_be_bytes());
    record.extend(body);
    record
}

#[tokio::test]
async fn every_connection_proves_its_key_anew() {
    let node = Node::start().await;
    let agent = node.registry.register_agent("one");
    // One configuration, so that the client would resume if it could.
    let config = call::client_config(Some(&agent), b"http/1.1");
    for _ in 0..2 {
        let mut tls = call::shake_hands(node.address, config.clone())
            .await
            .unwrap();
        tls.write_all(
            b"GET /.well-known/jwks.json HTTP/1.1\r\nhost: l\r\nconnection: close\r\n\r\n",
        )
        .await
        .unwrap();
        drop(soon("an answer", tls.read_to_end(&mut Vec::new())).await);
        let session = tls.get_ref().1;
        assert_eq!(session.handshake_kind(), Some(rustls::HandshakeKind::Full));
        assert_eq!(session.tls13_tickets_received(), 0);
    }
}

#[tokio::test]
async fn a_stalled_handshake_ends_when_its_time_is_up() {
    let node = limited(Limits {
        handshake_time: Duration::from_millis(300),
        ..Limits::default()
    })
    .await;
    let mut silent = TcpStream::connect(node.address).await.unwrap();
    assert_eq!(soon("the end", silent.read(&mut [0; 1])).await.unwrap(), 0);
}

/// Whatever the flood does, it is not its time that lets others in.
const NEVER: Duration = Duration::from_secs(3600);

#[tokio::test]
async fn handshakes_that_are_never_finished_keep_nobody_out() {
    let node = limited(Limits {
        handshakes: 8,
        handshake_time: NEVER,
        ..Limits::default()
    })
    .await;
    let agent = node.registry.register_agent("one");
    let mut silent = Vec::new();
    for number in 0..32 {
        let from = [127, 0, 0, 1 + number % 4].into();
        silent.push(call::connect_from(from, node.address).await.unwrap());
    }
    let client = soon("a place", Client::connect(node.address, Some(&agent)))
        .await
        .unwrap();
    assert_eq!(
        client.call(WHO_AM_I).await.header("x-caller"),
        "agent:spiffe://example.org/one"
    );
    let oldest = &mut silent[0];
    let ended = soon("the end", oldest.read(&mut [0; 1])).await;
    assert!(matches!(ended, Ok(0) | Err(_)));
}

#[tokio::test]
async fn one_address_cannot_take_every_handshake() {
    let node = limited(Limits {
        handshakes_per_address: 1,
        handshake_time: NEVER,
        ..Limits::default()
    })
    .await;
    let mut silent = TcpStream::connect(node.address).await.unwrap();
    // Of the same address, and of another that is not in its way.
    let other = call::connect_from([127, 0, 0, 9].into(), node.address);
    let mut other = other.await.unwrap();
    let client = soon("a place", Client::connect(node.address, None)).await;
    assert!(client.is_ok());
    let ended = soon("the end", silent.read(&mut [0; 1])).await;
    assert!(matches!(ended, Ok(0) | Err(_)));
    assert!(other.read(&mut [0; 1]).now_or_never().is_none());
}

async fn limited(limits: Limits) -> Node {
    Node::with(Settings {
        limits,
        ..Settings::default()
    })
    .await
}
