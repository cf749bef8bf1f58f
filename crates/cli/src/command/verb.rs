//! `chancery suspend`, `resume` and `revoke`: the verbs over a subject.

use chancery_client::v1::{
    self, agent_service_client::AgentServiceClient,
    revocation_service_client::RevocationServiceClient,
};
use clap::Args;
use serde::Serialize;

use crate::{
    cluster::ClusterArgs,
    failure::Failure,
    order::{CommittedView, GraveOrderArgs},
    output::{Column, Output},
    subject::SubjectArgs,
};

/// Arguments of `suspend`, `resume` and `revoke`.
#[derive(Debug, Args)]
pub struct VerbArgs {
    #[command(flatten)]
    subject: SubjectArgs,
    #[command(flatten)]
    order: GraveOrderArgs,
    #[command(flatten)]
    cluster: ClusterArgs,
}

#[derive(Serialize)]
struct VerbView {
    subject: String,
    /// What became of what was held.
    held: &'static str,
    /// Whether the subject can mint anew.
    may_mint_anew: bool,
    committed: CommittedView,
}

const COLUMNS: [Column; 5] = [
    ("subject", "/subject"),
    ("what was held", "/held"),
    ("may mint anew", "/may_mint_anew"),
    ("state", "/committed/state"),
    ("consistency token", "/committed/consistency_token"),
];

pub async fn suspend(args: &VerbArgs, output: Output) -> Result<(), Failure> {
    let order = args.order.order()?;
    let request = v1::SuspendRequest {
        meta: order.meta(),
        subject: Some(args.subject.subject()?),
    };
    let answer: v1::SuspendResponse = order
        .send(&args.cluster.client()?, |channel| {
            let request = request.clone();
            async move { AgentServiceClient::new(channel).suspend(request).await }
        })
        .await?;
    let committed = order.committed(answer.committed).await?;
    show(args, "dead for good", false, committed, output)
}

pub async fn resume(args: &VerbArgs, output: Output) -> Result<(), Failure> {
    let order = args.order.order()?;
    let request = v1::ResumeRequest {
        meta: order.meta(),
        subject: Some(args.subject.subject()?),
    };
    let answer: v1::ResumeResponse = order
        .send(&args.cluster.client()?, |channel| {
            let request = request.clone();
            async move { AgentServiceClient::new(channel).resume(request).await }
        })
        .await?;
    let committed = order.committed(answer.committed).await?;
    show(args, "stays dead", answer.may_mint_anew, committed, output)?;
    if !answer.may_mint_anew {
        output.note(
            "\nnext: something else that covers it is suspended: `chancery agent get ID` shows what, \
             under `kept down by`.",
        );
    }
    Ok(())
}

pub async fn revoke_held(args: &VerbArgs, output: Output) -> Result<(), Failure> {
    let order = args.order.order()?;
    let request = v1::RevokeHeldRequest {
        meta: order.meta(),
        subject: Some(args.subject.subject()?),
    };
    let answer: v1::RevokeHeldResponse = order
        .send(&args.cluster.client()?, |channel| {
            let request = request.clone();
            async move {
                RevocationServiceClient::new(channel)
                    .revoke_held(request)
                    .await
            }
        })
        .await?;
    let committed = order.committed(answer.committed).await?;
    show(args, "dead", answer.may_mint_anew, committed, output)
}

fn show(
    args: &VerbArgs,
    held: &'static str,
    may_mint_anew: bool,
    committed: CommittedView,
    output: Output,
) -> Result<(), Failure> {
    let view = VerbView {
        subject: args.subject.to_string(),
        held,
        may_mint_anew,
        committed,
    };
    output.record(&view, &COLUMNS)
}
