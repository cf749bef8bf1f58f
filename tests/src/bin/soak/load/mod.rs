//! The mixed load: whatever a cluster is asked for, all at once and at a pace.

pub mod checks;
pub mod mints;
pub mod reads;
pub mod registry;
pub mod revocations;
pub mod warm_up;
pub mod watchers;

use std::{
    collections::VecDeque,
    fmt::Display,
    future::Future,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use chancery_client::{Client, Minted};
use chancery_tests::cluster::{Cluster, patient};
use tokio::time::{Interval, MissedTickBehavior};

use crate::{
    Run,
    rig::{Caller, Rig, operator_at},
    tally::Tally,
};

/// Tokens that checks choose from.
const TOKENS: usize = 1_000;

/// A token that has to be valid for as long as it is here.
#[derive(Clone)]
pub struct Held {
    pub token: String,
    pub min_revision: String,
    pub certificate: Vec<u8>,
    /// It is left alone when it may end soon.
    until: Instant,
}

impl Held {
    pub fn of(minted: Minted, caller: &Caller) -> Self {
        Self {
            token: minted.token,
            min_revision: minted.consistency_token,
            certificate: caller.certificate.clone(),
            until: Instant::now() + minted.lasts / 2,
        }
    }
}

/// What all parts of the load share.
pub struct Load<'a> {
    pub cluster: &'a Cluster,
    pub steady: Vec<Arc<Caller>>,
    pub fickle: Vec<Arc<Caller>>,
    /// The operator over all nodes, and at each.
    pub operator: Client,
    pub operators: Vec<Client>,
    /// The service at each node.
    pub shops: Vec<Client>,
    pub rate: u32,
    tokens: Mutex<VecDeque<Held>>,
    chosen: AtomicUsize,
    over: AtomicBool,
    tally: &'a Tally,
}

impl<'a> Load<'a> {
    pub fn new(rig: &'a Rig, rate: u32, tally: &'a Tally) -> Self {
        let nodes = 0..rig.cluster.nodes.len();
        Self {
            cluster: &rig.cluster,
            steady: rig.steady.clone(),
            fickle: rig.fickle.clone(),
            operator: rig.cluster.client(
                &[0, 1, 2],
                Some(rig.cluster.operator_identity()),
                patient(),
            ),
            operators: nodes
                .clone()
                .map(|position| operator_at(&rig.cluster, position))
                .collect(),
            shops: nodes.map(|position| rig.shop_at(position)).collect(),
            rate,
            tokens: Mutex::default(),
            chosen: AtomicUsize::new(0),
            over: AtomicBool::new(false),
            tally,
        }
    }

    pub fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    pub fn end(&self) {
        self.over.store(true, Ordering::Relaxed);
    }

    /// Keeps a token for whoever checks some.
    pub fn keep(&self, held: Held) {
        let mut tokens = self.tokens.lock().unwrap();
        tokens.push_back(held);
        if tokens.len() > TOKENS {
            tokens.pop_front();
        }
    }

    /// One of those that were kept, another each time.
    pub fn choose(&self) -> Option<Held> {
        let mut tokens = self.tokens.lock().unwrap();
        let now = Instant::now();
        while tokens.front().is_some_and(|held| held.until < now) {
            tokens.pop_front();
        }
        let chosen = self.chosen.fetch_add(7, Ordering::Relaxed);
        let position = chosen.checked_rem(tokens.len())?;
        tokens.get(position).cloned()
    }

    /// Waits for an answer that has to be one, and notes it.
    pub async fn ask<T, E: Display>(
        &self,
        kind: &'static str,
        asking: impl Future<Output = Result<T, E>>,
    ) -> Option<T> {
        let began = Instant::now();
        let outcome = asking.await;
        self.tally.note(kind, began, outcome)
    }

    /// Notes what has to be so.
    pub fn must(&self, kind: &'static str, so: bool, otherwise: impl Display) {
        let outcome = if so { Ok(()) } else { Err(otherwise) };
        self.tally.note(kind, Instant::now(), outcome);
    }

    pub fn skip(&self, kind: &'static str) {
        self.tally.skip(kind);
    }
}

/// A pace that is not made up for when it was missed.
pub fn each(period: Duration) -> Interval {
    let mut pace = tokio::time::interval(period);
    pace.set_missed_tick_behavior(MissedTickBehavior::Skip);
    pace
}

/// All of it, for `length`.
pub async fn run(rig: &Rig, run: &Run, length: Duration, tally: &Tally) {
    let load = Load::new(rig, run.rate, tally);
    let clock = async {
        tokio::time::sleep(length).await;
        load.end();
    };
    tokio::join!(
        clock,
        mints::mint(&load),
        checks::verify(&load),
        checks::check(&load),
        checks::check_streams(&load),
        registry::come_and_go(&load),
        registry::suspend_and_resume(&load),
        registry::change_grant_sets(&load),
        revocations::revoke(&load, run.rate / 10),
        reads::history(&load),
        reads::changes(&load),
        reads::agents(&load),
        reads::key_sets(&load),
        watchers::watch(&load),
    );
}
