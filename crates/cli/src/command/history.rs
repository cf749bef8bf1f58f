//! `chancery history`: who asked for what.

use std::time::SystemTime;

use chancery_client::{
    Idempotence,
    v1::{self, history_service_client::HistoryServiceClient},
};
use clap::Args;
use serde::Serialize;

use crate::{
    cluster::ClusterArgs,
    failure::Failure,
    output::{Column, Output},
    read::ReadArgs,
    span::Moment,
};

/// Entries of one page.
const PAGE: u32 = 500;

/// Arguments of `history`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  chancery history --since 1h
  chancery history --about agent:spiffe://example.org/billing
  chancery history --command SET_SETTINGS
  chancery history --via 2 --limit 0 --output json

Needs the role auditor. The newest come first. With --output json each has besides: the thumbprint
of the key that was proved, the request id, all details, and of a refusal the words.

Only what was decided stands here, and is the same on every node. A command that the leader could
only reject never entered the log: look for `rejected before the log` in the leader's own log,
with the actor, the node it came through, and the reason. What is kept is bounded by size and age
(`history_mib`, `history_days` in node.toml), apart for operators, nodes and agents, for what was
done and what was refused, and in equal shares for the nodes that commands came through.")]
pub struct HistoryArgs {
    /// Who asked: operator:NAME, agent:SPIFFE-ID, service:NAME, node:NUMBER
    #[arg(long, value_name = "ACTOR")]
    actor: Option<String>,
    /// What it names: agent:SPIFFE-ID, owner:NAME, grant-set:NAME, operator:NAME, service:NAME,
    /// token:ID, issuer:NUMBER, epoch:NUMBER, node:NUMBER, everything
    #[arg(long, value_name = "KIND:NAME")]
    about: Option<String>,
    /// Through which node
    #[arg(long, value_name = "NUMBER")]
    via: Option<u64>,
    /// What was asked, such as SUSPEND
    #[arg(long, value_name = "COMMAND")]
    command: Option<String>,
    /// Not before: an instant, or a span ago such as 1h
    #[arg(long, value_name = "WHEN")]
    since: Option<Moment>,
    /// Not after: an instant, or a span ago
    #[arg(long, value_name = "WHEN")]
    until: Option<Moment>,
    /// Only what stands before this revision: goes on where a list was cut
    #[arg(long, value_name = "REVISION")]
    before: Option<u64>,
    /// How many at most; 0: all
    #[arg(long, value_name = "COUNT", default_value_t = 50)]
    limit: usize,
    #[command(flatten)]
    read: ReadArgs,
    #[command(flatten)]
    cluster: ClusterArgs,
}

#[derive(Serialize)]
struct EntryView {
    revision: u64,
    time: String,
    actor: String,
    key_thumbprint: String,
    via: u64,
    command: String,
    about: Vec<String>,
    details: String,
    /// For people: without keys and grants, which are long.
    brief: String,
    outcome: String,
    message: String,
    reason: String,
    request_id: String,
    decided_at: u64,
}

const COLUMNS: [Column; 9] = [
    ("revision", "/revision"),
    ("time", "/time"),
    ("actor", "/actor"),
    ("via", "/via"),
    ("command", "/command"),
    ("about", "/about"),
    ("details", "/brief"),
    ("outcome", "/outcome"),
    ("reason", "/reason"),
];

impl EntryView {
    fn of(entry: v1::HistoryEntry) -> Self {
        let request_id = entry.request_id.unwrap_or_default();
        Self {
            revision: entry.revision,
            time: Moment::shown(entry.log_time_ms),
            actor: entry.actor,
            key_thumbprint: entry.key_thumbprint,
            via: entry.via,
            command: entry.command,
            about: entry.about,
            brief: brief(&entry.details),
            details: entry.details,
            outcome: if entry.done {
                "done".to_owned()
            } else {
                entry.rejection
            },
            message: entry.rejection_message,
            reason: entry.reason,
            request_id: format!("{}-{}", request_id.time_ms, hex::encode(&request_id.random)),
            decided_at: entry.decided_at,
        }
    }
}

pub async fn run(args: &HistoryArgs, output: Output) -> Result<(), Failure> {
    let client = args.cluster.client()?;
    let mut request = args.request(SystemTime::now());
    let mut views: Vec<EntryView> = Vec::new();
    let mut cut = false;
    loop {
        let page: v1::ListHistoryResponse = client
            .call(Idempotence::Repeatable, |channel| {
                let request = request.clone();
                async move { HistoryServiceClient::new(channel).list(request).await }
            })
            .await?;
        views.extend(page.entries.into_iter().map(EntryView::of));
        let enough = args.limit != 0 && views.len() >= args.limit;
        if page.next_page_token.is_empty() || enough {
            cut |= !page.next_page_token.is_empty();
            break;
        }
        request.page_token = page.next_page_token;
    }
    if args.limit != 0 {
        cut |= views.len() > args.limit;
        views.truncate(args.limit);
    }
    output.list(&views, &COLUMNS)?;
    match views.last() {
        Some(last) if cut => output.aside(&format!(
            "the newest {} are shown, and there may be more: the same command goes on with `--before {}`, \
             or shows all with `--limit 0`",
            views.len(),
            last.revision
        )),
        None => output.note("nothing matches; what is older than the nodes keep is gone"),
        Some(_) => {}
    }
    Ok(())
}

/// What has no thumbprint in it and is not long.
fn brief(details: &str) -> String {
    let is_long = |word: &&str| word.starts_with("key=") || word.starts_with("grant=");
    let words: Vec<_> = details.split(' ').filter(|word| !is_long(word)).collect();
    words.join(" ")
}

impl HistoryArgs {
    fn request(&self, now: SystemTime) -> v1::ListHistoryRequest {
        let moment = |when: Option<Moment>| when.map_or(0, |when| when.milliseconds(now));
        let page = match u32::try_from(self.limit) {
            Ok(0) | Err(_) => PAGE,
            Ok(limit) => limit.min(PAGE),
        };
        v1::ListHistoryRequest {
            min_revision: self.read.min_revision(),
            actor: self.actor.clone().unwrap_or_default(),
            about: self.about.clone().unwrap_or_default(),
            via: self.via.unwrap_or(0),
            command: self.command.clone().unwrap_or_default().to_uppercase(),
            since_ms: moment(self.since),
            until_ms: moment(self.until),
            page_size: page,
            page_token: self
                .before
                .map(|before| before.to_string())
                .unwrap_or_default(),
        }
    }
}
