//! The bounds of the listener.

use std::time::Duration;

/// What one node takes on at a time, and how long it waits for anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Connections at a time. One more is closed as soon as it is accepted, so
    /// that its client goes to another node at once.
    pub connections: usize,
    /// Handshakes at a time. One more ends the oldest of the address that has begun
    /// most: nobody keeps the others out by being slow.
    pub handshakes: usize,
    /// Of these, from one address (of IPv6, from one /64). One more ends the oldest
    /// of them.
    pub handshakes_per_address: usize,
    /// How long a handshake may take.
    pub handshake_time: Duration,
    /// How long a principal's connection may be without a request; it is closed
    /// after that, and before twice that.
    pub idle: Duration,
    /// The same of a stranger's.
    pub stranger_idle: Duration,
    /// How long a part of an answer may wait for its client to make room for it;
    /// the connection is closed after that, and before twice that.
    pub send_time: Duration,
    /// How long a connection that is being closed may take to end what it began.
    pub linger: Duration,
    /// How long, when the node stops, connections may take to end what they
    /// began.
    pub drain: Duration,
    /// HTTP/2 streams of a connection at a time.
    pub streams: u32,
    /// All headers of a request together, bytes, each counted with 32 more
    /// (RFC 9113 §6.5.2).
    pub header_bytes: u32,
    /// Payload of an HTTP/2 frame, bytes.
    pub frame_bytes: u32,
    /// What a client may send on a stream before it is read, bytes.
    pub stream_window: u32,
    /// The same of a connection.
    pub connection_window: u32,
    /// What is kept for a client that does not read, bytes per stream.
    pub send_buffer: usize,
    /// Streams that a client opened and reset before they were looked at
    /// (CVE-2023-44487); one more ends the connection.
    pub pending_accept_resets: usize,
    /// Streams that the client made this side reset (CVE-2025-8671); one more
    /// ends the connection.
    pub local_error_resets: usize,
    /// How often a connection is asked whether it is still there.
    pub ping_every: Duration,
    /// How long it may take to answer.
    pub ping_time: Duration,
    /// How long an HTTP/1.1 client may take to send the head of a request.
    pub http1_head_time: Duration,
}

impl Limits {
    /// The longest message that a gRPC service decodes, bytes. To be given to
    /// every generated server (`max_decoding_message_size`).
    pub const MESSAGE_BYTES: usize = 64 * 1024;
    /// The same of a batch of checks, which a thousand tokens fit into.
    pub const BATCH_BYTES: usize = 1024 * 1024;
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 20_000,
            handshakes: 1024,
            handshakes_per_address: 256,
            handshake_time: Duration::from_secs(5),
            idle: Duration::from_secs(15 * 60),
            stranger_idle: Duration::from_secs(30),
            send_time: Duration::from_secs(30),
            linger: Duration::from_secs(5),
            drain: Duration::from_secs(10),
            streams: 128,
            header_bytes: 8 * 1024,
            frame_bytes: 16 * 1024,
            stream_window: 128 * 1024,
            connection_window: 512 * 1024,
            send_buffer: 64 * 1024,
            pending_accept_resets: 20,
            local_error_resets: 1024,
            ping_every: Duration::from_secs(20),
            ping_time: Duration::from_secs(10),
            http1_head_time: Duration::from_secs(5),
        }
    }
}
