//! Commands, and their two forms of output, read back.

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::Path,
    process::Output,
};

use chancery_tests::chancery::{json, run};
use serde_json::Value;

/// What a command prints to standard output for people.
pub fn table(directory: &Path, arguments: &[&str]) -> String {
    let output = run(directory, arguments);
    assert!(output.status.success(), "{arguments:?}: {}", said(&output));
    String::from_utf8(output.stdout).unwrap()
}

/// What a command said to standard error.
pub fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// One thing that a command shows, in both forms.
pub struct Shown {
    /// By the headings in lower case.
    cells: BTreeMap<String, String>,
    pub json: Value,
}

impl Shown {
    /// A record: a line for each heading.
    pub fn record(directory: &Path, arguments: &[&str]) -> Self {
        let lines = table(directory, arguments);
        let cells = lines.lines().map(|line| {
            let cells = cells(line);
            (cells[0].clone(), cells[1..].join("  "))
        });
        Self {
            cells: cells.collect(),
            json: json(directory, arguments),
        }
    }

    /// A list: a line of headings, and a line for each thing.
    pub fn list(directory: &Path, arguments: &[&str]) -> Vec<Self> {
        let text = table(directory, arguments);
        let mut lines = text.lines().map(cells);
        let headings: Vec<String> = lines.next().unwrap();
        let headings: Vec<String> = headings.iter().map(|name| name.to_lowercase()).collect();
        let rows: Vec<Vec<String>> = lines.collect();
        let Value::Array(values) = json(directory, arguments) else {
            panic!("{arguments:?}: a list is a JSON array");
        };
        assert_eq!(rows.len(), values.len(), "{arguments:?}: {text}");
        let both = rows.into_iter().zip(values);
        both.map(|(row, json)| {
            assert_eq!(row.len(), headings.len(), "{arguments:?}: {text}");
            let cells = headings.iter().cloned().zip(row).collect();
            Self { cells, json }
        })
        .collect()
    }

    /// Holds each heading of the table against its member of the JSON.
    pub fn agrees_on(&self, facts: &[(&str, &str)]) {
        for (heading, pointer) in facts {
            let member = self.json.pointer(pointer);
            let member = member.unwrap_or_else(|| panic!("no {pointer} in {}", self.json));
            let cell = self.cells.get(*heading).map(String::as_str);
            assert_eq!(cell, Some(words(member).as_str()), "{heading}");
        }
    }

    /// A member of the JSON that is a text.
    pub fn text(&self, pointer: &str) -> &str {
        let member = self.json.pointer(pointer).and_then(Value::as_str);
        member.unwrap_or_else(|| panic!("no text {pointer} in {}", self.json))
    }
}

/// The cells of a line: two spaces at least lie between them.
fn cells(line: &str) -> Vec<String> {
    let cells = line.split("  ").map(str::trim);
    let cells = cells.filter(|cell| !cell.is_empty());
    cells.map(str::to_owned).collect()
}

/// How a table says what stands in JSON.
fn words(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::Bool(yes) => if *yes { "yes" } else { "no" }.to_owned(),
        Value::String(text) if text.is_empty() => "-".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(values) if values.is_empty() => "-".to_owned(),
        Value::Array(values) => values.iter().map(words).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}

/// Loopback addresses where nobody listens.
pub fn free_addresses<const N: usize>() -> [SocketAddr; N] {
    let listeners = [(); N].map(|()| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap());
    listeners.map(|listener| listener.local_addr().unwrap())
}
