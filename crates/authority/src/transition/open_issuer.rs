//! Opening an issuer: the one way in which a signing key comes to count.

use std::sync::Arc;

use chancery_credential::{Ed25519PublicKey, EpochNumber, IssuerNumber, Lineage, NodeNumber};
#[cfg(simulation)]
use chancery_mutation::{Mutation, is_made};
use chancery_revocation::Change;

use super::Transition;
use crate::bounds::MAX_NODE_ISSUERS;
use crate::command::OpenIssuer;
use crate::event::{Answer, Event};
use crate::record::{IssuerRecord, IssuerStanding, NodeRecord};
use crate::rejection::{Reason, Rejection};
use crate::row::Row;

/// What the node's peer key and each new key sign to open an issuer. Every field
/// has a fixed width or comes after its count, all big-endian; the lineage keeps a
/// request from being replayed into a restored cluster, the former issuer from
/// being replayed at all.
#[must_use]
pub fn open_issuer_message(
    lineage: Lineage,
    node: NodeNumber,
    epoch: EpochNumber,
    process: u64,
    former: Option<IssuerNumber>,
    keys: &[Ed25519PublicKey],
) -> Vec<u8> {
    let mut message = b"chancery open-issuer v1\0".to_vec();
    for word in [
        lineage.generation,
        lineage.random,
        node.0,
        epoch.0,
        process,
        keys.len() as u64,
    ] {
        message.extend_from_slice(&word.to_be_bytes());
    }
    message.push(u8::from(former.is_some()));
    let former = former.map_or(0, |number| number.0);
    message.extend_from_slice(&former.to_be_bytes());
    for key in keys {
        message.extend_from_slice(key.as_bytes());
    }
    message
}

impl Transition<'_> {
    /// Retires the node's open issuers, except those that the same process opened
    /// in earlier epochs: in a planned rotation it goes on signing with the one
    /// before until the lead has passed. After a restart the process is another
    /// one, so nothing of the dead process stays open.
    ///
    /// The process is told by its number, which everybody can read: a thief of the
    /// peer key who claims it passes for a rotation, until the process itself opens
    /// its own issuer of that epoch and so retires the thief's.
    pub(super) fn open_issuer(&mut self, request: &OpenIssuer) -> Result<Answer, Rejection> {
        let node = self.known_node(request.node)?;
        check_may_open(&node)?;
        self.check_follows(&node, request)?;
        let key = self.check_keys_proved(&node, request)?;
        let number = self.next_issuer(&node)?;
        let replaced: Vec<_> = (self.state.issuers_of(node.number))
            .filter(|issuer| issuer.process != request.process || issuer.epoch == request.epoch)
            .cloned()
            .collect();
        #[cfg(simulation)]
        let replaced = if is_made(Mutation::FormerOpen) {
            Vec::new()
        } else {
            replaced
        };
        for issuer in replaced {
            self.retire(&issuer);
        }
        self.put(Row::Issuer(Arc::new(IssuerRecord {
            number,
            node: node.number,
            epoch: request.epoch,
            process: request.process,
            key,
            opened_at: self.revision,
            expiry_ms: self
                .state
                .settings()
                .map_or(0, |settings| settings.issuer_expiry_ms()),
            standing: IssuerStanding::Open,
        })));
        self.put(Row::Node(Arc::new(NodeRecord {
            newest_issuer: Some(number),
            ..NodeRecord::clone(&node)
        })));
        self.count(|meta| meta.next_issuer = number.0.saturating_add(1));
        #[cfg(simulation)]
        if is_made(Mutation::IssuerNumber) {
            self.count(|meta| meta.next_issuer = number.0);
        }
        self.emit(Event::View(Change::IssuerOpened {
            number,
            node: node.number,
            epoch: request.epoch,
            opened_at: self.revision,
            key: Box::new(key),
        }));
        self.emit(Event::NodeChanged(node.number));
        Ok(Answer::Issuer(number))
    }

    /// The newest epoch, and after the node's newest issuer: a request that a dead
    /// process left on its way comes too late.
    fn check_follows(&self, node: &NodeRecord, request: &OpenIssuer) -> Result<(), Rejection> {
        let newest = self.state.epoch().map(|epoch| epoch.number);
        if newest != Some(request.epoch) {
            return Err(Rejection::new(Reason::EpochNotNewest, request.epoch));
        }
        if request.former != node.newest_issuer {
            return Err(match node.newest_issuer {
                Some(number) => Rejection::new(Reason::FormerNotNewest, number),
                None => Rejection::new(Reason::FormerNotNewest, "none"),
            });
        }
        Ok(())
    }

    /// The one new key: nobody's yet, and both it and the node's peer key ask.
    fn check_keys_proved(
        &self,
        node: &NodeRecord,
        request: &OpenIssuer,
    ) -> Result<Ed25519PublicKey, Rejection> {
        let ([key], [proof]) = (&*request.keys, &*request.key_signatures) else {
            let count = request.keys.len().max(request.key_signatures.len());
            return Err(Rejection::new(Reason::IssuerKeysCount, count));
        };
        if self.state.issuers().any(|issuer| issuer.key == *key) {
            return Err(Rejection::new(Reason::IssuerKeyInUse, key.key_id()));
        }
        let message = open_issuer_message(
            self.state.lineage().unwrap_or_default(),
            request.node,
            request.epoch,
            request.process,
            request.former,
            &request.keys,
        );
        if !node.peer_key.verify(&message, &request.peer_signature) {
            return Err(Rejection::new(Reason::PeerProofWrong, node.number));
        }
        if !key.verify(&message, proof) {
            return Err(Rejection::new(Reason::KeyProofWrong, key.key_id()));
        }
        Ok(*key)
    }

    fn next_issuer(&self, node: &NodeRecord) -> Result<IssuerNumber, Rejection> {
        if self.state.issuers_of(node.number).count() >= MAX_NODE_ISSUERS {
            return Err(Rejection::new(Reason::IssuersFull, node.number));
        }
        match self.state.tables.meta.map(|meta| meta.next_issuer) {
            Some(next) if next < u32::MAX => Ok(IssuerNumber(next)),
            _ => Err(Rejection::new(Reason::NumbersExhausted, "issuer")),
        }
    }
}

fn check_may_open(node: &NodeRecord) -> Result<(), Rejection> {
    // A barred one was refused before anything was asked of it.
    let reason = if node.retiring {
        Reason::NodeRetiring
    } else if node.check_only {
        Reason::NodeCheckOnly
    } else {
        return Ok(());
    };
    Err(Rejection::new(reason, node.number))
}
