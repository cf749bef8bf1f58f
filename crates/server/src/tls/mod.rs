//! TLS 1.3 (RFC 8446) of the public listener.
//!
//! A client certificate is requested and not required. Of one that comes, only
//! the handshake signature is checked, against the key that stands in it: that
//! key is who is calling. Names, dates, issuers and extensions decide nothing,
//! so a self-signed certificate is as good as any.
//!
//! Nothing is resumed: no tickets, no session cache, no 0-RTT. Every connection
//! proves its key anew, and a secret that a thief takes from a client's session
//! cache opens nothing. A full handshake costs a client that keeps its
//! connection, as all ours do, nothing that it would notice.
//!
//! - [`ServerIdentity`]: the node's certificate and key, reloaded without a
//!   restart.
//! - [`CallerKey`]: what a handshake proved.

mod caller_key;
mod config;
mod identity;
mod pem_files;
mod reload;

pub use caller_key::CallerKey;
pub(crate) use config::ALPN_H2;
pub use config::{ConfigError, server_config};
pub use identity::{ServerIdentity, Validity};
pub use pem_files::{IdentityError, IdentityFiles};
pub use reload::follow_files;
