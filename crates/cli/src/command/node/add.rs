//! `chancery node add`, where the operator is: admits a node, and turns its
//! request file into its admission file.

use std::path::PathBuf;

use chancery_client::{Client, Idempotence, v1};
use chancery_credential::{ConsistencyToken, Revision};
use chancery_server::admission::NodeRequest;
use clap::Args;
use serde::Serialize;

use super::admission::AdmissionArgs;
use crate::{
    cluster::ClusterArgs,
    failure::{Failure, Kind},
    order::{CommittedView, Order, OrderArgs},
    output::{Column, Output},
    profile::Profile,
};

/// Arguments of `node add`.
#[derive(Debug, Args)]
pub struct AddArgs {
    #[command(flatten)]
    admission: AdmissionArgs,
    /// It answers checks, mints nothing, and never votes
    #[arg(long)]
    check_only: bool,
    #[command(flatten)]
    order: OrderArgs,
    #[command(flatten)]
    cluster: ClusterArgs,
}

#[derive(Serialize)]
struct AddView {
    node: u64,
    name: String,
    api_address: String,
    peer_address: String,
    peer_key_thumbprint: String,
    server_key_thumbprint: String,
    admission: PathBuf,
    committed: CommittedView,
}

const COLUMNS: [Column; 9] = [
    ("node", "/node"),
    ("name", "/name"),
    ("api address", "/api_address"),
    ("peer address", "/peer_address"),
    ("peer key", "/peer_key_thumbprint"),
    ("server key", "/server_key_thumbprint"),
    ("admission", "/admission"),
    ("state", "/committed/state"),
    ("consistency token", "/committed/consistency_token"),
];

pub async fn run(args: &AddArgs, output: Output) -> Result<(), Failure> {
    let draft = args.admission.draft(&args.cluster)?;
    draft.must_be_its_own()?;
    let client = args.cluster.client()?;
    let order = args.order.order()?;

    let request = &draft.request;
    let added = admit(&client, &order, request, args.check_only).await?;
    let (number, committed) = (added.number, added.committed.clone());
    draft.write(&client, added, false).await.map_err(again)?;
    if let Some(profile) = args.cluster.profile_of_endpoints() {
        Profile::add_endpoint(profile, request.api_address())?;
    }
    output.record(
        &AddView {
            node: number,
            name: request.name().to_string(),
            api_address: request.api_address().to_owned(),
            peer_address: request.peer_address().to_owned(),
            peer_key_thumbprint: request.peer_key().thumbprint().to_string(),
            server_key_thumbprint: request.server_key().thumbprint().to_string(),
            admission: draft.path.clone(),
            committed: CommittedView::of(committed)?,
        },
        &COLUMNS,
    )?;
    let last = if args.check_only {
        String::new()
    } else {
        format!(
            "\nand then, here, where it waits until the node has caught up:\n  chancery node promote {number}"
        )
    };
    output.note(&format!("\nnext: {}{last}", draft.at_the_node()));
    Ok(())
}

pub(super) async fn admit(
    client: &Client,
    order: &Order,
    request: &NodeRequest,
    check_only: bool,
) -> Result<v1::AddNodeResponse, Failure> {
    let message = v1::AddNodeRequest {
        meta: order.meta(),
        name: request.name().to_string(),
        api_address: request.api_address().to_owned(),
        peer_address: request.peer_address().to_owned(),
        peer_public_key: request.peer_key().spki().to_vec(),
        check_only,
    };
    order
        .send(client, |channel| {
            let message = message.clone();
            async move {
                v1::cluster_service_client::ClusterServiceClient::new(channel)
                    .add_node(message)
                    .await
            }
        })
        .await
}

pub(super) async fn status(client: &Client) -> Result<v1::StatusResponse, chancery_client::Error> {
    client
        .call(Idempotence::Repeatable, |channel| async move {
            v1::cluster_service_client::ClusterServiceClient::new(channel)
                .status(v1::StatusRequest::default())
                .await
        })
        .await
}

/// The revision that an answer was true at.
pub(super) fn as_of(consistency_token: Option<&String>) -> Result<Revision, Failure> {
    consistency_token
        .and_then(|token| token.parse::<ConsistencyToken>().ok())
        .map(|token| token.revision)
        .ok_or_else(|| Failure::unexpected("consistency token"))
}

/// The node is admitted, and its file is not there: the same command finds that, and
/// writes it.
pub(super) fn again(failure: Failure) -> Failure {
    Failure {
        kind: Kind::Unknown,
        message: format!("the node was admitted, and then: {}", failure.message),
        ..failure
    }
    .next("mend that, and type the same command again: it goes on where it was")
}
