//! One connection to one node: TLS 1.3, the cluster's root and nothing else
//! trusted, the caller's key proved.

use std::{io, sync::Arc, time::Duration};

use hyper_util::rt::TokioIo;
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tonic::transport::{Channel, Endpoint};

use crate::{endpoints::InvalidEndpoint, identity::SharedIdentity};

/// How long a TCP connection and its handshake may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(5);

/// The TLS side of every connection of a client.
pub(crate) fn tls(
    roots: &str,
    identity: &SharedIdentity,
) -> Result<Arc<ClientConfig>, InvalidEndpoint> {
    let mut store = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(roots.as_bytes()) {
        let certificate = certificate.map_err(|error| InvalidEndpoint::Root(error.to_string()))?;
        store
            .add(certificate)
            .map_err(|error| InvalidEndpoint::Root(error.to_string()))?;
    }
    if store.is_empty() {
        return Err(InvalidEndpoint::Root("no certificate in it".to_owned()));
    }
    let builder = ClientConfig::builder_with_provider(Arc::new(
        rustls::crypto::aws_lc_rs::default_provider(),
    ))
    .with_protocol_versions(&[&rustls::version::TLS13])
    .map_err(|error| InvalidEndpoint::Tls(error.to_string()))?
    .with_root_certificates(store);
    let mut config = match identity {
        Some(identity) => builder
            .with_client_auth_cert(identity.chain(), identity.private_key())
            .map_err(|error| InvalidEndpoint::Tls(error.to_string()))?,
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(Arc::new(config))
}

/// A channel that connects at its first call, and again after a loss.
pub(crate) fn channel(address: &str, tls: Arc<ClientConfig>) -> Result<Channel, InvalidEndpoint> {
    let invalid = |why: &str| InvalidEndpoint::Address(address.to_owned(), why.to_owned());
    let authority = address.strip_prefix("https://").unwrap_or(address);
    let (host, port) = authority
        .rsplit_once(':')
        .ok_or_else(|| invalid("no port"))?;
    let port: u16 = port.parse().map_err(|_| invalid("the port is no number"))?;
    let host = host
        .trim_start_matches('[')
        .trim_end_matches(']')
        .to_owned();
    let name =
        ServerName::try_from(host.clone()).map_err(|_| invalid("no host name or address"))?;
    let origin = format!("https://{authority}");
    let endpoint = Endpoint::from_shared(format!("http://{authority}"))
        .map_err(|error| invalid(&error.to_string()))?
        .origin(origin.parse().map_err(|_| invalid("no host and port"))?)
        .http2_keep_alive_interval(KEEPALIVE_INTERVAL)
        .keep_alive_timeout(KEEPALIVE_TIMEOUT)
        .keep_alive_while_idle(true);
    let connector = TlsConnector::from(tls);
    Ok(
        endpoint.connect_with_connector_lazy(tower::service_fn(move |_| {
            open(host.clone(), port, name.clone(), connector.clone())
        })),
    )
}

async fn open(
    host: String,
    port: u16,
    name: ServerName<'static>,
    connector: TlsConnector,
) -> io::Result<TokioIo<tokio_rustls::client::TlsStream<TcpStream>>> {
    tokio::time::timeout(CONNECT_TIMEOUT, async {
        let tcp = TcpStream::connect((host.as_str(), port)).await?;
        tcp.set_nodelay(true)?;
        Ok(TokioIo::new(connector.connect(name, tcp).await?))
    })
    .await
    .map_err(|_| io::Error::new(io::ErrorKind::TimedOut, "no TLS connection within 2 s"))?
}
