//! Who votes, who leads, and who only checks.

use chancery_client::{Client, v1};
use chancery_tests::{
    agent::{Agent, mint, wanted},
    chancery::{json, run},
    cluster::Cluster,
    method::reason,
    until::until,
    verify::verdict,
};
use v1::token_service_client::TokenServiceClient;

use crate::narrator::with_profile;

fn must(cluster: &Cluster, arguments: &[&str]) -> serde_json::Value {
    json(&cluster.path(), &with_profile(arguments))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_lead_moves_and_votes_come_and_go() {
    let cluster = Cluster::of(3).await;
    let agent = Agent::register(&cluster, "calm").await;
    let leader = cluster.leader(&[0, 1, 2]).await;
    let next = (leader + 1) % 3;
    let number = (next + 1).to_string();
    let moved = must(&cluster, &["node", "transfer", &number]);
    assert_eq!(moved["leader"], next + 1);
    assert_eq!(cluster.leader(&[0, 1, 2]).await, next);

    // The leader itself: it hands over first, and serves on as a learner.
    must(&cluster, &["node", "demote", &number]);
    assert_ne!(cluster.leader(&[0, 1, 2]).await, next);
    let nodes = must(&cluster, &["node", "list"]);
    assert_eq!(nodes[next]["standing"], "learner");
    mint(&agent.at(&cluster, &[next])).await.unwrap();
    must(&cluster, &["node", "promote", &number]);
    let nodes = must(&cluster, &["node", "list"]);
    assert_eq!(nodes[next]["standing"], "voter");
}

/// One try at one node.
async fn refusal(agent: &Client) -> tonic::Status {
    let mut tokens = TokenServiceClient::new(agent.channel().unwrap());
    tokens.mint(wanted()).await.unwrap_err()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_only_checks_is_ready_mints_nothing_and_gets_no_vote() {
    let mut cluster = Cluster::of(1).await;
    let agent = Agent::register(&cluster, "watched").await;
    let position = cluster.admit_as(&["--check-only"]);
    cluster.nodes[position].start();
    until("it was fresh", || async {
        cluster.status(position).await.ok()?.fresh.then_some(())
    })
    .await;
    let minted = mint(&agent.at(&cluster, &[position, 0])).await.unwrap();
    let valid = verdict(
        &cluster,
        position,
        &agent,
        &minted.token,
        &minted.consistency_token,
    );
    assert_eq!(valid.await, None, "it checks, and the SDK mints elsewhere");
    let refused = refusal(&agent.at(&cluster, &[position])).await;
    assert_eq!(reason(&refused), "CHECK_ONLY", "{refused}");
    assert!(cluster.status(position).await.unwrap().issuer.is_none());
    let admin = cluster.nodes[position].admin();
    until("it was ready", || async {
        let answer = chancery_tests::http::get(&admin, "/readyz")?;
        (answer.0 == 200).then_some(())
    })
    .await;

    let output = run(
        &cluster.path(),
        &with_profile(&["node", "promote", "2", "--output", "json"]),
    );
    assert_eq!(output.status.code(), Some(3));
    let error: serde_json::Value = serde_json::from_slice(&output.stderr).unwrap();
    assert_eq!(error["error"]["reason"], "CHECK_ONLY_VOTER");
    let nodes = must(&cluster, &["node", "list"]);
    assert_eq!(nodes[1]["check_only"], true);
}
