//! HTTP/2 (RFC 9113) against a peer that does not play by its rules.

use std::time::Duration;

use chancery_server::listener::Limits;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use crate::support::{Node, Settings, Witness, call, soon};

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const CONTINUATION: u8 = 9;

const ACK: u8 = 1;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

const PROTOCOL_ERROR: u32 = 1;
const REFUSED_STREAM: u32 = 7;
const ENHANCE_YOUR_CALM: u32 = 11;

struct Frame {
    kind: u8,
    stream: u32,
    payload: Vec<u8>,
}

impl Frame {
    /// The error code of a `RST_STREAM` or `GOAWAY`.
    fn error(&self) -> u32 {
        let at = if self.kind == GOAWAY { 4 } else { 0 };
        number(&self.payload[at..at + 4])
    }
}

fn number(bytes: &[u8]) -> u32 {
    bytes
        .iter()
        .fold(0, |number, byte| number << 8 | u32::from(*byte))
}

/// A peer that writes frames as the test likes.
struct Peer(TlsStream<TcpStream>);

impl Peer {
    async fn connect(node: &Node) -> Self {
        let config = call::client_config(None, b"h2");
        let mut peer = Self(call::shake_hands(node.address, config).await.unwrap());
        peer.0
            .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
            .await
            .unwrap();
        peer.send(SETTINGS, 0, 0, &[]).await;
        peer
    }

    async fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        // The server may have hung up, which is what some tests are after.
        drop(self.0.write_all(&frame(kind, flags, stream, payload)).await);
    }

    async fn next(&mut self) -> Option<Frame> {
        let mut head = [0; 9];
        self.0.read_exact(&mut head).await.ok()?;
        let mut payload = vec![0; number(&head[..3]) as usize];
        self.0.read_exact(&mut payload).await.ok()?;
        Some(Frame {
            kind: head[3],
            stream: number(&head[5..]),
            payload,
        })
    }

    /// The next frame of one of these kinds.
    async fn expect(&mut self, kinds: &[u8]) -> Frame {
        soon("a frame", async {
            loop {
                let frame = self.next().await.expect("the connection ended");
                if kinds.contains(&frame.kind) {
                    return frame;
                }
            }
        })
        .await
    }
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut frame = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// HPACK (RFC 7541) of a gRPC request, nothing indexed.
fn request(path: &str) -> Vec<u8> {
    let mut block = vec![0x83, 0x87, 0x04, path.len() as u8];
    block.extend(path.as_bytes());
    block.extend([0x0f, 0x10, 16]);
    block.extend(b"application/grpc");
    block
}

const WATCH: &str = "/grpc.health.v1.Health/Watch";

#[tokio::test]
async fn the_bounds_are_announced() {
    let node = Node::start().await;
    let mut peer = Peer::connect(&node).await;
    let settings = peer.expect(&[SETTINGS]).await.payload;
    let value = |id: u8| {
        let found = settings.chunks(6).find(|setting| setting[1] == id);
        found.map(|setting| number(&setting[2..]))
    };
    let limits = Limits::default();
    assert_eq!(value(3), Some(128), "SETTINGS_MAX_CONCURRENT_STREAMS");
    assert_eq!(
        value(4),
        Some(limits.stream_window),
        "SETTINGS_INITIAL_WINDOW_SIZE"
    );
    assert_eq!(value(6), Some(8 * 1024), "SETTINGS_MAX_HEADER_LIST_SIZE");
    assert!(
        matches!(value(5), None | Some(16_384)),
        "SETTINGS_MAX_FRAME_SIZE"
    );
}

#[tokio::test]
async fn one_stream_too_many_is_refused_and_the_others_go_on() {
    let limits = Limits {
        streams: 2,
        ..Limits::default()
    };
    let node = Node::with(Settings {
        limits,
        ..Settings::default()
    })
    .await;
    let mut peer = Peer::connect(&node).await;
    // Who has acknowledged the bound is held to it.
    peer.expect(&[SETTINGS]).await;
    peer.send(SETTINGS, ACK, 0, &[]).await;
    for stream in [1, 3] {
        peer.send(HEADERS, END_HEADERS | END_STREAM, stream, &request(WATCH))
            .await;
        assert_eq!(peer.expect(&[DATA]).await.stream, stream);
    }
    peer.send(HEADERS, END_HEADERS | END_STREAM, 5, &request(WATCH))
        .await;
    let refused = peer.expect(&[RST_STREAM, DATA, GOAWAY]).await;
    assert_eq!(
        (refused.kind, refused.stream, refused.error()),
        (RST_STREAM, 5, REFUSED_STREAM)
    );
    peer.send(PING, 0, 0, &[0; 8]).await;
    peer.expect(&[PING]).await;
}

#[tokio::test]
async fn a_flood_of_resets_ends_the_connection() {
    let mut node = Node::start().await;
    let mut peer = Peer::connect(&node).await;
    let flood: Vec<u8> = (0..2000_u32)
        .flat_map(|number| {
            let stream = 2 * number + 1;
            let mut pair = frame(HEADERS, END_HEADERS | END_STREAM, stream, &request(WATCH));
            pair.extend(frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes()));
            pair
        })
        .collect();
    drop(peer.0.write_all(&flood).await);
    let goodbye = peer.expect(&[GOAWAY]).await;
    assert_eq!(goodbye.error(), ENHANCE_YOUR_CALM);
    let mut reached = 0;
    while !node.is_quiet() {
        reached += 1;
    }
    assert!(
        reached < 200,
        "{reached} of the streams that were reset reached a service"
    );
}

#[tokio::test]
async fn headers_without_an_end_end_the_connection() {
    let node = Node::start().await;
    let mut peer = Peer::connect(&node).await;
    peer.send(HEADERS, END_STREAM, 1, &request(WATCH)).await;
    let padding = [&[0x00, 1, b'a', 127, 0xa9, 0x7f][..], &[b'a'; 16_300]].concat();
    for _ in 0..64 {
        peer.send(CONTINUATION, 0, 1, &padding).await;
    }
    let goodbye = peer.expect(&[GOAWAY]).await;
    assert!(
        [PROTOCOL_ERROR, ENHANCE_YOUR_CALM, 9].contains(&goodbye.error()),
        "{}",
        goodbye.error()
    );
}

#[tokio::test]
async fn who_makes_no_room_for_an_answer_is_sent_away_and_who_reads_is_not() {
    let limits = Limits {
        send_time: Duration::from_millis(200),
        linger: Duration::from_millis(100),
        ..Limits::default()
    };
    let mut node = Node::with(Settings {
        limits,
        ..Settings::default()
    })
    .await;
    let reader = node.connect_as_nobody().await;
    let mut watching = reader.call(WATCH).await;
    watching.next().await.unwrap();
    node.reached("anyone", WATCH).await;

    let mut peer = Peer::connect(&node).await;
    // SETTINGS_INITIAL_WINDOW_SIZE of nothing.
    peer.send(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0]).await;
    peer.send(HEADERS, END_HEADERS | END_STREAM, 1, &request(WATCH))
        .await;
    node.reached("anyone", WATCH).await;
    soon("the end", async { while peer.next().await.is_some() {} }).await;
    assert_eq!(node.next().await, Witness::Dropped);

    let health = reader.call("/grpc.health.v1.Health/Check").await;
    assert_eq!(health.status().await.code(), tonic::Code::Ok);
}

#[tokio::test]
async fn a_peer_that_does_not_answer_pings_is_given_up() {
    let limits = Limits {
        ping_every: Duration::from_millis(100),
        ping_time: Duration::from_millis(100),
        ..Limits::default()
    };
    let node = Node::with(Settings {
        limits,
        ..Settings::default()
    })
    .await;
    let mut peer = Peer::connect(&node).await;
    soon("the end", async { while peer.next().await.is_some() {} }).await;
}
