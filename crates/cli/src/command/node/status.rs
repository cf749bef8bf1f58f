//! `chancery node status`: asks each node by itself, so that one that does not
//! answer is seen too.

use std::time::Duration;

use chancery_client::{Client, Error, Idempotence, v1};
use clap::Args;
use futures::future::join_all;
use serde::Serialize;

use crate::{
    cluster::ClusterArgs,
    failure::{Failure, Kind},
    output::{Column, Output},
    span::Span,
};

/// A node that is silent for so long is shown as silent.
const PATIENCE: Span = Span(Duration::from_secs(3));

/// Arguments of `node status`.
#[derive(Debug, Args)]
pub struct StatusArgs {
    #[command(flatten)]
    cluster: ClusterArgs,
}

/// How a node is, as it says itself.
#[derive(Debug, Serialize)]
struct StatusView {
    endpoint: String,
    #[serde(flatten)]
    told: Option<Told>,
    error: Option<String>,
}

#[derive(Debug, Serialize)]
struct Told {
    node: u64,
    name: String,
    standing: &'static str,
    leader: u64,
    term: u64,
    revision: u64,
    age_ms: Option<u64>,
    fresh: bool,
    issuer: Option<u32>,
    settling: bool,
    draining: bool,
    epoch: u64,
    trust_domain: String,
    version: String,
    state_digest: String,
    agents: u64,
    consistency_token: String,
}

const COLUMNS: [Column; 12] = [
    ("endpoint", "/endpoint"),
    ("node", "/node"),
    ("name", "/name"),
    ("standing", "/standing"),
    ("leader", "/leader"),
    ("revision", "/revision"),
    ("fresh", "/fresh"),
    ("age ms", "/age_ms"),
    ("issuer", "/issuer"),
    ("epoch", "/epoch"),
    ("agents", "/agents"),
    ("error", "/error"),
];

pub async fn run(args: &StatusArgs, output: Output) -> Result<(), Failure> {
    let clients = args.cluster.client_per_node(PATIENCE)?;
    let asked = clients
        .iter()
        .map(|(endpoint, client)| ask(endpoint, client));
    let answers = join_all(asked).await;
    let views: Vec<_> = answers.iter().map(|(view, _)| view).collect();
    output.list(&views, &COLUMNS)?;
    // One node that answers is an answer; what the others lack stands in it.
    if views.iter().any(|view| view.told.is_some()) {
        return Ok(());
    }
    let refused = answers.into_iter().filter_map(|(_, failure)| failure);
    let worst = refused.min_by_key(|failure| u8::from(failure.kind != Kind::Refused));
    worst.map_or(Ok(()), Err)
}

async fn ask(endpoint: &str, client: &Client) -> (StatusView, Option<Failure>) {
    let answer = client
        .call(Idempotence::Repeatable, |channel| async move {
            v1::cluster_service_client::ClusterServiceClient::new(channel)
                .status(v1::StatusRequest::default())
                .await
        })
        .await;
    let endpoint = endpoint.to_owned();
    match answer {
        Ok(status) => (
            StatusView {
                endpoint,
                told: Some(told(status)),
                error: None,
            },
            None,
        ),
        Err(error) => {
            let why = match &error {
                Error::Unavailable { last } | Error::Unknown { last } => last.clone(),
                other => other.to_string(),
            };
            let view = StatusView {
                endpoint,
                told: None,
                error: Some(why),
            };
            (view, Some(error.into()))
        }
    }
}

fn told(status: v1::StatusResponse) -> Told {
    let this = status.nodes.iter().find(|node| node.number == status.node);
    Told {
        node: status.node,
        name: this.map(|node| node.name.clone()).unwrap_or_default(),
        standing: this.map_or("?", super::list::standing),
        leader: status.leader,
        term: status.term,
        revision: status.revision,
        age_ms: status.age_ms,
        fresh: status.fresh,
        issuer: status.issuer,
        settling: status.settling,
        draining: status.draining,
        epoch: status.epoch,
        trust_domain: status.trust_domain,
        version: status.version,
        state_digest: status.state_digest,
        agents: status.agents,
        consistency_token: status.consistency_token,
    }
}
