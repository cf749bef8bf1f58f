//! What a node tells of its health to whoever is on its machine.

use std::{
    io::{Read, Write},
    net::TcpStream,
};

use chancery_tests::{
    agent::{Agent, mint},
    chancery::json,
    cluster::Cluster,
    until::until,
};

/// Status and body of `GET path`; `None` when nobody answers.
pub fn get(address: &str, path: &str) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect(address).ok()?;
    let request = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some((status, body.to_owned()))
}

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
