//! Somebody at the nodes' own door: TLS 1.3 with a raw public key (RFC 7250), as
//! nodes speak to each other, with a key of one's own choice.

use std::sync::Arc;

use hyper_util::rt::TokioIo;
use rustls::{
    ClientConfig, DigitallySignedStruct, Error, SignatureScheme,
    client::{
        AlwaysResolvesClientRawPublicKeys,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, verify_tls13_signature_with_raw_key},
    pki_types::{
        CertificateDer, PrivateKeyDer, ServerName, SubjectPublicKeyInfoDer, UnixTime,
        pem::PemObject,
    },
    sign::CertifiedKey,
    version::TLS13,
};
use tokio::{io::AsyncReadExt, net::TcpStream};
use tokio_rustls::TlsConnector;
use tonic::transport::{Channel, Endpoint, Uri};

/// Whoever answers: what is tested is whom the node lets in.
#[derive(Debug)]
struct AnyServer(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyServer {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::General("TLS 1.3 only".into()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        shown: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let key = SubjectPublicKeyInfoDer::from(shown.as_ref());
        let algorithms = self.0.signature_verification_algorithms;
        verify_tls13_signature_with_raw_key(message, &key, signature, &algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}

/// What a node's listener for peers says to whom proves the private key in `pem`:
/// its first byte of HTTP/2, or why it hangs up (RFC 8446 §6.2).
///
/// # Errors
/// The alert that it sent.
pub async fn handshake(peer: &str, pem: &str) -> Result<u8, Error> {
    let name = ServerName::try_from("peer").unwrap();
    let tcp = TcpStream::connect(peer).await.unwrap();
    let said = async {
        let mut stream = connector(pem).connect(name, tcp).await?;
        stream.read_u8().await
    };
    said.await.map_err(|error| {
        let why = error.into_inner().expect("TLS says why");
        *why.downcast::<Error>().expect("TLS says why")
    })
}

/// A channel to a node's listener for peers that proves the private key in `pem`.
#[must_use]
pub fn channel(peer: &str, pem: &str) -> Channel {
    let connector = connector(pem);
    let address = peer.to_owned();
    let dial = tower::service_fn(move |_: Uri| {
        let (connector, address) = (connector.clone(), address.clone());
        async move {
            let name = ServerName::try_from("peer").map_err(std::io::Error::other)?;
            let stream = TcpStream::connect(address).await?;
            let stream = connector.connect(name, stream).await?;
            std::io::Result::Ok(TokioIo::new(stream))
        }
    });
    Endpoint::from_shared(format!("http://{peer}"))
        .unwrap()
        .connect_with_connector_lazy(dial)
}

fn connector(pem: &str) -> TlsConnector {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let private = PrivateKeyDer::from_pem_slice(pem.as_bytes()).unwrap();
    let signer = rustls::crypto::aws_lc_rs::sign::any_supported_type(&private).unwrap();
    let shown = CertificateDer::from(signer.public_key().unwrap().as_ref().to_vec());
    let key = Arc::new(CertifiedKey::new(vec![shown], signer));
    let mut config = ClientConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&[&TLS13])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyServer(provider)))
        .with_client_cert_resolver(Arc::new(AlwaysResolvesClientRawPublicKeys::new(key)));
    config.alpn_protocols = vec![b"h2".to_vec()];
    TlsConnector::from(Arc::new(config))
}
