//! Nodes that leave otherwise than in order, and what is refused.

use chancery_client::v1;
use chancery_tests::{
    agent::{Agent, mint},
    chancery::{json, run},
    cluster::Cluster,
    peer,
    until::until,
    verify::verdict,
};
use rustls::{AlertDescription, Error as TlsError};

use crate::narrator::with_profile;

/// Runs a command that has to be refused, and gives what it said.
fn refused(cluster: &Cluster, arguments: &[&str]) -> String {
    let output = run(&cluster.path(), &with_profile(arguments));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(3), "{arguments:?}: {said}");
    said
}

fn must(cluster: &Cluster, arguments: &[&str]) -> serde_json::Value {
    json(&cluster.path(), &with_profile(arguments))
}

async fn standing(cluster: &Cluster, position: usize, number: u64) -> v1::node::Standing {
    let status = cluster.status(position).await.unwrap();
    let node = status.nodes.into_iter().find(|node| node.number == number);
    node.unwrap().standing()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_node_is_taken_out_and_never_comes_back_under_its_number() {
    let mut cluster = Cluster::of(3).await;
    let agent = Agent::register(&cluster, "steady").await;
    let said = refused(&cluster, &["node", "remove", "3", "--lost"]);
    assert!(said.contains("node 3 answers, so it is not lost"), "{said}");
    cluster.nodes[2].kill();
    until("the leader saw that it is gone", || async {
        let leader = cluster.leader(&[0, 1]).await;
        let status = cluster.status(leader).await.ok()?;
        let lost = status.nodes.iter().find(|node| node.number == 3)?;
        let silent = lost.heard_ms.is_none_or(|ago| ago > 2_000);
        (status.leader == status.node && silent).then_some(())
    })
    .await;
    let said = refused(&cluster, &["node", "remove", "3"]);
    assert!(
        said.contains("does not answer") && said.contains("--lost"),
        "it leads to the next step: {said}"
    );
    let said = refused(&cluster, &["node", "remove", "2"]);
    assert!(
        said.contains(
            "3 voters of which 2 answer; without node 2 it would be 2 voters of which 1 answers, \
             and 2 are needed"
        ),
        "{said}"
    );
    let before = cluster.status(0).await.unwrap();
    assert!(
        before.nodes.iter().all(|node| !node.retiring),
        "what is refused stands in no record"
    );

    let removed = must(&cluster, &["node", "remove", "3", "--lost"]);
    assert_eq!(removed["standing"], "removed");
    assert_eq!(standing(&cluster, 0, 3).await, v1::node::Standing::Removed);
    let again = must(&cluster, &["node", "remove", "3"]);
    assert_eq!(again["standing"], "removed", "asked for again, it is done");

    // With its own key it is told, by the alert that says so; and it ends for good.
    let key = cluster.nodes[2].directory().join("peer.key");
    let key = std::fs::read_to_string(key).unwrap();
    let told = peer::handshake(&cluster.nodes[0].peer(), &key).await;
    assert_eq!(
        told.unwrap_err(),
        TlsError::AlertReceived(AlertDescription::CertificateRevoked)
    );
    for _ in 0..2 {
        let configuration = cluster.nodes[2].configuration();
        let output = run(
            &cluster.path(),
            &["serve", "--config", configuration.to_str().unwrap()],
        );
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(3), "{said}");
        assert!(
            said.contains("node 3 was removed from the cluster for good"),
            "{said}"
        );
    }
    let said = refused(&cluster, &["node", "promote", "3"]);
    assert!(said.contains("NODE_REMOVED"), "{said}");

    // The machine comes back as another node.
    let fourth = cluster.join().await;
    must(&cluster, &["node", "promote", "4"]);
    mint(&agent.at(&cluster, &[fourth])).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_compromised_node_loses_its_issuers_and_its_vote_at_once() {
    let cluster = Cluster::of(3).await;
    let agent = Agent::register(&cluster, "robbed").await;
    let stolen = mint(&agent.at(&cluster, &[1])).await.unwrap();
    let sound = mint(&agent.at(&cluster, &[0])).await.unwrap();
    let removed = must(
        &cluster,
        &[
            "node",
            "remove",
            "2",
            "--compromised",
            "--reason",
            "a break-in",
        ],
    );
    let token = removed["committed"]["consistency_token"].as_str().unwrap();
    for position in [0, 2] {
        let dead = verdict(&cluster, position, &agent, &stolen.token, token).await;
        assert_eq!(dead.as_deref(), Some("ISSUER_REVOKED"));
        let alive = verdict(&cluster, position, &agent, &sound.token, token).await;
        assert_eq!(alive, None, "nobody else is disturbed");
        let standing = standing(&cluster, position, 2).await;
        assert_eq!(standing, v1::node::Standing::Removed, "its vote is gone");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revoked_node_is_taken_back_with_new_keys_and_its_data() {
    let mut cluster = Cluster::of(3).await;
    let agent = Agent::register(&cluster, "patient").await;
    must(
        &cluster,
        &["epoch", "revoke", "--node", "3", "--reason", "a mistake"],
    );
    cluster.nodes[2].kill();
    let (old, new) = (
        cluster.nodes[2].directory(),
        cluster.path().join("n3-again"),
    );
    let (api, peer) = (cluster.nodes[2].api(), cluster.nodes[2].peer());
    let admin = cluster.nodes[2].admin();
    let san = cluster.nodes[2].address.to_string();
    let mut request = vec!["node", "request", "--dir", "n3-again", "--name", "n3"];
    request.extend(["--api", &api, "--peer", &peer]);
    request.extend([
        "--api-listen",
        &api,
        "--peer-listen",
        &peer,
        "--admin-listen",
        &admin,
    ]);
    let _ = json(&cluster.path(), &request);
    let mut readmit = vec!["node", "readmit", "3", "--request", "n3-again/request.json"];
    readmit.extend([
        "--san",
        &san,
        "--ca",
        "ca",
        "--admission",
        "n3-again.admission",
    ]);
    let readmitted = must(&cluster, &readmit);
    assert_eq!(readmitted["node"], 3);

    // Without its data it would have forgotten its votes.
    let join = ["join", "--dir", "n3-again", "n3-again.admission"];
    let output = run(&cluster.path(), &join);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{said}");
    std::fs::rename(old.join("data"), new.join("data")).unwrap();
    let _ = json(&cluster.path(), &join);
    std::fs::rename(&old, cluster.path().join("n3-before")).unwrap();
    std::fs::rename(&new, &old).unwrap();
    // `node.toml` names the directory that it was made for.
    let configuration = cluster.nodes[2].configuration();
    let text = std::fs::read_to_string(&configuration).unwrap();
    std::fs::write(&configuration, text.replace("n3-again", "n3")).unwrap();
    cluster.nodes[2].start();
    cluster.serving(2).await;
    mint(&agent.at(&cluster, &[2])).await.unwrap();
    assert_eq!(standing(&cluster, 2, 3).await, v1::node::Standing::Voter);
}
