//! `chancery owner`: on whose account agents act.

use chancery_client::{
    Idempotence,
    v1::{self, principal_service_client::PrincipalServiceClient},
};
use clap::{Args, Subcommand};
use serde::Serialize;

use crate::{
    cluster::ClusterArgs,
    failure::Failure,
    order::{COMMITTED, CommittedView, OrderArgs},
    output::{Column, Output},
    read::ReadArgs,
};

/// Owners.
#[derive(Debug, Subcommand)]
pub enum OwnerCommand {
    /// Register an owner
    Add(AddArgs),
    /// List the owners
    List(ListArgs),
}

/// Arguments of `owner add`.
#[derive(Debug, Args)]
pub struct AddArgs {
    /// What the record calls them
    name: String,
    /// For people: at most 256 bytes
    #[arg(
        long,
        value_name = "TEXT",
        default_value = "",
        hide_default_value = true
    )]
    description: String,
    #[command(flatten)]
    order: OrderArgs,
    #[command(flatten)]
    cluster: ClusterArgs,
}

/// Arguments of `owner list`.
#[derive(Debug, Args)]
pub struct ListArgs {
    #[command(flatten)]
    read: ReadArgs,
    #[command(flatten)]
    cluster: ClusterArgs,
}

#[derive(Serialize)]
struct AddView<'a> {
    name: &'a str,
    committed: CommittedView,
}

#[derive(Serialize)]
struct OwnerView {
    name: String,
    suspended: bool,
    description: String,
}

const COLUMNS: [Column; 3] = [
    ("name", "/name"),
    ("suspended", "/suspended"),
    ("description", "/description"),
];

impl OwnerCommand {
    pub async fn run(&self, output: Output) -> Result<(), Failure> {
        match self {
            Self::Add(args) => add(args, output).await,
            Self::List(args) => list(args, output).await,
        }
    }
}

async fn add(args: &AddArgs, output: Output) -> Result<(), Failure> {
    let order = args.order.order()?;
    let request = v1::AddOwnerRequest {
        meta: order.meta(),
        name: args.name.clone(),
        description: args.description.clone(),
    };
    let added: v1::AddOwnerResponse = order
        .send(&args.cluster.client()?, |channel| {
            let request = request.clone();
            async move {
                PrincipalServiceClient::new(channel)
                    .add_owner(request)
                    .await
            }
        })
        .await?;
    let committed = order.committed(added.committed).await?;
    output.record(
        &AddView {
            name: &args.name,
            committed,
        },
        &COMMITTED,
    )
}

async fn list(args: &ListArgs, output: Output) -> Result<(), Failure> {
    let client = args.cluster.client()?;
    let mut views = Vec::new();
    let mut request = v1::ListOwnersRequest {
        min_revision: args.read.min_revision(),
        ..Default::default()
    };
    loop {
        let page: v1::ListOwnersResponse = client
            .call(Idempotence::Repeatable, |channel| {
                let request = request.clone();
                async move {
                    PrincipalServiceClient::new(channel)
                        .list_owners(request)
                        .await
                }
            })
            .await?;
        views.extend(page.owners.into_iter().map(|owner| OwnerView {
            name: owner.name,
            suspended: owner.suspended,
            description: owner.description,
        }));
        if page.next_page_token.is_empty() {
            return output.list(&views, &COLUMNS);
        }
        request.page_token = page.next_page_token;
    }
}
