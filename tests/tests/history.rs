//! Settings are changed by command, and the history tells by whom and why.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use chancery_client::v1;
use chancery_tests::{
    agent::{Agent, mint, wanted},
    chancery::{json, run, succeed},
    cluster::Cluster,
};
use serde_json::Value;

fn as_root<'a>(arguments: &[&'a str]) -> Vec<&'a str> {
    [arguments, &["--profile", "profile"]].concat()
}

fn history(cluster: &Cluster, filters: &[&str]) -> Vec<Value> {
    let arguments = as_root(&[&["history", "--limit", "0"], filters].concat());
    json(&cluster.path(), &arguments)
        .as_array()
        .unwrap()
        .clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn settings_are_explained_refused_with_the_arithmetic_and_changed() {
    let cluster = Cluster::of(1).await;
    let path = cluster.path();
    let explain = as_root(&["settings", "explain", "--ttl-cap", "2h"]);
    let explained = run(&path, &[&explain[..], &["--output", "json"]].concat());
    assert_eq!(explained.status.code(), Some(3), "as `set` would be");
    let rules: Value = serde_json::from_slice(&explained.stdout).unwrap();
    let broken: Vec<_> = rules
        .as_array()
        .unwrap()
        .iter()
        .filter(|rule| rule["holds"] == false)
        .map(|rule| rule["setting"].as_str().unwrap())
        .collect();
    assert_eq!(broken, ["ttl_cap_s"], "{rules}");

    let set = as_root(&["settings", "set", "--ttl-cap", "2h", "--reason", "too long"]);
    let refused = run(&path, &set);
    assert!(!refused.status.success());
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(
        said.contains("ttl_cap_s is 7200, and must be at most an hour less one = 3599"),
        "{said}"
    );

    let agent = Agent::register(&cluster, "capped").await;
    let client = agent.at(&cluster, &[0]);
    let long = v1::MintRequest {
        ttl_seconds: 900,
        ..wanted()
    };
    let held = client.mint(long.clone()).await.unwrap();
    let set = ["settings", "set", "--ttl-cap", "10m", "--reason", "shorter"];
    let changed = json(&path, &as_root(&set));
    assert_eq!(changed["ttl_cap"], "10m");
    let over = client.mint(long).await.unwrap_err();
    assert_eq!(over.reason(), Some("TTL_OVER_CAP"), "{over}");
    mint(&client).await.unwrap();
    let after = changed["committed"]["consistency_token"].as_str().unwrap();
    let verdict = chancery_tests::verify::verdict(&cluster, 0, &agent, &held.token, after).await;
    assert!(
        verdict.is_some(),
        "what lives longer than the cap is refused"
    );

    // Who, why, and what became of it.
    let told = history(&cluster, &["--command", "set_settings"]);
    let told: Vec<_> = told
        .iter()
        .map(|entry| {
            let text = |name: &str| entry[name].as_str().unwrap().to_owned();
            (
                text("actor"),
                text("reason"),
                text("details"),
                text("outcome"),
            )
        })
        .collect();
    let entry = |reason: &str, details: &str, outcome: &str| {
        (
            "operator:root".into(),
            reason.into(),
            details.into(),
            outcome.into(),
        )
    };
    // What can only be rejected is told so before the log, and was never applied.
    assert_eq!(told, [entry("shorter", "ttl_cap_s=600", "done")]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_history_is_searched_by_whom_it_is_about() {
    let mut cluster = Cluster::of(1).await;
    for name in ["billing", "mailing"] {
        Agent::register(&cluster, name).await;
    }
    let id = "spiffe://test.example/billing";
    let subject = "agent:spiffe://test.example/billing";
    let path = cluster.path();
    succeed(
        &path,
        &as_root(&["suspend", "agent", id, "--reason", "looks odd"]),
    );
    succeed(
        &path,
        &as_root(&["resume", "agent", id, "--reason", "was a test"]),
    );
    let words = |entries: &[Value]| -> Vec<String> {
        let word = |entry: &Value| entry["command"].as_str().unwrap().to_owned();
        entries.iter().map(word).collect()
    };
    let about = history(&cluster, &["--about", subject]);
    assert_eq!(words(&about), ["RESUME", "SUSPEND", "REGISTER_AGENT"]);
    assert!(about.iter().all(|entry| entry["via"] == 1));
    assert_eq!(about[1]["reason"], "looks odd");
    let by_nodes = history(&cluster, &["--actor", "node:1"]);
    assert!(words(&by_nodes).contains(&"OPEN_ISSUER".to_owned()));
    assert_eq!(history(&cluster, &["--via", "2"]), Vec::<Value>::new());
    assert_eq!(history(&cluster, &["--until", "1h"]), Vec::<Value>::new());

    // As long as it is kept, whatever becomes of the process.
    cluster.nodes[0].kill();
    cluster.nodes[0].start();
    cluster.serving(0).await;
    assert_eq!(history(&cluster, &["--about", subject]), about);
}
