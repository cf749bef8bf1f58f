//! The published JWKS, fetched as any verifier would: HTTPS, the root trusted,
//! no client certificate.

use std::sync::Arc;

use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_rustls::TlsConnector;

/// The status line and the body of `GET /.well-known/jwks.json` at `api`.
///
/// # Panics
/// When the node does not answer.
pub async fn fetch(api: &str, root: &str) -> (String, String) {
    try_fetch(api, root).await.unwrap()
}

/// The same; nothing from a node that is down, or goes down meanwhile.
pub async fn try_fetch(api: &str, root: &str) -> Option<(String, String)> {
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_slice(root.as_bytes()).unwrap())
        .unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let (host, _) = api.rsplit_once(':').unwrap();
    let name = ServerName::try_from(host.to_owned()).unwrap();
    let tcp = TcpStream::connect(api).await.ok()?;
    let mut tls = TlsConnector::from(Arc::new(config))
        .connect(name, tcp)
        .await
        .ok()?;
    let request =
        format!("GET /.well-known/jwks.json HTTP/1.1\r\nhost: {api}\r\nconnection: close\r\n\r\n");
    tls.write_all(request.as_bytes()).await.ok()?;
    let mut answer = Vec::new();
    // Whether the server says goodbye in TLS is not what is tested here.
    let _ = tls.read_to_end(&mut answer).await;
    let answer = String::from_utf8(answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n")?;
    Some((
        head.lines().next().unwrap_or_default().to_owned(),
        body.to_owned(),
    ))
}
