//! `chancery operator`: who may ask for what.

use std::time::SystemTime;

use chancery_client::v1::{
    self, principal::Kind, principal_service_client::PrincipalServiceClient,
    remove_principal_request::Principal as Removed,
};
use clap::{Args, Subcommand, ValueEnum};
use serde::Serialize;

use super::principal::{ListArgs, RemoveArgs, principals, remove};
use crate::{
    cluster::ClusterArgs,
    failure::Failure,
    key_files::{self, KeyArgs, KeyChangeArgs, PublicKeyArgs},
    order::{COMMITTED, CommittedView, OrderArgs},
    output::{Column, Output},
    span::{Ending, Expiry, instant},
};

/// Operators.
#[derive(Debug, Subcommand)]
pub enum OperatorCommand {
    /// Make an operator's key, where the operator is
    Key(KeyArgs),
    /// Let somebody act as an operator
    Add(AddArgs),
    /// Change an operator's roles, keys or end; what is not named stays
    ///
    /// To replace a key without being locked out: `--add-key` the new one, act with it once, then
    /// `--remove-key` the old one. What is taken away is gone at once.
    Update(UpdateArgs),
    /// List the operators
    List(ListArgs),
    /// End an operator's standing at once; the last keeper cannot be removed
    Remove(RemoveArgs),
}

/// Arguments of `operator add`.
#[derive(Debug, Args)]
pub struct AddArgs {
    /// What the record calls them
    name: String,
    /// What they may do; repeat it
    #[arg(long = "role", value_enum, required = true)]
    roles: Vec<RoleName>,
    #[command(flatten)]
    keys: PublicKeyArgs,
    /// When their standing ends: an instant or a span [default: never]
    #[arg(long, value_name = "WHEN")]
    expires: Option<Expiry>,
    #[command(flatten)]
    order: OrderArgs,
    #[command(flatten)]
    cluster: ClusterArgs,
}

/// Arguments of `operator update`.
#[derive(Debug, Args)]
pub struct UpdateArgs {
    /// What the record calls them
    name: String,
    /// What they may do, in place of all that they might; repeat it
    #[arg(long = "role", value_enum)]
    roles: Vec<RoleName>,
    #[command(flatten)]
    keys: KeyChangeArgs,
    /// When their standing ends: an instant, a span, or `never`
    #[arg(long, value_name = "WHEN")]
    expires: Option<Ending>,
    #[command(flatten)]
    order: OrderArgs,
    #[command(flatten)]
    cluster: ClusterArgs,
}

/// A role.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum RoleName {
    /// Registers agents, owners and services
    Registrar,
    /// Suspends, resumes and revokes
    Responder,
    /// Keys, nodes, settings, operators
    Keeper,
    /// Reads everything, changes nothing
    Auditor,
}

impl RoleName {
    fn role(self) -> i32 {
        let role = match self {
            Self::Registrar => v1::Role::Registrar,
            Self::Responder => v1::Role::Responder,
            Self::Keeper => v1::Role::Keeper,
            Self::Auditor => v1::Role::Auditor,
        };
        role.into()
    }
}

/// A role that came from a node.
pub fn role_name(role: i32) -> &'static str {
    match v1::Role::try_from(role) {
        Ok(v1::Role::Registrar) => "registrar",
        Ok(v1::Role::Responder) => "responder",
        Ok(v1::Role::Keeper) => "keeper",
        Ok(v1::Role::Auditor) => "auditor",
        _ => "?",
    }
}

#[derive(Serialize)]
struct OperatorView {
    name: String,
    roles: Vec<&'static str>,
    expires_at: Option<String>,
    key_thumbprints: Vec<String>,
}

const COLUMNS: [Column; 4] = [
    ("name", "/name"),
    ("roles", "/roles"),
    ("expires", "/expires_at"),
    ("keys", "/key_thumbprints"),
];

#[derive(Serialize)]
struct AddView<'a> {
    name: &'a str,
    committed: CommittedView,
}

impl OperatorCommand {
    pub async fn run(&self, output: Output) -> Result<(), Failure> {
        match self {
            Self::Key(args) => key_files::make(args, output),
            Self::Add(args) => add(args, output).await,
            Self::Update(args) => update(args, output).await,
            Self::List(args) => list(args, output).await,
            Self::Remove(args) => remove(args, Removed::Operator, output).await,
        }
    }
}

async fn add(args: &AddArgs, output: Output) -> Result<(), Failure> {
    let order = args.order.order()?;
    let request = v1::AddOperatorRequest {
        meta: order.meta(),
        name: args.name.clone(),
        roles: args.roles.iter().map(|role| role.role()).collect(),
        public_keys: args.keys.read()?,
        expires_at: args
            .expires
            .map_or(0, |expires| expires.seconds(SystemTime::now())),
    };
    let added: v1::AddOperatorResponse = order
        .send(&args.cluster.client()?, |channel| {
            let request = request.clone();
            async move {
                PrincipalServiceClient::new(channel)
                    .add_operator(request)
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

async fn update(args: &UpdateArgs, output: Output) -> Result<(), Failure> {
    if args.roles.is_empty() && args.keys.is_empty() && args.expires.is_none() {
        return Err(Failure::usage("nothing is to change")
            .next("name what: --role, --add-key, --remove-key or --expires"));
    }
    let order = args.order.order()?;
    let request = v1::UpdateOperatorRequest {
        meta: order.meta(),
        name: args.name.clone(),
        roles: args.roles.iter().map(|role| role.role()).collect(),
        added_public_keys: args.keys.added()?,
        removed_key_thumbprints: args.keys.removed(),
        expires_at: args.expires.map(|end| end.seconds(SystemTime::now())),
    };
    let updated: v1::UpdateOperatorResponse = order
        .send(&args.cluster.client()?, |channel| {
            let request = request.clone();
            async move {
                PrincipalServiceClient::new(channel)
                    .update_operator(request)
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
        if let Some(Kind::Operator(operator)) = principal.kind {
            views.push(OperatorView {
                name: operator.name,
                roles: operator.roles.into_iter().map(role_name).collect(),
                expires_at: instant(operator.expires_at),
                key_thumbprints: principal.key_thumbprints,
            });
        }
    }
    output.list(&views, &COLUMNS)
}
