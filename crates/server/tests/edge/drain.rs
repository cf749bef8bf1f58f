//! A node that stops.

use std::time::Duration;

use chancery_authority::Role;
use chancery_server::listener::{Drained, Limits};
use tokio::net::TcpStream;
use tonic::Code;

use crate::support::{Node, Settings, Witness, call, soon};

const WATCH: &str = "/chancery.v1.RevocationService/Watch";
const LIST: &str = "/chancery.v1.AgentService/List";

#[tokio::test]
async fn streams_are_sent_elsewhere_and_requests_finish() {
    let mut node = Node::start().await;
    let ann = node.registry.register_operator("ann", &[Role::Auditor]);
    let client = node.connect(&ann).await;
    let mut stream = client.call(WATCH).await;
    stream.next().await.unwrap();
    node.reached("operator:ann", WATCH).await;
    let asked = tokio::spawn(async move { client.call(LIST).await.code });
    node.reached("operator:ann", LIST).await;

    node.stop.cancel();
    let status = stream.next().await.unwrap_err();
    assert_eq!(
        (status.code(), call::reason(&status).as_str()),
        (Code::Unavailable, "DRAINING")
    );
    assert_eq!(node.next().await, Witness::Dropped);
    node.answer.notify_one();
    assert_eq!(soon("the answer", asked).await.unwrap(), 200);

    let address = node.address;
    assert_eq!(node.drained().await, Drained { cut: 0 });
    TcpStream::connect(address).await.unwrap_err();
}

#[tokio::test]
async fn what_does_not_end_in_time_is_cut() {
    let limits = Limits {
        drain: Duration::from_millis(100),
        ..Limits::default()
    };
    let mut node = Node::with(Settings {
        limits,
        ..Settings::default()
    })
    .await;
    let ann = node.registry.register_operator("ann", &[Role::Auditor]);
    let client = node.connect(&ann).await;
    let mut asked = client.begin(LIST);
    let answer =
        tokio::spawn(
            async move { tokio::time::timeout(Duration::from_secs(20), asked.answer()).await },
        );
    node.reached("operator:ann", LIST).await;
    // The silent one in the middle of its handshake counts for nothing.
    let _silent = TcpStream::connect(node.address).await.unwrap();
    assert_eq!(node.drained().await, Drained { cut: 1 });
    assert!(
        answer.await.is_err(),
        "an answer came from a connection that was cut"
    );
}
