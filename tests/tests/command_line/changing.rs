//! Who is known already gets other roles, audiences and keys, by commands.

use chancery_tests::{
    chancery::{json, run, succeed},
    cluster::Cluster,
};

use crate::shell::said;

/// As the first operator.
fn as_root<'a>(arguments: &[&'a str]) -> Vec<&'a str> {
    [arguments, &["--profile", "profile"]].concat()
}

fn thumbprint(cluster: &Cluster, list: &str, name: &str) -> String {
    let all = json(&cluster.path(), &as_root(&[list, "list"]));
    let all = all.as_array().unwrap().iter();
    let one = all.clone().find(|one| one["name"] == name);
    one.unwrap()["key_thumbprints"][0]
        .as_str()
        .unwrap()
        .to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_changes_keys_without_being_locked_out_and_loses_a_role_at_once() {
    let cluster = Cluster::of(1).await;
    let home = cluster.path();
    let asked = |arguments: &[&str]| succeed(&home, &as_root(arguments));
    asked(&["operator", "key", "eve-1"]);
    asked(&["operator", "key", "eve-2"]);
    asked(&[
        "operator",
        "add",
        "eve",
        "--role",
        "auditor",
        "--role",
        "registrar",
        "--public-key",
        "eve-1/identity.pub",
    ]);
    let first = thumbprint(&cluster, "operator", "eve");
    asked(&[
        "operator",
        "update",
        "eve",
        "--add-key",
        "eve-2/identity.pub",
    ]);
    for profile in ["eve-1", "eve-2"] {
        let me = json(&home, &["whoami", "--profile", profile]);
        assert_eq!(me["principal"], "operator:eve");
    }
    asked(&["operator", "update", "eve", "--remove-key", &first]);
    let locked_out = run(&home, &["owner", "list", "--profile", "eve-1"]);
    assert!(!locked_out.status.success());
    let add_owner = |name: &str| run(&home, &["owner", "add", name, "--profile", "eve-2"]);
    let added = add_owner("payments");
    assert!(added.status.success(), "{}", said(&added));

    asked(&[
        "operator",
        "update",
        "eve",
        "--role",
        "auditor",
        "--expires",
        "2099-01-31T00:00:00Z",
    ]);
    let refused = add_owner("treasury");
    assert!(!refused.status.success(), "she is no registrar any more");
    let shown = json(&home, &as_root(&["operator", "list"]));
    assert_eq!(shown[0]["roles"], serde_json::json!(["auditor"]));
    assert_eq!(shown[0]["expires_at"], "2099-01-31T00:00:00Z");

    let nothing = run(&home, &as_root(&["operator", "update", "eve"]));
    assert_eq!(nothing.status.code(), Some(2), "{}", said(&nothing));
    assert!(
        said(&nothing).contains("--remove-key"),
        "{}",
        said(&nothing)
    );
    let last = run(
        &home,
        &as_root(&["operator", "update", "root", "--role", "auditor"]),
    );
    assert!(!last.status.success());
    assert!(said(&last).contains("keeper"), "{}", said(&last));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_stands_for_other_audiences_with_another_key() {
    let cluster = Cluster::of(1).await;
    let home = cluster.path();
    let asked = |arguments: &[&str]| succeed(&home, &as_root(arguments));
    asked(&["service", "key", "ledger-1"]);
    asked(&["service", "key", "ledger-2"]);
    asked(&[
        "service",
        "add",
        "ledger",
        "--audience",
        "https://ledger.example",
        "--public-key",
        "ledger-1/identity.pub",
    ]);
    let first = thumbprint(&cluster, "service", "ledger");
    asked(&[
        "service",
        "update",
        "ledger",
        "--add-key",
        "ledger-2/identity.pub",
        "--remove-key",
        &first,
        "--audience",
        "https://books.example",
    ]);
    let me = json(&home, &["whoami", "--profile", "ledger-2"]);
    assert_eq!(me["principal"], "service:ledger");
    let shown = json(&home, &as_root(&["service", "list"]));
    assert_eq!(
        shown[0]["audiences"],
        serde_json::json!(["https://books.example"])
    );
    assert_ne!(thumbprint(&cluster, "service", "ledger"), first);

    let again = run(
        &home,
        &as_root(&["service", "update", "ledger", "--remove-key", &first]),
    );
    assert!(
        said(&again).contains("chancery service list"),
        "{}",
        said(&again)
    );
}
