//! `chancery grant-set`: grants that many agents share.

use chancery_client::{
    Client, Idempotence,
    v1::{self, grant_set_service_client::GrantSetServiceClient},
};
use clap::{Args, Subcommand};
use serde::Serialize;

use super::agent::{Grant, GrantView};
use crate::{
    cluster::ClusterArgs,
    failure::Failure,
    order::{COMMITTED, CommittedView, GraveOrderArgs, OrderArgs},
    output::{Column, Output},
    read::ReadArgs,
};

/// Grant sets. `chancery suspend grant-set NAME` kills what was minted under one and
/// refuses more until `chancery resume grant-set NAME`.
#[derive(Debug, Subcommand)]
pub enum GrantSetCommand {
    /// Make a grant set, or replace the grants of one
    Put(PutArgs),
    /// Show one grant set
    Get(GetArgs),
    /// List the grant sets
    List(ListArgs),
    /// Remove a grant set that no agent refers to; what was minted under it is dead
    Remove(RemoveArgs),
}

/// Arguments of `grant-set put`.
#[derive(Debug, Args)]
pub struct PutArgs {
    /// What agents refer to it by: `--grant-set NAME`
    name: String,
    /// What its agents may mint: `AUDIENCE SCOPE... [ttl=SPAN] [bearer]`; repeat it.
    /// `scope=WORD` is the scope WORD, whatever that looks like.
    /// These are then all its grants; without any, it grants nothing
    #[arg(long = "grant", value_name = "GRANT")]
    grants: Vec<Grant>,
    /// Keep what was minted under it although something is taken away
    #[arg(long)]
    keep_held: bool,
    #[command(flatten)]
    order: OrderArgs,
    #[command(flatten)]
    cluster: ClusterArgs,
}

/// Arguments of `grant-set get`.
#[derive(Debug, Args)]
pub struct GetArgs {
    /// Its name
    name: String,
    #[command(flatten)]
    read: ReadArgs,
    #[command(flatten)]
    cluster: ClusterArgs,
}

/// Arguments of `grant-set list`.
#[derive(Debug, Args)]
pub struct ListArgs {
    #[command(flatten)]
    read: ReadArgs,
    #[command(flatten)]
    cluster: ClusterArgs,
}

/// Arguments of `grant-set remove`.
#[derive(Debug, Args)]
pub struct RemoveArgs {
    /// Its name
    name: String,
    #[command(flatten)]
    order: GraveOrderArgs,
    #[command(flatten)]
    cluster: ClusterArgs,
}

#[derive(Serialize)]
struct GrantSetView {
    name: String,
    suspended: bool,
    grants: Vec<GrantView>,
    /// How many registrations refer to it.
    agents: u64,
    changed_at: u64,
}

#[derive(Serialize)]
struct PutView {
    grant_set: Option<GrantSetView>,
    held_killed: bool,
    committed: CommittedView,
}

#[derive(Serialize)]
struct RemoveView {
    committed: CommittedView,
}

const COLUMNS: [Column; 5] = [
    ("name", "/name"),
    ("suspended", "/suspended"),
    ("grants", "/grants"),
    ("agents", "/agents"),
    ("changed at", "/changed_at"),
];

const PUT_COLUMNS: [Column; 5] = [
    ("name", "/grant_set/name"),
    ("grants", "/grant_set/grants"),
    ("held killed", "/held_killed"),
    ("state", "/committed/state"),
    ("consistency token", "/committed/consistency_token"),
];

impl From<v1::GrantSet> for GrantSetView {
    fn from(set: v1::GrantSet) -> Self {
        Self {
            name: set.name,
            suspended: set.suspended,
            grants: set.grants.into_iter().map(GrantView::from).collect(),
            agents: set.agents,
            changed_at: set.changed_at,
        }
    }
}

impl GrantSetCommand {
    pub async fn run(&self, output: Output) -> Result<(), Failure> {
        match self {
            Self::Put(args) => put(args, output).await,
            Self::Get(args) => get(args, output).await,
            Self::List(args) => list(args, output).await,
            Self::Remove(args) => remove(args, output).await,
        }
    }
}

async fn put(args: &PutArgs, output: Output) -> Result<(), Failure> {
    let order = args.order.order()?;
    let request = v1::PutGrantSetRequest {
        meta: order.meta(),
        name: args.name.clone(),
        grants: args.grants.iter().map(|grant| grant.0.clone()).collect(),
        keep_held: args.keep_held,
    };
    let put: v1::PutGrantSetResponse = order
        .send(&args.cluster.client()?, |channel| {
            let request = request.clone();
            async move { GrantSetServiceClient::new(channel).put(request).await }
        })
        .await?;
    let view = PutView {
        grant_set: put.grant_set.map(GrantSetView::from),
        held_killed: put.held_killed,
        committed: order.committed(put.committed).await?,
    };
    output.record(&view, &PUT_COLUMNS)
}

async fn get(args: &GetArgs, output: Output) -> Result<(), Failure> {
    let request = v1::GetGrantSetRequest {
        name: args.name.clone(),
        min_revision: args.read.min_revision(),
    };
    let answer: v1::GetGrantSetResponse = args
        .cluster
        .client()?
        .call(Idempotence::Repeatable, |channel| {
            let request = request.clone();
            async move { GrantSetServiceClient::new(channel).get(request).await }
        })
        .await?;
    let set = answer
        .grant_set
        .ok_or_else(|| Failure::unexpected("grant set"))?;
    output.record(&GrantSetView::from(set), &COLUMNS)
}

async fn list(args: &ListArgs, output: Output) -> Result<(), Failure> {
    let client = args.cluster.client()?;
    let mut views = Vec::new();
    let mut request = v1::ListGrantSetsRequest {
        min_revision: args.read.min_revision(),
        ..Default::default()
    };
    loop {
        let page = page(&client, &request).await?;
        views.extend(page.grant_sets.into_iter().map(GrantSetView::from));
        if page.next_page_token.is_empty() {
            return output.list(&views, &COLUMNS);
        }
        request.page_token = page.next_page_token;
    }
}

async fn page(
    client: &Client,
    request: &v1::ListGrantSetsRequest,
) -> Result<v1::ListGrantSetsResponse, Failure> {
    let page = client
        .call(Idempotence::Repeatable, |channel| {
            let request = request.clone();
            async move { GrantSetServiceClient::new(channel).list(request).await }
        })
        .await?;
    Ok(page)
}

async fn remove(args: &RemoveArgs, output: Output) -> Result<(), Failure> {
    let order = args.order.order()?;
    let request = v1::RemoveGrantSetRequest {
        meta: order.meta(),
        name: args.name.clone(),
    };
    let removed: v1::RemoveGrantSetResponse = order
        .send(&args.cluster.client()?, |channel| {
            let request = request.clone();
            async move { GrantSetServiceClient::new(channel).remove(request).await }
        })
        .await?;
    let committed = order.committed(removed.committed).await?;
    output.record(&RemoveView { committed }, &COMMITTED)
}
