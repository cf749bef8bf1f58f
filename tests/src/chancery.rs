//! The `chancery` binary, run as an operator runs it.

use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
};

use serde_json::Value;

/// The binary that was built beside the tests.
#[must_use]
pub fn binary() -> PathBuf {
    let mut path = std::env::current_exe().unwrap();
    path.pop();
    if path.ends_with("deps") {
        path.pop();
    }
    path.push("chancery");
    assert!(
        path.exists(),
        "`{}` is missing: run the tests with `make test`, which builds it first",
        path.display()
    );
    path
}

/// Runs a command, and gives all that it said.
#[must_use]
pub fn run(directory: &Path, arguments: &[&str]) -> Output {
    Command::new(binary())
        .args(arguments)
        .current_dir(directory)
        .env_remove("CHANCERY_PROFILE")
        .output()
        .unwrap()
}

/// Runs a command that has to succeed, and gives its JSON.
///
/// # Panics
/// When it fails, with what it said.
#[must_use]
pub fn json(directory: &Path, arguments: &[&str]) -> Value {
    let mut arguments = arguments.to_vec();
    arguments.extend(["--output", "json"]);
    let output = run(directory, &arguments);
    assert!(
        output.status.success(),
        "chancery {} failed: {}{}",
        arguments.join(" "),
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_slice(&output.stdout).unwrap_or(Value::Null)
}

/// Runs a command that has to succeed.
///
/// # Panics
/// When it fails, with what it said.
pub fn succeed(directory: &Path, arguments: &[&str]) {
    let output = run(directory, arguments);
    assert!(
        output.status.success(),
        "chancery {} failed: {}{}",
        arguments.join(" "),
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}
