//! The one loop: the network delivers, faults happen, each machine runs for a step, the
//! oracle looks.

mod inflict;
mod looks;

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use chancery_revocation::Freshness;
use chancery_storage::simulated::{self, Crash, Moment};
use parking_lot::Mutex;

use crate::{
    board::{Board, Phase},
    client::Client,
    clock::BEGIN_MS,
    entropy,
    faults::{Fault, RATES},
    machine::{Machine, TRUE_RATE},
    network::Network,
    node, operators,
    oracle::{Counts, Oracle},
    plan::Plan,
    verifier::{self, VERIFIERS},
};

/// How long the making of a cluster may take, and the healing.
const MAKING_US: u64 = 120_000_000;
const HEALING_US: u64 = 40_000_000;
/// How often it is looked at who leads.
const LOOK_US: u64 = 20_000;
/// The machine that clients are at.
const CLIENTS: u64 = 0;

/// What has panicked: a task of a node that does ends silently.
static PANICS: Mutex<Vec<String>> = Mutex::new(Vec::new());

fn notice_panics() {
    std::panic::set_hook(Box::new(|panic| PANICS.lock().push(panic.to_string())));
}

/// What came of a seed.
pub struct Report {
    pub simulated_us: u64,
    pub counts: Counts,
    pub violations: Vec<String>,
    pub sum: u64,
}

pub struct World {
    plan: Plan,
    random: fastrand::Rng,
    now_us: u64,
    true_us: Arc<AtomicU64>,
    network: Network,
    machines: BTreeMap<u64, Machine>,
    oracle: Arc<Mutex<Oracle>>,
    board: Board,
    next_fault_us: u64,
    /// What ends when.
    ends: Vec<(u64, Fault)>,
    ends_at_us: u64,
    proofs: BTreeMap<u64, Freshness>,
    looked_us: u64,
    /// How long it is away when it has drained.
    drains: BTreeMap<u64, u64>,
    /// Which machine waits for which moment, how often that had come, and how long it is
    /// away then.
    ambushes: Vec<(u64, Moment, u64, u64)>,
}

impl World {
    pub fn new(plan: Plan, shown: bool) -> Self {
        notice_panics();
        entropy::seed(plan.seed);
        entropy::set_time(BEGIN_MS * 1_000);
        simulated::format(plan.seed);
        let mut random = fastrand::Rng::with_seed(plan.seed ^ 0x5eed);
        let mut oracle = Oracle::default();
        oracle.trace.shown = shown;
        oracle.note(format_args!("{plan:?}"));
        let network = Network::new(random.u64(..), plan.latency_us.clone());
        Self {
            network,
            now_us: 0,
            true_us: Arc::default(),
            machines: BTreeMap::new(),
            oracle: Arc::new(Mutex::new(oracle)),
            board: Board::default(),
            next_fault_us: 0,
            ends: Vec::new(),
            ends_at_us: MAKING_US,
            proofs: BTreeMap::new(),
            looked_us: 0,
            ambushes: Vec::new(),
            drains: BTreeMap::new(),
            random,
            plan,
        }
    }

    pub fn run(mut self) -> Report {
        self.begin();
        let mut phase = self.board.phase();
        while phase != Phase::Over {
            self.step();
            if phase == Phase::Making && self.board.phase() == Phase::Trial {
                self.ends_at_us = self.now_us + self.plan.trial_us;
                self.install_verifiers();
            }
            if !self.oracle.lock().violations.is_empty() {
                break;
            }
            if self.now_us >= self.ends_at_us {
                self.next_phase();
            }
            phase = self.board.phase();
        }
        if self.oracle.lock().violations.is_empty() {
            self.look_at_the_end();
        }
        self.report()
    }

    fn begin(&mut self) {
        self.install(1);
        let mut clients = Machine::new(CLIENTS, 0, TRUE_RATE, self.true_us.clone());
        let client = Client {
            board: self.board.clone(),
            oracle: self.oracle.clone(),
            random: self.random.fork(),
        };
        let plan = self.plan.clone();
        let seed = self.random.u64(..);
        clients.start(seed, || drop(tokio::spawn(operators::work(client, plan))));
        self.machines.insert(CLIENTS, clients);
    }

    /// A machine with an empty directory, and its process.
    fn install(&mut self, number: u64) {
        let machine = self.machine(number);
        simulated::set_flush(&machine.root, self.plan.flush_us.clone());
        node::identity(number)
            .create_directory(&machine.root)
            .expect("an empty disk");
        self.machines.insert(number, machine);
        self.start(number);
    }

    fn install_verifiers(&mut self) {
        for number in (VERIFIERS..).take(self.plan.verifiers.len()) {
            let machine = self.machine(number);
            self.machines.insert(number, machine);
            self.start(number);
        }
    }

    fn machine(&mut self, number: u64) -> Machine {
        let boot_ns = self.random.u64(1_000_000_000..1_000_000_000_000);
        let rate = match self.random.bool() {
            _ if !self.plan.has_extreme_clocks => self.random.u64(RATES),
            true => *RATES.start(),
            false => *RATES.end(),
        };
        let machine = Machine::new(number, boot_ns, rate, self.true_us.clone());
        machine.clock.set_wall(self.random.i64(-300..300));
        machine
    }

    fn start(&mut self, number: u64) {
        self.network.plug_in(number);
        self.oracle.lock().readings.remove(&number);
        if number >= VERIFIERS {
            self.start_verifier(number);
        } else {
            self.start_node(number);
        }
    }

    fn start_verifier(&mut self, number: u64) {
        let (seed, plan) = (self.random.u64(..), &self.plan);
        let mut nodes: Vec<u64> = (1..=plan.voters as u64).collect();
        self.random.shuffle(&mut nodes);
        let Some(machine) = self.machines.get_mut(&number) else {
            return;
        };
        let given = verifier::Birthright {
            number,
            clock: machine.clock.clone(),
            network: self.network.clone(),
            oracle: self.oracle.clone(),
            seed,
            nodes,
            max_age_ms: plan.verifiers[(number - VERIFIERS) as usize],
            pause_us: plan.service_pause_us,
        };
        self.oracle.lock().verifies(number, false);
        machine.start(seed, || drop(tokio::spawn(verifier::run(given))));
    }

    fn start_node(&mut self, number: u64) {
        let (seed, plan) = (self.random.u64(..), &self.plan);
        let Some(machine) = self.machines.get_mut(&number) else {
            return;
        };
        let given = node::Birthright {
            number,
            root: machine.root.clone(),
            clock: machine.clock.clone(),
            network: self.network.clone(),
            oracle: self.oracle.clone(),
            board: self.board.clone(),
            seed,
            compaction: plan.compaction,
            tick_ms: plan.tick_ms,
            service_pause_us: plan.service_pause_us,
        };
        machine.start(seed, || drop(tokio::spawn(node::run(given))));
    }

    fn step(&mut self) {
        let now_us = self.now_us;
        self.true_us.store(now_us, Ordering::Relaxed);
        entropy::set_time(BEGIN_MS * 1_000 + now_us);
        let sent = self.network.deliver(now_us);
        {
            let mut oracle = self.oracle.lock();
            oracle.true_us = now_us;
            oracle.trace.count(sent);
        }
        for wanted in self.board.take_wanted() {
            self.install(wanted);
        }
        if self.board.phase() == Phase::Trial {
            self.go_wrong();
        }
        self.end_faults();
        self.restart();
        let mut order: Vec<u64> = self.machines.keys().copied().collect();
        self.random.shuffle(&mut order);
        for number in order {
            let Some(machine) = self.machines.get_mut(&number) else {
                continue;
            };
            if let Some(shown_ns) = machine.shown_ns() {
                let mut oracle = self.oracle.lock();
                let readings = oracle.readings.entry(number).or_default();
                readings.note(shown_ns, now_us);
            }
            machine.step(self.plan.step_us, now_us);
        }
        self.spring();
        self.look();
        self.now_us += self.plan.step_us;
    }

    fn nodes(&self) -> Vec<u64> {
        let gone = self.board.gone();
        let nodes = self.machines.keys().copied();
        nodes
            .filter(|node| (CLIENTS + 1..VERIFIERS).contains(node) && !gone.contains(node))
            .collect()
    }

    fn verifiers(&self) -> Vec<u64> {
        self.machines.range(VERIFIERS..).map(|(n, _)| *n).collect()
    }

    fn restart(&mut self) {
        let now_us = self.now_us;
        let gone = self.board.gone();
        let due: Vec<u64> = self
            .machines
            .iter()
            .filter(|(node, _)| !gone.contains(node))
            .filter(|(_, machine)| machine.restart_at_us.is_some_and(|at| at <= now_us))
            .map(|(node, _)| *node)
            .collect();
        for node in due {
            self.oracle.lock().note(format_args!("node {node} starts"));
            self.start(node);
        }
    }

    fn next_phase(&mut self) {
        match self.board.phase() {
            Phase::Making => self.violated("the cluster was not made"),
            Phase::Trial => self.heal(),
            Phase::Healed => self.violated("there is no progress although all is well"),
            Phase::Over => {}
        }
    }

    fn heal(&mut self) {
        self.oracle.lock().note(format_args!("healed"));
        for (_, fault) in std::mem::take(&mut self.ends) {
            match fault {
                Fault::SlowDisk(node, ..) => self.quicken(node),
                Fault::Wall(node, ..) => self.set_right(node),
                _ => {}
            }
        }
        self.ambushes.clear();
        self.network.mend_all();
        for machine in self.machines.values_mut() {
            machine.paused_until_us = 0;
            machine.restart_at_us = machine.restart_at_us.map(|_| self.now_us);
        }
        self.board.enter(Phase::Healed);
        self.ends_at_us = self.now_us + HEALING_US;
    }

    fn report(mut self) -> Report {
        for node in self.nodes() {
            self.board.went_down(node);
        }
        for machine in self.machines.values_mut() {
            machine.crash(Crash::Process, 0);
        }
        entropy::set_time(0);
        let oracle = self.oracle.lock();
        Report {
            simulated_us: self.now_us,
            counts: oracle.counts,
            violations: oracle.violations.clone(),
            sum: oracle.trace.sum(),
        }
    }
}
