//! What a node gets back: who it is, whom it pins, and the certificate by which
//! clients trust it. No secret stands in it.

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use chancery_authority::NodeSpec;
use chancery_credential::{
    Lineage, NodeNumber, PeerPublicKey, PrincipalName, Revision, TrustDomain,
};
use rustls::{
    RootCertStore,
    client::{WebPkiServerVerifier, danger::ServerCertVerifier},
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject},
};

use super::{
    admission_file::AdmissionFile,
    birth::Birth,
    document::{self, Document},
    error::AdmissionError,
    files,
    node_keys::NodeKeys,
    public_key::public_key_from_pem,
    server_names::host_of,
};

/// A node's admission.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admission {
    /// The cluster, and which life of it.
    pub lineage: Lineage,
    /// What every agent's id begins with.
    pub trust_domain: TrustDomain,
    /// The node's number, never given to another.
    pub node: NodeNumber,
    /// What it is called.
    pub name: PrincipalName,
    /// Where clients reach it, `host:port`.
    pub api_address: String,
    /// Where peers reach it, `host:port`.
    pub peer_address: String,
    /// The peer key that was admitted: this node's own.
    pub peer_key: PeerPublicKey,
    /// PEM, leaf first, without the root.
    pub server_certificate_chain: String,
    /// PEM: what clients trust.
    pub root_certificate: String,
    /// The other nodes.
    pub peers: Vec<AdmittedPeer>,
    /// The revision at which they were: older memberships that the node comes by
    /// do not take their place.
    pub as_of: Revision,
    /// The first node begins the lineage with this.
    pub birth: Option<Birth>,
    /// It was a node before, by other keys, so its data has to be there: with it
    /// would be lost the votes that it gave.
    pub readmitted: bool,
}

/// Another node, as it was when the admission was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdmittedPeer {
    /// Its number.
    pub number: NodeNumber,
    /// What it is called; empty when that was not told.
    pub name: String,
    /// Where peers reach it, `host:port`.
    pub peer_address: String,
    /// Where clients reach it; empty when that was not told.
    pub api_address: String,
    /// What it proves to its peers.
    pub public_key: PeerPublicKey,
}

impl Admission {
    /// Reads an admission file.
    ///
    /// # Errors
    /// That it cannot be read, or is none.
    pub fn read(path: &Path) -> Result<Self, AdmissionError> {
        Self::parse(&path.display().to_string(), &files::read(path)?)
    }

    pub(super) fn parse(origin: &str, text: &str) -> Result<Self, AdmissionError> {
        let file: AdmissionFile = document::parse(origin, text)?;
        Self::try_from(file)
            .map_err(|why| AdmissionError::malformed(origin, AdmissionFile::NAME, why))
    }

    /// Writes a new admission file.
    ///
    /// # Errors
    /// [`AdmissionError::Exists`] and [`AdmissionError::Write`].
    pub fn write_new(&self, path: &Path) -> Result<(), AdmissionError> {
        files::write_new_public(path, self.text()?.as_bytes())
    }

    pub(super) fn replace(&self, path: &Path) -> Result<(), AdmissionError> {
        files::replace_public(path, self.text()?.as_bytes())
    }

    pub(super) fn text(&self) -> Result<String, AdmissionError> {
        document::write(&AdmissionFile::from(self))
    }

    /// Checks that the admission is for the node with these keys, and that
    /// clients would trust its server certificate at its API address.
    ///
    /// # Errors
    /// [`AdmissionError::OtherKeys`] and [`AdmissionError::Untrusted`].
    pub fn check(&self, keys: &NodeKeys, now: SystemTime) -> Result<(), AdmissionError> {
        self.check_keys(keys)?;
        self.check_chain(now)
    }

    pub(super) fn check_keys(&self, keys: &NodeKeys) -> Result<(), AdmissionError> {
        if &self.peer_key != keys.peer_public() {
            return Err(AdmissionError::OtherKeys("peer"));
        }
        if &self.server_key()? != keys.server_public() {
            return Err(AdmissionError::OtherKeys("server"));
        }
        Ok(())
    }

    /// The key that the server certificate certifies.
    ///
    /// # Errors
    /// [`AdmissionError::Untrusted`] when it is none of ours.
    pub fn server_key(&self) -> Result<PeerPublicKey, AdmissionError> {
        public_key_from_pem(&self.server_certificate_chain).map_err(AdmissionError::Untrusted)
    }

    /// Checks that clients who trust the root would trust the certificate.
    pub(super) fn check_chain(&self, now: SystemTime) -> Result<(), AdmissionError> {
        let untrusted = |why: String| AdmissionError::Untrusted(why);
        let mut roots = RootCertStore::empty();
        for root in certificates(&self.root_certificate)? {
            roots
                .add(root)
                .map_err(|error| untrusted(error.to_string()))?;
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider)
            .build()
            .map_err(|error| untrusted(error.to_string()))?;
        let chain = certificates(&self.server_certificate_chain)?;
        let (leaf, intermediates) = chain
            .split_first()
            .ok_or_else(|| untrusted("there is none".to_owned()))?;
        let host = ServerName::try_from(host_of(&self.api_address)?.to_string())
            .map_err(|error| untrusted(error.to_string()))?;
        let now = now
            .duration_since(UNIX_EPOCH)
            .map_err(|error| untrusted(error.to_string()))?;
        verifier
            .verify_server_cert(
                leaf,
                intermediates,
                &host,
                &[],
                UnixTime::since_unix_epoch(now),
            )
            .map_err(|error| untrusted(error.to_string()))?;
        Ok(())
    }

    /// Checks that the root signed the certificate, whenever that was.
    pub(super) fn check_signature(&self) -> Result<(), AdmissionError> {
        let untrusted = |why: &dyn ToString| AdmissionError::Untrusted(why.to_string());
        let chain = certificates(&self.server_certificate_chain)?;
        let leaf = chain.first().ok_or_else(|| untrusted(&"there is none"))?;
        let (_, parsed) =
            x509_parser::parse_x509_certificate(leaf).map_err(|error| untrusted(&error))?;
        let began = parsed.validity().not_before.timestamp();
        let began = u64::try_from(began).map_err(|error| untrusted(&error))?;
        self.check_chain(UNIX_EPOCH + Duration::from_secs(began))
    }

    /// What the lineage begins with, when this is the first node's admission.
    ///
    /// # Errors
    /// [`AdmissionError::Settings`].
    pub fn birth(&self) -> Result<Option<chancery_authority::Birth>, AdmissionError> {
        let Some(birth) = &self.birth else {
            return Ok(None);
        };
        Ok(Some(chancery_authority::Birth {
            lineage: self.lineage,
            settings: birth.settings()?,
            node: self.node_spec(),
            operators: birth.operators(),
        }))
    }

    /// This node, as the registry has it.
    #[must_use]
    pub fn node_spec(&self) -> NodeSpec {
        NodeSpec {
            name: self.name.to_string(),
            api_address: self.api_address.clone(),
            peer_address: self.peer_address.clone(),
            peer_key: self.peer_key.clone(),
            check_only: false,
        }
    }

    /// Whether `later` is this node's again: the same node of the same lineage
    /// with the same key, so that it can take this one's place.
    #[must_use]
    pub fn is_same_node(&self, later: &Self) -> bool {
        (self.lineage, self.node) == (later.lineage, later.node) && self.peer_key == later.peer_key
    }
}

fn certificates(pem: &str) -> Result<Vec<CertificateDer<'static>>, AdmissionError> {
    CertificateDer::pem_slice_iter(pem.as_bytes())
        .collect::<Result<_, _>>()
        .map_err(|error| AdmissionError::Untrusted(error.to_string()))
}
