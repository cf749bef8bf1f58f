//! Faults, as they begin and as they end.

use chancery_storage::simulated::{self, Crash, Moment};

use super::World;
use crate::faults::Fault;

impl World {
    pub(super) fn go_wrong(&mut self) {
        if self.now_us < self.next_fault_us {
            return;
        }
        let pause_us = self.plan.weather.pause_ms * 1_000;
        self.next_fault_us = self.now_us + self.random.u64(0..pause_us * 2);
        let nodes = self.nodes();
        let weather = self.plan.weather;
        let leader = self.oracle.lock().leader();
        let verifiers = self.verifiers();
        let hit = self.random.choice(&verifiers).copied();
        let fault = match hit.filter(|_| self.random.u8(0..5) == 0) {
            Some(verifier) => Fault::draw_of_verifier(&mut self.random, verifier, &nodes),
            None => Fault::draw(&mut self.random, &weather, &nodes, leader),
        };
        let Some(fault) = fault else {
            return;
        };
        {
            let mut oracle = self.oracle.lock();
            oracle.counts.faults += 1;
            oracle.note(format_args!("{fault:?}"));
        }
        self.commit(fault);
    }

    pub(super) fn spring(&mut self) {
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

    pub(super) fn end_faults(&mut self) {
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

    pub(super) fn quicken(&mut self, node: u64) {
        if let Some(machine) = self.machines.get(&node) {
            simulated::set_flush(&machine.root, self.plan.flush_us.clone());
        }
    }

    pub(super) fn set_right(&mut self, node: u64) {
        let offset_ms = self.random.i64(-300..300);
        if let Some(machine) = self.machines.get(&node) {
            machine.clock.set_wall(offset_ms);
        }
    }

    pub(super) fn crash(&mut self, node: u64, how: Crash, away_us: u64) {
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
}
