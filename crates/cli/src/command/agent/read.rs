//! `agent get` and `agent list`.

use chancery_client::{
    Client, Idempotence,
    v1::{self, agent_service_client::AgentServiceClient},
};
use clap::Args;

use super::view::{AgentView, COLUMNS, LIST_COLUMNS};
use crate::{cluster::ClusterArgs, failure::Failure, output::Output, read::ReadArgs};

/// Arguments of `agent get`.
#[derive(Debug, Args)]
pub struct GetArgs {
    /// Its SPIFFE ID
    id: String,
    #[command(flatten)]
    read: ReadArgs,
    #[command(flatten)]
    cluster: ClusterArgs,
}

/// Arguments of `agent list`.
#[derive(Debug, Args)]
pub struct ListArgs {
    /// Only agents of this owner
    #[arg(
        long,
        value_name = "NAME",
        default_value = "",
        hide_default_value = true
    )]
    owner: String,
    /// Only agents that refer to this grant set
    #[arg(
        long,
        value_name = "NAME",
        default_value = "",
        hide_default_value = true
    )]
    grant_set: String,
    /// At most so many
    #[arg(long, value_name = "N", default_value_t = 1000)]
    limit: usize,
    #[command(flatten)]
    read: ReadArgs,
    #[command(flatten)]
    cluster: ClusterArgs,
}

pub async fn get(args: &GetArgs, output: Output) -> Result<(), Failure> {
    let agent = agent(&args.cluster.client()?, &args.id, args.read.min_revision()).await?;
    output.record(&AgentView::from(agent), &COLUMNS)
}

/// One agent.
pub async fn agent(client: &Client, id: &str, min_revision: String) -> Result<v1::Agent, Failure> {
    let request = v1::GetRequest {
        id: id.to_owned(),
        min_revision,
    };
    let answer: v1::GetResponse = client
        .call(Idempotence::Repeatable, |channel| {
            let request = request.clone();
            async move { AgentServiceClient::new(channel).get(request).await }
        })
        .await?;
    answer.agent.ok_or_else(|| Failure::unexpected("agent"))
}

pub async fn list(args: &ListArgs, output: Output) -> Result<(), Failure> {
    let client = args.cluster.client()?;
    let mut views: Vec<AgentView> = Vec::new();
    let mut request = v1::ListRequest {
        owner: args.owner.clone(),
        grant_set: args.grant_set.clone(),
        min_revision: args.read.min_revision(),
        page_size: u32::try_from(args.limit.min(1000)).unwrap_or(1000),
        ..v1::ListRequest::default()
    };
    let more = loop {
        let page: v1::ListResponse = client
            .call(Idempotence::Repeatable, |channel| {
                let request = request.clone();
                async move { AgentServiceClient::new(channel).list(request).await }
            })
            .await?;
        views.extend(page.agents.into_iter().map(AgentView::from));
        let more = !page.next_page_token.is_empty() || views.len() > args.limit;
        if page.next_page_token.is_empty() || views.len() >= args.limit {
            break more;
        }
        request.page_token = page.next_page_token;
    };
    views.truncate(args.limit);
    output.list(&views, &LIST_COLUMNS)?;
    if more {
        output.aside(&format!(
            "the first {} are shown; --limit shows more",
            args.limit
        ));
    } else if views.is_empty() && !(args.owner.is_empty() && args.grant_set.is_empty()) {
        output.note("nothing matches");
    }
    Ok(())
}
