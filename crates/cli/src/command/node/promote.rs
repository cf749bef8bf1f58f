//! `chancery node promote`: waits until the learner has caught up.

use chancery_client::{
    Client,
    v1::{self, cluster_service_client::ClusterServiceClient},
};
use clap::Args;
use serde::Serialize;

use super::patience::{ASK_EVERY, Patience, WaitArgs};
use crate::{
    cluster::ClusterArgs,
    failure::Failure,
    order::{COMMITTED, CommittedView, OrderArgs},
    output::Output,
};

/// What the cluster answers until a learner has caught up.
const CATCHING_UP: &str = "CATCHING_UP";

/// Arguments of `node promote`.
#[derive(Debug, Args)]
pub struct PromoteArgs {
    /// The node's number
    node: u64,
    #[command(flatten)]
    wait: WaitArgs,
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
    let client = args.cluster.client()?;
    let mut patience = args.wait.begin(output);
    let committed = promote(&client, &args.order, args.node, &mut patience).await?;
    output.record(
        &PromoteView {
            node: args.node,
            committed,
        },
        &COMMITTED,
    )
}

/// Asks until the learner has caught up. What was refused until then changed
/// nothing and stands in no record.
pub(super) async fn promote(
    client: &Client,
    order: &OrderArgs,
    node: u64,
    patience: &mut Patience,
) -> Result<CommittedView, Failure> {
    loop {
        let failure = match once(client, order, node).await {
            Ok(committed) => return Ok(committed),
            Err(failure) if failure.reason == CATCHING_UP => failure,
            Err(failure) => return Err(failure),
        };
        // `the node was not promoted: node 4 is 1234 entries behind, …`
        let what = failure.message.split_once(": ");
        let what = what.map_or(&*failure.message, |(_, why)| why).to_owned();
        let given_up = || {
            failure.next(
                "see with `chancery node status` that it runs; the same command waits on, or give \
                 it longer with --wait",
            )
        };
        patience.wait_for(&what, ASK_EVERY, given_up).await?;
    }
}

async fn once(client: &Client, order: &OrderArgs, number: u64) -> Result<CommittedView, Failure> {
    let order = order.order()?;
    let request = v1::PromoteRequest {
        meta: order.meta(),
        number,
    };
    let promoted: v1::PromoteResponse = order
        .send(client, |channel| {
            let request = request.clone();
            async move { ClusterServiceClient::new(channel).promote(request).await }
        })
        .await?;
    CommittedView::of(promoted.committed)
}
