//! `chancery node promote`.

use chancery_client::v1;
use clap::Args;
use serde::Serialize;

use crate::{
    cluster::ClusterArgs,
    failure::Failure,
    order::{COMMITTED, CommittedView, OrderArgs},
    output::Output,
};

/// Arguments of `node promote`.
#[derive(Debug, Args)]
pub struct PromoteArgs {
    /// The node's number
    node: u64,
    #[command(flatten)]
    order: OrderArgs,
    #[command(flatten)]
    cluster: ClusterArgs,
}

#[derive(Serialize)]
struct PromoteView {
    node: u64,
    committed: CommittedView,
}

pub async fn run(args: &PromoteArgs, output: Output) -> Result<(), Failure> {
    let order = args.order.order()?;
    let request = v1::PromoteRequest {
        meta: order.meta(),
        number: args.node,
    };
    let promoted: v1::PromoteResponse = order
        .send(&args.cluster.client()?, |channel| {
            let request = request.clone();
            async move {
                v1::cluster_service_client::ClusterServiceClient::new(channel)
                    .promote(request)
                    .await
            }
        })
        .await?;
    let committed = CommittedView::of(promoted.committed)?;
    output.record(
        &PromoteView {
            node: args.node,
            committed,
        },
        &COMMITTED,
    )
}
