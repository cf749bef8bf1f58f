//! The story as it goes, against the story as it was written down.

use std::{fmt::Write as _, path::PathBuf};

use chancery_tests::{
    chancery::{json, run},
    cluster::Cluster,
};
use serde_json::Value;

/// Set, the transcript is written anew; read the difference.
const REWRITE: &str = "REWRITE";

/// What happened so far.
#[derive(Default)]
pub struct Narrator {
    text: String,
}

impl Narrator {
    pub fn say(&mut self, line: &str) {
        writeln!(self.text, "{line}").unwrap();
    }

    /// A chapter.
    pub fn title(&mut self, title: &str) {
        writeln!(self.text, "\n# {title}").unwrap();
    }

    /// Types a command that has to succeed, and tells it.
    pub fn order(&mut self, cluster: &Cluster, arguments: &[&str]) -> Value {
        self.say(&format!("> chancery {}", arguments.join(" ")));
        json(&cluster.path(), &with_profile(arguments))
    }

    /// Types a command that has to be refused, and tells the refusal.
    pub fn refused(&mut self, cluster: &Cluster, arguments: &[&str]) {
        self.say(&format!("> chancery {}", arguments.join(" ")));
        let output = run(&cluster.path(), &with_profile(arguments));
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(3), "{said}");
        for line in said.lines() {
            self.say(&format!("  {line}"));
        }
    }

    /// Who sits where, as the leader says, who is the first to know.
    pub async fn members(&mut self, cluster: &Cluster, serving: &[usize]) {
        let leader = cluster.leader(serving).await;
        let endpoint = cluster.nodes[leader].api();
        let list = ["node", "list", "--all", "--endpoint", &endpoint];
        let nodes = json(&cluster.path(), &with_profile(&list));
        let mut line = String::from(" ");
        for standing in ["voter", "learner", "removed"] {
            let numbers: Vec<String> = nodes
                .as_array()
                .unwrap()
                .iter()
                .filter(|node| node["standing"] == standing)
                .map(|node| node["number"].to_string())
                .collect();
            if !numbers.is_empty() {
                write!(line, " {standing}: {};", numbers.join(", ")).unwrap();
            }
        }
        self.say(line.trim_end_matches(';'));
    }

    /// Holds it against the transcript.
    pub fn end(self) {
        let path =
            PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/membership/transcript.txt");
        if std::env::var_os(REWRITE).is_some() {
            std::fs::write(&path, &self.text).unwrap();
        }
        let written = std::fs::read_to_string(&path).unwrap();
        assert_eq!(
            self.text, written,
            "it went another way; REWRITE=1 tells it anew"
        );
    }
}

pub fn with_profile<'a>(arguments: &[&'a str]) -> Vec<&'a str> {
    [arguments, &["--profile", "profile"]].concat()
}
