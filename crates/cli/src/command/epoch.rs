//! `chancery epoch`: signing keys, and the generations they belong to.

use chancery_client::{
    Idempotence,
    v1::{self, issuer::State, key_service_client::KeyServiceClient, revoke_key_request::Keys},
};
use clap::{Args, Subcommand};
use serde::Serialize;

use crate::{
    cluster::ClusterArgs,
    failure::Failure,
    order::{CommittedView, GraveOrderArgs, OrderArgs},
    output::{Column, Output},
    read::ReadArgs,
};

/// Key epochs and issuers.
#[derive(Debug, Subcommand)]
pub enum EpochCommand {
    /// List the issuers that have not expired, by epoch
    Show(ShowArgs),
    /// Open a new epoch: every node follows with a new signing key, and nothing that verified
    /// stops verifying
    Rotate(RotateArgs),
    /// Kill issuers for good, with all that they signed
    Revoke(RevokeArgs),
}

/// Arguments of `epoch show`.
#[derive(Debug, Args)]
pub struct ShowArgs {
    #[command(flatten)]
    read: ReadArgs,
    #[command(flatten)]
    cluster: ClusterArgs,
}

/// Arguments of `epoch rotate`.
#[derive(Debug, Args)]
pub struct RotateArgs {
    /// Sign with the new keys at once; verifiers that know keys only by JWKS may refuse for a while
    #[arg(long)]
    emergency: bool,
    #[command(flatten)]
    order: OrderArgs,
    #[command(flatten)]
    cluster: ClusterArgs,
}

/// Arguments of `epoch revoke`.
#[derive(Debug, Args)]
pub struct RevokeArgs {
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    order: GraveOrderArgs,
    #[command(flatten)]
    cluster: ClusterArgs,
}

#[derive(Debug, Clone, Args)]
#[group(required = true, multiple = false)]
struct Which {
    /// One issuer
    #[arg(long, value_name = "NUMBER")]
    issuer: Option<u32>,
    /// All issuers of an epoch; killing the newest opens its successor
    #[arg(long, value_name = "NUMBER")]
    epoch: Option<u64>,
    /// All issuers of a node, which is barred from opening more until it is readmitted
    #[arg(long, value_name = "NUMBER")]
    node: Option<u64>,
}

impl Which {
    const fn keys(&self) -> Option<Keys> {
        match (self.issuer, self.epoch, self.node) {
            (Some(number), None, None) => Some(Keys::Issuer(number)),
            (None, Some(number), None) => Some(Keys::Epoch(number)),
            (None, None, Some(number)) => Some(Keys::Node(number)),
            _ => None,
        }
    }
}

#[derive(Serialize)]
struct IssuerView {
    number: u32,
    node: u64,
    epoch: u64,
    newest_epoch: bool,
    state: &'static str,
    opened_at: u64,
    retired_at: Option<u64>,
    key_id: String,
}

const ISSUER_COLUMNS: [Column; 7] = [
    ("issuer", "/number"),
    ("node", "/node"),
    ("epoch", "/epoch"),
    ("state", "/state"),
    ("opened at", "/opened_at"),
    ("retired at", "/retired_at"),
    ("key id", "/key_id"),
];

#[derive(Serialize)]
struct RotateView {
    epoch: u64,
    lead: Option<String>,
    jwks_refusals_at_most: Option<String>,
    committed: CommittedView,
}

const ROTATE_COLUMNS: [Column; 5] = [
    ("epoch", "/epoch"),
    ("signs after", "/lead"),
    ("JWKS verifiers may refuse for", "/jwks_refusals_at_most"),
    ("state", "/committed/state"),
    ("consistency token", "/committed/consistency_token"),
];

#[derive(Serialize)]
struct RevokeView {
    issuers: Vec<u32>,
    jwks_refusals_at_most: Option<String>,
    committed: CommittedView,
}

const REVOKE_COLUMNS: [Column; 4] = [
    ("issuers", "/issuers"),
    ("JWKS verifiers may refuse for", "/jwks_refusals_at_most"),
    ("state", "/committed/state"),
    ("consistency token", "/committed/consistency_token"),
];

impl EpochCommand {
    pub async fn run(&self, output: Output) -> Result<(), Failure> {
        match self {
            Self::Show(args) => show(args, output).await,
            Self::Rotate(args) => rotate(args, output).await,
            Self::Revoke(args) => revoke(args, output).await,
        }
    }
}

async fn show(args: &ShowArgs, output: Output) -> Result<(), Failure> {
    let request = v1::ListKeysRequest {
        min_revision: args.read.min_revision(),
    };
    let keys: v1::ListKeysResponse = args
        .cluster
        .client()?
        .call(Idempotence::Repeatable, |channel| {
            let request = request.clone();
            async move { KeyServiceClient::new(channel).list(request).await }
        })
        .await?;
    let newest = keys.epoch;
    let view = |issuer: v1::Issuer| IssuerView {
        newest_epoch: issuer.epoch == newest,
        state: match State::try_from(issuer.state) {
            Ok(State::Open) => "open",
            Ok(State::Retired) => "retired",
            Ok(State::Revoked) => "revoked",
            _ => "?",
        },
        number: issuer.number,
        node: issuer.node,
        epoch: issuer.epoch,
        opened_at: issuer.opened_at,
        retired_at: (issuer.retired_at != 0).then_some(issuer.retired_at),
        key_id: issuer.key_id,
    };
    output.list(
        &keys.issuers.into_iter().map(view).collect::<Vec<_>>(),
        &ISSUER_COLUMNS,
    )
}

async fn rotate(args: &RotateArgs, output: Output) -> Result<(), Failure> {
    let order = args.order.order()?;
    let request = v1::RotateRequest {
        meta: order.meta(),
        emergency: args.emergency,
    };
    let rotated: v1::RotateResponse = order
        .send(&args.cluster.client()?, |channel| {
            let request = request.clone();
            async move { KeyServiceClient::new(channel).rotate(request).await }
        })
        .await?;
    let view = RotateView {
        epoch: rotated.epoch,
        lead: rotated.lead.map(|lead| lead.to_string()),
        jwks_refusals_at_most: rotated.jwks_refusals_at_most.map(|span| span.to_string()),
        committed: order.committed(rotated.committed).await?,
    };
    output.record(&view, &ROTATE_COLUMNS)
}

async fn revoke(args: &RevokeArgs, output: Output) -> Result<(), Failure> {
    let order = args.order.order()?;
    let request = v1::RevokeKeyRequest {
        meta: order.meta(),
        keys: args.which.keys(),
    };
    let revoked: v1::RevokeKeyResponse = order
        .send(&args.cluster.client()?, |channel| {
            let request = request.clone();
            async move { KeyServiceClient::new(channel).revoke(request).await }
        })
        .await?;
    let view = RevokeView {
        issuers: revoked.issuers,
        jwks_refusals_at_most: revoked.jwks_refusals_at_most.map(|span| span.to_string()),
        committed: order.committed(revoked.committed).await?,
    };
    output.record(&view, &REVOKE_COLUMNS)?;
    if let Some(node) = args.which.node {
        output.note(&format!(
            "\nnext: node {node} is barred: it signs and votes no more. Take it back with new keys,\n  \
             chancery node readmit {node} --request FILE ...\nor take it out for good,\n  \
             chancery node remove {node} --compromised"
        ));
    }
    Ok(())
}
