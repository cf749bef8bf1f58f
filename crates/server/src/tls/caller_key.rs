//! The key that a client's handshake proved.

use std::fmt;
use std::sync::Arc;

use chancery_credential::{CertificateThumbprint, KeyThumbprint};
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{CryptoProvider, verify_tls13_signature_with_raw_key};
use rustls::pki_types::{CertificateDer, SubjectPublicKeyInfoDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, PeerIncompatible,
    SignatureScheme,
};

/// The longest client certificate that is read, in bytes of DER. One with an
/// RSA key of 8192 bits and a few names stays below 3 KiB.
const MAX_CERTIFICATE: usize = 8 * 1024;

/// Who is calling: the key that the handshake proved, and the certificate that
/// carried it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CallerKey {
    /// SHA-256 of the certificate's SubjectPublicKeyInfo: how the registry
    /// knows a principal.
    pub key: KeyThumbprint,
    /// SHA-256 of the certificate: what a token can be bound to (RFC 8705
    /// §3.1). One key may come in several certificates.
    pub certificate: CertificateThumbprint,
}

impl CallerKey {
    /// Of the end-entity certificate of a finished handshake; `None` if it
    /// cannot be read, which the verifier has excluded.
    #[must_use]
    pub fn of(certificate: &CertificateDer<'_>) -> Option<Self> {
        let spki = public_key_of(certificate)?;
        Some(Self {
            key: KeyThumbprint::of_spki(&spki),
            certificate: CertificateThumbprint::of_certificate(certificate),
        })
    }
}

/// The SubjectPublicKeyInfo of a certificate.
///
/// The handshake signature is verified with these bytes and the thumbprint is
/// taken of these bytes: no second parser can read another key.
fn public_key_of<'a>(certificate: &'a CertificateDer<'_>) -> Option<SubjectPublicKeyInfoDer<'a>> {
    if certificate.len() > MAX_CERTIFICATE {
        return None;
    }
    let (rest, parsed) = x509_parser::parse_x509_certificate(certificate).ok()?;
    rest.is_empty()
        .then(|| SubjectPublicKeyInfoDer::from(parsed.tbs_certificate.subject_pki.raw))
}

/// Accepts any certificate whose key signed this handshake.
pub(super) struct ProvenKey(pub(super) Arc<CryptoProvider>);

impl fmt::Debug for ProvenKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ProvenKey")
    }
}

impl ClientCertVerifier for ProvenKey {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        match public_key_of(end_entity) {
            Some(_) => Ok(ClientCertVerified::assertion()),
            None => Err(CertificateError::BadEncoding.into()),
        }
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(PeerIncompatible::Tls12NotOffered.into())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let key = public_key_of(certificate).ok_or(CertificateError::BadEncoding)?;
        verify_tls13_signature_with_raw_key(
            message,
            &key,
            signed,
            &self.0.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
