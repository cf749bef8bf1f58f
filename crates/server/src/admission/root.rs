//! The operator's root: the key that certifies server certificates, so that
//! clients can trust a node.
//!
//! It is the operator's, and never on a node. It vouches for names only: who may
//! take part is decided by the registry and by pinned keys.

use std::{
    fmt,
    path::Path,
    time::{Duration, SystemTime},
};

use chancery_credential::{PeerPublicKey, PrincipalName, TrustDomain};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, SerialNumber, SubjectPublicKeyInfo,
};
use time::OffsetDateTime;
use zeroize::Zeroizing;

use super::{
    admitted::Admission,
    error::AdmissionError,
    files::{create_private_directory, read, read_private, write_new_private, write_new_public},
    node_keys::private_key_pem,
    request::NodeRequest,
    server_names::{SubjectName, host_of},
};

/// The file of the root's private key.
pub const ROOT_KEY_FILE: &str = "root.key";
/// The file of the root certificate, which every client gets.
pub const ROOT_CERTIFICATE_FILE: &str = "root.pem";

/// How long a server certificate lasts.
pub const SERVER_CERTIFICATE_DAYS: u64 = 90;
const ROOT_CERTIFICATE_DAYS: u64 = 3650;
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// How far a client's clock may be behind the operator's.
const BACKDATED: Duration = Duration::from_secs(60 * 60);

/// The root, with its private key in memory.
pub struct Root {
    key: Zeroizing<KeyPair>,
    certificate: String,
}

impl Root {
    /// Makes a root for a cluster, and stores it as [`Self::store`] does.
    ///
    /// # Errors
    /// [`AdmissionError::Exists`] when a root is there already.
    pub fn create(
        directory: &Path,
        trust_domain: &TrustDomain,
        now: SystemTime,
    ) -> Result<Self, AdmissionError> {
        let root = Self::generate(trust_domain, now)?;
        root.store(directory)?;
        Ok(root)
    }

    /// Makes a root for a cluster, in memory.
    ///
    /// # Errors
    /// [`AdmissionError::Crypto`].
    pub fn generate(trust_domain: &TrustDomain, now: SystemTime) -> Result<Self, AdmissionError> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)
            .map(Zeroizing::new)
            .map_err(crypto)?;
        let mut params = params_for(&format!("Chancery root of {trust_domain}"))?;
        params.not_before = (now - BACKDATED).into();
        params.not_after = OffsetDateTime::from(now + DAY * ROOT_CERTIFICATE_DAYS as u32);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let certificate = params.self_signed(&*key).map_err(crypto)?.pem();
        Ok(Self { key, certificate })
    }

    /// Stores the key (0600) and the certificate in a directory that only the
    /// operator enters.
    ///
    /// # Errors
    /// [`AdmissionError::Exists`] when a root is there already.
    pub fn store(&self, directory: &Path) -> Result<(), AdmissionError> {
        create_private_directory(directory)?;
        let private = private_key_pem(&Zeroizing::new(self.key.serialize_der()));
        write_new_private(&directory.join(ROOT_KEY_FILE), private.as_bytes())?;
        write_new_public(
            &directory.join(ROOT_CERTIFICATE_FILE),
            self.certificate.as_bytes(),
        )
    }

    /// Reads a root.
    ///
    /// # Errors
    /// When key or certificate is missing, malformed or open to others, or they
    /// do not belong together.
    pub fn load(directory: &Path) -> Result<Self, AdmissionError> {
        let path = directory.join(ROOT_KEY_FILE);
        let malformed =
            |what, why: String| AdmissionError::malformed(&path.display().to_string(), what, why);
        let key = KeyPair::from_pem(&read_private(&path)?)
            .map(Zeroizing::new)
            .map_err(|error| malformed("root key", error.to_string()))?;
        let certificate = read(&directory.join(ROOT_CERTIFICATE_FILE))?;
        let certified = super::public_key::spki_from_pem(&certificate)
            .map_err(|why| malformed("root certificate", why))?;
        if certified != rcgen::PublicKeyData::subject_public_key_info(&*key) {
            let why = "the certificate beside it is for another key".to_owned();
            return Err(malformed("root key", why));
        }
        let root = Self { key, certificate };
        root.issuer()
            .map_err(|error| malformed("root certificate", error.to_string()))?;
        Ok(root)
    }

    fn issuer(&self) -> Result<Issuer<'_, &KeyPair>, rcgen::Error> {
        Issuer::from_ca_cert_pem(&self.certificate, &*self.key)
    }

    /// The root certificate, PEM: what clients trust.
    #[must_use]
    pub fn certificate_pem(&self) -> &str {
        &self.certificate
    }

    /// Certifies the server key of a request under the names that the operator
    /// gave, for 90 days. Gives the chain, PEM, without the root.
    ///
    /// # Errors
    /// [`AdmissionError::AddressNotNamed`] when clients that go to the node's API
    /// address would not trust it.
    pub fn sign(
        &self,
        request: &NodeRequest,
        names: &[SubjectName],
        now: SystemTime,
    ) -> Result<String, AdmissionError> {
        self.certify(
            request.name(),
            request.api_address(),
            request.server_key(),
            names,
            now,
        )
    }

    /// The same admission with a certificate for another 90 days.
    ///
    /// # Errors
    /// [`AdmissionError::OtherRoot`], or as [`Self::sign`].
    pub fn renew(
        &self,
        former: &Admission,
        names: &[SubjectName],
        now: SystemTime,
    ) -> Result<Admission, AdmissionError> {
        if former.root_certificate != self.certificate {
            return Err(AdmissionError::OtherRoot(
                "the root certificate in it is another".into(),
            ));
        }
        former
            .check_signature()
            .map_err(|why| AdmissionError::OtherRoot(why.to_string()))?;
        let server_certificate_chain = self.certify(
            &former.name,
            &former.api_address,
            &former.server_key()?,
            names,
            now,
        )?;
        Ok(Admission {
            server_certificate_chain,
            ..former.clone()
        })
    }

    fn certify(
        &self,
        name: &PrincipalName,
        api_address: &str,
        key: &PeerPublicKey,
        names: &[SubjectName],
        now: SystemTime,
    ) -> Result<String, AdmissionError> {
        let host = host_of(api_address)?;
        if !names.contains(&host) {
            return Err(AdmissionError::AddressNotNamed(host.to_string()));
        }
        let mut params = params_for(name.as_str())?;
        params.subject_alt_names = names
            .iter()
            .map(SubjectName::san)
            .collect::<Result<_, AdmissionError>>()?;
        params.not_before = (now - BACKDATED).into();
        params.not_after = OffsetDateTime::from(now + DAY * SERVER_CERTIFICATE_DAYS as u32);
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        let key = SubjectPublicKeyInfo::from_der(key.spki()).map_err(crypto)?;
        let issuer = self.issuer().map_err(crypto)?;
        Ok(params.signed_by(&key, &issuer).map_err(crypto)?.pem())
    }
}

impl fmt::Debug for Root {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Root").finish_non_exhaustive()
    }
}

fn params_for(common_name: &str) -> Result<CertificateParams, AdmissionError> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params
        .distinguished_name
        .push(DnType::CommonName, common_name);
    params.serial_number = Some(random_serial()?);
    Ok(params)
}

/// RFC 5280 §4.1.2.2: positive, at most 20 octets, and unique for its issuer.
fn random_serial() -> Result<SerialNumber, AdmissionError> {
    let mut bytes = [0_u8; 16];
    getrandom::fill(&mut bytes).map_err(crypto)?;
    if let Some(first) = bytes.first_mut() {
        *first = (*first & 0x7f) | 0x40;
    }
    Ok(SerialNumber::from_slice(&bytes))
}

fn crypto(error: impl ToString) -> AdmissionError {
    AdmissionError::Crypto(error.to_string())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::admission::node_keys::NodeKeys;

    #[test]
    fn a_root_is_made_once_and_signs_again_after_it_was_read() {
        let directory = tempfile::tempdir().unwrap();
        let ca = directory.path().join("ca");
        let now = SystemTime::now();
        let domain: TrustDomain = "example.org".parse().unwrap();
        let made = Root::create(&ca, &domain, now).unwrap();
        let again = Root::create(&ca, &domain, now);
        assert!(
            matches!(again, Err(AdmissionError::Exists { .. })),
            "{again:?}"
        );

        let read = Root::load(&ca).unwrap();
        assert_eq!(read.certificate_pem(), made.certificate_pem());
        let keys = NodeKeys::generate_in(&directory.path().join("node")).unwrap();
        let request = NodeRequest::new(
            "node-1".parse().unwrap(),
            "127.0.0.1:7443".to_owned(),
            "127.0.0.1:7444".to_owned(),
            &keys,
        )
        .unwrap();
        let chain = read
            .sign(&request, &["127.0.0.1".parse().unwrap()], now)
            .unwrap();
        let certified = crate::admission::spki_from_pem(&chain).unwrap();
        assert_eq!(certified, keys.server_public().spki());

        let unnamed = read.sign(&request, &["localhost".parse().unwrap()], now);
        assert!(
            matches!(unnamed, Err(AdmissionError::AddressNotNamed(_))),
            "{unnamed:?}"
        );
    }
}
