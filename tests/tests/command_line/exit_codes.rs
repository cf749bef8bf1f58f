//! Whose move it is next, told to programs by the exit code.

use std::path::Path;

use chancery_tests::{
    chancery::{json, run},
    cluster::Cluster,
};
use serde_json::Value;

use crate::shell::{free_addresses, said};

/// What `chancery --help` documents.
const LOCAL: i32 = 1;
const USAGE: i32 = 2;
const REFUSED: i32 = 3;
const OUTAGE: i32 = 4;

/// Runs a command that fails, as people see it and as programs do. Gives what it
/// tells programs.
fn fails(directory: &Path, code: i32, word: &str, arguments: &[&str]) -> Value {
    let output = run(directory, arguments);
    let text = said(&output);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {text}");
    let begins = format!("chancery: {word}");
    assert!(text.starts_with(&begins), "{arguments:?}: {text}");

    let output = run(directory, &[arguments, &["--output", "json"]].concat());
    assert_eq!(output.status.code(), Some(code), "{arguments:?}");
    let error: Value = serde_json::from_slice(&output.stderr).unwrap();
    let error = error["error"].clone();
    assert_eq!(error["exit_code"], code, "{arguments:?}");
    assert_eq!(error["kind"], word, "{arguments:?}");
    error
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mistake_a_refusal_and_an_outage_exit_differently() {
    let cluster = Cluster::of(1).await;
    let home = cluster.path();
    let profile = ["--profile", "profile"];

    let unnamed = fails(&home, USAGE, "usage", &["whoami"]);
    assert!(unnamed["next"].as_str().unwrap().contains("--profile"));
    let nameless = [&["suspend", "agent", "--reason", "a test"], &profile[..]].concat();
    fails(&home, USAGE, "usage", &nameless);
    let unknown_word = run(&home, &["tokens"]);
    assert_eq!(unknown_word.status.code(), Some(USAGE));

    let stranger = ["agent", "get", "spiffe://test.example/nobody"];
    let refused = fails(
        &home,
        REFUSED,
        "refused",
        &[&stranger, &profile[..]].concat(),
    );
    assert_eq!(refused["reason"], "AGENT_UNKNOWN");

    let [nobody] = free_addresses().map(|address| address.to_string());
    let away = ["--endpoint", &nobody, "--timeout", "1s"];
    let read = [&["whoami"], &profile[..], &away].concat();
    fails(&home, OUTAGE, "outage", &read);
    let change = [&["owner", "add", "payments"], &profile[..], &away].concat();
    let outage = fails(&home, OUTAGE, "outage", &change);
    let message = outage["message"].as_str().unwrap();
    assert!(message.contains("nothing was changed"), "{message}");
    let status = [
        "node",
        "status",
        "--profile",
        "profile",
        "--endpoint",
        &nobody,
    ];
    fails(&home, OUTAGE, "outage", &status);

    // What it was said that nothing was changed by, changed nothing.
    let owners = json(&home, &[&["owner", "list"], &profile[..]].concat());
    assert_eq!(owners, Value::Array(Vec::new()));
}

#[test]
fn the_help_documents_every_exit_code() {
    let home = tempfile::tempdir().unwrap();
    let help = run(home.path(), &["--help"]);
    assert_eq!(help.status.code(), Some(0));
    let help = String::from_utf8(help.stdout).unwrap();
    for (code, word) in [
        (LOCAL, "fault on this machine"),
        (USAGE, "not understood"),
        (REFUSED, "refused"),
        (OUTAGE, "outage"),
        (5, "unknown"),
    ] {
        let line = format!("  {code}  ");
        let line = help.lines().find(|found| found.starts_with(&line));
        assert!(
            line.is_some_and(|line| line.contains(word)),
            "{code}: {help}"
        );
    }
}

/// The command line is open to everybody on the machine.
#[test]
fn a_token_on_the_command_line_is_refused_and_not_repeated() {
    let home = tempfile::tempdir().unwrap();
    let token = "eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiJ4In0.c2lnbmF0dXJl";
    for command in [
        vec!["token", "inspect", token],
        vec![
            "token",
            "verify",
            token,
            "--audience",
            "https://ledger.example",
        ],
        vec!["token", "revoke", token, "--reason", "a test"],
    ] {
        let error = fails(home.path(), USAGE, "usage", &command);
        let next = error["next"].as_str().unwrap();
        assert!(next.contains("standard input"), "{next}");
        assert!(next.contains("revoke it"), "{next}");
        assert!(!error.to_string().contains(token), "{error}");
    }
}

/// systemd starts a node again after a fault, and not after what would only be
/// repeated.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_supervisor_knows_which_start_to_repeat() {
    let mut cluster = Cluster::of(1).await;
    let home = cluster.path();
    let configuration = cluster.nodes[0].configuration();
    let serve = ["serve", "--config", configuration.to_str().unwrap()];
    let start_once_more = run(&home, &serve);
    let text = said(&start_once_more);
    assert_eq!(start_once_more.status.code(), Some(LOCAL), "{text}");
    assert!(text.contains("peer_listen"), "{text}");

    cluster.nodes[0].kill();
    let misspelt = home.join("misspelt.toml");
    let text = std::fs::read_to_string(&configuration).unwrap();
    std::fs::write(&misspelt, format!("api_thread = 3\n{text}")).unwrap();
    let serve_misspelt = ["serve", "--config", misspelt.to_str().unwrap()];
    assert_eq!(run(&home, &serve_misspelt).status.code(), Some(USAGE));
    std::fs::copy(home.join("n1/server.key"), home.join("n1/peer.key")).unwrap();
    let exchanged = run(&home, &serve);
    let text = said(&exchanged);
    assert_eq!(exchanged.status.code(), Some(REFUSED), "{text}");

    let unit = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/systemd/chancery.service");
    let unit = std::fs::read_to_string(unit).unwrap();
    let never = unit
        .lines()
        .find_map(|line| line.strip_prefix("RestartPreventExitStatus="))
        .unwrap();
    assert_eq!(never, format!("{USAGE} {REFUSED}"));
}
