//! Handshakes that are begun and never ended.

use std::sync::Arc;

use rustls::ClientConnection;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{Counts, Pace, Plan, connect};
use chancery_tests::tls;

const SILENT: usize = 4_000;
const HANGING_UP: usize = 50;
const A_SECOND: u32 = 500;

pub fn greet(plan: &Arc<Plan>, counts: &Counts) {
    let hello = Arc::new(client_hello(plan));
    let (holding, leaving) = (Pace::a_second(A_SECOND), Pace::a_second(A_SECOND));
    for number in 0..SILENT + HANGING_UP {
        let silent = number < SILENT;
        let pace = if silent {
            holding.clone()
        } else {
            leaving.clone()
        };
        let (plan, counts, hello) = (plan.clone(), counts.clone(), hello.clone());
        tokio::spawn(async move {
            loop {
                pace.next().await;
                let Ok(mut tcp) = connect(&plan, number).await else {
                    counts.one("not connected");
                    continue;
                };
                if !silent {
                    counts.one("hung up");
                    continue;
                }
                counts.one("greeted");
                if tcp.write_all(&hello).await.is_ok() {
                    // What the node answers, until it has had enough.
                    let mut answer = [0; 4096];
                    while tcp.read(&mut answer).await.is_ok_and(|read| read > 0) {}
                }
                counts.one("closed by the node");
            }
        });
    }
}

fn client_hello(plan: &Plan) -> Vec<u8> {
    let config = tls::config(&plan.root, None, &[tls::HTTP2]);
    let mut client = ClientConnection::new(config, tls::name(&plan.apis[0])).unwrap();
    let mut hello = Vec::new();
    client.write_tls(&mut hello).unwrap();
    hello
}
