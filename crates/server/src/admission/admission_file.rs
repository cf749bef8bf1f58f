//! An admission as it stands in its file.

use chancery_credential::{Lineage, NodeNumber, Revision};
use serde::{Deserialize, Serialize};

use super::{
    admitted::{Admission, AdmittedPeer},
    birth::{Birth, BirthFile},
    document::Document,
    public_key::{public_key_from_pem, public_key_pem},
    server_names::host_of,
};

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AdmissionFile {
    lineage: LineageFile,
    trust_domain: String,
    node: u64,
    name: String,
    api_address: String,
    peer_address: String,
    peer_public_key: String,
    server_certificate_chain: String,
    root_certificate: String,
    peers: Vec<PeerFile>,
    as_of_revision: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    birth: Option<BirthFile>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    readmitted: bool,
}

impl Document for AdmissionFile {
    const KIND: &'static str = "chancery admission";
    const NAME: &'static str = "admission";
    const VERSION: u64 = 1;
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct LineageFile {
    generation: u64,
    /// 16 hex digits: numbers of 64 bits do not survive every JSON reader.
    random: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PeerFile {
    node: u64,
    name: String,
    peer_address: String,
    api_address: String,
    peer_public_key: String,
}

impl From<&Admission> for AdmissionFile {
    fn from(admission: &Admission) -> Self {
        let peer = |peer: &AdmittedPeer| PeerFile {
            node: peer.number.0,
            name: peer.name.clone(),
            peer_address: peer.peer_address.clone(),
            api_address: peer.api_address.clone(),
            peer_public_key: public_key_pem(&peer.public_key),
        };
        Self {
            lineage: LineageFile {
                generation: admission.lineage.generation,
                random: format!("{:016x}", admission.lineage.random),
            },
            trust_domain: admission.trust_domain.to_string(),
            node: admission.node.0,
            name: admission.name.to_string(),
            api_address: admission.api_address.clone(),
            peer_address: admission.peer_address.clone(),
            peer_public_key: public_key_pem(&admission.peer_key),
            server_certificate_chain: admission.server_certificate_chain.clone(),
            root_certificate: admission.root_certificate.clone(),
            peers: admission.peers.iter().map(peer).collect(),
            as_of_revision: admission.as_of.0,
            birth: admission.birth.as_ref().map(BirthFile::from),
            readmitted: admission.readmitted,
        }
    }
}

impl TryFrom<AdmissionFile> for Admission {
    type Error = String;

    fn try_from(file: AdmissionFile) -> Result<Self, String> {
        let random = u64::from_str_radix(&file.lineage.random, 16)
            .map_err(|error| format!("lineage: {error}"))?;
        host_of(&file.api_address).map_err(|error| error.to_string())?;
        host_of(&file.peer_address).map_err(|error| error.to_string())?;
        Ok(Self {
            lineage: Lineage {
                generation: file.lineage.generation,
                random,
            },
            trust_domain: file
                .trust_domain
                .parse()
                .map_err(|error| format!("trust_domain: {error}"))?,
            node: NodeNumber(file.node),
            name: file
                .name
                .parse()
                .map_err(|error| format!("name: {error}"))?,
            api_address: file.api_address,
            peer_address: file.peer_address,
            peer_key: public_key_from_pem(&file.peer_public_key)?,
            server_certificate_chain: file.server_certificate_chain,
            root_certificate: file.root_certificate,
            peers: file
                .peers
                .into_iter()
                .map(AdmittedPeer::try_from)
                .collect::<Result<_, _>>()?,
            as_of: Revision(file.as_of_revision),
            birth: file.birth.map(Birth::try_from).transpose()?,
            readmitted: file.readmitted,
        })
    }
}

impl TryFrom<PeerFile> for AdmittedPeer {
    type Error = String;

    fn try_from(file: PeerFile) -> Result<Self, String> {
        host_of(&file.peer_address).map_err(|error| error.to_string())?;
        Ok(Self {
            number: NodeNumber(file.node),
            name: file.name,
            peer_address: file.peer_address,
            api_address: file.api_address,
            public_key: public_key_from_pem(&file.peer_public_key)?,
        })
    }
}
