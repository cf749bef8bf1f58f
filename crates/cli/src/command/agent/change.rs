//! `agent register`, `agent update` and `agent remove`.

use std::time::SystemTime;

use chancery_client::v1::{self, agent_service_client::AgentServiceClient};
use clap::Args;
use serde::Serialize;

use super::{
    bounds::{BoundsArgs, OtherArgs},
    read,
    view::AgentView,
};
use crate::{
    cluster::ClusterArgs,
    failure::Failure,
    key_files::PublicKeyArgs,
    order::{COMMITTED, CommittedView, GraveOrderArgs, OrderArgs},
    output::{Column, Output},
};

/// Arguments of `agent register`.
#[derive(Debug, Args)]
pub struct RegisterArgs {
    /// Its SPIFFE ID, in the cluster's trust domain
    id: String,
    #[command(flatten)]
    keys: PublicKeyArgs,
    #[command(flatten)]
    bounds: BoundsArgs,
    #[command(flatten)]
    order: OrderArgs,
    #[command(flatten)]
    cluster: ClusterArgs,
}

/// Arguments of `agent update`.
#[derive(Debug, Args)]
pub struct UpdateArgs {
    /// Its SPIFFE ID
    id: String,
    /// Keep what it holds although something is taken away
    #[arg(long)]
    keep_held: bool,
    #[command(flatten)]
    other: OtherArgs,
    #[command(flatten)]
    bounds: BoundsArgs,
    #[command(flatten)]
    order: OrderArgs,
    #[command(flatten)]
    cluster: ClusterArgs,
}

/// Arguments of `agent remove`.
#[derive(Debug, Args)]
pub struct RemoveArgs {
    /// Its SPIFFE ID
    id: String,
    #[command(flatten)]
    order: GraveOrderArgs,
    #[command(flatten)]
    cluster: ClusterArgs,
}

#[derive(Serialize)]
struct ChangeView {
    agent: Option<AgentView>,
    /// Absent where nothing can have been held.
    held_killed: Option<bool>,
    committed: CommittedView,
}

const COLUMNS: [Column; 11] = [
    ("id", "/agent/id"),
    ("owners", "/agent/owners"),
    ("kept down by", "/agent/kept_down_by"),
    ("grants", "/agent/grants"),
    ("grant sets", "/agent/grant_sets"),
    ("mints a second", "/agent/rate_limit"),
    ("expires", "/agent/expires_at"),
    ("keys", "/agent/key_thumbprints"),
    ("held killed", "/held_killed"),
    ("state", "/committed/state"),
    ("consistency token", "/committed/consistency_token"),
];

pub async fn register(args: &RegisterArgs, output: Output) -> Result<(), Failure> {
    let order = args.order.order()?;
    let request = v1::RegisterRequest {
        meta: order.meta(),
        agent: Some(args.bounds.spec(&args.id, &args.keys, SystemTime::now())?),
    };
    let registered: v1::RegisterResponse = order
        .send(&args.cluster.client()?, |channel| {
            let request = request.clone();
            async move { AgentServiceClient::new(channel).register(request).await }
        })
        .await?;
    let view = ChangeView {
        agent: registered.agent.map(AgentView::from),
        held_killed: None,
        committed: order.committed(registered.committed).await?,
    };
    output.record(&view, &COLUMNS)
}

/// Reads the registration, puts what was given in place of what it had, and sends
/// the whole.
pub async fn update(args: &UpdateArgs, output: Output) -> Result<(), Failure> {
    let client = args.cluster.client()?;
    let former = read::agent(&client, &args.id, String::new()).await?;
    let spec = former
        .spec
        .ok_or_else(|| Failure::unexpected("registration"))?;
    let order = args.order.order()?;
    let next = args.bounds.over(&spec, &args.other, SystemTime::now())?;
    // What is repeated may have been carried out, and has to be answered all the same.
    if next == spec && !order.is_repeated() {
        return Err(
            Failure::usage(format_args!("this is what agent {} has already", spec.id))
                .next("give what is to be another; `chancery agent update --help` lists it"),
        );
    }
    let request = v1::UpdateRequest {
        meta: order.meta(),
        agent: Some(next),
        keep_held: args.keep_held,
        changed_at: former.changed_at,
    };
    let updated: v1::UpdateResponse = order
        .send(&client, |channel| {
            let request = request.clone();
            async move { AgentServiceClient::new(channel).update(request).await }
        })
        .await?;
    let view = ChangeView {
        agent: updated.agent.map(AgentView::from),
        held_killed: Some(updated.held_killed),
        committed: order.committed(updated.committed).await?,
    };
    output.record(&view, &COLUMNS)
}

pub async fn remove(args: &RemoveArgs, output: Output) -> Result<(), Failure> {
    let order = args.order.order()?;
    let request = v1::RemoveRequest {
        meta: order.meta(),
        id: args.id.clone(),
    };
    let removed: v1::RemoveResponse = order
        .send(&args.cluster.client()?, |channel| {
            let request = request.clone();
            async move { AgentServiceClient::new(channel).remove(request).await }
        })
        .await?;
    let view = ChangeView {
        agent: None,
        held_killed: Some(true),
        committed: order.committed(removed.committed).await?,
    };
    output.record(&view, &COMMITTED)
}
