//! What the oracle is shown after each step, and at the end.

use chancery_storage::simulated;

use super::{LOOK_US, PANICS, World};

impl World {
    pub(super) fn look(&mut self) {
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

    pub(super) fn violated(&self, what: &str) {
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
    pub(super) fn look_at_the_end(&mut self) {
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
}
