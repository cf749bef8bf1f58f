//! `chancery watch`: every change of what is in force, as it happens.

use chancery_client::{
    Idempotence,
    v1::{
        self, revocation_service_client::RevocationServiceClient, view_change::Change,
        watch_response::Event,
    },
};
use chancery_credential::TokenId;
use clap::Args;
use serde::Serialize;
use tonic::Streaming;

use crate::{
    cluster::ClusterArgs,
    failure::{Failure, Kind},
    output::{Column, Output},
    span::{Span, instant},
    subject::subject_text,
};

/// Arguments of `watch`.
#[derive(Debug, Args)]
pub struct WatchArgs {
    /// How old you would let your view become [default: the cluster's]
    #[arg(long, value_name = "SPAN")]
    max_age: Option<Span>,
    /// Leave out what is in force at the beginning
    #[arg(long)]
    changes_only: bool,
    #[command(flatten)]
    cluster: ClusterArgs,
}

#[derive(Serialize)]
struct ChangeView {
    revision: u64,
    change: &'static str,
    what: String,
}

const COLUMNS: [Column; 3] = [
    ("revision", "/revision"),
    ("change", "/change"),
    ("what", "/what"),
];

pub async fn run(args: &WatchArgs, output: Output) -> Result<(), Failure> {
    let max_age = args
        .max_age
        .map(|span| span.milliseconds("--max-age"))
        .transpose()?;
    let request = v1::WatchRequest {
        max_age_ms: max_age.unwrap_or(0),
    };
    let mut feed: Streaming<v1::WatchResponse> = args
        .cluster
        .client()?
        .call(Idempotence::Repeatable, |channel| async move {
            RevocationServiceClient::new(channel).watch(request).await
        })
        .await?;
    let mut snapshot = Vec::new();
    loop {
        match feed.message().await {
            Ok(Some(v1::WatchResponse {
                event: Some(Event::Snapshot(part)),
            })) => {
                snapshot.extend(part.changes);
                if part.last && !args.changes_only {
                    show(part.revision, std::mem::take(&mut snapshot), output)?;
                }
            }
            Ok(Some(v1::WatchResponse {
                event: Some(Event::Delta(delta)),
            })) => {
                show(delta.revision, delta.changes, output)?;
            }
            Ok(Some(_)) => {}
            Ok(None) => return Err(ended("the node ended it")),
            Err(status) => return Err(ended(status.message())),
        }
    }
}

/// A feed ends only when something is wrong: nothing is missed without a word.
fn ended(why: &str) -> Failure {
    Failure {
        kind: Kind::Outage,
        reason: String::new(),
        message: format!("the feed ended: {why}"),
        next: "watch again: it begins with all that is in force".to_owned(),
    }
}

fn show(revision: u64, changes: Vec<v1::ViewChange>, output: Output) -> Result<(), Failure> {
    for change in changes {
        let Some((change, what)) = change.change.map(said) else {
            continue;
        };
        output.event(
            &ChangeView {
                revision,
                change,
                what,
            },
            &COLUMNS,
        )?;
    }
    Ok(())
}

fn said(change: Change) -> (&'static str, String) {
    match change {
        Change::IssuerOpened(opened) => (
            "issuer opened",
            format!(
                "issuer {} of node {}, epoch {}",
                opened.number, opened.node, opened.epoch
            ),
        ),
        Change::IssuerRetired(retired) => (
            "issuer retired",
            format!("issuer {} at {}", retired.number, retired.retired_at),
        ),
        Change::IssuerExpired(number) => ("issuer expired", format!("issuer {number}")),
        Change::IssuerRevoked(number) => ("issuer revoked", format!("issuer {number}")),
        Change::Watermark(mark) => (
            "held is dead",
            format!("{} below {}", subject_text(mark.subject), mark.revision),
        ),
        Change::TokenRevoked(id) => (
            "token revoked",
            <[u8; 16]>::try_from(id)
                .map_or_else(|_| "?".to_owned(), |id| TokenId::from_bytes(id).to_string()),
        ),
        Change::Floor(revision) => ("floor", format!("tokens below {revision} are refused")),
        Change::Time(seconds) => ("log time", instant(seconds).unwrap_or_default()),
    }
}
