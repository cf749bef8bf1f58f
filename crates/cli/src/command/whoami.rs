//! `chancery whoami`.

use chancery_client::{Idempotence, v1};
use clap::Args;
use serde::Serialize;

use super::operator::role_name;
use crate::{
    cluster::ClusterArgs,
    failure::Failure,
    output::{Column, Output},
};

/// Arguments of `whoami`.
#[derive(Debug, Args)]
pub struct WhoAmIArgs {
    #[command(flatten)]
    cluster: ClusterArgs,
}

#[derive(Serialize)]
struct WhoAmIView {
    principal: String,
    roles: Vec<&'static str>,
    key_thumbprint: String,
}

const COLUMNS: [Column; 3] = [
    ("principal", "/principal"),
    ("roles", "/roles"),
    ("key", "/key_thumbprint"),
];

pub async fn run(args: &WhoAmIArgs, output: Output) -> Result<(), Failure> {
    let who: v1::WhoAmIResponse = args
        .cluster
        .client()?
        .call(Idempotence::Repeatable, |channel| async move {
            v1::principal_service_client::PrincipalServiceClient::new(channel)
                .who_am_i(v1::WhoAmIRequest {})
                .await
        })
        .await?;
    output.record(
        &WhoAmIView {
            principal: who.principal,
            roles: who.roles.into_iter().map(role_name).collect(),
            key_thumbprint: who.key_thumbprint,
        },
        &COLUMNS,
    )
}
