//! The one loop: the network delivers, faults happen, each machine runs for a step, the
//! oracle looks.

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
    cluster, entropy,
    faults::{Fault, RATES},
    machine::{Machine, TRUE_RATE},
    membership,
    network::Network,
    node,
    oracle::{Counts, Oracle},
    plan::Plan,
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
        clients.start(seed, || drop(tokio::spawn(clients_work(client, plan))));
        self.machines.insert(CLIENTS, clients);
    }

    /// A machine with an empty directory, and its process.
    fn install(&mut self, number: u64) {
        let boot_ns = self.random.u64(1_000_000_000..1_000_000_000_000);
        let rate = match self.random.bool() {
            _ if !self.plan.has_extreme_clocks => self.random.u64(RATES),
            true => *RATES.start(),
            false => *RATES.end(),
        };
        let machine = Machine::new(number, boot_ns, rate, self.true_us.clone());
        machine.clock.set_wall(self.random.i64(-300..300));
        simulated::set_flush(&machine.root, self.plan.flush_us.clone());
        node::identity(number)
            .create_directory(&machine.root)
            .expect("an empty disk");
        self.machines.insert(number, machine);
        self.start(number);
    }

    fn start(&mut self, number: u64) {
        let (seed, plan) = (self.random.u64(..), &self.plan);
        self.network.plug_in(number);
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
        self.oracle.lock().readings.remove(&number);
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

    fn look(&mut self) {
        for broken in simulated::broken_promises() {
            self.oracle.lock().violated(broken);
        }
        for panic in PANICS.lock().drain(..) {
            self.oracle.lock().violated(panic);
        }
        let leaders_too = self.now_us >= self.looked_us + LOOK_US;
        if leaders_too {
            self.looked_us = self.now_us;
        }
        for node in self.board.up() {
            let Some(consensus) = self.board.consensus(node) else {
                continue;
            };
            let view = consensus.view();
            if let Some(proof) = view.freshness()
                && self.proofs.insert(node, proof) != Some(proof)
            {
                let mut oracle = self.oracle.lock();
                oracle.proved(node, proof, view.revision());
            }
            if leaders_too
                && let Some(machine) = self.machines.get(&node)
                && let Some(status) = machine.within(|| consensus.status())
                && status.leader == Some(status.node)
            {
                self.oracle.lock().leads(node, status.term);
            }
        }
    }

    fn go_wrong(&mut self) {
        if self.now_us < self.next_fault_us {
            return;
        }
        let pause_us = self.plan.weather.pause_ms * 1_000;
        self.next_fault_us = self.now_us + self.random.u64(0..pause_us * 2);
        let nodes = self.nodes();
        let weather = self.plan.weather;
        let leader = self.oracle.lock().leader();
        let Some(fault) = Fault::draw(&mut self.random, &weather, &nodes, leader) else {
            return;
        };
        {
            let mut oracle = self.oracle.lock();
            oracle.counts.faults += 1;
            oracle.note(format_args!("{fault:?}"));
        }
        self.commit(fault);
    }

    fn spring(&mut self) {
        for node in self.board.drained() {
            let away = self.drains.get(&node).copied().unwrap_or(1_000);
            self.oracle
                .lock()
                .note(format_args!("node {node} has drained"));
            self.crash(node, Crash::Process, away);
        }
        let machines = &self.machines;
        let sprung = |(node, moment, came, _): &mut (u64, Moment, u64, u64)| {
            let machine = machines.get(node);
            machine.is_some_and(|machine| simulated::moments(&machine.root, *moment) > *came)
        };
        let sprung: Vec<_> = self.ambushes.extract_if(.., sprung).collect();
        for (node, moment, _, away) in sprung {
            self.oracle
                .lock()
                .note(format_args!("node {node} is ambushed at {moment:?}"));
            self.crash(node, Crash::Power, away);
        }
    }

    fn nodes(&self) -> Vec<u64> {
        let gone = self.board.gone();
        let nodes = self.machines.keys().copied();
        nodes
            .filter(|node| *node != CLIENTS && !gone.contains(node))
            .collect()
    }

    fn commit(&mut self, fault: Fault) {
        let now_us = self.now_us;
        let until = |span: u64| now_us + span;
        let ends_us = match &fault {
            Fault::Crash(node, how, away) => {
                self.crash(*node, *how, *away);
                return;
            }
            Fault::Ambush(node, moment, away) => {
                if let Some(machine) = self.machines.get(node) {
                    let came = simulated::moments(&machine.root, *moment);
                    self.ambushes.push((*node, *moment, came, *away));
                }
                return;
            }
            Fault::Drain(node, away) => {
                self.board.drain(*node);
                self.drains.insert(*node, *away);
                return;
            }
            Fault::Blackout(how, away) => {
                for node in self.nodes() {
                    let away = self.random.u64(away / 2..away + 1);
                    self.crash(node, *how, away);
                }
                return;
            }
            Fault::Pause(node, span) => {
                if let Some(machine) = self.machines.get_mut(node) {
                    machine.paused_until_us = until(*span);
                }
                return;
            }
            Fault::Reset(one, other) => {
                self.network.reset(*one, *other);
                return;
            }
            Fault::Rate(node, rate) => {
                if let Some(machine) = self.machines.get_mut(node) {
                    machine.rate = *rate;
                }
                return;
            }
            Fault::SlowDisk(node, us, span) => {
                if let Some(machine) = self.machines.get(node) {
                    simulated::set_flush(&machine.root, us / 2..us + 1);
                }
                until(*span)
            }
            Fault::Wall(node, by, span) => {
                if let Some(machine) = self.machines.get(node) {
                    machine.clock.set_wall(*by);
                }
                until(*span)
            }
            Fault::Slow(from, to, us, span) => {
                self.network.slow(*from, *to, Some(us / 2..us + 1));
                until(*span)
            }
            Fault::Isolate(_, span)
            | Fault::CutOneWay(_, _, span)
            | Fault::Bridge(_, _, _, span)
            | Fault::Split(_, _, span) => {
                for (from, to) in self.links(&fault) {
                    self.network.cut(from, to);
                }
                until(*span)
            }
        };
        self.ends.push((ends_us, fault));
    }

    /// The directions of links that a fault cuts.
    fn links(&self, fault: &Fault) -> Vec<(u64, u64)> {
        let between = |some: &[u64], others: &[u64]| -> Vec<(u64, u64)> {
            let pairs = some
                .iter()
                .flat_map(|one| others.iter().map(move |other| (*one, *other)));
            pairs.flat_map(|(a, b)| [(a, b), (b, a)]).collect()
        };
        match fault {
            Fault::Isolate(node, _) => {
                let others: Vec<u64> = self.nodes().into_iter().filter(|n| n != node).collect();
                between(&[*node], &others)
            }
            Fault::CutOneWay(from, to, _) => vec![(*from, *to)],
            Fault::Bridge(half, _, rest, _) | Fault::Split(half, rest, _) => between(half, rest),
            _ => Vec::new(),
        }
    }

    fn end_faults(&mut self) {
        let now_us = self.now_us;
        let over = |(ends_us, _): &mut (u64, Fault)| *ends_us <= now_us;
        let over: Vec<(u64, Fault)> = self.ends.extract_if(.., over).collect();
        for (_, fault) in over {
            match &fault {
                Fault::SlowDisk(node, ..) => self.quicken(*node),
                Fault::Wall(node, ..) => self.set_right(*node),
                Fault::Slow(from, to, ..) => self.network.slow(*from, *to, None),
                _ => {
                    for (from, to) in self.links(&fault) {
                        self.network.mend(from, to);
                    }
                }
            }
        }
    }

    fn quicken(&mut self, node: u64) {
        if let Some(machine) = self.machines.get(&node) {
            simulated::set_flush(&machine.root, self.plan.flush_us.clone());
        }
    }

    fn set_right(&mut self, node: u64) {
        let offset_ms = self.random.i64(-300..300);
        if let Some(machine) = self.machines.get(&node) {
            machine.clock.set_wall(offset_ms);
        }
    }

    fn crash(&mut self, node: u64, how: Crash, away_us: u64) {
        let boots_at_ns = self.random.u64(1_000_000_000..60_000_000_000);
        let Some(machine) = self.machines.get_mut(&node) else {
            return;
        };
        if !machine.is_running() {
            return;
        }
        self.board.went_down(node);
        self.proofs.remove(&node);
        self.network.crash(node, how == Crash::Power);
        machine.crash(how, boots_at_ns);
        machine.restart_at_us = Some(self.now_us + away_us);
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

    fn violated(&self, what: &str) {
        let mut words = String::new();
        for node in self.board.up() {
            if let Some(consensus) = self.board.consensus(node)
                && let Some(machine) = self.machines.get(&node)
                && let Some(status) = machine.within(|| consensus.status())
            {
                let members: Vec<_> = status
                    .members
                    .iter()
                    .map(|m| format!("{}{}", m.number, if m.voter { "v" } else { "" }))
                    .collect();
                words += &format!(
                    "\n    node {node}: leader {:?} term {} log {} committed {} applied {} members \
                     {members:?} unproved {:?}",
                    status.leader,
                    status.term,
                    status.last_log,
                    status.committed,
                    status.applied,
                    status.unproved
                );
            }
        }
        self.oracle.lock().violated(format!("{what}{words}"));
    }

    /// All is well, and everybody has everything.
    fn look_at_the_end(&mut self) {
        for node in self.board.up() {
            let Some(consensus) = self.board.consensus(node) else {
                continue;
            };
            let mut oracle = self.oracle.lock();
            consensus.read_state(|state| {
                oracle.replaced(node, state);
                oracle.has_all(node, state);
            });
        }
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

/// What the operators do, from the birth to the end.
async fn clients_work(mut client: Client, plan: Plan) {
    use chancery_authority::Command;
    let birth = cluster::birth(plan.tick_ms);
    loop {
        let (birth, random) = (birth.clone(), client.random.u128(..));
        let request = chancery_authority::RequestId {
            time_ms: crate::clock::SystemClock::wall_ms(),
            random: random.to_be_bytes(),
        };
        let within = std::time::Duration::from_secs(5);
        let born = client.board.ask(1, move |consensus| async move {
            consensus.birth(birth, request, within).await.is_ok()
        });
        if born.await == Some(true) {
            break;
        }
        client.rest(20..50).await;
    }
    let name = "payments".parse().expect("a name");
    let description = String::new();
    client
        .order(Command::AddOwner { name, description }, None, 50)
        .await;
    for agent in 0..cluster::AGENTS {
        let spec = cluster::agent_spec(agent);
        client.order(Command::RegisterAgent(spec), None, 50).await;
    }
    membership::make(&mut client, plan.voters).await;
    client.board.enter(Phase::Trial);
    for _ in 0..plan.clients {
        tokio::spawn(client.another().work(cluster::AGENTS));
    }
    if plan.has_membership {
        tokio::spawn(membership::work(client.another()));
    }
    while client.board.phase() == Phase::Trial {
        client.rest(50..51).await;
    }
    progress(&mut client).await;
    client.board.enter(Phase::Over);
}

/// Writes are carried out, and then everybody that may be fresh is.
async fn progress(client: &mut Client) {
    let mut done = 0;
    while done < 3 {
        done += u32::from(client.add_owner(20).await);
    }
    let newest = client.oracle.lock().truth.newest();
    loop {
        let up = client.board.up();
        let well = up.iter().all(|node| {
            let Some(consensus) = client.board.consensus(*node) else {
                return false;
            };
            let number = consensus.node();
            let leaves = consensus.read_state(|state| {
                let record = state.node(number);
                record.is_none_or(|record| record.retiring || record.removed_at.is_some())
            });
            let view = consensus.view();
            let enrolled = client.board.is_enrolled(*node);
            let gone = client.board.gone().contains(node);
            gone || leaves
                || !enrolled
                || (view.freshness().is_some() && view.revision().0 >= newest)
        });
        let all_there = client.board.all_are_up();
        if well && all_there {
            return;
        }
        client.rest(50..100).await;
    }
}
