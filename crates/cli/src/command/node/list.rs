//! `chancery node list`.

use chancery_client::{Idempotence, v1};
use clap::Args;
use serde::Serialize;

use crate::{
    cluster::ClusterArgs,
    failure::Failure,
    output::{Column, Output},
    read::ReadArgs,
};

/// Arguments of `node list`.
#[derive(Debug, Args)]
pub struct ListArgs {
    /// Also those that were removed for good
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    read: ReadArgs,
    #[command(flatten)]
    cluster: ClusterArgs,
}

#[derive(Serialize)]
struct NodeView {
    number: u64,
    name: String,
    standing: &'static str,
    leads: bool,
    api_address: String,
    peer_address: String,
    peer_key_thumbprint: String,
    barred: bool,
    retiring: bool,
    check_only: bool,
    /// Told by the leader only.
    lag: Option<u64>,
    /// Told by the leader only.
    heard_ms: Option<u64>,
}

const COLUMNS: [Column; 9] = [
    ("node", "/number"),
    ("name", "/name"),
    ("standing", "/standing"),
    ("leads", "/leads"),
    ("api address", "/api_address"),
    ("peer address", "/peer_address"),
    ("barred", "/barred"),
    ("retiring", "/retiring"),
    ("check only", "/check_only"),
];

pub async fn run(args: &ListArgs, output: Output) -> Result<(), Failure> {
    let request = v1::StatusRequest {
        min_revision: args.read.min_revision(),
    };
    let status: v1::StatusResponse = args
        .cluster
        .client()?
        .call(Idempotence::Repeatable, |channel| {
            let request = request.clone();
            async move {
                v1::cluster_service_client::ClusterServiceClient::new(channel)
                    .status(request)
                    .await
            }
        })
        .await?;
    if status.membership_changing {
        output.note(
            "a change of the voters is under way: until the leader ends it, the former and the new \
             ones decide together (joint)",
        );
    }
    let leader = status.leader;
    let view = |node: v1::Node| NodeView {
        number: node.number,
        standing: standing(&node),
        leads: node.number == leader,
        name: node.name,
        api_address: node.api_address,
        peer_address: node.peer_address,
        peer_key_thumbprint: node.peer_key_thumbprint,
        barred: node.barred,
        retiring: node.retiring,
        check_only: node.check_only,
        lag: node.lag,
        heard_ms: node.heard_ms,
    };
    let all = status.nodes.len();
    let shown: Vec<_> = status
        .nodes
        .into_iter()
        .filter(|node| args.all || node.standing() != v1::node::Standing::Removed)
        .map(view)
        .collect();
    output.list(&shown, &COLUMNS)?;
    let left_out = all - shown.len();
    if left_out > 0 {
        output.note(&format!("({left_out} more were removed; --all shows them)"));
    }
    Ok(())
}

pub fn standing(node: &v1::Node) -> &'static str {
    match v1::node::Standing::try_from(node.standing) {
        Ok(v1::node::Standing::Learner) => "learner",
        Ok(v1::node::Standing::Voter) => "voter",
        Ok(v1::node::Standing::Admitted) => "admitted",
        Ok(v1::node::Standing::Removed) => "removed",
        _ => "?",
    }
}
