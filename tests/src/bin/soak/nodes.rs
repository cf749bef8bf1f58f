//! What can be seen of a node from outside: its process, and its metrics.

use std::{collections::BTreeMap, fs};

use chancery_tests::{http, node::Node};

/// Metrics that tell how much a node holds, each summed over its labels but those
/// given.
pub const HELD: [&str; 17] = [
    "chancery_agents",
    "chancery_issuers{state=\"open\"}",
    "chancery_issuers{state=\"retired\"}",
    "chancery_revoked_tokens",
    "chancery_log_entries",
    "chancery_database_bytes{database=\"log\"}",
    "chancery_database_bytes{database=\"state\"}",
    "chancery_memory_bytes{part=\"log_memtables\"}",
    "chancery_memory_bytes{part=\"state_memtables\"}",
    "chancery_memory_bytes{part=\"block_cache\"}",
    "chancery_memory_bytes{part=\"recent_changes\"}",
    "chancery_connections",
    "chancery_handshakes",
    "chancery_subscribers",
    "chancery_records_waiting",
    "chancery_mints_total",
    "chancery_applied_revision",
];

/// One look at a node's process.
#[derive(Clone, Debug, Default)]
pub struct Process {
    pub rss_kib: u64,
    pub anon_kib: u64,
    pub threads: u64,
    /// Open files; 0 when they may not be counted, which takes root.
    pub files: usize,
    /// What it has used of the processors so far, milliseconds.
    pub cpu_ms: u64,
}

/// A node, as far as looking at it goes.
#[derive(Clone)]
pub struct Seen {
    pub name: String,
    pid: u32,
    admin: String,
}

/// Samples of all metrics, by name and labels.
pub type Metrics = BTreeMap<String, f64>;

impl Seen {
    pub fn of(node: &Node) -> Self {
        Self {
            name: node.name.clone(),
            pid: node.pid().unwrap(),
            admin: node.admin(),
        }
    }

    /// proc(5); `None` when it is gone.
    pub fn process(&self) -> Option<Process> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid)).ok()?;
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            line.split_whitespace().next()?.parse().ok()
        };
        let files = fs::read_dir(format!("/proc/{}/fd", self.pid));
        Some(Process {
            rss_kib: field("VmRSS:")?,
            anon_kib: field("RssAnon:")?,
            threads: field("Threads:")?,
            files: files.map_or(0, Iterator::count),
            cpu_ms: self.cpu_ms()?,
        })
    }

    /// utime and stime, in the hundredths of a second that Linux tells them in.
    fn cpu_ms(&self) -> Option<u64> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid)).ok()?;
        let (_, after_name) = stat.rsplit_once(") ")?;
        let ticks = after_name.split(' ').skip(11).take(2);
        Some(ticks.filter_map(|it| it.parse::<u64>().ok()).sum::<u64>() * 10)
    }

    pub fn metrics(&self) -> Metrics {
        let Some((200, text)) = http::get(&self.admin, "/metrics") else {
            return Metrics::new();
        };
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let samples = lines.filter_map(|line| {
            let (name, value) = line.rsplit_once(' ')?;
            Some((name.to_owned(), value.parse().ok()?))
        });
        samples.collect()
    }
}

/// The metric of that name; of all labels when none are named.
pub fn metric(metrics: &Metrics, name: &str) -> f64 {
    let of = |sample: &str| sample == name || sample.split('{').next() == Some(name);
    let found = metrics.iter().filter(|(sample, _)| of(sample));
    found.map(|(_, value)| value).sum()
}
