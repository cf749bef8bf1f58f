//! Registrations that have ended.

use std::sync::Arc;

use super::Transition;
use crate::bounds::EXPIRED_REGISTRATIONS;
use crate::event::{Answer, Event};
use crate::record::Holder;
use crate::row::RowKey;

impl Transition<'_> {
    /// Drops what ended by log time, the earliest first. No watermark is left: no
    /// token outlives the registration that it was minted under, unless an operator
    /// cut the registration short and asked for what was held to be kept.
    pub(super) fn expire_registrations(&mut self) -> Answer {
        let ended = self.state.tables.ended(self.now_ms / 1_000);
        let ended: Vec<_> = ended.take(EXPIRED_REGISTRATIONS).cloned().collect();
        for holder in &ended {
            self.expire(holder);
        }
        if !ended.is_empty() {
            self.emit(Event::StandingLost);
        }
        Answer::Expired(u32::try_from(ended.len()).unwrap_or(u32::MAX))
    }

    fn expire(&mut self, holder: &Holder) {
        match holder {
            Holder::Agent(id) => {
                if let Some(agent) = self.state.agent(id).map(Arc::clone) {
                    self.erase(RowKey::Agent(id.clone()));
                    self.emit(Event::AgentChanged(id.clone()));
                    self.keys_changed(&agent.keys);
                }
            }
            Holder::Operator(name) => {
                if let Some(operator) = self.state.operator(name).map(Arc::clone) {
                    self.erase(RowKey::Operator(name.clone()));
                    self.emit(Event::OperatorChanged(name.clone()));
                    self.keys_changed(&operator.keys);
                }
            }
            // Neither ends.
            Holder::Service(_) | Holder::Node(_) => {}
        }
    }
}
