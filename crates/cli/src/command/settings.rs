//! `chancery settings`: what safety rests on, replicated and changed by command.

use std::time::Duration;

use chancery_client::{
    Client, Idempotence,
    v1::{self, settings_service_client::SettingsServiceClient},
};
use clap::{Args, Subcommand, ValueEnum};
use serde::Serialize;
use serde_json::Value;

use crate::{
    cluster::ClusterArgs,
    failure::Failure,
    order::{CommittedView, OrderArgs},
    output::{Column, Output},
    read::ReadArgs,
    span::Span,
};

/// The replicated settings.
#[derive(Debug, Subcommand)]
pub enum SettingsCommand {
    /// Show the settings, and the spans that follow from them
    Show(ShowArgs),
    /// Show the rules that the settings are held against, with their arithmetic; with changes,
    /// as if they were made
    ///
    /// The words in them: rho is how fast or slow a clock may run, 10 %, and kappa = (1 + rho) / (1 -
    /// rho) = 1.223 what two such clocks may make of one span. F is --freshness; W = F * kappa, after
    /// which no node answers from an older state. V is how old a verifier lets its view become. The
    /// lead is how long a new key waits before it signs, so that no cache misses it. With a change
    /// that would break a rule the exit code is 3, as that of `set` would be.
    Explain(ExplainArgs),
    /// Change what is given, and leave the rest; refused with the arithmetic when a rule breaks
    ///
    /// Keys that rotate every ten seconds, for example, need short-lived tokens and caches:
    ///
    ///   chancery settings set --ttl 10s --ttl-cap 30s --jwks-max-age 1s
    ///       --v-max 3s --v-default 3s
    ///
    /// and then, once nobody goes by the former ones any more (twice the lead later):
    ///
    ///   chancery settings set --epoch 10s
    ///
    /// `chancery settings explain` with the same options says beforehand which rules would hold.
    #[command(verbatim_doc_comment)]
    Set(SetArgs),
}

/// Arguments of `settings show`.
#[derive(Debug, Args)]
pub struct ShowArgs {
    #[command(flatten)]
    read: ReadArgs,
    #[command(flatten)]
    cluster: ClusterArgs,
}

/// Arguments of `settings explain`.
#[derive(Debug, Args)]
pub struct ExplainArgs {
    #[command(flatten)]
    change: ChangeArgs,
    #[command(flatten)]
    read: ReadArgs,
    #[command(flatten)]
    cluster: ClusterArgs,
}

/// Arguments of `settings set`.
#[derive(Debug, Args)]
pub struct SetArgs {
    #[command(flatten)]
    change: ChangeArgs,
    #[command(flatten)]
    order: OrderArgs,
    #[command(flatten)]
    cluster: ClusterArgs,
}

/// What is to be another.
#[derive(Debug, Args)]
#[command(next_help_heading = "Settings")]
struct ChangeArgs {
    /// `iss` of every token; those with another are refused from now on
    #[arg(long, value_name = "URL")]
    issuer_url: Option<String>,
    /// Lifetime of a token that does not say
    #[arg(long = "ttl", value_name = "SPAN")]
    ttl_default: Option<Span>,
    /// Longest lifetime of a token; longer ones are refused from now on, whenever they were minted
    #[arg(long = "ttl-cap", value_name = "SPAN")]
    ttl_cap: Option<Span>,
    /// How far ahead of a verifier's clock a token may be issued
    #[arg(long = "leeway", value_name = "SPAN")]
    leeway: Option<Span>,
    /// How long the JWKS may be cached; what was cached before stays as long as it may then
    #[arg(long = "jwks-max-age", value_name = "SPAN")]
    jwks_max_age: Option<Span>,
    /// How long an epoch lasts before the next one is opened
    #[arg(long = "epoch", value_name = "SPAN")]
    epoch: Option<Span>,
    /// F: how old the state may be that a node answers from; to shorten it together with
    /// the election times, set those first and restart every node
    #[arg(long = "freshness", value_name = "SPAN")]
    freshness: Option<Span>,
    /// How often a node proves that it is fresh
    #[arg(long = "tick", value_name = "SPAN")]
    tick: Option<Span>,
    /// How often a leader is heard; taken up when a node starts
    #[arg(long = "heartbeat", value_name = "SPAN")]
    heartbeat: Option<Span>,
    /// Shortest silence before an election; taken up when a node starts
    #[arg(long = "election-min", value_name = "SPAN")]
    election_min: Option<Span>,
    /// Longest silence before an election; taken up when a node starts
    #[arg(long = "election-max", value_name = "SPAN")]
    election_max: Option<Span>,
    /// V of a verifier that does not say
    #[arg(long = "v-default", value_name = "SPAN")]
    v_default: Option<Span>,
    /// Greatest V that a verifier may ask for
    #[arg(long = "v-max", value_name = "SPAN")]
    v_max: Option<Span>,
    /// What a node does that cannot write its records of mints as fast as it mints
    #[arg(long, value_enum)]
    records_when_behind: Option<WhenBehind>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum WhenBehind {
    /// Refuse to mint: no token without a record
    Refuse,
    /// Mint, and record how many records were dropped
    Drop,
}

impl ChangeArgs {
    fn change(&self) -> Result<v1::SettingsChange, Failure> {
        let behind = self.records_when_behind.map(|what| match what {
            WhenBehind::Refuse => v1::RecordsWhenBehind::Refuse,
            WhenBehind::Drop => v1::RecordsWhenBehind::Drop,
        });
        Ok(v1::SettingsChange {
            issuer_url: self.issuer_url.clone(),
            records_when_behind: behind.map(Into::into),
            ttl_default_s: seconds("--ttl", self.ttl_default)?,
            ttl_cap_s: seconds("--ttl-cap", self.ttl_cap)?,
            leeway_s: seconds("--leeway", self.leeway)?,
            jwks_max_age_s: seconds("--jwks-max-age", self.jwks_max_age)?,
            epoch_s: seconds("--epoch", self.epoch)?,
            freshness_ms: milliseconds("--freshness", self.freshness)?,
            tick_ms: milliseconds("--tick", self.tick)?,
            heartbeat_ms: milliseconds("--heartbeat", self.heartbeat)?,
            election_min_ms: milliseconds("--election-min", self.election_min)?,
            election_max_ms: milliseconds("--election-max", self.election_max)?,
            v_default_ms: milliseconds("--v-default", self.v_default)?,
            v_max_ms: milliseconds("--v-max", self.v_max)?,
        })
    }
}

fn seconds(what: &str, span: Option<Span>) -> Result<Option<u64>, Failure> {
    span.map(|span| span.whole_seconds(what)).transpose()
}

fn milliseconds(what: &str, span: Option<Span>) -> Result<Option<u64>, Failure> {
    span.map(|span| span.milliseconds(what)).transpose()
}

/// Spans as they are typed.
#[derive(Serialize)]
struct SettingsView {
    trust_domain: String,
    issuer_url: String,
    ttl_default: String,
    ttl_cap: String,
    leeway: String,
    jwks_max_age: String,
    epoch: String,
    freshness: String,
    tick: String,
    heartbeat: String,
    election_min: String,
    election_max: String,
    v_default: String,
    v_max: String,
    records_when_behind: &'static str,
    w: String,
    rotation_lead: String,
    issuer_expiry: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    committed: Option<CommittedView>,
}

/// By the names under which they are set.
const COLUMNS: [Column; 20] = [
    ("trust domain", "/trust_domain"),
    ("issuer-url", "/issuer_url"),
    ("ttl", "/ttl_default"),
    ("ttl-cap", "/ttl_cap"),
    ("leeway", "/leeway"),
    ("jwks-max-age", "/jwks_max_age"),
    ("epoch", "/epoch"),
    ("freshness", "/freshness"),
    ("tick", "/tick"),
    ("heartbeat", "/heartbeat"),
    ("election-min", "/election_min"),
    ("election-max", "/election_max"),
    ("v-default", "/v_default"),
    ("v-max", "/v_max"),
    ("records-when-behind", "/records_when_behind"),
    ("no older state is served after", "/w"),
    ("a new issuer signs after", "/rotation_lead"),
    ("a closed issuer expires after", "/issuer_expiry"),
    ("state", "/committed/state"),
    ("consistency token", "/committed/consistency_token"),
];

#[derive(Serialize)]
struct RuleView {
    setting: String,
    /// Under which it is set; `None` for what is fixed.
    option: Option<&'static str>,
    holds: bool,
    arithmetic: String,
}

const RULE_COLUMNS: [Column; 4] = [
    ("setting", "/setting"),
    ("option", "/option"),
    ("holds", "/holds"),
    ("arithmetic", "/arithmetic"),
];

impl SettingsView {
    fn of(
        settings: Option<v1::Settings>,
        spans: Option<v1::Spans>,
        committed: Option<CommittedView>,
    ) -> Result<Self, Failure> {
        let settings = settings.ok_or_else(|| Failure::unexpected("settings"))?;
        let spans = spans.ok_or_else(|| Failure::unexpected("spans"))?;
        let when_behind = match settings.records_when_behind() {
            v1::RecordsWhenBehind::Refuse => "refuse",
            v1::RecordsWhenBehind::Drop => "drop",
            v1::RecordsWhenBehind::Unspecified => "?",
        };
        Ok(Self {
            trust_domain: settings.trust_domain,
            issuer_url: settings.issuer_url,
            ttl_default: seconds_told(settings.ttl_default_s),
            ttl_cap: seconds_told(settings.ttl_cap_s),
            leeway: seconds_told(settings.leeway_s),
            jwks_max_age: seconds_told(settings.jwks_max_age_s),
            epoch: seconds_told(settings.epoch_s),
            freshness: milliseconds_told(settings.freshness_ms),
            tick: milliseconds_told(settings.tick_ms),
            heartbeat: milliseconds_told(settings.heartbeat_ms),
            election_min: milliseconds_told(settings.election_min_ms),
            election_max: milliseconds_told(settings.election_max_ms),
            v_default: milliseconds_told(settings.v_default_ms),
            v_max: milliseconds_told(settings.v_max_ms),
            records_when_behind: when_behind,
            w: milliseconds_told(spans.w_ms),
            rotation_lead: milliseconds_told(spans.rotation_lead_ms),
            issuer_expiry: milliseconds_told(spans.issuer_expiry_ms),
            committed,
        })
    }
}

fn seconds_told(seconds: u64) -> String {
    Span(Duration::from_secs(seconds)).to_string()
}

fn milliseconds_told(milliseconds: u64) -> String {
    Span(Duration::from_millis(milliseconds)).to_string()
}

impl SettingsCommand {
    pub async fn run(&self, output: Output) -> Result<(), Failure> {
        match self {
            Self::Show(args) => show(args, output).await,
            Self::Explain(args) => explain(args, output).await,
            Self::Set(args) => set(args, output).await,
        }
    }
}

async fn show(args: &ShowArgs, output: Output) -> Result<(), Failure> {
    let view = present(&args.cluster.client()?, args.read.min_revision()).await?;
    output.record(&view, &COLUMNS)
}

async fn present(client: &Client, min_revision: String) -> Result<SettingsView, Failure> {
    let request = v1::GetSettingsRequest { min_revision };
    let found: v1::GetSettingsResponse = client
        .call(Idempotence::Repeatable, |channel| {
            let request = request.clone();
            async move { SettingsServiceClient::new(channel).get(request).await }
        })
        .await?;
    SettingsView::of(found.settings, found.spans, None)
}

async fn explain(args: &ExplainArgs, output: Output) -> Result<(), Failure> {
    let request = v1::ExplainSettingsRequest {
        min_revision: args.read.min_revision(),
        change: Some(args.change.change()?),
    };
    let changes = request.change != Some(v1::SettingsChange::default());
    let explained: v1::ExplainSettingsResponse = args
        .cluster
        .client()?
        .call(Idempotence::Repeatable, |channel| {
            let request = request.clone();
            async move { SettingsServiceClient::new(channel).explain(request).await }
        })
        .await?;
    let rules: Vec<_> = explained.rules.into_iter().map(RuleView::from).collect();
    output.list(&rules, &RULE_COLUMNS)?;
    let broken: Vec<_> = rules
        .iter()
        .filter(|rule| !rule.holds)
        .map(|rule| format!("{} {}", rule.setting, rule.arithmetic))
        .collect();
    if broken.is_empty() || !changes {
        return Ok(());
    }
    let message = format!("the change would be refused: {}", broken.join("; "));
    let options = options_in(&message);
    Err(Failure::refused(message).next(format_args!(
        "change more, so that all rules hold: {options}"
    )))
}

impl From<v1::Rule> for RuleView {
    fn from(rule: v1::Rule) -> Self {
        Self {
            option: option_of(&rule.setting),
            setting: rule.setting,
            holds: rule.holds,
            arithmetic: rule.arithmetic,
        }
    }
}

/// The options under which settings are set, by the names that the rules give them.
const OPTIONS: [(&str, &str); 14] = [
    ("issuer_url", "--issuer-url"),
    ("ttl_default_s", "--ttl"),
    ("ttl_cap_s", "--ttl-cap"),
    ("leeway_s", "--leeway"),
    ("jwks_max_age_s", "--jwks-max-age"),
    ("epoch_s", "--epoch"),
    ("freshness_ms", "--freshness"),
    ("tick_ms", "--tick"),
    ("heartbeat_ms", "--heartbeat"),
    ("election_min_ms", "--election-min"),
    ("election_max_ms", "--election-max"),
    ("v_default_ms", "--v-default"),
    ("v_max_ms", "--v-max"),
    ("records_when_behind", "--records-when-behind"),
];

fn option_of(setting: &str) -> Option<&'static str> {
    let (_, option) = OPTIONS.iter().find(|(name, _)| *name == setting)?;
    Some(option)
}

/// Of each setting that a text names, the option.
fn options_in(text: &str) -> String {
    let is_of_a_name = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    let words: Vec<_> = text.split(|letter: char| !is_of_a_name(letter)).collect();
    let named = OPTIONS.iter().filter(|(name, _)| words.contains(name));
    let told: Vec<_> = named
        .map(|(name, option)| format!("{name} is {option}"))
        .collect();
    told.join(", ")
}

/// A refusal speaks of settings, and the command line of options.
fn with_options(failure: Failure) -> Failure {
    if failure.reason != "SETTINGS_UNSOUND" {
        return failure;
    }
    let next = format!("{}; {}", failure.next, options_in(&failure.message));
    failure.next(next)
}

async fn set(args: &SetArgs, output: Output) -> Result<(), Failure> {
    let change = args.change.change()?;
    if change == v1::SettingsChange::default() {
        return Err(Failure::usage("no setting is given").next(
            "give one, such as --ttl 2m; `chancery settings show` shows what they are, and \
             `chancery settings set --help` what there is",
        ));
    }
    let client = args.cluster.client()?;
    let former = present(&client, String::new()).await?;
    let order = args.order.order()?;
    let request = v1::SetSettingsRequest {
        meta: order.meta(),
        change: Some(change),
    };
    let changed: v1::SetSettingsResponse = order
        .send(&client, |channel| {
            let request = request.clone();
            async move { SettingsServiceClient::new(channel).set(request).await }
        })
        .await
        .map_err(with_options)?;
    let committed = order.committed(changed.committed).await?;
    let view = SettingsView::of(changed.settings, changed.spans, Some(committed))?;
    if output.is_json() {
        return output.record(&view, &COLUMNS);
    }
    output.record(&differences(&former, &view)?, &COLUMNS)
}

/// What became another, as it was and as it is; and where that stands.
fn differences(former: &SettingsView, view: &SettingsView) -> Result<Value, Failure> {
    let before = serde_json::to_value(former).map_err(Failure::local)?;
    let mut after = serde_json::to_value(view).map_err(Failure::local)?;
    if let Value::Object(members) = &mut after {
        members.retain(|name, value| name == "committed" || before.get(name) != Some(value));
        for (name, value) in members {
            if let (Some(Value::String(was)), Value::String(is)) = (before.get(name), &*value) {
                *value = Value::String(format!("{was} -> {is}"));
            }
        }
    }
    Ok(after)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_options_of_a_rule_are_told() {
        let text = "ttl_default_s is 300, and must be at most ttl_cap_s = 60";
        assert_eq!(
            options_in(text),
            "ttl_default_s is --ttl, ttl_cap_s is --ttl-cap"
        );
        assert_eq!(options_in("my_ttl_cap_s is 3"), "");
    }

    #[test]
    fn every_option_of_a_rule_is_one_of_the_command_line() {
        let command = <ChangeArgs as Args>::augment_args(clap::Command::new("set"));
        let known: Vec<_> = command
            .get_arguments()
            .filter_map(|argument| argument.get_long())
            .collect();
        assert_eq!(known.len(), OPTIONS.len());
        for (_, option) in OPTIONS {
            assert!(known.contains(&option.trim_start_matches("--")), "{option}");
        }
    }
}
