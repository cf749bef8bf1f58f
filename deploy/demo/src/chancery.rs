//! The `chancery` binary, used as an operator uses it: typed commands, read
//! answers. What is printed can be typed again.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
};

use serde_json::Value;
use tokio::process::Command;

use crate::{Outcome, say};

/// The exit code of a refusal (`chancery --help`).
const REFUSED: i32 = 3;

/// The binary, and the directory that its commands are typed in.
#[derive(Debug, Clone)]
pub struct Chancery {
    binary: PathBuf,
    place: PathBuf,
}

/// What came of a command.
#[derive(Debug)]
pub enum Answer {
    /// Done, with what it printed.
    Done(Value),
    /// Refused: the stable reason, and what it said.
    Refused { reason: String, message: String },
}

impl Chancery {
    /// The one that was built with this program.
    pub fn beside_this(place: &Path) -> Outcome<Self> {
        let this = std::env::current_exe()?;
        let binary = this.with_file_name("chancery");
        if !binary.is_file() {
            return Err(format!(
                "there is no `{}`: build it with `make demo`",
                binary.display()
            )
            .into());
        }
        Ok(Self {
            binary,
            place: place.to_owned(),
        })
    }

    /// Where commands are typed, and where files are.
    pub fn place(&self) -> &Path {
        &self.place
    }

    /// Where the binary is.
    pub fn binary(&self) -> &Path {
        &self.binary
    }

    /// Types a command, and prints that it did; it has to succeed.
    pub async fn run(&self, words: &[&str]) -> Outcome<Value> {
        say::typed(words);
        match self.ask(words).await? {
            Answer::Done(answer) => Ok(answer),
            Answer::Refused { reason, message } => Err(format!(
                "`chancery {}` was refused [{reason}]: {message}",
                words.join(" ")
            )
            .into()),
        }
    }

    /// Types a command that may be refused; any other failure ends the demo.
    pub async fn ask(&self, words: &[&str]) -> Outcome<Answer> {
        let output = Command::new(&self.binary)
            .args(words)
            .args(["--output", "json"])
            .current_dir(&self.place)
            .env("CHANCERY_PROFILE", "profile")
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output()
            .await?;
        if output.status.success() {
            return Ok(Answer::Done(serde_json::from_slice(&output.stdout)?));
        }
        let said = String::from_utf8_lossy(&output.stderr);
        let error: Value = serde_json::from_str(&said).unwrap_or_default();
        if output.status.code() == Some(REFUSED) {
            return Ok(Answer::Refused {
                reason: text(&error, "/error/reason"),
                message: text(&error, "/error/message"),
            });
        }
        Err(format!("`chancery {}` failed: {}", words.join(" "), said.trim()).into())
    }
}

/// A text in an answer; empty when it is not there.
pub fn text(answer: &Value, pointer: &str) -> String {
    answer
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned()
}

/// A number in an answer; 0 when it is not there.
pub fn number(answer: &Value, pointer: &str) -> u64 {
    answer
        .pointer(pointer)
        .and_then(Value::as_u64)
        .unwrap_or_default()
}
