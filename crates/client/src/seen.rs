//! What a client has seen at a node that it turned away from, so that the next one
//! does not answer from before it.

use std::time::Instant;

use chancery_wire::v1::MintRequest;
use parking_lot::Mutex;

use crate::preference::REMEMBERED;

/// The consistency token seen last, for longer than a node that answers can be behind.
#[derive(Default)]
pub(crate) struct Seen(Mutex<Option<(String, Instant)>>);

impl Seen {
    pub(crate) fn note(&self, consistency_token: &str, now: Instant) {
        *self.0.lock() = Some((consistency_token.to_owned(), now));
    }

    /// `request`, to be answered from no earlier state, unless it names one itself.
    pub(crate) fn after(&self, mut request: MintRequest, now: Instant) -> MintRequest {
        if request.min_revision.is_empty()
            && let Some((token, since)) = &*self.0.lock()
            && now.saturating_duration_since(*since) < REMEMBERED
        {
            request.min_revision.clone_from(token);
        }
        request
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_seen_lately_is_asked_for_where_nothing_else_is() {
        let seen = Seen::default();
        let start = Instant::now();
        let asked = |own: &str, now| {
            let request = MintRequest {
                min_revision: own.to_owned(),
                ..MintRequest::default()
            };
            seen.after(request, now).min_revision
        };
        assert_eq!(asked("", start), "");
        seen.note("7", start);
        assert_eq!(asked("", start), "7");
        assert_eq!(asked("9", start), "9");
        assert_eq!(asked("", start + REMEMBERED), "");
    }
}
