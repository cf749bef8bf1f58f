//! The log of a node, for programs: a line is about a request that can be found again.

use std::fs;

use chancery_client::v1::{self, history_service_client::HistoryServiceClient};
use chancery_tests::{agent::Agent, cluster::Cluster, until::until};
use serde_json::Value;

const REQUEST_ID: &str = "a-request-of-ours";
/// The example of W3C Trace Context, section 3.2.
const TRACE_ID: &str = "0af7651916cd43dd8448eb211c80319c";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_line_in_json_names_the_request_and_the_trace_that_it_is_about() {
    let mut cluster = Cluster::of(1).await;
    let agent = Agent::register(&cluster, "traced").await;
    let node = &mut cluster.nodes[0];
    assert_eq!(node.stop(), Some(0));
    let before = fs::read_to_string(node.log()).unwrap().len();
    let filter = "info,openraft=error,chancery_server=debug";
    node.start_with(&["--log", filter, "--log-format", "json"]);
    let path = node.log();
    cluster.serving(0).await;

    // An agent may not ask for that.
    let channel = agent.at(&cluster, &[0]).channel().unwrap();
    let mut request = tonic::Request::new(v1::ListHistoryRequest::default());
    let traceparent = format!("00-{TRACE_ID}-b7ad6b7169203331-01");
    let headers = request.metadata_mut();
    headers.insert("traceparent", traceparent.parse().unwrap());
    headers.insert("x-request-id", REQUEST_ID.parse().unwrap());
    let refused = HistoryServiceClient::new(channel).list(request).await;
    assert_eq!(refused.unwrap_err().code(), tonic::Code::PermissionDenied);

    let about_it = until("the refusal is in the log", || async {
        let log = fs::read_to_string(&path).unwrap();
        let whole = log[before..]
            .rsplit_once('\n')
            .map_or("", |(whole, _)| whole);
        let lines = whole.lines().map(|line| {
            serde_json::from_str::<Value>(line).unwrap_or_else(|_| panic!("no JSON: {line}"))
        });
        lines
            .into_iter()
            .find(|line| line["span"]["id"] == REQUEST_ID)
    })
    .await;
    assert_eq!(about_it["span"]["trace"], TRACE_ID);
    assert!(about_it["timestamp"].is_string() && about_it["level"].is_string());
}
