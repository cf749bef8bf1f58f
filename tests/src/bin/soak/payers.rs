//! Who pays: agents that mint at a fixed, modest pace, whether or not the ones before
//! were answered, most on connections that they keep and a few on new ones.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use chancery_client::{Client, Config, Identity};
use chancery_tests::{agent::wanted, cluster::patient};
use tokio::task::JoinSet;

use crate::rig::{Rig, beginning_with};

const KEPT_EVERY: Duration = Duration::from_millis(20);
const ANEW_EVERY: Duration = Duration::from_millis(250);
const CALLERS: usize = 30;
/// Mints under way at once; more are not offered, and count as failed.
const UNDER_WAY: usize = 2_000;

/// How a mint went out.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// Over a connection that was there.
    Kept,
    /// Over one that was made for it.
    Anew,
}

/// One mint that was due.
struct Paid {
    way: Way,
    due: Instant,
    took: Duration,
    failed: bool,
}

/// Latencies of a span of time.
#[derive(Clone, Copy)]
pub struct Latency {
    pub median: f64,
    pub p99: f64,
    pub failed: usize,
    pub count: usize,
}

/// They pay until this is dropped.
pub struct Payers {
    paid: Arc<Mutex<Vec<Paid>>>,
    under_way: Arc<AtomicUsize>,
    over: Arc<AtomicBool>,
    paying: JoinSet<()>,
}

impl Payers {
    pub fn begin(rig: &Rig) -> Self {
        let mut payers = Self {
            paid: Arc::default(),
            under_way: Arc::default(),
            over: Arc::default(),
            paying: JoinSet::new(),
        };
        let callers: Vec<Client> = rig
            .steady
            .iter()
            .take(CALLERS)
            .map(|it| it.client.clone())
            .collect();
        payers.pay(Way::Kept, KEPT_EVERY, move |turn| {
            callers[turn % callers.len()].clone()
        });
        let apis: Vec<String> = rig
            .cluster
            .nodes
            .iter()
            .map(chancery_tests::node::Node::api)
            .collect();
        let root = rig.cluster.root();
        let payer = rig.steady[0].clone();
        payers.pay(Way::Anew, ANEW_EVERY, move |turn| {
            anew(&apis, turn, &root, payer.agent.identity())
        });
        payers
    }

    fn pay(
        &mut self,
        way: Way,
        period: Duration,
        client: impl Fn(usize) -> Client + Send + 'static,
    ) {
        let (paid, under_way, over) =
            (self.paid.clone(), self.under_way.clone(), self.over.clone());
        self.paying.spawn(async move {
            let mut due = Instant::now();
            for turn in 0.. {
                due += period;
                tokio::time::sleep_until(due.into()).await;
                if over.load(Ordering::Relaxed) {
                    return;
                }
                let note = move |took, failed| Paid {
                    way,
                    due,
                    took,
                    failed,
                };
                if under_way.fetch_add(1, Ordering::Relaxed) >= UNDER_WAY {
                    under_way.fetch_sub(1, Ordering::Relaxed);
                    paid.lock().unwrap().push(note(Duration::ZERO, true));
                    continue;
                }
                let (paid, under_way, client) = (paid.clone(), under_way.clone(), client(turn));
                tokio::spawn(async move {
                    let outcome = client.mint(wanted()).await;
                    if let Err(error) = &outcome {
                        println!("a paying caller's mint failed: {error}");
                    }
                    let paying = note(due.elapsed(), outcome.is_err());
                    paid.lock().unwrap().push(paying);
                    under_way.fetch_sub(1, Ordering::Relaxed);
                });
            }
        });
    }

    /// Of what was due from `from` to `to`.
    pub fn latency(&self, way: Way, from: Instant, to: Instant) -> Latency {
        let paid = self.paid.lock().unwrap();
        let due: Vec<&Paid> = paid
            .iter()
            .filter(|paid| paid.way == way && (from..to).contains(&paid.due))
            .collect();
        let mut took: Vec<f64> = due
            .iter()
            .filter(|paid| !paid.failed)
            .map(|paid| paid.took.as_secs_f64() * 1_000.0)
            .collect();
        took.sort_by(f64::total_cmp);
        let at = |hundredth: usize| {
            let position = took.len() * hundredth / 100;
            took.get(position).copied().unwrap_or(f64::NAN)
        };
        Latency {
            median: at(50),
            p99: at(99),
            failed: due.iter().filter(|paid| paid.failed).count(),
            count: due.len(),
        }
    }
}

impl Drop for Payers {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
    }
}

/// A client that has yet to connect.
fn anew(apis: &[String], turn: usize, root: &str, identity: Identity) -> Client {
    Client::new(Config {
        endpoints: beginning_with(turn).map(|node| apis[node].clone()).to_vec(),
        root: root.to_owned(),
        identity: Some(identity),
        retry: patient(),
    })
    .unwrap()
}
