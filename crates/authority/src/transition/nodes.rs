//! Admitting, barring and readmitting nodes.

use std::sync::Arc;

use chancery_credential::{NodeNumber, PeerPublicKey};

use super::Transition;
use crate::bounds::MAX_NODES;
use crate::command::NodeSpec;
use crate::event::{Answer, Event};
use crate::record::NodeRecord;
use crate::rejection::{Reason, Rejection};
use crate::row::Row;

impl Transition<'_> {
    pub(super) fn admit_node(&mut self, spec: &NodeSpec) -> Result<Answer, Rejection> {
        self.check_node(spec)?;
        let named = |node: &Arc<NodeRecord>| *node.name == *spec.name;
        if self.state.nodes().any(named) {
            return Err(Rejection::new(Reason::NodeExists, &spec.name));
        }
        let count = self.state.nodes().count();
        if count >= MAX_NODES {
            return Err(Rejection::new(Reason::NodesFull, count));
        }
        self.put_node(spec).map(Answer::Node)
    }

    pub(super) fn put_node(&mut self, spec: &NodeSpec) -> Result<NodeNumber, Rejection> {
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
            newest_issuer: None,
            admitted_at: self.revision,
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
        let open: Vec<_> = (self.state.issuers_of(number))
            .filter(|issuer| issuer.standing == crate::record::IssuerStanding::Open)
            .cloned()
            .collect();
        for issuer in &open {
            self.retire(issuer);
        }
        self.change_node(&node, |node| node.retiring = true);
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
        if !node.barred && !node.retiring {
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
