//! `chancery watch`: every change of what is in force, as it happens.

use std::time::Duration;

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
use tonic::{Code, Status, Streaming};

use crate::{
    cluster::ClusterArgs,
    failure::{Failure, Kind},
    output::{Column, Output},
    plain::plain,
    span::{Span, instant},
    subject::subject_text,
};

/// Before a feed that ended is taken up again.
const PAUSE: Duration = Duration::from_millis(250);

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

/// Watches until something is wrong that watching again does not mend. A feed that
/// ends is taken up where it was, at whichever node answers.
pub async fn run(args: &WatchArgs, output: Output) -> Result<(), Failure> {
    let max_age = args
        .max_age
        .map(|span| span.milliseconds("--max-age"))
        .transpose()?;
    let client = args.cluster.client()?;
    output.note("REVISION  CHANGE  WHAT  (until Ctrl-C)");
    let mut watching = Watching {
        changes_only: args.changes_only,
        since: String::new(),
        snapshot: Vec::new(),
        output,
    };
    loop {
        let request = v1::WatchRequest {
            max_age_ms: max_age.unwrap_or(0),
            since: watching.since.clone(),
            ping: None,
        };
        let mut feed: Streaming<v1::WatchResponse> = client
            .call(Idempotence::Repeatable, |channel| {
                // It only looks: nothing is judged by it, so nothing is pinged.
                let begin = futures::stream::iter([request.clone()]);
                async move { RevocationServiceClient::new(channel).watch(begin).await }
            })
            .await?;
        let why = watching.follow(&mut feed).await?;
        output.note(&format!("(the feed ended: {why}; watching on)"));
        tokio::time::sleep(PAUSE).await;
    }
}

/// What was shown so far.
struct Watching {
    changes_only: bool,
    /// The state that was reached; empty at first.
    since: String,
    /// The parts of a snapshot that came already.
    snapshot: Vec<v1::ViewChange>,
    output: Output,
}

impl Watching {
    /// Shows a feed to its end, and gives why it ended.
    async fn follow(&mut self, feed: &mut Streaming<v1::WatchResponse>) -> Result<String, Failure> {
        self.snapshot.clear();
        loop {
            match feed.message().await {
                Ok(Some(response)) => self.show(response)?,
                Ok(None) => return Ok("the node ended it".to_owned()),
                Err(status) if is_passing(status.code()) => {
                    return Ok(plain(status.message()).into_owned());
                }
                Err(status) => return Err(ended(&status)),
            }
        }
    }

    fn show(&mut self, response: v1::WatchResponse) -> Result<(), Failure> {
        match response.event {
            Some(Event::Snapshot(part)) => {
                self.snapshot.extend(part.changes);
                if part.last {
                    let whole = std::mem::take(&mut self.snapshot);
                    let first = self.since.is_empty();
                    self.since = part.consistency_token;
                    // One that comes later holds what was missed.
                    if !(first && self.changes_only) {
                        show(part.revision, whole, self.output)?;
                    }
                }
            }
            Some(Event::Delta(delta)) => {
                show(delta.revision, delta.changes, self.output)?;
                self.since = delta.consistency_token;
            }
            Some(Event::Terms(_) | Event::Pong(_)) | None => {}
        }
        Ok(())
    }
}

/// Whether another try, here or at another node, can end better.
const fn is_passing(code: Code) -> bool {
    matches!(
        code,
        Code::Unavailable | Code::Aborted | Code::Unknown | Code::Cancelled | Code::Internal
    )
}

/// The caller may watch no more: nothing is missed without a word.
fn ended(status: &Status) -> Failure {
    Failure {
        kind: Kind::Refused,
        reason: String::new(),
        message: format!("the feed ended: {}", status.message()),
        next: "check with `chancery whoami` who the cluster takes you for".to_owned(),
    }
}

fn show(revision: u64, changes: Vec<v1::ViewChange>, output: Output) -> Result<(), Failure> {
    for change in changes {
        // Log time moves each second, and says nothing to people.
        if !output.is_json() && matches!(change.change, Some(Change::Time(_))) {
            continue;
        }
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
