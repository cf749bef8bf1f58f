//! `chancery node readmit`, where the operator is: takes back a node that was
//! revoked, or whose removal is not done, with keys that nobody else has.

use std::path::PathBuf;

use chancery_client::v1::{self, cluster_service_client::ClusterServiceClient};
use clap::Args;
use serde::Serialize;

use super::{
    add::{again, status},
    admission::{AdmissionArgs, Draft},
};
use crate::{
    cluster::ClusterArgs,
    failure::Failure,
    order::{CommittedView, OrderArgs},
    output::{Column, Output},
};

/// Arguments of `node readmit`.
#[derive(Debug, Args)]
pub struct ReadmitArgs {
    /// The node's number
    node: u64,
    #[command(flatten)]
    admission: AdmissionArgs,
    #[command(flatten)]
    order: OrderArgs,
    #[command(flatten)]
    cluster: ClusterArgs,
}

#[derive(Serialize)]
struct ReadmitView {
    node: u64,
    name: String,
    peer_key_thumbprint: String,
    server_key_thumbprint: String,
    admission: PathBuf,
    committed: CommittedView,
}

const COLUMNS: [Column; 7] = [
    ("node", "/node"),
    ("name", "/name"),
    ("peer key", "/peer_key_thumbprint"),
    ("server key", "/server_key_thumbprint"),
    ("admission", "/admission"),
    ("state", "/committed/state"),
    ("consistency token", "/committed/consistency_token"),
];

pub async fn run(args: &ReadmitArgs, output: Output) -> Result<(), Failure> {
    let draft = args.admission.draft(&args.cluster)?;
    draft.must_be_its_own()?;
    let client = args.cluster.client()?;
    let nodes = status(&client).await?.nodes;
    must_be_its(nodes.iter().find(|node| node.number == args.node), &draft)?;
    let order = args.order.order()?;
    let request = v1::ReadmitNodeRequest {
        meta: order.meta(),
        number: args.node,
        peer_public_key: draft.request.peer_key().spki().to_vec(),
    };
    let readmitted: v1::ReadmitNodeResponse = order
        .send(&client, |channel| {
            let request = request.clone();
            async move {
                ClusterServiceClient::new(channel)
                    .readmit_node(request)
                    .await
            }
        })
        .await?;
    let admitted = readmitted
        .admitted
        .ok_or_else(|| Failure::unexpected("admission"))?;
    let committed = CommittedView::of(admitted.committed.clone())?;
    draft.write(&client, admitted, true).await.map_err(again)?;
    output.record(
        &ReadmitView {
            node: args.node,
            name: draft.request.name().to_string(),
            peer_key_thumbprint: draft.request.peer_key().thumbprint().to_string(),
            server_key_thumbprint: draft.request.server_key().thumbprint().to_string(),
            admission: draft.path.clone(),
            committed,
        },
        &COLUMNS,
    )?;
    output.note(&format!(
        "\nnext: at the node, stop the old process and move its `data` directory into DIR, the\n\
         directory of the new keys: without it the node has forgotten its votes, and is refused.\n\
         Then {}",
        draft.at_the_node(),
    ));
    Ok(())
}

/// The number, the name and the addresses stay; only the keys are others.
fn must_be_its(node: Option<&v1::Node>, draft: &Draft) -> Result<(), Failure> {
    let Some(node) = node else {
        return Err(Failure::refused("no node with that number is known")
            .next("look at `chancery node list` for it"));
    };
    let request = &draft.request;
    let asked = [
        request.name().as_str(),
        request.api_address(),
        request.peer_address(),
    ];
    let known = [&*node.name, &*node.api_address, &*node.peer_address];
    if asked == known {
        return Ok(());
    }
    Err(Failure::usage(format_args!(
        "the request is of {}, and node {} is {}",
        asked.join(", "),
        node.number,
        known.join(", "),
    ))
    .next("make the request with the name and the addresses that the node has"))
}
