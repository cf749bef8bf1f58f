//! TLS 1.3 between nodes, on raw public keys (RFC 7250): what each side shows is
//! its SubjectPublicKeyInfo and nothing else, and what is checked is that the key
//! is pinned and that the handshake signature (RFC 8446 §4.4.3) proves it. There
//! is no name, date or issuer in it that could decide anything.
//!
//! Sessions are never resumed and never begin with early data: each connection
//! proves its key anew.

use std::{fmt, sync::Arc};

use rustls::{
    DigitallySignedStruct, DistinguishedName, Error, SignatureScheme,
    client::{
        AlwaysResolvesClientRawPublicKeys, Resumption,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, WebPkiSupportedAlgorithms, verify_tls13_signature_with_raw_key},
    pki_types::{
        CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, SubjectPublicKeyInfoDer,
        UnixTime,
    },
    server::{
        AlwaysResolvesServerRawPublicKeys,
        danger::{ClientCertVerified, ClientCertVerifier},
    },
    sign::CertifiedKey,
    version::TLS13,
};

use super::book::PeerBook;

/// The protocol that both sides insist on: HTTP/2 (RFC 9113 §3.2).
const ALPN: &[u8] = b"h2";

/// This node's peer key, ready to prove itself.
#[derive(Clone)]
pub struct PeerIdentity {
    key: Arc<CertifiedKey>,
    provider: Arc<CryptoProvider>,
}

impl fmt::Debug for PeerIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PeerIdentity(..)")
    }
}

impl PeerIdentity {
    /// From the peer key in PKCS #8 (RFC 5958), DER.
    ///
    /// # Errors
    /// It is no private key that TLS 1.3 can sign with.
    pub fn from_pkcs8(der: &[u8]) -> Result<Self, Error> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        // Borrowed, so that no further copy of the key is left in memory.
        let private = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(der));
        let signer = rustls::crypto::aws_lc_rs::sign::any_supported_type(&private)?;
        let public = signer
            .public_key()
            .ok_or_else(|| Error::General("the peer key has no public half".into()))?;
        let shown = CertificateDer::from(public.as_ref().to_vec());
        Ok(Self {
            key: Arc::new(CertifiedKey::new(vec![shown], signer)),
            provider,
        })
    }

    /// The public half: SubjectPublicKeyInfo, DER.
    pub fn spki(&self) -> &[u8] {
        self.key.cert.first().map_or(&[], |shown| shown.as_ref())
    }

    /// For connections to the one node that holds the key `pinned`.
    pub(crate) fn client_config(&self, pinned: &[u8]) -> Result<rustls::ClientConfig, Error> {
        let verifier = PinnedServer {
            pinned: pinned.to_vec(),
            algorithms: self.algorithms(),
        };
        let mut config = rustls::ClientConfig::builder_with_provider(self.provider.clone())
            .with_protocol_versions(&[&TLS13])?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_client_cert_resolver(Arc::new(AlwaysResolvesClientRawPublicKeys::new(
                self.key.clone(),
            )));
        config.alpn_protocols = vec![ALPN.to_vec()];
        config.resumption = Resumption::disabled();
        config.enable_sni = false;
        Ok(config)
    }

    /// For the listener for peers: whoever is in the book comes in.
    pub(crate) fn server_config(&self, book: Arc<PeerBook>) -> Result<rustls::ServerConfig, Error> {
        let verifier = KnownClient {
            book,
            algorithms: self.algorithms(),
        };
        let mut config = rustls::ServerConfig::builder_with_provider(self.provider.clone())
            .with_protocol_versions(&[&TLS13])?
            .with_client_cert_verifier(Arc::new(verifier))
            .with_cert_resolver(Arc::new(AlwaysResolvesServerRawPublicKeys::new(
                self.key.clone(),
            )));
        config.alpn_protocols = vec![ALPN.to_vec()];
        config.send_tls13_tickets = 0;
        config.max_early_data_size = 0;
        Ok(config)
    }

    fn algorithms(&self) -> WebPkiSupportedAlgorithms {
        self.provider.signature_verification_algorithms
    }
}

/// Why a handshake with a key that is not pinned ends.
fn stranger() -> Error {
    Error::InvalidCertificate(rustls::CertificateError::ApplicationVerificationFailure)
}

/// Why one ends with the key of a node that was removed: by this alert the node
/// learns of it.
fn removed() -> Error {
    Error::InvalidCertificate(rustls::CertificateError::Revoked)
}

fn tls12() -> Error {
    Error::General("peers speak TLS 1.3 only".into())
}

fn prove(
    message: &[u8],
    shown: &CertificateDer<'_>,
    signature: &DigitallySignedStruct,
    algorithms: &WebPkiSupportedAlgorithms,
) -> Result<HandshakeSignatureValid, Error> {
    let key = SubjectPublicKeyInfoDer::from(shown.as_ref());
    verify_tls13_signature_with_raw_key(message, &key, signature, algorithms)
}

#[derive(Debug)]
struct PinnedServer {
    pinned: Vec<u8>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for PinnedServer {
    fn verify_server_cert(
        &self,
        shown: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if shown.as_ref() == self.pinned.as_slice() {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(stranger())
        }
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(tls12())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        shown: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        prove(message, shown, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}

#[derive(Debug)]
struct KnownClient {
    book: Arc<PeerBook>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ClientCertVerifier for KnownClient {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        shown: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        match self.book.number_of(shown.as_ref()) {
            Some(_) => Ok(ClientCertVerified::assertion()),
            None if self.book.was_removed(shown.as_ref()) => Err(removed()),
            None => Err(stranger()),
        }
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(tls12())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        shown: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        prove(message, shown, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}
