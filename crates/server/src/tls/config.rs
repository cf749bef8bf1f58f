//! The rustls configuration of the public listener.

use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::server::NoServerSessionStorage;
use thiserror::Error;

use super::caller_key::ProvenKey;
use super::identity::ServerIdentity;

/// HTTP/2 (RFC 9113), for gRPC.
pub(crate) const ALPN_H2: &[u8] = b"h2";
/// HTTP/1.1 (RFC 9112), for those who fetch the JWKS with it.
pub(super) const ALPN_HTTP_1_1: &[u8] = b"http/1.1";

/// The TLS library refused its own settings: a fault of this build, not of the
/// operator.
#[derive(Debug, Error)]
#[error("this build of rustls cannot serve TLS 1.3: {0}")]
pub struct ConfigError(#[from] rustls::Error);

/// TLS 1.3 with `identity`, client certificates requested, nothing resumed.
///
/// # Errors
///
/// When the cryptographic provider lacks TLS 1.3.
pub fn server_config(identity: Arc<ServerIdentity>) -> Result<Arc<ServerConfig>, ConfigError> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_client_cert_verifier(Arc::new(ProvenKey(provider)))
        .with_cert_resolver(identity);
    config.alpn_protocols = vec![ALPN_H2.to_vec(), ALPN_HTTP_1_1.to_vec()];
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config.max_early_data_size = 0;
    config.send_half_rtt_data = false;
    Ok(Arc::new(config))
}
