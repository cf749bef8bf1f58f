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
        let now_s = self.state.log_time_ms() / 1_000;
        let mut expired = 0;
        while expired < EXPIRED_REGISTRATIONS {
            let Some(holder) = self.state.tables.ended(now_s).cloned() else {
                break;
            };
            if !self.expire(&holder) {
                break;
            }
            expired = expired.saturating_add(1);
        }
        if expired > 0 {
            self.emit(Event::StandingLost);
        }
        Answer::Expired(u32::try_from(expired).unwrap_or(u32::MAX))
    }

    /// Whether there was something to drop.
    fn expire(&mut self, holder: &Holder) -> bool {
        match holder {
            Holder::Agent(id) => {
                let Some(agent) = self.state.agent(id).map(Arc::clone) else {
                    return false;
                };
                self.erase(RowKey::Agent(id.clone()));
                self.emit(Event::AgentChanged(id.clone()));
                self.keys_changed(&agent.keys);
            }
            Holder::Operator(name) => {
                let Some(operator) = self.state.operator(name).map(Arc::clone) else {
                    return false;
                };
                self.erase(RowKey::Operator(name.clone()));
                self.emit(Event::OperatorChanged(name.clone()));
                self.keys_changed(&operator.keys);
            }
            // Neither ends.
            Holder::Service(_) | Holder::Node(_) => return false,
        }
        true
    }
}
