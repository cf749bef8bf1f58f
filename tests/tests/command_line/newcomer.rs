//! Whoever does not know Chancery yet and types something wrong: each time they are
//! told what it was and what to type next, and nothing was done by halves.

use std::path::Path;

use chancery_tests::{
    agent::AUDIENCE,
    chancery::{json, run, succeed},
    cluster::{Cluster, TRUST_DOMAIN},
};
use serde_json::Value;

use crate::shell::{free_addresses, said, table};

const LOCAL: i32 = 1;
const USAGE: i32 = 2;
const REFUSED: i32 = 3;

fn with_profile<'a>(arguments: &[&'a str]) -> Vec<&'a str> {
    [arguments, &["--profile", "profile"]].concat()
}

/// What a command that fails says. It has to say each of `words`.
fn told(home: &Path, code: i32, arguments: &[&str], words: &[&str]) -> String {
    let output = run(home, arguments);
    let text = said(&output);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {text}");
    for word in words {
        assert!(text.contains(word), "{arguments:?}: no `{word}` in {text}");
    }
    text
}

/// The same, as the operator of the cluster.
fn refused(home: &Path, code: i32, arguments: &[&str], words: &[&str]) -> String {
    told(home, code, &with_profile(arguments), words)
}

/// Keys and request of a node `name`, and a cluster of its own made of them.
fn another_cluster(home: &Path, name: &str, api: &str) {
    let [peer] = free_addresses().map(|address| address.to_string());
    let request = ["node", "request", "--dir", name, "--name", name];
    succeed(
        home,
        &[&request[..], &["--api", api, "--peer", &peer]].concat(),
    );
    let file = format!("{name}/request.json");
    let [ca, profile, admission] =
        ["ca", "profile", "admission"].map(|what| format!("{name}-{what}"));
    let mut init = vec!["init", "--request", &file, "--san", "127.0.0.1"];
    init.extend([
        "--trust-domain",
        "other.example",
        "--issuer-url",
        "https://other.example",
    ]);
    init.extend(["--operator", "root", "--ca", &ca, "--profile", &profile]);
    init.extend(["--admission", &admission]);
    succeed(home, &init);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_is_not_admitted_under_another_clusters_root() {
    let cluster = Cluster::of(1).await;
    let home = cluster.path();
    let [api, peer] = free_addresses().map(|address| address.to_string());
    another_cluster(&home, "other", &api);
    let request = [
        "node", "request", "--dir", "n2", "--name", "n2", "--api", &api,
    ];
    succeed(&home, &[&request[..], &["--peer", &peer]].concat());

    let add = [
        "node",
        "add",
        "--request",
        "n2/request.json",
        "--san",
        "127.0.0.1",
    ];
    let with_ca = |ca| [&add[..], &["--ca", ca]].concat();
    let both = ["other-ca/root.pem", "profile/root.pem", "--ca"];
    refused(&home, USAGE, &with_ca("other-ca"), &both);
    let nodes = json(&home, &with_profile(&["node", "list", "--all"]));
    assert_eq!(nodes.as_array().unwrap().len(), 1, "{nodes}");

    // `chancery-ca` is not there: what to give is said, and not only what is missing.
    refused(&home, LOCAL, &add, &["chancery-ca", "give with --ca"]);
    succeed(&home, &with_profile(&with_ca("ca")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_outage_is_not_called_one() {
    let cluster = Cluster::of(1).await;
    let home = cluster.path();
    let [api] = free_addresses().map(|address| address.to_string());
    another_cluster(&home, "other", &api);
    let node = &cluster.nodes[0];
    let its_api = node.api();

    let whoami = ["whoami", "--timeout", "2s", "--endpoint"];
    let elsewhere = [&whoami[..], &[&its_api, "--root", "other-ca/root.pem"]].concat();
    refused(
        &home,
        LOCAL,
        &elsewhere,
        &["root.pem", "is it a node of this cluster?"],
    );

    let configuration = std::fs::read_to_string(node.configuration()).unwrap();
    let admin = configuration
        .lines()
        .find_map(|line| line.strip_prefix("admin_listen = "))
        .unwrap();
    let admin = [&whoami[..], &[admin.trim_matches('"')]].concat();
    refused(&home, USAGE, &admin, &["is that the port for clients"]);

    let certificate = ["whoami", "--identity", "profile/identity.pem"];
    let text = refused(
        &home,
        LOCAL,
        &certificate,
        &["is a certificate", "profile/identity.key"],
    );
    assert!(!text.contains("chmod"), "{text}");
}

#[test]
fn a_profile_is_looked_for_where_it_may_be() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    let [api] = free_addresses().map(|address| address.to_string());
    another_cluster(home, "other", &api);
    std::fs::create_dir(home.join("cluster")).unwrap();
    std::fs::rename(home.join("other-profile"), home.join("cluster/profile")).unwrap();
    let inside = ["whoami", "--profile", "cluster"];
    told(
        home,
        LOCAL,
        &inside,
        &["the profile is in `cluster/profile`"],
    );
    told(home, USAGE, &["whoami"], &["--profile DIR", "chancery dev"]);
}

#[test]
fn a_command_line_that_is_not_understood_is_told_in_the_form_that_was_asked_for() {
    let home = tempfile::tempdir().unwrap();
    for line in ["tokens --output json", "--output=json agent register"] {
        let words: Vec<_> = line.split(' ').collect();
        let output = run(home.path(), &words);
        assert_eq!(output.status.code(), Some(USAGE), "{line}");
        let told: Value = serde_json::from_slice(&output.stderr).unwrap();
        assert_eq!(told["error"]["kind"], "usage", "{line}: {told}");
        assert!(!told["error"]["next"].as_str().unwrap().is_empty());
    }
    let version = table(home.path(), &["--version", "--output", "json"]);
    assert!(version.starts_with("chancery "), "{version}");
}

#[test]
fn slips_that_would_be_taken_for_something_else_are_refused() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    std::fs::write(home.join("token"), "e30.e30.e30").unwrap();
    let revoke = ["token", "revoke", "--reason", "a test"];
    let both = [&revoke[..], &["token", "--id", "AAAAAQAAAAAAAAAAAAAAAA"]].concat();
    told(home, USAGE, &both, &["--id"]);
    let bare = [&revoke[..], &["AAAAAQAAAAAAAAAAAAAAAA"]].concat();
    told(home, USAGE, &bare, &["--id"]);

    let put = ["grant-set", "put", "base", "--grant"];
    for slip in ["mail send tll=5m", "mail send bearerr"] {
        let words = ["`ttl=SPAN` and `bearer`", "scope="];
        told(home, USAGE, &[&put[..], &[slip]].concat(), &words);
    }
    let mint = ["token", "mint", "--audience", AUDIENCE];
    told(home, USAGE, &mint, &["--scope"]);

    let open = [
        "node",
        "request",
        "--dir",
        "n",
        "--name",
        "n",
        "--api",
        "a.example:1",
    ];
    let open = [
        &open[..],
        &["--peer", "a.example:2", "--admin-listen", "0.0.0.0:3"],
    ]
    .concat();
    told(home, USAGE, &open, &["loopback"]);
    assert!(!home.join("n").exists(), "no keys were made");

    told(
        home,
        USAGE,
        &["serve", "--config", "."],
        &["give `./node.toml`"],
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_agent_has_can_be_taken_off_it_and_the_rest_stays() {
    let cluster = Cluster::of(1).await;
    let home = cluster.path();
    let id = format!("spiffe://{TRUST_DOMAIN}/billing");
    let agent = |arguments: &[&str]| json(&home, &with_profile(&[&["agent"], arguments].concat()));
    for name in ["billing", "other"] {
        agent(&["key", name]);
    }
    succeed(&home, &with_profile(&["owner", "add", "payments"]));
    let put = ["grant-set", "put", "readers", "--grant", "ledger read"];
    succeed(&home, &with_profile(&put));
    let mut register = vec![
        "register",
        &id,
        "--owner",
        "payments",
        "--grant",
        "mail send",
    ];
    register.extend(["--grant-set", "readers", "--rate", "5"]);
    register.extend(["--public-key", "billing/identity.pub"]);
    let registered = agent(&register)["agent"].clone();

    let changed = agent(&["update", &id, "--no-grant-sets"])["agent"].clone();
    assert_eq!(changed["grant_sets"], serde_json::json!([]));
    for same in ["key_thumbprints", "grants", "owners", "rate"] {
        assert_eq!(changed[same], registered[same], "{same}");
    }
    let changed = agent(&["update", &id, "--no-grants", "--rate", "0"])["agent"].clone();
    assert_eq!(changed["grants"], serde_json::json!([]));
    assert_eq!(changed["key_thumbprints"], registered["key_thumbprints"]);
    let key = ["update", &id, "--public-key", "other/identity.pub"];
    let changed = agent(&key)["agent"].clone();
    assert_ne!(changed["key_thumbprints"], registered["key_thumbprints"]);
    assert_eq!(changed["key_thumbprints"].as_array().unwrap().len(), 1);
    let shown = table(&home, &with_profile(&["agent", "get", &id]));
    assert!(shown.contains("unlimited"), "{shown}");

    let nothing = ["agent", "update", &id];
    refused(&home, USAGE, &nothing, &["has already", "--help"]);
    let both = [
        "agent",
        "update",
        &id,
        "--no-grants",
        "--grant",
        "mail send",
    ];
    refused(&home, USAGE, &both, &["--no-grants"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_keeps_an_agent_down_is_named() {
    let cluster = Cluster::of(1).await;
    let home = cluster.path();
    let id = format!("spiffe://{TRUST_DOMAIN}/billing");
    let ask = |arguments: &[&str]| json(&home, &with_profile(arguments));
    ask(&["agent", "key", "billing"]);
    ask(&["owner", "add", "payments"]);
    let mut register = vec!["agent", "register", &id, "--owner", "payments"];
    register.extend([
        "--public-key",
        "billing/identity.pub",
        "--grant",
        "mail send",
    ]);
    ask(&register);
    let verb = |verb, subject: &[&str]| {
        ask(&[&[verb], subject, &["--reason", "a test"]].concat())["may_mint_anew"].clone()
    };
    verb("suspend", &["owner", "payments"]);
    verb("suspend", &["agent", &id]);
    let kept_down = |agent: &Value| agent["kept_down_by"].clone();
    let both = serde_json::json!(["itself", "owner payments"]);
    assert_eq!(kept_down(&ask(&["agent", "get", &id])), both);
    assert_eq!(kept_down(&ask(&["agent", "list"])[0]), both);

    assert_eq!(
        verb("resume", &["agent", &id]),
        false,
        "its owner is suspended"
    );
    let agent = ask(&["agent", "get", &id]);
    assert_eq!(agent["suspended"], false);
    assert_eq!(kept_down(&agent), serde_json::json!(["owner payments"]));
    assert_eq!(verb("resume", &["owner", "payments"]), true);
    assert_eq!(
        kept_down(&ask(&["agent", "get", &id])),
        serde_json::json!([])
    );

    let typo = [
        "suspend",
        "agent",
        "spiffe://test.example/bilingg",
        "--reason",
        "x",
    ];
    refused(
        &home,
        REFUSED,
        &typo,
        &["check the id", "chancery agent list"],
    );
    let none = said(&run(
        &home,
        &with_profile(&["agent", "list", "--owner", "nobody"]),
    ));
    assert!(none.contains("nothing matches"), "{none}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nonsense_is_not_answered_with_an_empty_history() {
    let cluster = Cluster::of(1).await;
    let home = cluster.path();
    let history = |filter: &[&'static str], words: &[&str]| {
        refused(&home, REFUSED, &[&["history"], filter].concat(), words)
    };
    history(
        &["--about", "payments"],
        &["`about`", "owner:NAME", "INVALID_FIELD"],
    );
    history(&["--about", "agent:billing"], &["`about`", "billing"]);
    history(&["--actor", "root"], &["`actor`", "operator:NAME"]);
    history(
        &["--command", "suspended"],
        &["`command`", "SUSPEND, RESUME"],
    );
    history(&["--since", "1m", "--until", "1h"], &["`since`", "after"]);

    for owner in ["a", "b", "c"] {
        succeed(&home, &with_profile(&["owner", "add", owner]));
    }
    let adds = ["history", "--command", "add_owner"];
    let cut = with_profile(&[&adds[..], &["--limit", "2", "--output", "json"]].concat());
    let cut = run(&home, &cut);
    let entries: Value = serde_json::from_slice(&cut.stdout).unwrap();
    let note: Value = serde_json::from_slice(&cut.stderr).unwrap();
    let last = entries[1]["revision"].to_string();
    let note = note["note"].as_str().unwrap();
    assert!(note.contains(&format!("--before {last}")), "{note}");
    let rest = json(
        &home,
        &with_profile(&[&adds[..], &["--before", &last]].concat()),
    );
    assert_eq!(rest.as_array().unwrap().len(), 1, "{rest}");
    assert_eq!(rest[0]["about"][0], "owner:a");

    let nobody = with_profile(&["history", "--about", "owner:nobody"]);
    let nobody = said(&run(&home, &nobody));
    assert!(nobody.contains("nothing matches"), "{nobody}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn settings_are_spoken_of_by_their_options() {
    let cluster = Cluster::of(1).await;
    let home = cluster.path();
    let options = ["ttl_cap_s is --ttl-cap"];
    let explain = ["settings", "explain", "--ttl-cap", "2h"];
    refused(&home, REFUSED, &explain, &options);
    let set = ["settings", "set", "--ttl-cap", "2h"];
    refused(
        &home,
        REFUSED,
        &set,
        &[&options[..], &["settings explain"]].concat(),
    );
    refused(&home, USAGE, &["settings", "set"], &["settings show"]);
    succeed(&home, &with_profile(&["settings", "explain"]));

    // The example of the help does what it says.
    let help = table(&home, &["settings", "set", "--help"]);
    let (_, example) = help.split_once("chancery settings set ").unwrap();
    let (example, _) = example.split_once("\n\n").unwrap();
    let example: Vec<_> = example.split_whitespace().collect();
    assert!(example.len() >= 8, "{example:?}");
    let explain = [&["settings", "explain"], &example[..]].concat();
    succeed(&home, &with_profile(&explain));
    let set = [&["settings", "set"], &example[..]].concat();
    let shown = table(&home, &with_profile(&set));
    assert!(shown.contains("-> 10s"), "{shown}");
    assert!(!shown.contains("freshness"), "only what changed: {shown}");
    let history = table(
        &home,
        &with_profile(&["history", "--command", "set_settings"]),
    );
    assert!(history.contains("ttl_default_s=10"), "{history}");
}
