//! The key that a caller proves in the TLS handshake.

use std::{fmt, sync::Arc};

use chancery_credential::{CertificateThumbprint, KeyThumbprint};
use rcgen::{CertificateParams, KeyPair, PublicKeyData};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, pem::PemObject};
use thiserror::Error;
use zeroize::Zeroizing;

/// Why an identity could not be made of what was given.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum InvalidIdentity {
    /// The private key is not PKCS#8 in PEM, or of an unsupported algorithm.
    #[error("the private key cannot be read ({0}): expected one PKCS#8 key in PEM")]
    Key(String),
    /// The certificate cannot be read.
    #[error("the certificate cannot be read ({0}): expected one X.509 certificate in PEM")]
    Certificate(String),
    /// The certificate certifies another key.
    #[error("the certificate is for another key than the private key beside it")]
    Mismatch,
    /// No key or certificate could be made.
    #[error("the key or its self-signed certificate could not be made: {0}")]
    Generate(String),
}

/// A private key with the certificate that presents it. Chancery looks only at
/// the key, so the certificate may be self-signed; tokens are bound to the
/// certificate (RFC 8705), so keep the two together.
pub struct Identity {
    key: Zeroizing<Vec<u8>>,
    key_pem: Zeroizing<String>,
    certificate: CertificateDer<'static>,
    spki: Vec<u8>,
}

impl Identity {
    /// Makes a new P-256 key with a self-signed certificate.
    ///
    /// # Errors
    /// When the system gives no entropy.
    pub fn generate() -> Result<Self, InvalidIdentity> {
        let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)
            .map(Zeroizing::new)
            .map_err(|error| InvalidIdentity::Generate(error.to_string()))?;
        let certificate = self_sign(&key)?;
        Ok(Self::of(&key, certificate))
    }

    /// Reads a PKCS#8 key, and the certificate that presents it. Without one, a
    /// self-signed certificate is made, a new one at each call.
    ///
    /// # Errors
    /// When either cannot be read, or they do not belong together.
    pub fn from_pem(key: &str, certificate: Option<&str>) -> Result<Self, InvalidIdentity> {
        let key = KeyPair::from_pem(key)
            .map(Zeroizing::new)
            .map_err(|error| InvalidIdentity::Key(error.to_string()))?;
        let Some(certificate) = certificate else {
            let certificate = self_sign(&key)?;
            return Ok(Self::of(&key, certificate));
        };
        let certificate = CertificateDer::from_pem_slice(certificate.as_bytes())
            .map_err(|error| InvalidIdentity::Certificate(error.to_string()))?;
        let (_, parsed) = x509_parser::parse_x509_certificate(&certificate)
            .map_err(|error| InvalidIdentity::Certificate(error.to_string()))?;
        if parsed.public_key().raw != key.subject_public_key_info() {
            return Err(InvalidIdentity::Mismatch);
        }
        Ok(Self::of(&key, certificate))
    }

    fn of(key: &KeyPair, certificate: CertificateDer<'static>) -> Self {
        Self {
            key: Zeroizing::new(key.serialize_der()),
            key_pem: Zeroizing::new(key.serialize_pem()),
            certificate,
            spki: key.subject_public_key_info(),
        }
    }

    /// The key's `SubjectPublicKeyInfo`, DER: what is registered.
    #[must_use]
    pub fn public_key(&self) -> &[u8] {
        &self.spki
    }

    /// By what the cluster knows the key.
    #[must_use]
    pub fn key_thumbprint(&self) -> KeyThumbprint {
        KeyThumbprint::of_spki(&self.spki)
    }

    /// By what tokens are bound to the certificate (`x5t#S256`).
    #[must_use]
    pub fn certificate_thumbprint(&self) -> CertificateThumbprint {
        CertificateThumbprint::of_certificate(&self.certificate)
    }

    /// The certificate in PEM.
    #[must_use]
    pub fn certificate_pem(&self) -> String {
        pem::encode(&pem::Pem::new("CERTIFICATE", self.certificate.to_vec()))
    }

    /// The private key, PKCS#8 in PEM. A secret: for its holder's 0600 file.
    #[must_use]
    pub fn private_key_pem(&self) -> Zeroizing<String> {
        self.key_pem.clone()
    }

    pub(crate) fn chain(&self) -> Vec<CertificateDer<'static>> {
        vec![self.certificate.clone()]
    }

    pub(crate) fn private_key(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(self.key.to_vec()))
    }
}

fn self_sign(key: &KeyPair) -> Result<CertificateDer<'static>, InvalidIdentity> {
    let mut params = CertificateParams::new(Vec::new())
        .map_err(|error| InvalidIdentity::Generate(error.to_string()))?;
    params.distinguished_name = rcgen::DistinguishedName::new();
    params
        .distinguished_name
        .push(rcgen::DnType::CommonName, "chancery client");
    let certificate = params
        .self_signed(key)
        .map_err(|error| InvalidIdentity::Generate(error.to_string()))?;
    Ok(certificate.der().clone())
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity")
            .field("key", &self.key_thumbprint())
            .finish_non_exhaustive()
    }
}

/// Shared by every connection of a client.
pub(crate) type SharedIdentity = Option<Arc<Identity>>;
