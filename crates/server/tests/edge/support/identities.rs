//! Keys and certificates.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::{Arc, LazyLock};

use chancery_credential::KeyThumbprint;
use chancery_server::tls::IdentityFiles;
use rcgen::{
    BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, PublicKeyData, SignatureAlgorithm,
};
use rustls::RootCertStore;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;

/// The operator's root, which certifies server certificates.
pub struct Root {
    params: CertificateParams,
    key: KeyPair,
    pub store: Arc<RootCertStore>,
}

pub fn root() -> &'static Root {
    static ROOT: LazyLock<Root> = LazyLock::new(|| {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        let mut store = RootCertStore::empty();
        store
            .add(params.self_signed(&key).unwrap().der().clone())
            .unwrap();
        Root {
            params,
            key,
            store: Arc::new(store),
        }
    });
    &ROOT
}

/// A server certificate of the root and its key, in files.
pub struct ServerFiles {
    directory: tempfile::TempDir,
}

impl ServerFiles {
    pub fn new() -> Self {
        let files = Self {
            directory: tempfile::tempdir().unwrap(),
        };
        let (certificate, key) = Self::issue((2020, 2100));
        files.write_key(&key);
        files.write_certificate(&certificate);
        files
    }

    /// PEM of a certificate for `localhost`, valid in those years, and its key.
    pub fn issue(years: (i32, i32)) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        params.not_before = rcgen::date_time_ymd(years.0, 1, 1);
        params.not_after = rcgen::date_time_ymd(years.1, 1, 1);
        let issuer = Issuer::from_params(&root().params, &root().key);
        (
            params.signed_by(&key, &issuer).unwrap().pem(),
            key.serialize_pem(),
        )
    }

    pub fn paths(&self) -> IdentityFiles {
        let path = |name: &str| self.directory.path().join(name);
        IdentityFiles {
            certificate: path("server.crt"),
            key: path("server.key"),
        }
    }

    pub fn write_certificate(&self, pem: &str) {
        replace(&self.paths().certificate, pem, 0o644);
    }

    pub fn write_key(&self, pem: &str) {
        replace(&self.paths().key, pem, 0o600);
    }
}

fn replace(path: &Path, contents: &str, mode: u32) {
    let new = path.with_extension("new");
    fs::write(&new, contents).unwrap();
    fs::set_permissions(&new, fs::Permissions::from_mode(mode)).unwrap();
    fs::rename(&new, path).unwrap();
}

/// Somebody with a key and a self-signed certificate.
pub struct Person {
    key: KeyPair,
    certificate: CertificateDer<'static>,
}

impl Person {
    pub fn new() -> Self {
        Self::with(&rcgen::PKCS_ECDSA_P256_SHA256)
    }

    /// The certificate ran out long ago, and is for another purpose: it decides
    /// nothing.
    pub fn with(algorithm: &'static SignatureAlgorithm) -> Self {
        let key = KeyPair::generate_for(algorithm).unwrap();
        let mut params = CertificateParams::new(vec!["somebody.invalid".to_owned()]).unwrap();
        params.not_before = rcgen::date_time_ymd(1999, 1, 1);
        params.not_after = rcgen::date_time_ymd(2000, 1, 1);
        params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::CodeSigning];
        let certificate = params.self_signed(&key).unwrap().der().clone();
        Self { key, certificate }
    }

    /// Shows the certificate of `other` without having its key.
    pub fn impersonating(other: &Self) -> Self {
        Self {
            certificate: other.certificate.clone(),
            ..Self::new()
        }
    }

    pub fn thumbprint(&self) -> KeyThumbprint {
        KeyThumbprint::of_spki(&self.key.subject_public_key_info())
    }

    pub fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    /// For rustls: it is not checked that the two belong together.
    pub fn certified_key(&self) -> Arc<CertifiedKey> {
        let key = PrivateKeyDer::try_from(self.key.serialize_der()).unwrap();
        let key = rustls::crypto::aws_lc_rs::sign::any_supported_type(&key).unwrap();
        Arc::new(CertifiedKey::new(vec![self.certificate.clone()], key))
    }
}
