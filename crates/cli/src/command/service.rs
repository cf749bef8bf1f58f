//! `chancery service`: who verifies tokens, and for which audiences.

use chancery_client::v1::{
    self, principal::Kind, principal_service_client::PrincipalServiceClient,
    remove_principal_request::Principal as Removed,
};
use clap::{Args, Subcommand};
use serde::Serialize;

use super::principal::{ListArgs, RemoveArgs, principals, remove};
use crate::{
    cluster::ClusterArgs,
    failure::Failure,
    key_files::{self, KeyArgs, KeyChangeArgs, PublicKeyArgs},
    order::{COMMITTED, CommittedView, OrderArgs},
    output::{Column, Output},
};

/// Services.
#[derive(Debug, Subcommand)]
pub enum ServiceCommand {
    /// Make a service's key, where the service is
    Key(KeyArgs),
    /// Let a service verify tokens for its audiences
    ///
    /// It may then ask any node (`chancery token verify`), follow what is in force (`chancery watch`),
    /// or poll it over HTTPS: `curl --cacert root.pem --cert identity.pem --key identity.key
    /// https://HOST:PORT/v1/revocations`, with the files that `chancery service key` made.
    Add(AddArgs),
    /// Change a service's audiences or keys; what is not named stays
    ///
    /// To replace a key: `--add-key` the new one, give it to the service, then `--remove-key` the
    /// old one. What is taken away is gone at once.
    Update(UpdateArgs),
    /// List the services
    List(ListArgs),
    /// End a service's standing at once
    Remove(RemoveArgs),
}

/// Arguments of `service add`.
#[derive(Debug, Args)]
pub struct AddArgs {
    /// What the record calls it
    name: String,
    /// Audience that it stands for; repeat it
    #[arg(long = "audience", value_name = "AUDIENCE", required = true)]
    audiences: Vec<String>,
    #[command(flatten)]
    keys: PublicKeyArgs,
    #[command(flatten)]
    order: OrderArgs,
    #[command(flatten)]
    cluster: ClusterArgs,
}

/// Arguments of `service update`.
#[derive(Debug, Args)]
pub struct UpdateArgs {
    /// What the record calls it
    name: String,
    /// Audience that it stands for, in place of all that it did; repeat it
    #[arg(long = "audience", value_name = "AUDIENCE")]
    audiences: Vec<String>,
    #[command(flatten)]
    keys: KeyChangeArgs,
    #[command(flatten)]
    order: OrderArgs,
    #[command(flatten)]
    cluster: ClusterArgs,
}

#[derive(Serialize)]
struct ServiceView {
    name: String,
    audiences: Vec<String>,
    key_thumbprints: Vec<String>,
}

const COLUMNS: [Column; 3] = [
    ("name", "/name"),
    ("audiences", "/audiences"),
    ("keys", "/key_thumbprints"),
];

#[derive(Serialize)]
struct AddView<'a> {
    name: &'a str,
    committed: CommittedView,
}

impl ServiceCommand {
    pub async fn run(&self, output: Output) -> Result<(), Failure> {
        match self {
            Self::Key(args) => key_files::make(args, output),
            Self::Add(args) => add(args, output).await,
            Self::Update(args) => update(args, output).await,
            Self::List(args) => list(args, output).await,
            Self::Remove(args) => remove(args, Removed::Service, output).await,
        }
    }
}

async fn add(args: &AddArgs, output: Output) -> Result<(), Failure> {
    let order = args.order.order()?;
    let request = v1::AddServiceRequest {
        meta: order.meta(),
        name: args.name.clone(),
        audiences: args.audiences.clone(),
        public_keys: args.keys.read()?,
    };
    let added: v1::AddServiceResponse = order
        .send(&args.cluster.client()?, |channel| {
            let request = request.clone();
            async move {
                PrincipalServiceClient::new(channel)
                    .add_service(request)
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
    )?;
    output.note(
        "\nnext: with the key's profile it may ask (`chancery token verify`), follow (`chancery watch`), \
         or poll\nover HTTPS:\n  curl --cacert root.pem --cert identity.pem --key identity.key \
         https://HOST:PORT/v1/revocations",
    );
    Ok(())
}

async fn update(args: &UpdateArgs, output: Output) -> Result<(), Failure> {
    if args.audiences.is_empty() && args.keys.is_empty() {
        return Err(Failure::usage("nothing is to change")
            .next("name what: --audience, --add-key or --remove-key"));
    }
    let order = args.order.order()?;
    let request = v1::UpdateServiceRequest {
        meta: order.meta(),
        name: args.name.clone(),
        audiences: args.audiences.clone(),
        added_public_keys: args.keys.added()?,
        removed_key_thumbprints: args.keys.removed(),
    };
    let updated: v1::UpdateServiceResponse = order
        .send(&args.cluster.client()?, |channel| {
            let request = request.clone();
            async move {
                PrincipalServiceClient::new(channel)
                    .update_service(request)
                    .await
            }
        })
        .await?;
    let committed = order.committed(updated.committed).await?;
    output.record(
        &AddView {
            name: &args.name,
            committed,
        },
        &COMMITTED,
    )
}

async fn list(args: &ListArgs, output: Output) -> Result<(), Failure> {
    let mut views = Vec::new();
    for principal in principals(args).await? {
        if let Some(Kind::Service(service)) = principal.kind {
            views.push(ServiceView {
                name: service.name,
                audiences: service.audiences,
                key_thumbprints: principal.key_thumbprints,
            });
        }
    }
    output.list(&views, &COLUMNS)
}
