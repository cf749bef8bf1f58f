//! Load, the leader's death, the election, the first write after it; and what
//! the callers saw of it.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use chancery_client::{Client, Idempotence, meta, v1};
use serde_json::Value;

use crate::{
    Outcome,
    agent::{AUDIENCE, CERTIFICATE},
    chancery::{Chancery, number},
    cluster::{Cluster, client},
    load::{Load, Report, Sample},
    say,
};

/// How long the load runs before the kill, and after the first write.
const MARGIN: Duration = Duration::from_secs(2);
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// What has to have been offered to each node.
const PROMISED_RATE: f64 = 500.0;

/// Kills the leader in the middle of a load, and judges what that did.
pub async fn run(chancery: &Chancery, cluster: &mut Cluster) -> Outcome<()> {
    let before = cluster.status_of(1).await?;
    let (leader, term) = (before.leader, before.term);
    let survivors: Vec<_> = cluster
        .nodes
        .iter()
        .filter(|node| node.number != leader)
        .map(|node| node.api.clone())
        .collect();
    let operator = client(chancery, &survivors, "profile")?;

    let load = Load::begin(chancery, cluster)?;
    let began = Instant::now();
    tokio::time::sleep(MARGIN).await;
    let killed_after = began.elapsed();
    let process = cluster.kill(leader)?;
    let killed = Instant::now();
    say::seen(format!(
        "{} into the load: SIGKILL to process {process}, node {leader}, leader of term {term}",
        say::s(killed_after)
    ));

    write(&operator).await?;
    let outage = killed.elapsed();
    let successor = successor_of(cluster, leader).await?;
    say::seen(format!(
        "node {} leads in term {}; the first write was answered {} after the kill",
        successor.leader,
        successor.term,
        say::s(outage)
    ));
    tokio::time::sleep(MARGIN).await;
    let report = load.end().await?;
    say::seen(format!("the load lasted {}", say::s(report.lasted)));
    if successor.leader == leader || successor.term <= term {
        return Err(format!("node {leader} was killed, and still counts as leader").into());
    }

    let issuers = nodes_of_issuers(chancery).await?;
    show(&report, &issuers, leader, killed);
    judge(&report, cluster, leader)?;
    verify_last_of_killed(chancery, cluster, &report, &issuers, leader, killed).await
}

/// A write that only a leader can do, repeated under one request id until it is
/// answered.
async fn write(operator: &Client) -> Outcome<()> {
    let request = v1::AddOwnerRequest {
        meta: meta("the first write after the kill")?,
        name: "after-the-kill".to_owned(),
        description: String::new(),
    };
    operator
        .call(Idempotence::Repeatable, |channel| {
            let request = request.clone();
            async move {
                v1::principal_service_client::PrincipalServiceClient::new(channel)
                    .add_owner(request)
                    .await
            }
        })
        .await?;
    Ok(())
}

/// What a survivor says once it knows the new leader.
async fn successor_of(cluster: &Cluster, killed: u64) -> Outcome<v1::StatusResponse> {
    let survivor = cluster.running().next().ok_or("no node survived")?.number;
    let deadline = Instant::now() + MARGIN;
    loop {
        let status = cluster.status_of(survivor).await?;
        if (status.leader != 0 && status.leader != killed) || Instant::now() > deadline {
            return Ok(status);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Which node each issuer belongs to.
async fn nodes_of_issuers(chancery: &Chancery) -> Outcome<BTreeMap<u32, u64>> {
    let issuers = chancery.run(&["epoch", "show"]).await?;
    let issuers = issuers.as_array().cloned().unwrap_or_default();
    let entry = |issuer: &Value| {
        u32::try_from(number(issuer, "/number"))
            .ok()
            .map(|n| (n, number(issuer, "/node")))
    };
    Ok(issuers.iter().filter_map(entry).collect())
}

fn show(report: &Report, issuers: &BTreeMap<u32, u64>, killed_node: u64, killed: Instant) {
    say::seen(format!(
        "{:>10} {:>9} {:>10} {:>12} {:>8} {:>13} {:>9} {:>9} {:>9}",
        "offered to",
        "attempts",
        "offered/s",
        "first tries",
        "retries",
        "failed after",
        "p50",
        "p99",
        "slowest"
    ));
    say::seen(format!(
        "{:>10} {:>9} {:>10} {:>12} {:>8} {:>13} {:>9} {:>9} {:>9}",
        "", "", "", "that failed", "", "all retries", "", "", ""
    ));
    for node in report.nodes() {
        let row = report.of(node);
        say::seen(format!(
            "{:>10} {:>9} {:>10.1} {:>12} {:>8} {:>13} {:>9} {:>9} {:>9}",
            format!("node {node}"),
            row.attempts,
            row.rate,
            row.failed_first_tries,
            row.retries,
            row.failures,
            say::ms(row.p50),
            say::ms(row.p99),
            say::ms(row.slowest),
        ));
    }
    let moved = report
        .samples
        .iter()
        .filter(|s| s.offered_to == killed_node && s.due > killed);
    let mut minted_by = BTreeMap::<u64, u64>::new();
    for sample in moved {
        let by = sample
            .issuer()
            .and_then(|issuer| issuers.get(&issuer))
            .copied()
            .unwrap_or(0);
        *minted_by.entry(by).or_default() += 1;
    }
    let moved: Vec<_> = minted_by
        .iter()
        .map(|(node, n)| format!("{n} by node {node}"))
        .collect();
    say::seen(format!(
        "what was offered to node {killed_node} after the kill was minted: {}",
        moved.join(", ")
    ));
}

/// One node's callers.
struct Row {
    attempts: usize,
    rate: f64,
    failed_first_tries: u64,
    retries: u64,
    failures: usize,
    p50: Duration,
    p99: Duration,
    slowest: Duration,
}

impl Report {
    fn nodes(&self) -> Vec<u64> {
        let mut nodes: Vec<_> = self.statistics.iter().map(|(node, _)| *node).collect();
        nodes.dedup();
        nodes
    }

    fn of(&self, node: u64) -> Row {
        let samples: Vec<&Sample> = self
            .samples
            .iter()
            .filter(|sample| sample.offered_to == node)
            .collect();
        let counted = self.statistics.iter().filter(|(number, _)| *number == node);
        let (failed_first_tries, retries) = counted.fold((0, 0), |(failed, retries), (_, s)| {
            (failed + s.failed_first_tries, retries + s.retries)
        });
        let mut took: Vec<_> = samples.iter().map(|sample| sample.took).collect();
        took.sort_unstable();
        let at = |share: f64| {
            let position = (took.len().saturating_sub(1) as f64 * share) as usize;
            took.get(position).copied().unwrap_or_default()
        };
        Row {
            attempts: samples.len(),
            rate: samples.len() as f64 / self.lasted.as_secs_f64(),
            failed_first_tries,
            retries,
            failures: samples
                .iter()
                .filter(|sample| sample.outcome.is_err())
                .count(),
            p50: at(0.50),
            p99: at(0.99),
            slowest: at(1.0),
        }
    }
}

fn judge(report: &Report, cluster: &Cluster, killed_node: u64) -> Outcome<()> {
    for node in &cluster.nodes {
        let row = report.of(node.number);
        if row.rate < PROMISED_RATE {
            return Err(format!(
                "only {:.1} mints a second were offered to node {}",
                row.rate, node.number
            )
            .into());
        }
    }
    let failed = report
        .samples
        .iter()
        .filter_map(|sample| sample.outcome.as_ref().err());
    let failed: Vec<_> = failed.collect();
    if let Some(first) = failed.first() {
        return Err(format!(
            "{} mints failed after all retries; the first: {first}",
            failed.len()
        )
        .into());
    }
    if report.of(killed_node).failed_first_tries == 0 {
        return Err("the kill was not noticed by any caller of the killed node".into());
    }
    let calls: u64 = report
        .statistics
        .iter()
        .map(|(_, counted)| counted.calls)
        .sum();
    if calls != report.samples.len() as u64 {
        return Err(format!(
            "{calls} calls were begun, and {} ended",
            report.samples.len()
        )
        .into());
    }
    say::seen(format!("{calls} mints offered, 0 failed"));
    Ok(())
}

/// The issuer died with its process, and what it signed lives on.
async fn verify_last_of_killed(
    chancery: &Chancery,
    cluster: &Cluster,
    report: &Report,
    issuers: &BTreeMap<u32, u64>,
    killed_node: u64,
    killed: Instant,
) -> Outcome<()> {
    let by_killed = |sample: &&Sample| {
        sample.issuer().and_then(|issuer| issuers.get(&issuer)) == Some(&killed_node)
    };
    let last = report
        .samples
        .iter()
        .filter(by_killed)
        .max_by_key(|sample| sample.due);
    let last = last.ok_or("the killed node had minted nothing")?;
    let minted = last.outcome.as_ref().map_err(Clone::clone)?;
    std::fs::write(chancery.place().join("last.token"), &minted.token)?;
    say::seen(format!(
        "node {killed_node} minted {} {} before it was killed:",
        minted.token_id,
        say::ms(killed.saturating_duration_since(last.due))
    ));
    for node in cluster.running() {
        chancery
            .run(&[
                "token",
                "verify",
                "last.token",
                "--endpoint",
                &node.api,
                "--audience",
                AUDIENCE,
                "--certificate",
                CERTIFICATE,
                "--min-revision",
                &minted.consistency_token,
            ])
            .await?;
        say::seen(format!("node {}: valid", node.number));
    }
    Ok(())
}
