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

/// Request ids from before are refused, when log time is `now_ms`.
pub(crate) const fn request_floor_ms(now_ms: u64) -> u64 {
    now_ms.saturating_sub(REQUEST_WINDOW_MS)
}

impl State {
    /// The record of a request that was decided before. `now_ms` is log time.
    ///
    /// # Errors
    /// It cannot be told any more whether it was, it cannot be remembered, or its
    /// id named another command. None of these is recorded.
    pub(crate) fn recall(
        &self,
        key: &RequestKey,
        digest: &[u8; 32],
        now_ms: u64,
    ) -> Result<Option<Arc<RequestRecord>>, Rejection> {
        let time_ms = key.id.time_ms;
        let behind = request_floor_ms(now_ms).saturating_sub(time_ms);
        if behind > 0 {
            return Err(Rejection::new(Reason::RequestTooOld, behind));
        }
        let ahead = time_ms.saturating_sub(now_ms);
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

    /// Whether a request is remembered that is below the floor at `now_ms`.
    pub(crate) fn can_forget(&self, now_ms: u64) -> bool {
        let oldest = self.tables.requests.first_key_value();
        oldest.is_some_and(|(key, _)| key.id.time_ms < request_floor_ms(now_ms))
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
