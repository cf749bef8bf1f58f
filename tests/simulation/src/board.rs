//! What clients know of the nodes, and what they want of the machines.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use chancery_consensus::{Consensus, PeerRecord};
use chancery_credential::{NodeNumber, Revision};
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};

use crate::{cluster::record, node::Job};

/// How far a run has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The cluster is being made.
    Making,
    /// It stands; faults begin.
    Trial,
    /// Everything works again.
    Healed,
    /// Progress was shown.
    Over,
}

pub struct Up {
    pub consensus: Consensus,
    jobs: mpsc::UnboundedSender<Job>,
}

struct Notes {
    phase: Phase,
    up: BTreeMap<u64, Up>,
    /// Machines to be installed.
    wanted: Vec<u64>,
    admitted: BTreeSet<u64>,
    admitted_at: u64,
    gone: BTreeSet<u64>,
    installed: BTreeSet<u64>,
    enrolled: BTreeSet<u64>,
    /// Whose process ends in order, and whether it has ended.
    draining: BTreeMap<u64, bool>,
}

#[derive(Clone)]
pub struct Board(Arc<Mutex<Notes>>);

impl Default for Board {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Notes {
            phase: Phase::Making,
            up: BTreeMap::new(),
            wanted: Vec::new(),
            admitted: BTreeSet::from([1]),
            admitted_at: 0,
            gone: BTreeSet::new(),
            installed: BTreeSet::from([1]),
            enrolled: BTreeSet::from([1]),
            draining: BTreeMap::new(),
        })))
    }
}

impl Board {
    pub fn phase(&self) -> Phase {
        self.0.lock().phase
    }

    pub fn enter(&self, phase: Phase) {
        self.0.lock().phase = phase;
    }

    pub fn came_up(&self, node: u64, consensus: Consensus, jobs: mpsc::UnboundedSender<Job>) {
        let former = self.0.lock().up.insert(node, Up { consensus, jobs });
        drop(former);
    }

    pub fn went_down(&self, node: u64) {
        let mut notes = self.0.lock();
        notes.draining.remove(&node);
        let former = notes.up.remove(&node);
        drop(notes);
        drop(former);
    }

    pub fn is_gone(&self, node: u64) {
        self.0.lock().gone.insert(node);
    }

    pub fn gone(&self) -> BTreeSet<u64> {
        self.0.lock().gone.clone()
    }

    pub fn admitted(&self, node: u64, at: Revision) {
        let mut notes = self.0.lock();
        notes.admitted.insert(node);
        notes.admitted_at = notes.admitted_at.max(at.0);
    }

    /// What an admission file that is made now says.
    pub fn admission(&self) -> (Vec<(NodeNumber, PeerRecord)>, Revision) {
        let notes = self.0.lock();
        let peers = notes
            .admitted
            .iter()
            .map(|node| (NodeNumber(*node), record(*node)));
        (peers.collect(), Revision(notes.admitted_at))
    }

    pub fn install(&self, node: u64) {
        let mut notes = self.0.lock();
        notes.wanted.push(node);
        notes.installed.insert(node);
    }

    pub fn take_wanted(&self) -> Vec<u64> {
        std::mem::take(&mut self.0.lock().wanted)
    }

    pub fn was_enrolled(&self, node: u64) {
        self.0.lock().enrolled.insert(node);
    }

    pub fn is_enrolled(&self, node: u64) -> bool {
        self.0.lock().enrolled.contains(&node)
    }

    /// Whether the process of each machine that is still one's runs.
    pub fn all_are_up(&self) -> bool {
        let notes = self.0.lock();
        let mut wanted = notes.installed.difference(&notes.gone);
        wanted.all(|node| notes.up.contains_key(node))
    }

    /// Has the process of a node end in order.
    pub fn drain(&self, node: u64) {
        let mut notes = self.0.lock();
        let Some(up) = notes.up.get(&node) else {
            return;
        };
        let board = self.clone();
        let job: Job = Box::new(move |consensus| {
            Box::pin(async move {
                consensus.give_back().await;
                // The server has more to end.
                tokio::time::sleep(Duration::from_millis(700)).await;
                consensus.shutdown().await;
                board.0.lock().draining.insert(node, true);
            })
        });
        if up.jobs.send(job).is_ok() {
            notes.draining.entry(node).or_insert(false);
        }
    }

    pub fn is_draining(&self, node: u64) -> bool {
        self.0.lock().draining.contains_key(&node)
    }

    /// Whose processes have ended in order.
    pub fn drained(&self) -> Vec<u64> {
        let notes = self.0.lock();
        let drained = notes.draining.iter().filter(|(_, ended)| **ended);
        drained.map(|(node, _)| *node).collect()
    }

    pub fn up(&self) -> Vec<u64> {
        self.0.lock().up.keys().copied().collect()
    }

    pub fn consensus(&self, node: u64) -> Option<Consensus> {
        self.0.lock().up.get(&node).map(|up| up.consensus.clone())
    }

    /// Has the process of a node do something; none when it died over it, or is not
    /// there.
    pub async fn ask<T, F>(
        &self,
        node: u64,
        work: impl FnOnce(Consensus) -> F + Send + 'static,
    ) -> Option<T>
    where
        T: Send + 'static,
        F: Future<Output = T> + Send + 'static,
    {
        let (sender, receiver) = oneshot::channel();
        let job: Job = Box::new(move |consensus| {
            let work = work(consensus);
            Box::pin(async move {
                // Whoever asked may have given up.
                let _ = sender.send(work.await);
            })
        });
        let jobs = self.0.lock().up.get(&node).map(|up| up.jobs.clone())?;
        jobs.send(job).ok()?;
        receiver.await.ok()
    }
}
