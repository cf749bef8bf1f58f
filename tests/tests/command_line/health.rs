//! What a node tells of its health to whoever is on its machine.

use chancery_client::v1::revocation_service_client::RevocationServiceClient;
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

/// What an operator watches: each is described, measured in base units, and names
/// nobody.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_measured_is_described_and_names_nobody() {
    let cluster = Cluster::of(1).await;
    let admin = cluster.nodes[0].admin();
    let agent = Agent::register(&cluster, "measured").await;
    let client = agent.at(&cluster, &[0]);
    mint(&client).await.unwrap();
    let refused = chancery_client::v1::MintRequest {
        audience: "https://elsewhere.example".to_owned(),
        ..chancery_client::v1::MintRequest::default()
    };
    client.mint(refused).await.unwrap_err();
    let channel = cluster.operator().channel().unwrap();
    let mut watching = RevocationServiceClient::new(channel);
    let request = chancery_client::v1::WatchRequest::default();
    let begin = tokio_stream::once(request);
    let mut feed = watching.watch(begin).await.unwrap().into_inner();
    feed.message().await.unwrap();

    let (_, metrics) = get(&admin, "/metrics").unwrap();
    let value = |name: &str| -> f64 {
        let line = metrics
            .lines()
            .find(|line| line.starts_with(&format!("{name} ")));
        let line = line.unwrap_or_else(|| panic!("{name}: {metrics}"));
        line.rsplit_once(' ').unwrap().1.parse().unwrap()
    };
    for more_than_none in [
        "chancery_commit_seconds_count",
        "chancery_apply_seconds_count",
        "chancery_log_sync_seconds_count",
        "chancery_log_syncs_total",
        "chancery_log_entries_synced_total",
        "chancery_log_entries",
        "chancery_database_bytes{database=\"log\"}",
        "chancery_database_bytes{database=\"state\"}",
        "chancery_memory_bytes{part=\"log_memtables\"}",
        "chancery_memory_bytes{part=\"state_memtables\"}",
        "chancery_memory_bytes{part=\"block_cache\"}",
        "chancery_memory_bytes{part=\"recent_changes\"}",
        "chancery_mint_refusals_total{reason=\"NOT_GRANTED\"}",
    ] {
        assert!(value(more_than_none) > 0.0, "{more_than_none}");
    }
    assert!(value("chancery_freshness_age_seconds") < 2.0);
    assert_eq!(value("chancery_members{standing=\"voter\"}"), 1.0);
    assert_eq!(value("chancery_issuers{state=\"open\"}"), 1.0);
    assert_eq!(value("chancery_subscribers"), 1.0);
    for line in metrics.lines().filter(|line| !line.starts_with('#')) {
        let name = line.split(['{', ' ']).next().unwrap_or_default();
        let family = name
            .trim_end_matches("_count")
            .trim_end_matches("_sum")
            .trim_end_matches("_bucket");
        let told = format!("# HELP {family} ");
        assert!(
            metrics.contains(&told) || name.is_empty(),
            "{name} has no help"
        );
        assert!(!line.contains("spiffe"), "{line}");
    }

    drop(feed);
    until("nobody watches any more", || async {
        let (_, metrics) = get(&admin, "/metrics")?;
        metrics.contains("chancery_subscribers 0\n").then_some(())
    })
    .await;
}
