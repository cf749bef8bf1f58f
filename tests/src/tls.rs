//! TLS as a client's, with a certificate or without.

use std::sync::Arc;

use chancery_client::Identity;
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
};

/// The root trusted; `protocols` asked for (ALPN), none when it is empty.
pub fn config(root: &str, identity: Option<&Identity>, protocols: &[&[u8]]) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_slice(root.as_bytes()).unwrap())
        .unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    let mut config = match identity {
        None => config.with_no_client_auth(),
        Some(identity) => {
            let (key, certificate) = (identity.private_key_pem(), identity.certificate_pem());
            let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
            let chain = vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()];
            config.with_client_auth_cert(chain, key).unwrap()
        }
    };
    config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
    Arc::new(config)
}

/// HTTP/2, RFC 9113 section 3.2.
pub const HTTP2: &[u8] = b"h2";

/// The name that a node's certificate has to have: its address.
pub fn name(api: &str) -> ServerName<'static> {
    let (host, _) = api.rsplit_once(':').unwrap();
    ServerName::try_from(host.to_owned()).unwrap()
}
