//! Request ids: what makes a retry harmless.

use std::sync::Arc;

use chancery_credential::Revision;

use crate::bounds::{MAX_REQUESTS, REQUEST_WINDOW_MS, RESERVED_REQUESTS};
use crate::event::Answer;
use crate::record::{RequestKey, RequestRecord};
use crate::rejection::{Reason, Rejection};
use crate::row::Row;
use crate::stamped::Actor;
use crate::state::State;

impl State {
    /// The record of a request that was decided before.
    ///
    /// # Errors
    /// It cannot be told any more whether it was, it cannot be remembered, or its
    /// id named another command. None of these is recorded.
    pub(crate) fn recall(
        &self,
        key: &RequestKey,
        digest: &[u8; 32],
    ) -> Result<Option<Arc<RequestRecord>>, Rejection> {
        let time_ms = key.id.time_ms;
        let behind = self.request_floor_ms().saturating_sub(time_ms);
        if behind > 0 {
            return Err(Rejection::new(Reason::RequestTooOld, behind));
        }
        let ahead = time_ms.saturating_sub(self.log_time_ms());
        if ahead > REQUEST_WINDOW_MS {
            return Err(Rejection::new(Reason::RequestAhead, ahead));
        }
        if let Some(record) = self.tables.requests.get(key) {
            if record.digest != *digest {
                return Err(Rejection::new(Reason::RequestReused, time_ms));
            }
            return Ok(Some(Arc::clone(record)));
        }
        let room = match key.actor {
            Actor::Operator(_) | Actor::Node(_) | Actor::Birth => MAX_REQUESTS,
            Actor::Agent(_) | Actor::Service(_) => MAX_REQUESTS - RESERVED_REQUESTS,
        };
        if self.tables.requests.len() >= room {
            return Err(Rejection::new(Reason::RequestsFull, MAX_REQUESTS));
        }
        Ok(None)
    }

    pub(crate) fn record(
        &mut self,
        key: RequestKey,
        digest: [u8; 32],
        revision: Revision,
        outcome: Result<Answer, Rejection>,
    ) {
        let record = RequestRecord {
            digest,
            revision,
            outcome,
        };
        self.put(Row::Request(key, Arc::new(record)));
    }
}
