//! What a command shows: a table for people, JSON for programs.
//!
//! Every answer is one serialisable value. JSON is that value; a table is the
//! members of it that its columns name.

use std::io::{self, Write};

use clap::ValueEnum;
use comfy_table::{Table, presets};
use serde::Serialize;
use serde_json::Value;

use crate::{
    failure::Failure,
    plain::{plain, plain_json, plain_lines},
};

/// How to show it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    Table,
    /// For programs.
    Json,
}

/// A column: its heading, and the JSON pointer of what stands in it (RFC 6901).
pub type Column = (&'static str, &'static str);

/// Where answers go.
#[derive(Debug, Clone, Copy)]
pub struct Output {
    format: Format,
}

impl Output {
    pub const fn new(format: Format) -> Self {
        Self { format }
    }

    pub const fn is_json(self) -> bool {
        matches!(self.format, Format::Json)
    }

    /// Shows one thing, a line for each column.
    pub fn record(self, value: &impl Serialize, columns: &[Column]) -> Result<(), Failure> {
        let value = serialized(value)?;
        match self.format {
            Format::Json => print(&pretty(&value)?),
            Format::Table => {
                let mut table = bare_table();
                for (heading, pointer) in columns {
                    if let Some(member) = value.pointer(pointer).filter(|member| !member.is_null())
                    {
                        table.add_row([(*heading).to_owned(), cell(member)]);
                    }
                }
                print(&lines_of(table))
            }
        }
    }

    /// Shows many things, a row for each.
    pub fn list<T: Serialize>(self, values: &[T], columns: &[Column]) -> Result<(), Failure> {
        let values: Vec<_> = values.iter().map(serialized).collect::<Result<_, _>>()?;
        if self.is_json() {
            return print(&pretty(&Value::Array(values))?);
        }
        let mut table = bare_table();
        table.set_header(columns.iter().map(|(heading, _)| heading.to_uppercase()));
        for value in &values {
            table.add_row(
                columns.iter().map(|(_, pointer)| {
                    value.pointer(pointer).map_or_else(|| "-".to_owned(), cell)
                }),
            );
        }
        print(&lines_of(table))
    }

    /// Shows one event of many to come, on a line of its own.
    pub fn event(self, value: &impl Serialize, columns: &[Column]) -> Result<(), Failure> {
        let value = serialized(value)?;
        if self.is_json() {
            let line = serde_json::to_string(&value).map_err(Failure::local)?;
            return print(&plain_json(&line));
        }
        let cells: Vec<_> = columns
            .iter()
            .filter_map(|(_, pointer)| value.pointer(pointer))
            .filter(|member| !member.is_null())
            .map(cell)
            .collect();
        print(&cells.join("  "))
    }

    /// Says on standard error what the answer does not: that it is not all. People
    /// read a line, programs an object.
    pub fn aside(self, text: &str) {
        let line = if self.is_json() {
            plain_json(&serde_json::json!({ "note": text }).to_string())
        } else {
            format!("({})", plain_lines(text))
        };
        let _ = writeln!(io::stderr(), "{line}");
    }

    /// Says something to people that programs have no use for.
    pub fn note(self, text: &str) {
        if !self.is_json() {
            let _ = writeln!(io::stderr(), "{}", plain_lines(text));
        }
    }
}

/// Writes to standard output. A reader that has gone away (`| head`) ends the
/// process quietly, as it ends every filter.
pub fn print(text: &str) -> Result<(), Failure> {
    match writeln!(io::stdout(), "{text}").and_then(|()| io::stdout().flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => std::process::exit(0),
        Err(error) => Err(Failure::local(format_args!("standard output: {error}"))),
        Ok(()) => Ok(()),
    }
}

fn serialized(value: &impl Serialize) -> Result<Value, Failure> {
    serde_json::to_value(value).map_err(Failure::local)
}

fn pretty(value: &Value) -> Result<String, Failure> {
    serde_json::to_string_pretty(value)
        .map(|text| plain_json(&text))
        .map_err(Failure::local)
}

fn bare_table() -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table
}

fn lines_of(mut table: Table) -> String {
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    let lines: Vec<_> = table
        .lines()
        .map(|line| line.trim_end().to_owned())
        .collect();
    lines.join("\n")
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        Value::Number(number) => number.to_string(),
        Value::String(text) if text.is_empty() => "-".to_owned(),
        Value::String(text) => plain(text).into_owned(),
        Value::Array(values) if values.is_empty() => "-".to_owned(),
        Value::Array(values) => {
            let several = values.iter().any(Value::is_object);
            let cells: Vec<_> = values.iter().map(cell).collect();
            cells.join(if several { "\n" } else { ", " })
        }
        Value::Object(members) => {
            let cells: Vec<_> = members
                .iter()
                .filter(|(_, member)| !is_nothing(member))
                .map(|(name, member)| format!("{}={}", plain(name), cell(member)))
                .collect();
            cells.join(" ")
        }
    }
}

fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::String(text) => text.is_empty(),
        Value::Array(values) => values.is_empty(),
        Value::Number(number) => number.as_u64() == Some(0),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn cells_say_what_people_read() {
        assert_eq!(cell(&json!(true)), "yes");
        assert_eq!(cell(&json!([])), "-");
        assert_eq!(cell(&json!(["a", "b"])), "a, b");
        assert_eq!(
            cell(&json!({ "audience": "x", "scopes": ["r"], "bearer": false })),
            "audience=x scopes=r"
        );
        assert_eq!(cell(&json!("\u{1b}[31mred")), "\\u{1b}[31mred");
        assert_eq!(
            cell(&json!({ "\u{1b}[31mred": ["\u{202e}"] })),
            "\\u{1b}[31mred=\\u{202e}"
        );
    }
}
