//! Connections that do nothing.

use std::sync::Arc;

use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::ClientConfig;
use tokio::{io::AsyncReadExt, net::TcpStream};
use tokio_rustls::TlsConnector;

use super::{Counts, Pace, Plan, connect};
use chancery_tests::tls;

const CONNECTIONS: usize = 10_000;

pub fn tcp(plan: &Arc<Plan>, counts: &Counts) {
    let pace = Pace::a_second(500);
    for number in 0..CONNECTIONS {
        let (plan, counts, pace) = (plan.clone(), counts.clone(), pace.clone());
        tokio::spawn(async move {
            loop {
                pace.next().await;
                match connect(&plan, number).await {
                    Ok(mut tcp) => {
                        counts.one("opened");
                        let _ = tcp.read(&mut [0]).await;
                        counts.one("closed by the node");
                    }
                    Err(_) => counts.one("not connected"),
                }
            }
        });
    }
}

pub fn tls(plan: &Arc<Plan>, counts: &Counts) {
    let config = tls::config(&plan.root, None, &[tls::HTTP2]);
    hold_all(plan, counts, 100, move |_| config.clone());
}

pub fn agents(plan: &Arc<Plan>, counts: &Counts) {
    let configs: Vec<_> = plan
        .agents
        .iter()
        .map(|key| tls::config(&plan.root, Some(&key.identity()), &[tls::HTTP2]))
        .collect();
    hold_all(plan, counts, 150, move |number| {
        configs[number % configs.len()].clone()
    });
}

fn hold_all(
    plan: &Arc<Plan>,
    counts: &Counts,
    rate: u32,
    config: impl Fn(usize) -> Arc<ClientConfig>,
) {
    let pace = Pace::a_second(rate);
    for number in 0..CONNECTIONS {
        let (plan, counts, pace) = (plan.clone(), counts.clone(), pace.clone());
        let connector = TlsConnector::from(config(number));
        tokio::spawn(async move {
            loop {
                pace.next().await;
                match connect(&plan, number).await {
                    Ok(tcp) => hold(&plan, number, tcp, &connector, &counts).await,
                    Err(_) => counts.one("not connected"),
                }
            }
        });
    }
}

/// Answers pings, and asks nothing, until the node ends it.
async fn hold(
    plan: &Plan,
    number: usize,
    tcp: TcpStream,
    connector: &TlsConnector,
    counts: &Counts,
) {
    let name = tls::name(&plan.apis[number % plan.apis.len()]);
    let Ok(tls) = connector.connect(name, tcp).await else {
        return counts.one("no handshake");
    };
    let io = TokioIo::new(tls);
    let handshake = http2::handshake::<_, _, tonic::body::Body>(TokioExecutor::new(), io);
    let Ok((_held, connection)) = handshake.await else {
        return counts.one("no handshake");
    };
    counts.one("opened");
    let _ = connection.await;
    counts.one("closed by the node");
}
