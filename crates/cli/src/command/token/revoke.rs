//! `chancery token revoke`.

use chancery_client::v1::{
    self, revocation_service_client::RevocationServiceClient, revoke_request::Credential,
};
use clap::Args;
use serde::Serialize;

use crate::{
    cluster::ClusterArgs,
    failure::Failure,
    order::{CommittedView, GraveOrderArgs},
    output::{Column, Output},
    secret_input::TokenInput,
};

/// Arguments of `token revoke`.
#[derive(Debug, Args)]
pub struct RevokeArgs {
    #[command(flatten)]
    token: TokenInput,
    /// Revoke by its id alone, in place of the token: responders only
    #[arg(long, value_name = "TOKEN_ID", conflicts_with = "from")]
    id: Option<String>,
    #[command(flatten)]
    order: GraveOrderArgs,
    #[command(flatten)]
    cluster: ClusterArgs,
}

#[derive(Serialize)]
struct RevokeView {
    token_id: String,
    committed: CommittedView,
}

const COLUMNS: [Column; 3] = [
    ("token id", "/token_id"),
    ("state", "/committed/state"),
    ("consistency token", "/committed/consistency_token"),
];

fn token(args: &RevokeArgs) -> Result<String, Failure> {
    let read = args.token.read();
    if read.is_err() && args.token.is_named_like_an_id() {
        return Err(
            Failure::usage("there is no such file, and it looks like a token's id")
                .next("give an id with --id; a responder may revoke by it"),
        );
    }
    Ok(read?.as_str().to_owned())
}

pub async fn run(args: &RevokeArgs, output: Output) -> Result<(), Failure> {
    let credential = match &args.id {
        Some(id) => Credential::TokenId(id.clone()),
        None => Credential::Token(token(args)?),
    };
    let order = args.order.order()?;
    let request = v1::RevokeRequest {
        meta: order.meta(),
        credential: Some(credential),
    };
    let revoked: v1::RevokeResponse = order
        .send(&args.cluster.client()?, |channel| {
            let request = request.clone();
            async move { RevocationServiceClient::new(channel).revoke(request).await }
        })
        .await?;
    let committed = order.committed(revoked.committed).await?;
    output.record(
        &RevokeView {
            token_id: revoked.token_id,
            committed,
        },
        &COLUMNS,
    )
}
