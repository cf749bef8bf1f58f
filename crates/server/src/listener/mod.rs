//! The public listener: TCP, TLS 1.3, HTTP/2 and HTTP/1.1, each within bounds.
//!
//! It decides nothing about who may do what: it says which key a connection
//! proved, and hands every request to the [caller layer](crate::caller).
//!
//! ```text
//!  accept ─► handshake ─► admit ─► h2 | http/1.1 ─► caller layer ─► services
//!    │ slots     │ time      │ per principal │ streams, headers, frames
//! ```
//!
//! Whatever a peer withholds (its hello, its preface, its request, its reading,
//! its pings) holds a bounded slot for a bounded time. A stream that has nothing to
//! say may last; it holds one of its caller's few.

mod accept;
mod connection;
mod handshakes;
mod idle;
mod limits;

pub use accept::{Drained, Listener};
pub use limits::Limits;
