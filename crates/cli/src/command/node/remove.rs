//! `chancery node remove`: asks until the node is out, and until nothing that it
//! could still accept is outstanding.

use std::time::Duration;

use chancery_client::{
    Client,
    v1::{self, cluster_service_client::ClusterServiceClient, remove_node_request::Departure},
};
use clap::Args;
use serde::Serialize;

use super::{
    add::status,
    patience::{ASK_EVERY, Patience, WaitArgs},
};
use crate::{
    cluster::ClusterArgs,
    failure::{Failure, Kind},
    order::{CommittedView, OrderArgs},
    output::{Column, Output},
    profile::Profile,
};

/// Arguments of `node remove`.
#[derive(Debug, Args)]
pub struct RemoveArgs {
    /// The node's number; it is never given again
    node: u64,
    #[command(flatten)]
    how: HowArgs,
    #[command(flatten)]
    wait: WaitArgs,
    #[command(flatten)]
    order: OrderArgs,
    #[command(flatten)]
    cluster: ClusterArgs,
}

/// How the node leaves, unless in order.
#[derive(Debug, Clone, Copy, Args)]
pub struct HowArgs {
    /// It is not there and never comes back: its seat is taken away although it does not answer
    #[arg(long, conflicts_with = "compromised")]
    lost: bool,
    /// It may be in other hands: all that it signed is dead at once, and it is taken out at once
    #[arg(long)]
    compromised: bool,
}

impl HowArgs {
    pub(super) const fn departure(self) -> Departure {
        match self {
            Self {
                compromised: true, ..
            } => Departure::Compromised,
            Self { lost: true, .. } => Departure::Lost,
            Self { .. } => Departure::Graceful,
        }
    }
}

#[derive(Serialize)]
struct RemoveView {
    node: u64,
    standing: &'static str,
    committed: CommittedView,
}

const COLUMNS: [Column; 4] = [
    ("node", "/node"),
    ("standing", "/standing"),
    ("state", "/committed/state"),
    ("consistency token", "/committed/consistency_token"),
];

pub async fn run(args: &RemoveArgs, output: Output) -> Result<(), Failure> {
    let client = args.cluster.client()?;
    let mut patience = args.wait.begin(output);
    let how = args.how.departure();
    let committed = remove(&client, &args.order, (args.node, how), &mut patience).await?;
    forget_endpoint(&args.cluster, &client, args.node).await?;
    output.record(
        &RemoveView {
            node: args.node,
            standing: "removed",
            committed,
        },
        &COLUMNS,
    )
}

/// Asks until it is done.
pub(super) async fn remove(
    client: &Client,
    order: &OrderArgs,
    (node, how): (u64, Departure),
    patience: &mut Patience,
) -> Result<CommittedView, Failure> {
    loop {
        let answer = once(client, order, node, how).await?;
        if answer.done {
            return CommittedView::of(answer.committed);
        }
        let wait = answer
            .again_after
            .and_then(|wait| Duration::try_from(wait).ok());
        let what = format!("what node {node} proved before may count for a moment more");
        let given_up = || {
            Failure::refused(format_args!(
                "node {node} is being removed, and not out yet"
            ))
            .next("the same command goes on where it was; give it longer with --wait")
        };
        let pause = wait.unwrap_or(ASK_EVERY).max(ASK_EVERY / 5);
        patience.wait_for(&what, pause, given_up).await?;
    }
}

async fn once(
    client: &Client,
    order: &OrderArgs,
    number: u64,
    how: Departure,
) -> Result<v1::RemoveNodeResponse, Failure> {
    let order = order.order()?;
    let request = v1::RemoveNodeRequest {
        meta: order.meta(),
        number,
        how: how.into(),
    };
    order
        .send(client, |channel| {
            let request = request.clone();
            async move {
                ClusterServiceClient::new(channel)
                    .remove_node(request)
                    .await
            }
        })
        .await
        .map_err(|failure: Failure| match failure.kind {
            // No id is needed: each step is found done.
            Kind::Unknown => failure.next("type the same command again: it goes on where it was"),
            _ => failure,
        })
}

/// The profile calls a node no more that is gone.
pub(super) async fn forget_endpoint(
    cluster: &ClusterArgs,
    client: &Client,
    node: u64,
) -> Result<(), Failure> {
    let Some(profile) = cluster.profile_of_endpoints() else {
        return Ok(());
    };
    let nodes = status(client).await?.nodes;
    let gone = nodes.into_iter().find(|known| known.number == node);
    gone.map_or(Ok(()), |gone| {
        Profile::remove_endpoint(profile, &gone.api_address)
    })
}
