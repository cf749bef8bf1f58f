//! What a node tells of its health to whoever is on its machine.

use chancery_tests::{
    agent::{Agent, mint},
    chancery::json,
    cluster::Cluster,
    until::until,
};

pub use chancery_tests::http::get;

/// That a young issuer is not ready yet, the tests of `chancery dev` show.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_is_ready_once_its_issuer_has_settled() {
    let cluster = Cluster::of(1).await;
    let admin = cluster.nodes[0].admin();
    assert_eq!(get(&admin, "/livez"), Some((200, "ok\n".to_owned())));
    until("the node was ready", || async {
        let (status, body) = get(&admin, "/readyz")?;
        assert!(status == 200 || body.starts_with("not ready: "), "{body}");
        (status == 200).then_some(())
    })
    .await;
    let status = ["node", "status", "--profile", "profile"];
    let status = json(&cluster.path(), &status);
    assert_eq!(status[0]["settling"], false);

    let agent = Agent::register(&cluster, "measured").await;
    mint(&agent.at(&cluster, &[0])).await.unwrap();
    let (status, metrics) = get(&admin, "/metrics").unwrap();
    assert_eq!(status, 200);
    for line in [
        "chancery_ready 1",
        "chancery_is_leader 1",
        "chancery_agents 1",
        "chancery_mints_total 1",
        "# TYPE chancery_server_certificate_remaining_seconds gauge",
    ] {
        assert!(
            metrics.lines().any(|found| found == line),
            "{line}: {metrics}"
        );
    }
    assert_eq!(get(&admin, "/").unwrap().0, 404);
}
