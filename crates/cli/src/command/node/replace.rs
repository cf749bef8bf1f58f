//! `chancery node replace`, where the operator is: another node in the place of an
//! old one. It is `add`, `promote` and `remove` in a row; interrupted at any step,
//! the same command goes on there.

use std::{path::PathBuf, time::Duration};

use chancery_client::{Client, v1};
use clap::Args;
use futures::future::join_all;
use serde::Serialize;

use super::{
    add::{admit, again, status},
    admission::{AdmissionArgs, Draft},
    patience::{ASK_EVERY, Patience, WaitArgs},
    promote::promote,
    remove::{HowArgs, forget_endpoint, remove},
};
use crate::{
    cluster::ClusterArgs,
    failure::Failure,
    order::{CommittedView, OrderArgs},
    output::{Column, Output},
    profile::Profile,
    span::Span,
};

/// A node that is silent for so long is not asked further.
const ONE_ANSWER: Span = Span(Duration::from_secs(3));
/// As the cluster has it for a vote.
const CAUGHT_UP: u64 = 256;
const HEARD_MS: u64 = 2_000;

/// Arguments of `node replace`.
#[derive(Debug, Args)]
pub struct ReplaceArgs {
    /// The number of the old node
    old: u64,
    #[command(flatten)]
    admission: AdmissionArgs,
    #[command(flatten)]
    how: HowArgs,
    #[command(flatten)]
    wait: WaitArgs,
    #[command(flatten)]
    order: OrderArgs,
    #[command(flatten)]
    cluster: ClusterArgs,
}

#[derive(Serialize)]
struct ReplaceView {
    node: u64,
    replaced: u64,
    admission: PathBuf,
    committed: CommittedView,
}

const COLUMNS: [Column; 5] = [
    ("node", "/node"),
    ("replaced", "/replaced"),
    ("admission", "/admission"),
    ("state", "/committed/state"),
    ("consistency token", "/committed/consistency_token"),
];

pub async fn run(args: &ReplaceArgs, output: Output) -> Result<(), Failure> {
    let draft = args.admission.draft(&args.cluster)?;
    let client = args.cluster.client()?;
    let mut patience = args.wait.begin(output);
    let nodes = status(&client).await?.nodes;
    let Some(old) = nodes.into_iter().find(|node| node.number == args.old) else {
        return Err(Failure::refused("no node with that number is known")
            .next("look at `chancery node list` for it"));
    };

    let number = admitted(args, &client, &draft, &old, output).await?;
    if old.standing() == v1::node::Standing::Voter {
        promote(&client, &args.order, number, &mut patience).await?;
    } else if old.standing() != v1::node::Standing::Removed {
        caught_up(args, number, &mut patience).await?;
    }
    output.note(&format!(
        "node {number} has taken its place; node {} leaves",
        args.old
    ));
    let which = (args.old, args.how.departure());
    let committed = remove(&client, &args.order, which, &mut patience).await?;
    forget_endpoint(&args.cluster, &client, args.old).await?;
    output.record(
        &ReplaceView {
            node: number,
            replaced: args.old,
            admission: draft.path,
            committed,
        },
        &COLUMNS,
    )
}

/// The new node's number: that of the node with the key in the request, admitted
/// now unless it was before.
async fn admitted(
    args: &ReplaceArgs,
    client: &Client,
    draft: &Draft,
    old: &v1::Node,
    output: Output,
) -> Result<u64, Failure> {
    let status = status(client).await?;
    let key = draft.request.peer_key().spki();
    let known = status
        .nodes
        .iter()
        .find(|node| node.peer_public_key == key && node.standing() != v1::node::Standing::Removed);
    if known.is_some_and(|node| node.number == args.old) {
        return Err(Failure::usage("the request is the old node's own")
            .next("make the new node's with `chancery node request`, in a directory of its own"));
    }
    draft.must_be_its_own()?;
    let order = args.order.order()?;
    // Of a node that was admitted before, whatever came of it, it says the same again.
    let added = admit(client, &order, &draft.request, old.check_only).await?;
    let number = added.number;
    draft.write(client, added, false).await.map_err(again)?;
    if let Some(profile) = args.cluster.profile_of_endpoints() {
        Profile::add_endpoint(profile, draft.request.api_address())?;
    }
    output.note(&format!(
        "node {number} is admitted by `{}`: {}",
        draft.path.display(),
        draft.at_the_node()
    ));
    Ok(number)
}

/// Waits until the leader says that a learner has caught up.
async fn caught_up(args: &ReplaceArgs, node: u64, patience: &mut Patience) -> Result<(), Failure> {
    loop {
        let what = match as_the_leader_sees(args, node).await? {
            Some(v1::Node {
                lag: Some(lag),
                heard_ms: Some(heard_ms),
                ..
            }) if lag <= CAUGHT_UP && heard_ms <= HEARD_MS => return Ok(()),
            Some(v1::Node {
                lag: Some(lag),
                heard_ms: Some(_),
                ..
            }) => format!("node {node} is {lag} entries behind"),
            Some(_) => format!("node {node} was not heard of yet"),
            None => "the leader does not answer".to_owned(),
        };
        let given_up = || {
            Failure::refused(&what)
                .next("see with `chancery node status` that it runs; the same command waits on")
        };
        patience.wait_for(&what, ASK_EVERY, given_up).await?;
    }
}

async fn as_the_leader_sees(args: &ReplaceArgs, node: u64) -> Result<Option<v1::Node>, Failure> {
    let clients = args.cluster.client_per_node(ONE_ANSWER)?;
    let answers = join_all(clients.iter().map(|(_, client)| status(client))).await;
    let leading = answers
        .into_iter()
        .flatten()
        .find(|status| status.node == status.leader);
    Ok(leading.and_then(|status| status.nodes.into_iter().find(|known| known.number == node)))
}
