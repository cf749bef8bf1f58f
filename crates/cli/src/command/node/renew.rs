//! `chancery node renew`, where the operator is: the former admission once more,
//! with a server certificate that lasts another 90 days. The cluster is asked only
//! for its present nodes, when the node was away for so long that it knows none of
//! them.

use std::{path::PathBuf, time::SystemTime};

use chancery_client::{Client, v1};
use chancery_credential::{NodeNumber, PeerPublicKey};
use chancery_server::admission::{Admission, AdmittedPeer, SubjectName};
use clap::Args;
use serde::Serialize;

use super::{add, admission::load_root};
use crate::{
    cluster::ClusterArgs,
    failure::Failure,
    output::{Column, Output},
};

/// Arguments of `node renew`.
#[derive(Debug, Args)]
pub struct RenewArgs {
    /// The node's former admission file
    #[arg(value_name = "ADMISSION")]
    former: PathBuf,
    /// Name or IP address that the node's server certificate vouches for; repeat it
    #[arg(long = "san", value_name = "NAME", required = true)]
    names: Vec<SubjectName>,
    /// The directory with the root's private key, as `chancery init` made it
    #[arg(long, value_name = "DIR", default_value = "chancery-ca")]
    ca: PathBuf,
    /// The admission file to write
    #[arg(long, value_name = "FILE")]
    admission: PathBuf,
    /// Name the cluster's present nodes in it: for a node that was away for so long
    /// that it knows none of them
    #[arg(long)]
    peers: bool,
    #[command(flatten)]
    cluster: ClusterArgs,
}

#[derive(Serialize)]
struct RenewView<'a> {
    node: u64,
    name: &'a str,
    admission: &'a PathBuf,
}

const COLUMNS: [Column; 3] = [
    ("node", "/node"),
    ("name", "/name"),
    ("admission", "/admission"),
];

pub async fn run(args: &RenewArgs, output: Output) -> Result<(), Failure> {
    let former = Admission::read(&args.former)?;
    let mut renewed = load_root(&args.ca)?.renew(&former, &args.names, SystemTime::now())?;
    if args.peers {
        name_present_nodes(&mut renewed, &args.cluster.client()?).await?;
    }
    renewed.write_new(&args.admission)?;
    output.record(
        &RenewView {
            node: renewed.node.0,
            name: renewed.name.as_str(),
            admission: &args.admission,
        },
        &COLUMNS,
    )?;
    output.note(&format!(
        "\nnext: take it to the node, and there type\n  chancery join --dir DIR {}\n\
         The node takes the new certificate without a restart, and new peers with one.",
        args.admission.display()
    ));
    Ok(())
}

/// The nodes as the cluster has them now, for the one that lost sight of them.
async fn name_present_nodes(admission: &mut Admission, client: &Client) -> Result<(), Failure> {
    let status = add::status(client).await?;
    let others = status.nodes.into_iter();
    let others = others.filter(|node| {
        node.number != admission.node.0 && node.standing() != v1::node::Standing::Removed
    });
    admission.peers = others.map(peer).collect::<Result<_, _>>()?;
    admission.as_of = add::as_of(Some(&status.consistency_token))?;
    Ok(())
}

fn peer(node: v1::Node) -> Result<AdmittedPeer, Failure> {
    Ok(AdmittedPeer {
        number: NodeNumber(node.number),
        name: node.name,
        peer_address: node.peer_address,
        api_address: node.api_address,
        public_key: PeerPublicKey::from_spki(&node.peer_public_key)
            .map_err(|_| Failure::unexpected("usable peer key"))?,
    })
}
