//! Statements: what a key signs that is not a token.
//!
//! Every statement is signed under a prefix that no JWS signing input (RFC 7515
//! §5.1: base64url and dots) and no TLS 1.3 signature (RFC 8446 §4.4.3: 64
//! spaces) can begin with, so nobody who has a say in a statement's bytes can have a
//! token or a handshake signed with it.

const PREFIX: &[u8] = b"chancery statement v1\0";

/// What is signed for the statement `message`.
pub(crate) fn signed_bytes(message: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(PREFIX.len() + message.len());
    bytes.extend_from_slice(PREFIX);
    bytes.extend_from_slice(message);
    bytes
}
