//! `chancery node transfer`.

use chancery_client::v1::{self, cluster_service_client::ClusterServiceClient};
use clap::Args;
use serde::Serialize;

use crate::{
    cluster::ClusterArgs,
    failure::Failure,
    order::{CommittedView, OrderArgs},
    output::{Column, Output},
};

/// Arguments of `node transfer`.
#[derive(Debug, Args)]
pub struct TransferArgs {
    /// The number of the voter that is to lead [default: the one that is best placed]
    node: Option<u64>,
    #[command(flatten)]
    order: OrderArgs,
    #[command(flatten)]
    cluster: ClusterArgs,
}

#[derive(Serialize)]
struct TransferView {
    /// Whoever it is; absent when it is not known yet.
    leader: Option<u64>,
    committed: CommittedView,
}

const COLUMNS: [Column; 3] = [
    ("leader", "/leader"),
    ("state", "/committed/state"),
    ("consistency token", "/committed/consistency_token"),
];

pub async fn run(args: &TransferArgs, output: Output) -> Result<(), Failure> {
    let order = args.order.order()?;
    let request = v1::TransferRequest {
        meta: order.meta(),
        number: args.node.unwrap_or(0),
    };
    let transferred: v1::TransferResponse = order
        .send(&args.cluster.client()?, |channel| {
            let request = request.clone();
            async move { ClusterServiceClient::new(channel).transfer(request).await }
        })
        .await?;
    let leader = (transferred.leader != 0).then_some(transferred.leader);
    output.record(
        &TransferView {
            leader,
            committed: CommittedView::of(transferred.committed)?,
        },
        &COLUMNS,
    )?;
    if args.node.is_some() && leader != args.node {
        output.note("\nanother election came between: type the same command again");
    }
    Ok(())
}
