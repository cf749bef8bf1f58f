//! Nobody holds more than its share.

use std::time::Duration;

use chancery_server::caller::{Bounds, Share};
use chancery_server::listener::Limits;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tonic::Code;

use crate::support::{Client, Node, Settings, Witness, call, soon};

const WATCH: &str = "/chancery.v1.RevocationService/Watch";
const CHECK: &str = "/chancery.v1.RevocationService/Check";
const LIST_CHANGES: &str = "/chancery.v1.RevocationService/ListChanges";
const CHECK_STREAM: &str = "/chancery.v1.RevocationService/CheckStream";
const HEALTH: &str = "/grpc.health.v1.Health/Check";
const HEALTH_WATCH: &str = "/grpc.health.v1.Health/Watch";

async fn bounded(bounds: Bounds) -> Node {
    Node::with(Settings {
        bounds,
        ..Settings::default()
    })
    .await
}

async fn limited(limits: Limits) -> Node {
    Node::with(Settings {
        limits,
        ..Settings::default()
    })
    .await
}

#[tokio::test]
async fn too_many_streams_of_one_principal_are_refused_on_whatever_connection() {
    let mut node = bounded(Bounds {
        streams: Share {
            principal: 2,
            ..Bounds::default().streams
        },
        ..Bounds::default()
    })
    .await;
    let shop = node.registry.register_service("shop");
    let other = node.registry.register_service("other");
    let first = node.connect(&shop).await.call(WATCH).await;
    let _second = node.connect(&shop).await.call(WATCH).await;

    let status = node.connect(&shop).await.call(WATCH).await.status().await;
    assert_eq!(status.code(), Code::ResourceExhausted);
    assert_eq!(call::reason(&status), "TOO_MANY_IN_FLIGHT");
    assert_eq!(node.connect(&other).await.call(WATCH).await.code, 200);

    // A place is free as soon as the service's own stream is gone.
    drop(first);
    while node.next().await != Witness::Dropped {}
    soon("the place", async {
        while node
            .connect(&shop)
            .await
            .call(WATCH)
            .await
            .headers
            .contains_key("grpc-status")
        {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

/// Each of them can hold a large message that does not come whole.
#[tokio::test]
async fn streams_of_batches_are_counted_by_themselves() {
    let mut node = bounded(Bounds {
        batches: Share {
            principal: 1,
            ..Bounds::default().batches
        },
        ..Bounds::default()
    })
    .await;
    let shop = node.registry.register_service("shop");
    let first = node.connect(&shop).await.begin(CHECK_STREAM);
    node.reached("service:shop", CHECK_STREAM).await;
    let second = node.connect(&shop).await.call(CHECK_STREAM).await;
    let status = second.status().await;
    assert_eq!(call::reason(&status), "TOO_MANY_IN_FLIGHT");
    assert!(status.message().contains("streams of batches"), "{status}");
    assert_eq!(node.connect(&shop).await.call(WATCH).await.code, 200);
    drop(first);
}

/// Each of them can hold a large answer that nobody reads, over gRPC and over HTTPS.
#[tokio::test]
async fn pages_of_lists_are_counted_by_themselves_until_they_were_read() {
    let mut node = bounded(Bounds {
        pages: Share {
            principal: 1,
            ..Bounds::default().pages
        },
        ..Bounds::default()
    })
    .await;
    let shop = node.registry.register_service("shop");
    let other = node.registry.register_service("other");
    let first = node.connect(&shop).await.begin(LIST_CHANGES);
    node.reached("service:shop", LIST_CHANGES).await;

    let client = node.connect(&shop).await;
    let status = client.call(LIST_CHANGES).await.status().await;
    assert_eq!(call::reason(&status), "TOO_MANY_IN_FLIGHT");
    assert!(status.message().contains("pages of lists"), "{status}");
    let request = http::Request::get("https://localhost/v1/revocations");
    assert_eq!(client.send(request).await.unwrap().code, 429);

    // What is no list has places of its own, and so has everybody else.
    let status = client.call(CHECK).await.status().await;
    assert_eq!(status.code(), Code::Ok, "{status}");
    let status = node.connect(&other).await.call(LIST_CHANGES).await;
    assert_eq!(status.status().await.code(), Code::Ok);

    // Its place is free once the answer was read.
    let status = first.half_close().await.status().await;
    assert_eq!(status.code(), Code::Ok);
    soon("the place", async {
        while client.call(LIST_CHANGES).await.status().await.code() != Code::Ok {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

/// Everything of strangers as narrow as it can be without being closed.
const NARROW: Share = Share {
    principal: 1,
    address: 1,
    strangers: 2,
};

async fn jwks(client: &Client) -> http::StatusCode {
    let request = http::Request::get("https://localhost/.well-known/jwks.json");
    client.send(request).await.unwrap().code
}

#[tokio::test]
async fn an_address_at_its_bound_of_streams_is_in_nobody_s_way() {
    let node = bounded(Bounds {
        streams: NARROW,
        ..Bounds::default()
    })
    .await;
    let shop = node.registry.register_service("shop");
    let greedy = node.connect_as_nobody_from(1).await;
    let _watching = greedy.call(HEALTH_WATCH).await;

    for client in [&greedy, &node.connect_as_nobody_from(1).await] {
        let status = client.call(HEALTH_WATCH).await.status().await;
        assert_eq!(call::reason(&status), "TOO_MANY_IN_FLIGHT");
        assert!(status.message().contains("127.0.0.1"), "{status}");
    }
    let other = node.connect_as_nobody_from(2).await;
    let mut watching_too = other.call(HEALTH_WATCH).await;
    watching_too.next().await.unwrap();

    // All strangers have their streams: not one more, from wherever.
    let third = node.connect_as_nobody_from(3).await;
    let status = third.call(HEALTH_WATCH).await.status().await;
    assert_eq!(call::reason(&status), "TOO_MANY_IN_FLIGHT");
    // Single requests are none of theirs, nor are those who are known.
    assert_eq!(third.call(HEALTH).await.status().await.code(), Code::Ok);
    assert_eq!(jwks(&greedy).await, 200);
    let mut known = node.connect(&shop).await.call(HEALTH_WATCH).await;
    known.next().await.unwrap();
}

#[tokio::test]
async fn an_address_at_its_bound_of_requests_is_in_nobody_s_way() {
    let mut node = bounded(Bounds {
        requests: NARROW,
        ..Bounds::default()
    })
    .await;
    let shop = node.registry.register_service("shop");
    let greedy = node.connect_as_nobody_from(1).await;
    // A request that is not sent to its end is being served.
    let _unfinished = greedy.begin(HEALTH);
    node.reached("anyone", HEALTH).await;
    assert_eq!(jwks(&greedy).await, 429);
    let status = greedy.call(HEALTH).await.status().await;
    assert_eq!(call::reason(&status), "TOO_MANY_IN_FLIGHT");

    let other = node.connect_as_nobody_from(2).await;
    assert_eq!(jwks(&other).await, 200);
    assert_eq!(other.call(HEALTH).await.status().await.code(), Code::Ok);

    while !node.is_quiet() {}
    let _unfinished_too = other.begin(HEALTH);
    node.reached("anyone", HEALTH).await;
    assert_eq!(jwks(&node.connect_as_nobody_from(3).await).await, 429);
    let known = node.connect(&shop).await;
    assert_eq!(known.call(HEALTH).await.status().await.code(), Code::Ok);
    assert_eq!(jwks(&known).await, 200);
}

#[tokio::test]
async fn a_principal_has_so_many_connections_and_strangers_have_theirs() {
    let bounds = Bounds {
        connections: NARROW,
        ..Bounds::default()
    };
    let node = bounded(bounds).await;
    let shop = node.registry.register_service("shop");
    let kept = node.connect(&shop).await;
    assert_eq!(kept.call(HEALTH).await.code, 200);
    let stranger = node.connect_as_nobody().await;
    assert_eq!(stranger.call(HEALTH).await.code, 200);

    for person in [Some(&shop), None] {
        if let Ok(mut refused) = Client::connect(node.address, person).await {
            refused.closed().await;
        }
    }
    assert_eq!(kept.call(HEALTH).await.code, 200);
    assert_eq!(stranger.call(HEALTH).await.code, 200);
}

#[tokio::test]
async fn who_is_refused_too_often_is_not_heard_and_nobody_else_notices() {
    const STATUS: &str = "/chancery.v1.ClusterService/Status";
    const WHO_AM_I: &str = "/chancery.v1.PrincipalService/WhoAmI";
    let few = Share {
        principal: 3,
        address: 3,
        strangers: 100,
    };
    let node = bounded(Bounds {
        rejections: few,
        ..Bounds::default()
    })
    .await;
    let (shop, other) = (
        node.registry.register_service("shop"),
        node.registry.register_service("other"),
    );
    // A service may not ask for the status; the one that is too many is told that.
    let flood = node.connect(&shop).await;
    for _ in 0..few.principal {
        let status = flood.call(STATUS).await.status().await;
        assert_eq!(call::reason(&status), "METHOD_NOT_PERMITTED");
    }
    for path in [STATUS, WHO_AM_I] {
        let status = flood.call(path).await.status().await;
        assert_eq!(status.code(), Code::ResourceExhausted);
        assert_eq!(call::reason(&status), "TOO_MANY_REJECTIONS", "{path}");
    }
    // What anyone may ask is answered, and so is everybody else.
    assert_eq!(flood.call(HEALTH).await.status().await.code(), Code::Ok);
    let untouched = node.connect(&other).await;
    assert_eq!(
        untouched.call(WHO_AM_I).await.status().await.code(),
        Code::Ok
    );

    // Strangers are counted by their address.
    let stranger = node.connect_as_nobody_from(7).await;
    for _ in 0..few.address {
        let status = stranger.call(STATUS).await.status().await;
        assert_eq!(call::reason(&status), "NO_CERTIFICATE");
    }
    let status = stranger.call(STATUS).await.status().await;
    assert_eq!(call::reason(&status), "TOO_MANY_REJECTIONS");
    let elsewhere = node.connect_as_nobody_from(8).await;
    let status = elsewhere.call(STATUS).await.status().await;
    assert_eq!(call::reason(&status), "NO_CERTIFICATE");
}

#[tokio::test]
async fn one_connection_more_than_there_is_room_for_is_closed_at_once() {
    let node = limited(Limits {
        connections: 1,
        ..Limits::default()
    })
    .await;
    let kept = node.connect_as_nobody().await;
    let mut refused = TcpStream::connect(node.address).await.unwrap();
    assert!(matches!(
        soon("the end", refused.read(&mut [0; 1])).await,
        Ok(0) | Err(_)
    ));
    assert_eq!(kept.call(HEALTH).await.code, 200);
}

#[tokio::test]
async fn nine_kibibytes_of_headers_are_refused() {
    let mut node = Node::start().await;
    let client = node.connect_as_nobody().await;
    let with = |length: usize| {
        http::Request::post(format!("https://localhost{HEALTH}"))
            .header("content-type", "application/grpc")
            .header("x-long", "a".repeat(length))
    };
    assert_eq!(client.send(with(7 * 1024)).await.unwrap().code, 200);
    node.reached("anyone", HEALTH).await;
    node.next().await;
    assert_eq!(client.send(with(9 * 1024)).await.unwrap().code, 431);
    assert!(node.is_quiet());
}

#[tokio::test]
async fn a_stranger_that_asks_nothing_is_sent_away_and_one_that_listens_is_not() {
    let limits = Limits {
        stranger_idle: Duration::from_millis(200),
        ..Limits::default()
    };
    let node = limited(limits).await;
    let listening = node.connect_as_nobody().await;
    let mut health = listening.call(HEALTH_WATCH).await;
    health.next().await.unwrap();
    let shop = node.registry.register_service("shop");
    let principal = node.connect(&shop).await;

    node.connect_as_nobody().await.closed().await;

    assert_eq!(listening.call(HEALTH).await.code, 200);
    assert_eq!(principal.call(HEALTH).await.code, 200);
}

#[tokio::test]
async fn who_never_begins_to_speak_http_is_sent_away() {
    let limits = Limits {
        stranger_idle: Duration::from_millis(200),
        linger: Duration::from_millis(200),
        ..Limits::default()
    };
    let node = limited(limits).await;
    let mut tls = call::shake_hands(node.address, call::client_config(None, b"h2"))
        .await
        .unwrap();
    // The server's own settings may come first.
    drop(soon("the end", tls.read_to_end(&mut Vec::new())).await);
}
