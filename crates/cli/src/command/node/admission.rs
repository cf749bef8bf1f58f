//! From a node's request file and what the cluster says of the node, its admission
//! file.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::SystemTime,
};

use chancery_client::{Client, v1};
use chancery_credential::{Lineage, NodeNumber, PeerPublicKey};
use chancery_server::admission::{
    Admission, AdmissionError, AdmittedPeer, NodeRequest, ROOT_CERTIFICATE_FILE, Root, SubjectName,
    read, spki_from_pem,
};
use clap::Args;

use super::add::{as_of, status};
use crate::{cluster::ClusterArgs, failure::Failure};

/// What an admission is made of, where the operator is.
#[derive(Debug, Args)]
pub struct AdmissionArgs {
    /// The node's request file
    #[arg(long, value_name = "FILE")]
    request: PathBuf,
    /// Name or IP address that the node's server certificate vouches for; repeat it
    #[arg(long = "san", value_name = "NAME", required = true)]
    names: Vec<SubjectName>,
    /// The directory with the root's private key, as `chancery init` made it
    #[arg(long, value_name = "DIR", default_value = "chancery-ca")]
    ca: PathBuf,
    /// The admission file to write [default: <node's name>.admission.json]
    #[arg(long, value_name = "FILE")]
    admission: Option<PathBuf>,
}

/// An admission that lacks only what the cluster says.
pub struct Draft {
    pub request: NodeRequest,
    pub path: PathBuf,
    chain: String,
    root_certificate: String,
}

impl AdmissionArgs {
    /// Tries all that can fail here, before the cluster is asked for anything.
    pub fn draft(&self, cluster: &ClusterArgs) -> Result<Draft, Failure> {
        let request = NodeRequest::read(&self.request)?;
        let root = load_root(&self.ca)?;
        must_be_of_the_cluster(&root, &self.ca, &cluster.root_file()?)?;
        let chain = root.sign(&request, &self.names, SystemTime::now())?;
        let path = self
            .admission
            .clone()
            .unwrap_or_else(|| PathBuf::from(format!("{}.admission.json", request.name())));
        Ok(Draft {
            request,
            path,
            chain,
            root_certificate: root.certificate_pem().to_owned(),
        })
    }
}

/// The root in the directory of `--ca`.
pub(super) fn load_root(ca: &Path) -> Result<Root, Failure> {
    Root::load(ca).map_err(|error| {
        let is_missing = matches!(error, AdmissionError::Read { .. });
        let failure = Failure::from(error);
        if is_missing {
            return failure.next(
                "give with --ca the directory with the root's private key, as `chancery init` made \
                 it (its own --ca), or `chancery dev DIR` in DIR/ca",
            );
        }
        failure
    })
}

/// A node whose certificate another root signed would get a seat, and no client of
/// this cluster would trust it.
fn must_be_of_the_cluster(root: &Root, ca: &Path, trusted: &Path) -> Result<(), Failure> {
    let key = |pem: &str| spki_from_pem(pem).map_err(Failure::local);
    if key(root.certificate_pem())? == key(&read(trusted)?)? {
        return Ok(());
    }
    Err(Failure::usage(format_args!(
        "`{}` is not the root of this cluster, which is `{}`: its clients would not trust the node",
        ca.join(ROOT_CERTIFICATE_FILE).display(),
        trusted.display(),
    ))
    .next("give with --ca the directory that `chancery init` made for this cluster, or the profile of that root's cluster"))
}

impl Draft {
    /// Sees that nothing stands where the admission file is to be, or the admission of
    /// this very node, whose command was typed before.
    pub fn must_be_its_own(&self) -> Result<(), Failure> {
        self.written().map(drop)
    }

    /// The admission that was written before, of the node with the keys and addresses
    /// in the request.
    ///
    /// # Errors
    /// Something else stands there, or a part of it.
    fn written(&self) -> Result<Option<Admission>, Failure> {
        if self.path.symlink_metadata().is_err() {
            return Ok(None);
        }
        let other = |why: &str| {
            Failure::local(format_args!("`{}` {why}", self.path.display()))
                .next("remove it, or give another file with --admission")
        };
        let request = &self.request;
        match Admission::read(&self.path) {
            Ok(admission)
                if admission.peer_key == *request.peer_key()
                    && admission.name == *request.name()
                    && admission.root_certificate == self.root_certificate
                    && admission.server_key().ok().as_ref() == Some(request.server_key()) =>
            {
                Ok(Some(admission))
            }
            Ok(_) => Err(other("is there already, and is another admission")),
            Err(_) => Err(other("is there already, and is no whole admission")),
        }
    }

    /// Writes the admission file, unless it was written before.
    pub async fn write(
        &self,
        client: &Client,
        added: v1::AddNodeResponse,
        readmitted: bool,
    ) -> Result<(), Failure> {
        if let Some(written) = self.written()?
            && written.node.0 == added.number
            && written.readmitted == readmitted
        {
            return Ok(());
        }
        let names = addresses(client).await;
        let admission = Admission {
            lineage: Lineage {
                generation: added.lineage_generation,
                random: added.lineage_random,
            },
            trust_domain: added
                .trust_domain
                .parse()
                .map_err(|_| Failure::unexpected("trust domain"))?,
            node: NodeNumber(added.number),
            name: self.request.name().clone(),
            api_address: self.request.api_address().to_owned(),
            peer_address: self.request.peer_address().to_owned(),
            peer_key: self.request.peer_key().clone(),
            server_certificate_chain: self.chain.clone(),
            root_certificate: self.root_certificate.clone(),
            peers: peers(added.peers, &names)?,
            as_of: as_of(
                added
                    .committed
                    .as_ref()
                    .map(|committed| &committed.consistency_token),
            )?,
            birth: None,
            readmitted,
        };
        Ok(admission.write_new(&self.path)?)
    }

    /// What to do at the node, for people.
    pub fn at_the_node(&self) -> String {
        format!(
            "check that the thumbprints are those that the node printed, take the admission file\n\
             to it, and there type\n  chancery join --dir DIR {}\n  chancery serve --config \
             DIR/node.toml",
            display(&self.path)
        )
    }
}

fn display(path: &Path) -> impl std::fmt::Display + '_ {
    path.display()
}

/// Names and API addresses of the nodes, for people who read the admission; it
/// does without them.
async fn addresses(client: &Client) -> BTreeMap<u64, v1::Node> {
    let nodes = status(client).await.map(|status| status.nodes);
    let nodes = nodes.unwrap_or_default();
    nodes.into_iter().map(|node| (node.number, node)).collect()
}

fn peers(
    peers: Vec<v1::Peer>,
    names: &BTreeMap<u64, v1::Node>,
) -> Result<Vec<AdmittedPeer>, Failure> {
    let admitted = |peer: v1::Peer| {
        let node = names.get(&peer.number);
        Ok(AdmittedPeer {
            number: NodeNumber(peer.number),
            name: node.map(|node| node.name.clone()).unwrap_or_default(),
            peer_address: peer.peer_address,
            api_address: node
                .map(|node| node.api_address.clone())
                .unwrap_or_default(),
            public_key: PeerPublicKey::from_spki(&peer.peer_public_key)
                .map_err(|_| Failure::unexpected("usable peer key"))?,
        })
    };
    peers.into_iter().map(admitted).collect()
}
