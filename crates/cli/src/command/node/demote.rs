//! `chancery node demote`.

use chancery_client::v1::{self, cluster_service_client::ClusterServiceClient};
use clap::Args;
use serde::Serialize;

use crate::{
    cluster::ClusterArgs,
    failure::Failure,
    order::{COMMITTED, CommittedView, OrderArgs},
    output::Output,
};

/// Arguments of `node demote`.
#[derive(Debug, Args)]
pub struct DemoteArgs {
    /// The node's number
    node: u64,
    #[command(flatten)]
    order: OrderArgs,
    #[command(flatten)]
    cluster: ClusterArgs,
}

#[derive(Serialize)]
struct DemoteView {
    node: u64,
    committed: CommittedView,
}

pub async fn run(args: &DemoteArgs, output: Output) -> Result<(), Failure> {
    let order = args.order.order()?;
    let request = v1::DemoteRequest {
        meta: order.meta(),
        number: args.node,
    };
    let demoted: v1::DemoteResponse = order
        .send(&args.cluster.client()?, |channel| {
            let request = request.clone();
            async move { ClusterServiceClient::new(channel).demote(request).await }
        })
        .await?;
    let committed = CommittedView::of(demoted.committed)?;
    output.record(
        &DemoteView {
            node: args.node,
            committed,
        },
        &COMMITTED,
    )
}
