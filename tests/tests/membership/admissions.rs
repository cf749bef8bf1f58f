//! Nodes that are admitted twice, in another's name, or among peers that are none.

use chancery_tests::{
    chancery::{json, run},
    cluster::Cluster,
};

use crate::narrator::with_profile;

/// `node add` of the node at `position`, with its request in `request`.
fn add(cluster: &Cluster, position: usize, request: &str, admission: &str) -> Vec<String> {
    let san = cluster.nodes[position].address.to_string();
    let arguments = [
        "node",
        "add",
        "--request",
        request,
        "--san",
        &san,
        "--ca",
        "ca",
    ];
    let arguments = [&arguments[..], &["--admission", admission]].concat();
    with_profile(&arguments)
        .into_iter()
        .map(Into::into)
        .collect()
}

fn must(cluster: &Cluster, arguments: &[String]) -> serde_json::Value {
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    json(&cluster.path(), &arguments)
}

fn refused(cluster: &Cluster, arguments: &[String]) -> String {
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let output = run(&cluster.path(), &arguments);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_ne!(output.status.code(), Some(0), "{said}");
    said
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_is_added_again_is_the_same_node() {
    let mut cluster = Cluster::of(1).await;
    let position = cluster.request();
    let request = cluster.nodes[position].request_file();
    let request = request.to_str().unwrap();
    let order = add(&cluster, position, request, "n2.admission");
    let first = must(&cluster, &order);
    assert_eq!(first["node"], 2);
    let file = cluster.path().join("n2.admission");
    let written = std::fs::read_to_string(&file).unwrap();
    let again = must(&cluster, &order);
    assert_eq!(again["node"], 2, "typed again");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), written);
    // Its answer was lost, and the file with it.
    std::fs::remove_file(&file).unwrap();
    assert_eq!(must(&cluster, &order)["node"], 2);
    let anew: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
    assert_eq!(anew["node"], 2);
    cluster.nodes[position].join("n2.admission");
    cluster.nodes[position].start();
    cluster.serving(position).await;

    // Another machine under that name.
    let (api, peer) = (
        cluster.nodes[position].api(),
        cluster.nodes[position].peer(),
    );
    let request = ["node", "request", "--dir", "other", "--name", "n2"];
    let request = [&request[..], &["--api", &api, "--peer", &peer]].concat();
    let _ = json(&cluster.path(), &request);
    let other = add(&cluster, position, "other/request.json", "other.admission");
    let said = refused(&cluster, &other);
    assert!(
        said.contains("node 2 is named n2 and has another peer key"),
        "{said}"
    );
    assert!(!cluster.path().join("other.admission").exists());
    let said = refused(
        &cluster,
        &add(&cluster, position, "other/request.json", "n2.admission"),
    );
    assert!(said.contains("is another admission"), "{said}");
}

/// Their keys are none to trust.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_was_revoked_stands_in_no_admission() {
    let mut cluster = Cluster::of(3).await;
    let revoke = ["epoch", "revoke", "--node", "3", "--reason", "a mistake"];
    let _ = json(&cluster.path(), &with_profile(&revoke));
    let position = cluster.request();
    let request = cluster.nodes[position].request_file();
    let order = add(
        &cluster,
        position,
        request.to_str().unwrap(),
        "n4.admission",
    );
    must(&cluster, &order);
    let text = std::fs::read_to_string(cluster.path().join("n4.admission")).unwrap();
    let admission: serde_json::Value = serde_json::from_str(&text).unwrap();
    let peers = admission["peers"].as_array().unwrap();
    let numbers: Vec<_> = peers
        .iter()
        .map(|peer| peer["node"].as_u64().unwrap())
        .collect();
    assert_eq!(numbers, [1, 2]);
}
