//! The leader is killed under load: what is lost of the mints, and for how long nothing
//! can be written.

use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::Duration,
};

use chancery_client::v1;
use chancery_tests::{
    agent::{Agent, OWNER, register, wanted},
    history::Moment,
};

use crate::{
    scene::{NODES, Scene},
    spans::Spans,
};

/// Mints a second through the SDK, over all nodes.
const MINTS: u32 = 100;
/// Calm before and after.
const CALM: Duration = Duration::from_millis(1_500);

/// What was seen.
#[derive(Default)]
pub struct Failovers {
    /// From the killing to the first write that was acknowledged.
    pub outage: Spans,
    pub mints: u64,
    pub lost: u64,
    /// Mints that were answered by another node than the first that was asked.
    pub tried_again: u64,
}

pub async fn measure(scene: &mut Scene, count: usize) -> Failovers {
    let mut all = Failovers::default();
    let mut outages = Vec::new();
    for turn in 0..count {
        let positions: Vec<usize> = (0..NODES).collect();
        let leader = scene.cluster.leader(&positions).await;
        let over = AtomicBool::new(false);
        let (minted, lost) = (AtomicU64::new(0), AtomicU64::new(0));
        let client = scene.agent.at(
            &scene.cluster,
            &[leader, (leader + 1) % NODES, (leader + 2) % NODES],
        );
        let minting = async {
            let mut pace = tokio::time::interval(Duration::from_secs(1) / MINTS);
            let mut under_way = tokio::task::JoinSet::new();
            while !over.load(Ordering::Relaxed) {
                pace.tick().await;
                let client = client.clone();
                under_way.spawn(async move { client.mint(wanted()).await.is_ok() });
            }
            while let Some(minted_one) = under_way.join_next().await {
                let counter = if minted_one.unwrap() { &minted } else { &lost };
                counter.fetch_add(1, Ordering::Relaxed);
            }
        };
        let operator = scene.cluster.operator();
        let node = &mut scene.cluster.nodes[leader];
        let killing = async {
            tokio::time::sleep(CALM).await;
            let killed = Moment::now();
            node.kill();
            let outage = first_write(&operator, turn).await.since(killed);
            tokio::time::sleep(CALM).await;
            over.store(true, Ordering::Relaxed);
            outage
        };
        let ((), outage) = tokio::join!(minting, killing);
        outages.push(outage);
        all.mints += minted.load(Ordering::Relaxed) + lost.load(Ordering::Relaxed);
        all.lost += lost.load(Ordering::Relaxed);
        all.tried_again += client.statistics().retries;
        scene.cluster.start(leader);
        for position in positions {
            scene.cluster.serving(position).await;
        }
    }
    all.outage = Spans::of(outages);
    all
}

/// When one was acknowledged of many that are sent all the time: a write that is retried
/// waits, and would find the new leader late.
async fn first_write(operator: &chancery_client::Client, turn: usize) -> Moment {
    let mut under_way = tokio::task::JoinSet::new();
    let mut pace = tokio::time::interval(Duration::from_millis(25));
    for number in 0.. {
        tokio::select! {
            biased;
            Some(written) = under_way.join_next() => {
                if let Ok(Some(written)) = written {
                    return written;
                }
            }
            _ = pace.tick() => {
                let agent = Agent::unregistered(&format!("failover/{turn}/{number}"), OWNER);
                let operator = operator.clone();
                under_way.spawn(async move {
                    let registered: Result<v1::RegisterResponse, _> =
                        register(&operator, agent.spec()).await;
                    registered.ok().map(|_| Moment::now())
                });
            }
        }
    }
    unreachable!("it goes on until something is written")
}
