//! `chancery node add`, where the operator is: admits a node, and turns its
//! request file into its admission file.

use std::{collections::BTreeMap, path::PathBuf, time::SystemTime};

use chancery_client::{Client, Idempotence, v1};
use chancery_credential::{ConsistencyToken, Lineage, NodeNumber, PeerPublicKey, Revision};
use chancery_server::admission::{Admission, AdmittedPeer, NodeRequest, Root, SubjectName};
use clap::Args;
use serde::Serialize;

use crate::{
    cluster::ClusterArgs,
    failure::{Failure, Kind},
    order::{CommittedView, Order, OrderArgs},
    output::{Column, Output},
    profile::Profile,
};

/// Arguments of `node add`.
#[derive(Debug, Args)]
pub struct AddArgs {
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
    #[command(flatten)]
    order: OrderArgs,
    #[command(flatten)]
    cluster: ClusterArgs,
}

#[derive(Serialize)]
struct AddView {
    node: u64,
    name: String,
    api_address: String,
    peer_address: String,
    peer_key_thumbprint: String,
    server_key_thumbprint: String,
    admission: PathBuf,
    committed: CommittedView,
}

const COLUMNS: [Column; 9] = [
    ("node", "/node"),
    ("name", "/name"),
    ("api address", "/api_address"),
    ("peer address", "/peer_address"),
    ("peer key", "/peer_key_thumbprint"),
    ("server key", "/server_key_thumbprint"),
    ("admission", "/admission"),
    ("state", "/committed/state"),
    ("consistency token", "/committed/consistency_token"),
];

pub async fn run(args: &AddArgs, output: Output) -> Result<(), Failure> {
    // All that can fail here is tried before the cluster is asked for anything.
    let request = NodeRequest::read(&args.request)?;
    let root = Root::load(&args.ca)?;
    let chain = root.sign(&request, &args.names, SystemTime::now())?;
    let path = args
        .admission
        .clone()
        .unwrap_or_else(|| PathBuf::from(format!("{}.admission.json", request.name())));
    if path.symlink_metadata().is_ok() {
        return Err(
            Failure::local(format_args!("`{}` is there already", path.display()))
                .next("give another file with --admission"),
        );
    }
    let client = args.cluster.client()?;
    let order = args.order.order()?;

    let added = admit(&client, &order, &request).await?;
    let names = addresses(&client).await;
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
        name: request.name().clone(),
        api_address: request.api_address().to_owned(),
        peer_address: request.peer_address().to_owned(),
        peer_key: request.peer_key().clone(),
        server_certificate_chain: chain,
        root_certificate: root.certificate_pem().to_owned(),
        peers: peers(added.peers, &names)?,
        as_of: as_of(
            added
                .committed
                .as_ref()
                .map(|committed| &committed.consistency_token),
        )?,
        birth: None,
    };
    admission
        .write_new(&path)
        .map_err(|error| again(error.into(), &order))?;
    if let Some(profile) = args.cluster.profile_of_endpoints() {
        Profile::add_endpoint(profile, request.api_address())?;
    }
    output.record(
        &AddView {
            node: added.number,
            name: request.name().to_string(),
            api_address: request.api_address().to_owned(),
            peer_address: request.peer_address().to_owned(),
            peer_key_thumbprint: request.peer_key().thumbprint().to_string(),
            server_key_thumbprint: request.server_key().thumbprint().to_string(),
            admission: path.clone(),
            committed: CommittedView::of(added.committed)?,
        },
        &COLUMNS,
    )?;
    output.note(&format!(
        "\nnext: check that the thumbprints are those that the node printed, take the admission file\n\
         to it, and there type\n  chancery join --dir DIR {}\n  chancery serve --config DIR/node.toml\n\
         and once it has caught up, here:\n  chancery node promote {}",
        path.display(),
        added.number,
    ));
    Ok(())
}

async fn admit(
    client: &Client,
    order: &Order,
    request: &NodeRequest,
) -> Result<v1::AddNodeResponse, Failure> {
    let message = v1::AddNodeRequest {
        meta: order.meta(),
        name: request.name().to_string(),
        api_address: request.api_address().to_owned(),
        peer_address: request.peer_address().to_owned(),
        peer_public_key: request.peer_key().spki().to_vec(),
    };
    order
        .send(client, |channel| {
            let message = message.clone();
            async move {
                v1::cluster_service_client::ClusterServiceClient::new(channel)
                    .add_node(message)
                    .await
            }
        })
        .await
}

/// Names and API addresses of the nodes, for people who read the admission; it
/// does without them.
async fn addresses(client: &Client) -> BTreeMap<u64, v1::Node> {
    let nodes = status(client).await.map(|status| status.nodes);
    let nodes = nodes.unwrap_or_default();
    nodes.into_iter().map(|node| (node.number, node)).collect()
}

pub(super) async fn status(client: &Client) -> Result<v1::StatusResponse, chancery_client::Error> {
    client
        .call(Idempotence::Repeatable, |channel| async move {
            v1::cluster_service_client::ClusterServiceClient::new(channel)
                .status(v1::StatusRequest::default())
                .await
        })
        .await
}

/// The revision that an answer was true at.
pub(super) fn as_of(consistency_token: Option<&String>) -> Result<Revision, Failure> {
    consistency_token
        .and_then(|token| token.parse::<ConsistencyToken>().ok())
        .map(|token| token.revision)
        .ok_or_else(|| Failure::unexpected("consistency token"))
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

/// The node is admitted, and its file is not there: the same command gives the
/// same answer.
fn again(failure: Failure, order: &Order) -> Failure {
    Failure {
        kind: Kind::Unknown,
        message: format!("the node was admitted, and then: {}", failure.message),
        ..failure
    }
    .next(order.how_to_repeat())
}
