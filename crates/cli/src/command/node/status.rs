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
    /// Entries that it lacks: as it says, or as the leader says of one that does not.
    behind: Option<u64>,
    /// How far the snapshot has come that brings it up.
    snapshot: Option<SnapshotView>,
}

#[derive(Debug, Serialize)]
struct SnapshotView {
    rows: u64,
    of_rows: u64,
    bytes: u64,
    /// For people.
    progress: String,
}

impl From<v1::SnapshotProgress> for SnapshotView {
    fn from(told: v1::SnapshotProgress) -> Self {
        let v1::SnapshotProgress {
            rows,
            of_rows,
            bytes,
        } = told;
        let mib = bytes >> 20;
        Self {
            rows,
            of_rows,
            bytes,
            progress: format!("{rows} of about {of_rows} rows, {mib} MiB"),
        }
    }
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
    records_behind: bool,
    epoch: u64,
    trust_domain: String,
    version: String,
    state_digest: String,
    agents: u64,
    /// A change of the voters is under way.
    membership_changing: bool,
    consistency_token: String,
}

const COLUMNS: [Column; 15] = [
    ("endpoint", "/endpoint"),
    ("node", "/node"),
    ("name", "/name"),
    ("standing", "/standing"),
    ("leader", "/leader"),
    ("revision", "/revision"),
    ("fresh", "/fresh"),
    ("age ms", "/age_ms"),
    ("behind", "/behind"),
    ("snapshot", "/snapshot/progress"),
    ("issuer", "/issuer"),
    ("records behind", "/records_behind"),
    ("epoch", "/epoch"),
    ("agents", "/agents"),
    ("error", "/error"),
];

pub async fn run(args: &StatusArgs, output: Output) -> Result<(), Failure> {
    let clients = args.cluster.client_per_node(PATIENCE)?;
    let asked = clients
        .iter()
        .map(|(endpoint, client)| ask(endpoint, client));
    let mut answers = join_all(asked).await;
    complete(&mut answers);
    let views: Vec<_> = answers.iter().map(|answer| &answer.view).collect();
    output.list(&views, &COLUMNS)?;
    // One node that answers is an answer; what the others lack stands in it.
    if views.iter().any(|view| view.told.is_some()) {
        return Ok(());
    }
    let refused = answers.into_iter().filter_map(|answer| answer.failure);
    let worst = refused.min_by_key(|failure| u8::from(failure.kind != Kind::Refused));
    worst.map_or(Ok(()), Err)
}

/// What one node said, and why it is a failure.
struct Answer {
    view: StatusView,
    /// What it said of all nodes.
    nodes: Vec<v1::Node>,
    failure: Option<Failure>,
}

/// A node that comes without a state knows no caller yet, so it is the leader that
/// says how far it is.
fn complete(answers: &mut [Answer]) {
    let leads = |answer: &&Answer| {
        let told = answer.view.told.as_ref();
        told.is_some_and(|told| told.leader == told.node)
    };
    let Some(nodes) = answers
        .iter()
        .find(leads)
        .map(|leader| leader.nodes.clone())
    else {
        return;
    };
    for answer in answers {
        let view = &mut answer.view;
        let told = nodes.iter().find(|node| match &view.told {
            Some(told) => told.node == node.number,
            None => view.endpoint.ends_with(&node.api_address),
        });
        let Some(told) = told else { continue };
        view.behind = view.behind.max(told.lag);
        if view.snapshot.is_none() {
            view.snapshot = told.sending.map(SnapshotView::from);
        }
    }
}

async fn ask(endpoint: &str, client: &Client) -> Answer {
    let answer = client
        .call(Idempotence::Repeatable, |channel| async move {
            v1::cluster_service_client::ClusterServiceClient::new(channel)
                .status(v1::StatusRequest::default())
                .await
        })
        .await;
    let endpoint = endpoint.to_owned();
    match answer {
        Ok(mut status) => Answer {
            nodes: status.nodes.clone(),
            view: StatusView {
                endpoint,
                error: None,
                behind: Some(status.behind),
                snapshot: status.receiving.take().map(SnapshotView::from),
                told: Some(told(status)),
            },
            failure: None,
        },
        Err(error) => {
            let why = match &error {
                Error::Unavailable { last, .. } | Error::Unknown { last } => last.clone(),
                other => other.to_string(),
            };
            let view = StatusView {
                endpoint,
                told: None,
                error: Some(why),
                behind: None,
                snapshot: None,
            };
            Answer {
                view,
                nodes: Vec::new(),
                failure: Some(error.into()),
            }
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
        records_behind: status.records_behind,
        epoch: status.epoch,
        trust_domain: status.trust_domain,
        version: status.version,
        state_digest: status.state_digest,
        agents: status.agents,
        membership_changing: status.membership_changing,
        consistency_token: status.consistency_token,
    }
}
