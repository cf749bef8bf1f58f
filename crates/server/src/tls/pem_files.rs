//! The two files that hold a node's server certificate and its key.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::{CertifiedKey, SigningKey};
use thiserror::Error;
use zeroize::Zeroizing;

use super::identity::Validity;
use crate::admission::{Readers, Unread, read_wiped};

/// Where the server certificate (PEM, leaf first) and its key (PEM, PKCS #8,
/// SEC 1 or PKCS #1) stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdentityFiles {
    /// The chain, leaf first.
    pub certificate: PathBuf,
    /// The leaf's private key; only its owner may read it.
    pub key: PathBuf,
}

/// Why a server certificate cannot be used. It names the file and what to do.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum IdentityError {
    /// A file cannot be read.
    #[error(
        "cannot read {path}: {source}; give the user that runs chancery read access, or name another file"
    )]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file is far longer than a certificate or key.
    #[error("{0} is longer than 64 KiB: it is not a certificate or key; name the right file")]
    TooLong(PathBuf),
    /// Others than its owner can read the key.
    #[error("{path} can be read by others (mode {mode:o}); run: chmod 600 {path}")]
    KeyExposed {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// There is no certificate in the file.
    #[error(
        "{0} holds no PEM certificate; renew the server certificate and install what the operator returned"
    )]
    NoCertificate(PathBuf),
    /// There is no private key in the file, or one of a kind that cannot sign.
    #[error("{0} holds no PEM private key that can sign; renew the server certificate")]
    NoKey(PathBuf),
    /// The certificate cannot be read, or its key is not the one in the file.
    #[error(
        "{certificate} and {key} do not belong together: {detail}; install the certificate that was issued for this key"
    )]
    Mismatch {
        /// The certificate file.
        certificate: PathBuf,
        /// The key file.
        key: PathBuf,
        /// What rustls said.
        detail: String,
    },
    /// It is out of date, or not yet valid.
    #[error(
        "{path} is valid from {from} to {until} (seconds since 1970) and the clock says {now}; set the clock or renew the server certificate"
    )]
    OutOfDate {
        /// The file.
        path: PathBuf,
        /// Not before.
        from: i64,
        /// Not after.
        until: i64,
        /// The node's clock.
        now: i64,
    },
}

impl IdentityFiles {
    /// Reads both files and checks that they belong together.
    pub(super) fn load(&self) -> Result<(Arc<CertifiedKey>, Validity), IdentityError> {
        let chain = self.chain()?;
        let validity = chain
            .first()
            .and_then(Validity::of)
            .ok_or_else(|| IdentityError::NoCertificate(self.certificate.clone()))?;
        let certified = CertifiedKey::new(chain, self.signing_key()?);
        certified
            .keys_match()
            .map_err(|error| IdentityError::Mismatch {
                certificate: self.certificate.clone(),
                key: self.key.clone(),
                detail: error.to_string(),
            })?;
        Ok((Arc::new(certified), validity))
    }

    fn chain(&self) -> Result<Vec<CertificateDer<'static>>, IdentityError> {
        let pem = read(&self.certificate, Readers::Anyone)?;
        CertificateDer::pem_slice_iter(&pem)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|_| IdentityError::NoCertificate(self.certificate.clone()))
    }

    fn signing_key(&self) -> Result<Arc<dyn SigningKey>, IdentityError> {
        let unusable = || IdentityError::NoKey(self.key.clone());
        let pem = read(&self.key, Readers::OwnerOnly)?;
        let key = Zeroizing::new(PrivateKeyDer::from_pem_slice(&pem).map_err(|_| unusable())?);
        any_supported_type(&key).map_err(|_| unusable())
    }
}

/// The file's bytes, wiped when dropped: one of the two is a key.
fn read(path: &Path, readers: Readers) -> Result<Zeroizing<Vec<u8>>, IdentityError> {
    let path = path.to_owned();
    read_wiped(&path, readers).map_err(|unread| match unread {
        Unread::Failed(source) => IdentityError::Unreadable { path, source },
        Unread::Exposed(mode) => IdentityError::KeyExposed { path, mode },
        Unread::TooLong => IdentityError::TooLong(path),
    })
}
