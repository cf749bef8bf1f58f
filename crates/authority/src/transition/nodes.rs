//! Admitting, seating, barring, readmitting and removing nodes.

use std::sync::Arc;

use chancery_credential::{KeyThumbprint, NodeNumber, PeerPublicKey};

use super::Transition;
use crate::bounds::MAX_NODES;
use crate::command::{NodeSpec, Seat};
use crate::event::{Answer, Event};
use crate::record::NodeRecord;
use crate::rejection::{Reason, Rejection};
use crate::row::{Row, RowKey};

impl Transition<'_> {
    pub(super) fn admit_node(&mut self, spec: &NodeSpec) -> Result<Answer, Rejection> {
        self.check_node(spec)?;
        let named = |node: &Arc<NodeRecord>| *node.name == *spec.name && node.removed_at.is_none();
        if self.state.nodes().any(named) {
            return Err(Rejection::new(Reason::NodeExists, &spec.name));
        }
        let count = self.state.nodes().count();
        let forgotten = self.longest_gone();
        if count >= MAX_NODES && forgotten.is_none() {
            return Err(Rejection::new(Reason::NodesFull, count));
        }
        let number = self.put_node(spec, false)?;
        if let Some(gone) = forgotten.filter(|_| count >= MAX_NODES) {
            self.erase(RowKey::Node(gone.number));
            self.keys_changed(&[gone.peer_key.thumbprint()]);
            self.emit(Event::NodeChanged(gone.number));
        }
        Ok(Answer::Node(number))
    }

    /// The node that was removed first, among those of which nothing is left to
    /// verify: what makes room when the table is full. Its number is not given
    /// again; its key is a stranger's from then on.
    fn longest_gone(&self) -> Option<Arc<NodeRecord>> {
        let gone = self.state.nodes().filter(|node| {
            node.removed_at.is_some() && self.state.issuers_of(node.number).next().is_none()
        });
        gone.min_by_key(|node| node.removed_at).cloned()
    }

    /// What a keeper wants, and whether it may be: the membership itself is no part of
    /// the state.
    pub(super) fn seat_node(
        &mut self,
        number: NodeNumber,
        seat: Seat,
    ) -> Result<Answer, Rejection> {
        let node = self.known_node(number)?;
        if node.removed_at.is_some() {
            return Err(Rejection::new(Reason::NodeRemoved, number));
        }
        if seat != Seat::Learner {
            if !node.stands() {
                return Err(Rejection::new(Reason::NodeLeaving, number));
            }
            if node.check_only {
                return Err(Rejection::new(Reason::CheckOnlyVoter, number));
            }
        }
        let lead_asked_at = (seat == Seat::Leader).then_some(self.revision);
        self.change_node(&node, |node| {
            node.votes = seat != Seat::Learner;
            node.lead_asked_at = lead_asked_at;
        });
        Ok(Answer::Nothing)
    }

    /// That the node is out of the membership, and that nothing which it could
    /// still accept is outstanding, is for whoever proposes this to see to.
    pub(super) fn remove_node(
        &mut self,
        number: NodeNumber,
        key: &KeyThumbprint,
    ) -> Result<Answer, Rejection> {
        let node = self.known_node(number)?;
        if node.peer_key.thumbprint() != *key {
            return Err(Rejection::new(Reason::NodeReadmitted, number));
        }
        if node.stands() {
            return Err(Rejection::new(Reason::NodeNotLeaving, number));
        }
        if node.removed_at.is_none() {
            let removed_at = Some(self.revision);
            self.change_node(&node, |node| node.removed_at = removed_at);
        }
        Ok(Answer::Nothing)
    }

    pub(super) fn put_node(
        &mut self,
        spec: &NodeSpec,
        votes: bool,
    ) -> Result<NodeNumber, Rejection> {
        let next = self.state.tables.meta.map(|meta| meta.next_node);
        let number = match next {
            Some(next) if next < u64::MAX => NodeNumber(next),
            _ => return Err(Rejection::new(Reason::NumbersExhausted, "node")),
        };
        self.count(|meta| meta.next_node = number.0.saturating_add(1));
        self.put(Row::Node(Arc::new(NodeRecord {
            number,
            name: spec.name.as_str().into(),
            api_address: spec.api_address.as_str().into(),
            peer_address: spec.peer_address.as_str().into(),
            peer_key: spec.peer_key.clone(),
            check_only: spec.check_only,
            barred: false,
            retiring: false,
            votes,
            lead_asked_at: None,
            newest_issuer: None,
            admitted_at: self.revision,
            removed_at: None,
        })));
        self.keys_changed(&[spec.peer_key.thumbprint()]);
        self.emit(Event::NodeChanged(number));
        Ok(number)
    }

    pub(super) fn revoke_node(&mut self, number: NodeNumber) -> Result<Answer, Rejection> {
        let node = self.known_node(number)?;
        let answer = self.revoke_where(|issuer| issuer.node == number);
        self.change_node(&node, |node| node.barred = true);
        Ok(answer)
    }

    pub(super) fn retire_node(&mut self, number: NodeNumber) -> Result<Answer, Rejection> {
        let node = self.known_node(number)?;
        if node.removed_at.is_some() {
            return Err(Rejection::new(Reason::NodeRemoved, number));
        }
        let open: Vec<_> = (self.state.issuers_of(number))
            .filter(|issuer| issuer.standing == crate::record::IssuerStanding::Open)
            .cloned()
            .collect();
        for issuer in &open {
            self.retire(issuer);
        }
        // Should it be readmitted, it gets a vote as any other does: by a command.
        self.change_node(&node, |node| {
            node.retiring = true;
            node.votes = false;
        });
        Ok(Answer::Issuers(
            open.iter().map(|issuer| issuer.number).collect(),
        ))
    }

    /// A request for an issuer that was signed before, by whoever had the key then,
    /// may still be on its way: the new key is what refuses it.
    pub(super) fn readmit_node(
        &mut self,
        number: NodeNumber,
        peer_key: &PeerPublicKey,
    ) -> Result<Answer, Rejection> {
        let node = self.known_node(number)?;
        if node.removed_at.is_some() {
            return Err(Rejection::new(Reason::NodeRemoved, number));
        }
        if node.stands() {
            return Err(Rejection::new(Reason::NodeStands, number));
        }
        if *peer_key == node.peer_key {
            return Err(Rejection::new(Reason::PeerKeyUnchanged, number));
        }
        self.check_holder(&peer_key.thumbprint(), None)?;
        self.change_node(&node, |node| {
            node.barred = false;
            node.retiring = false;
            node.peer_key = peer_key.clone();
        });
        self.keys_changed(&[node.peer_key.thumbprint(), peer_key.thumbprint()]);
        Ok(Answer::Nothing)
    }

    fn change_node(&mut self, node: &NodeRecord, change: impl FnOnce(&mut NodeRecord)) {
        let mut next = node.clone();
        change(&mut next);
        let number = next.number;
        self.put(Row::Node(Arc::new(next)));
        self.emit(Event::NodeChanged(number));
    }
}
