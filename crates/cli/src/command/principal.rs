//! What operators and services have in common.

use chancery_client::{
    Idempotence,
    v1::{
        self, principal_service_client::PrincipalServiceClient,
        remove_principal_request::Principal as Removed,
    },
};
use clap::Args;
use serde::Serialize;

use crate::{
    cluster::ClusterArgs,
    failure::Failure,
    order::{COMMITTED, CommittedView, GraveOrderArgs},
    output::Output,
    read::ReadArgs,
};

/// Arguments of `operator list` and `service list`.
#[derive(Debug, Args)]
pub struct ListArgs {
    #[command(flatten)]
    read: ReadArgs,
    #[command(flatten)]
    cluster: ClusterArgs,
}

/// Arguments of `operator remove` and `service remove`.
#[derive(Debug, Args)]
pub struct RemoveArgs {
    /// What the record calls them
    name: String,
    #[command(flatten)]
    order: GraveOrderArgs,
    #[command(flatten)]
    cluster: ClusterArgs,
}

#[derive(Serialize)]
struct RemoveView<'a> {
    name: &'a str,
    committed: CommittedView,
}

/// All operators and services, page by page.
pub async fn principals(args: &ListArgs) -> Result<Vec<v1::Principal>, Failure> {
    let client = args.cluster.client()?;
    let mut all = Vec::new();
    let mut request = v1::ListPrincipalsRequest {
        min_revision: args.read.min_revision(),
        ..Default::default()
    };
    loop {
        let page: v1::ListPrincipalsResponse = client
            .call(Idempotence::Repeatable, |channel| {
                let request = request.clone();
                async move { PrincipalServiceClient::new(channel).list(request).await }
            })
            .await?;
        all.extend(page.principals);
        if page.next_page_token.is_empty() {
            return Ok(all);
        }
        request.page_token = page.next_page_token;
    }
}

/// Removes an operator or a service.
pub async fn remove(
    args: &RemoveArgs,
    kind: fn(String) -> Removed,
    output: Output,
) -> Result<(), Failure> {
    let order = args.order.order()?;
    let request = v1::RemovePrincipalRequest {
        meta: order.meta(),
        principal: Some(kind(args.name.clone())),
    };
    let removed: v1::RemovePrincipalResponse = order
        .send(&args.cluster.client()?, |channel| {
            let request = request.clone();
            async move { PrincipalServiceClient::new(channel).remove(request).await }
        })
        .await?;
    let committed = order.committed(removed.committed).await?;
    output.record(
        &RemoveView {
            name: &args.name,
            committed,
        },
        &COMMITTED,
    )
}
