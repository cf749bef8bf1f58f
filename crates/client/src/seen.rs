//! What a client has seen at a node that it turned away from, so that the next one
//! does not answer from before it.

use std::time::Instant;

use chancery_credential::ConsistencyToken;
use chancery_wire::v1::MintRequest;
use parking_lot::Mutex;

use crate::preference::REMEMBERED;

/// The newest state that any answer came from, for longer than a node that answers
/// can be behind.
#[derive(Default)]
pub(crate) struct Seen(Mutex<Option<Sight>>);

struct Sight {
    state: ConsistencyToken,
    /// The position of the node that showed it. It does not go back by itself.
    at: usize,
    since: Instant,
}

impl Seen {
    /// An answer of the node at `position`. What cannot be read is not remembered.
    pub(crate) fn note(&self, consistency_token: &str, position: usize, now: Instant) {
        let Ok(state) = consistency_token.parse::<ConsistencyToken>() else {
            return;
        };
        let mut seen = self.0.lock();
        let newer = seen.as_ref().is_none_or(|sight| {
            sight.state.lineage != state.lineage || sight.state.revision <= state.revision
        });
        if newer {
            *seen = Some(Sight {
                state,
                at: position,
                since: now,
            });
        }
    }

    /// The state that the node at `position` must not answer from before; `None` when
    /// it showed it itself, or nothing was seen lately.
    pub(crate) fn elsewhere(&self, position: usize, now: Instant) -> Option<String> {
        let seen = self.0.lock();
        let sight = seen.as_ref()?;
        let lately = now.saturating_duration_since(sight.since) < REMEMBERED;
        (lately && sight.at != position).then(|| sight.state.to_string())
    }

    /// `request` for the node at `position`, to be answered from no earlier state,
    /// unless it names one itself; and whether that was added.
    pub(crate) fn carried(
        &self,
        mut request: MintRequest,
        position: usize,
        now: Instant,
    ) -> (MintRequest, bool) {
        if !request.min_revision.is_empty() {
            return (request, false);
        }
        let Some(state) = self.elsewhere(position, now) else {
            return (request, false);
        };
        request.min_revision = state;
        (request, true)
    }

    /// The cluster that showed it is not the one that answers now.
    pub(crate) fn forget(&self) {
        *self.0.lock() = None;
    }
}

#[cfg(test)]
mod tests {
    use chancery_credential::{Lineage, Revision};

    use super::*;

    fn state(random: u64, revision: u64) -> String {
        let lineage = Lineage {
            generation: 1,
            random,
        };
        let revision = Revision(revision);
        ConsistencyToken { lineage, revision }.to_string()
    }

    #[test]
    fn what_one_node_showed_is_asked_of_the_others_where_nothing_else_is() {
        let seen = Seen::default();
        let start = Instant::now();
        let asked = |own: &str, position, now| {
            let request = MintRequest {
                min_revision: own.to_owned(),
                ..MintRequest::default()
            };
            seen.carried(request, position, now)
        };
        assert_eq!(asked("", 1, start).0.min_revision, "");
        seen.note(&state(1, 7), 0, start);
        let (request, carried) = asked("", 1, start);
        assert_eq!((request.min_revision, carried), (state(1, 7), true));
        assert_eq!(
            asked("", 0, start).0.min_revision,
            "",
            "it showed it itself"
        );
        let (request, carried) = asked("own", 1, start);
        assert_eq!((request.min_revision.as_str(), carried), ("own", false));
        assert_eq!(asked("", 1, start + REMEMBERED).0.min_revision, "");
        seen.forget();
        assert_eq!(asked("", 1, start).0.min_revision, "");
    }

    #[test]
    fn a_late_answer_does_not_take_back_what_was_seen() {
        let seen = Seen::default();
        let now = Instant::now();
        seen.note(&state(1, 7), 0, now);
        seen.note(&state(1, 5), 1, now);
        assert_eq!(seen.elsewhere(1, now), Some(state(1, 7)));
        // A restored cluster counts anew.
        seen.note(&state(2, 3), 1, now);
        assert_eq!(seen.elsewhere(0, now), Some(state(2, 3)));
        seen.note("not a token", 2, now);
        assert_eq!(seen.elsewhere(0, now), Some(state(2, 3)));
    }
}
