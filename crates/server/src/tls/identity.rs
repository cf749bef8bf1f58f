//! A node's server certificate and key, replaced as one while it serves.

use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::pki_types::CertificateDer;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::pem_files::{IdentityError, IdentityFiles};

/// When a certificate is valid, in seconds since the Unix epoch, both ends
/// included (RFC 5280 §4.1.2.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    /// Not before.
    pub not_before: i64,
    /// Not after.
    pub not_after: i64,
}

impl Validity {
    /// Whether `now` lies within.
    #[must_use]
    pub fn covers(&self, now: i64) -> bool {
        (self.not_before..=self.not_after).contains(&now)
    }

    /// Seconds that remain at `now`; negative when it has expired.
    #[must_use]
    pub fn remaining(&self, now: i64) -> i64 {
        self.not_after.saturating_sub(now)
    }

    pub(super) fn of(certificate: &CertificateDer<'_>) -> Option<Self> {
        let (_, parsed) = x509_parser::parse_x509_certificate(certificate).ok()?;
        Some(Self {
            not_before: parsed.validity().not_before.timestamp(),
            not_after: parsed.validity().not_after.timestamp(),
        })
    }
}

/// The certificate and key that handshakes use: always a pair that belongs
/// together. A handshake takes the pair that stands when it begins.
pub struct ServerIdentity {
    files: IdentityFiles,
    current: ArcSwap<Installed>,
}

struct Installed {
    certified: Arc<CertifiedKey>,
    validity: Validity,
}

impl ServerIdentity {
    /// Loads the pair from its files, whatever the certificate's dates: a node
    /// whose certificate ran out still votes and counts, though no client will
    /// have it. [`follow_files`](super::follow_files) warns of it.
    ///
    /// # Errors
    ///
    /// When a file cannot be read, the key is readable by others, or the two do
    /// not belong together.
    pub fn load(files: IdentityFiles) -> Result<Arc<Self>, IdentityError> {
        let (certified, validity) = files.load()?;
        let current = ArcSwap::from_pointee(Installed {
            certified,
            validity,
        });
        Ok(Arc::new(Self { files, current }))
    }

    /// Reads the files again and, if they are in order at `now` (seconds since
    /// the Unix epoch), uses them from the next handshake on. Says whether the
    /// certificate is another one. Connections that stand are not disturbed.
    ///
    /// # Errors
    ///
    /// As for [`Self::load`], and when the new certificate is out of date; the
    /// former pair stays in use.
    pub fn reload(&self, now: i64) -> Result<bool, IdentityError> {
        let (certified, validity) = self.files.load()?;
        if self.current.load().certified.cert == certified.cert {
            return Ok(false);
        }
        if !validity.covers(now) {
            return Err(IdentityError::OutOfDate {
                path: self.files.certificate.clone(),
                from: validity.not_before,
                until: validity.not_after,
                now,
            });
        }
        self.current.store(Arc::new(Installed {
            certified,
            validity,
        }));
        Ok(true)
    }

    /// When the certificate in use is valid.
    #[must_use]
    pub fn validity(&self) -> Validity {
        self.current.load().validity
    }

    /// Where it is read from.
    #[must_use]
    pub fn files(&self) -> &IdentityFiles {
        &self.files
    }
}

impl ResolvesServerCert for ServerIdentity {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current.load().certified.clone())
    }
}

impl fmt::Debug for ServerIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerIdentity")
            .field("files", &self.files)
            .field("validity", &self.validity())
            .finish_non_exhaustive()
    }
}
