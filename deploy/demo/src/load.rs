//! The load: mints offered to each node at a pace, whether or not the ones before
//! were answered (an open loop), each caller on a connection of its own.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use chancery_client::{Client, Minted, Statistics, v1};
use chancery_credential::TokenId;
use tokio::task::{JoinHandle, JoinSet};

use crate::{
    Outcome,
    agent::{AUDIENCE, PROFILE, SCOPE},
    chancery::Chancery,
    cluster::{Cluster, client},
};

/// Offered to each node in a second. More than is promised, so that what was
/// really offered, which is what counts, is at least that.
const RATE_PER_NODE: u32 = 525;
const CALLERS_PER_NODE: u32 = 7;

/// One mint.
pub struct Sample {
    /// The node that its caller turns to first.
    pub offered_to: u64,
    /// When it was due.
    pub due: Instant,
    /// From when it was due, so that a late start counts as slowness.
    pub took: Duration,
    /// The token, or why there was none after all retries.
    pub outcome: Result<Minted, String>,
}

impl Sample {
    /// Who signed it: the number stands in the token's id.
    pub fn issuer(&self) -> Option<u32> {
        let minted = self.outcome.as_ref().ok()?;
        minted
            .token_id
            .parse::<TokenId>()
            .ok()
            .map(|id| id.issuer().0)
    }
}

/// A load under way.
pub struct Load {
    stop: Arc<AtomicBool>,
    callers: Vec<(u64, Client, JoinHandle<Vec<Sample>>)>,
    began: Instant,
}

/// What came of it.
pub struct Report {
    pub samples: Vec<Sample>,
    /// What the SDK counted, by the node offered to.
    pub statistics: Vec<(u64, Statistics)>,
    /// How long mints were offered.
    pub lasted: Duration,
}

impl Load {
    /// Begins to offer mints to each node of the cluster.
    pub fn begin(chancery: &Chancery, cluster: &Cluster) -> Outcome<Self> {
        let began = Instant::now();
        let stop = Arc::new(AtomicBool::new(false));
        let pace = Duration::from_secs(1) * CALLERS_PER_NODE / RATE_PER_NODE;
        let mut load = Self {
            stop: stop.clone(),
            callers: Vec::new(),
            began,
        };
        let apis: Vec<_> = cluster.nodes.iter().map(|node| node.api.clone()).collect();
        for (position, node) in cluster.nodes.iter().enumerate() {
            let mut endpoints = apis.clone();
            endpoints.rotate_left(position);
            for caller in 0..CALLERS_PER_NODE {
                let client = client(chancery, &endpoints, PROFILE)?;
                let first = began + pace * caller / CALLERS_PER_NODE;
                let offers = offer(client.clone(), node.number, first, pace, stop.clone());
                load.callers
                    .push((node.number, client, tokio::spawn(offers)));
            }
        }
        Ok(load)
    }

    /// Stops offering, and waits for what is under way.
    pub async fn end(self) -> Outcome<Report> {
        self.stop.store(true, Ordering::Relaxed);
        let lasted = self.began.elapsed();
        let mut report = Report {
            samples: Vec::new(),
            statistics: Vec::new(),
            lasted,
        };
        for (node, client, offers) in self.callers {
            report.samples.extend(offers.await?);
            report.statistics.push((node, client.statistics()));
        }
        Ok(report)
    }
}

async fn offer(
    client: Client,
    offered_to: u64,
    first: Instant,
    pace: Duration,
    stop: Arc<AtomicBool>,
) -> Vec<Sample> {
    let mut under_way = JoinSet::new();
    let mut samples = Vec::new();
    let mut due = first;
    while !stop.load(Ordering::Relaxed) {
        tokio::time::sleep_until(due.into()).await;
        under_way.spawn(mint(client.clone(), offered_to, due));
        while let Some(done) = under_way.try_join_next() {
            samples.extend(done.ok());
        }
        due += pace;
    }
    while let Some(done) = under_way.join_next().await {
        samples.extend(done.ok());
    }
    samples
}

async fn mint(client: Client, offered_to: u64, due: Instant) -> Sample {
    let request = v1::MintRequest {
        audience: AUDIENCE.to_owned(),
        scopes: vec![SCOPE.to_owned()],
        ..v1::MintRequest::default()
    };
    let outcome = client
        .mint(request)
        .await
        .map_err(|error| error.to_string());
    Sample {
        offered_to,
        due,
        took: due.elapsed(),
        outcome,
    }
}
