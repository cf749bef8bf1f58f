//! What a client has seen, so that no node answers it from before that.

use chancery_credential::ConsistencyToken;
use chancery_wire::v1::MintRequest;
use http::{HeaderMap, HeaderName, HeaderValue};
use parking_lot::Mutex;

/// In the head of an answer: names a state that holds all that the answer rests on.
const CONSISTENCY_TOKEN: HeaderName = HeaderName::from_static("chancery-consistency-token");
/// In the head of a call: it is answered from no state before this one.
const MIN_REVISION: HeaderName = HeaderName::from_static("chancery-min-revision");

/// The newest state that any answer came from, whichever node gave it: a node does not
/// go back by itself, but an address may be that of several.
#[derive(Debug, Default)]
pub(crate) struct Seen(Mutex<Option<ConsistencyToken>>);

impl Seen {
    /// Takes note of an answer. What cannot be read is not remembered.
    pub(crate) fn note(&self, consistency_token: &str) {
        let Ok(state) = consistency_token.parse::<ConsistencyToken>() else {
            return;
        };
        let mut seen = self.0.lock();
        let newer = seen
            .is_none_or(|seen| seen.lineage != state.lineage || seen.revision <= state.revision);
        if newer {
            *seen = Some(state);
        }
    }

    /// Takes note of the head of an answer.
    pub(crate) fn note_head(&self, head: &HeaderMap) {
        if let Some(Ok(state)) = head.get(CONSISTENCY_TOKEN).map(HeaderValue::to_str) {
            self.note(state);
        }
    }

    /// Has a call be answered from no state before what was seen.
    pub(crate) fn carry_in(&self, head: &mut HeaderMap) {
        if let Some(Ok(state)) = self.newest().map(HeaderValue::try_from) {
            head.insert(MIN_REVISION, state);
        }
    }

    /// `request`, to be answered from no state before what was seen, unless it names
    /// one itself; and whether that was added.
    pub(crate) fn carried(&self, mut request: MintRequest) -> (MintRequest, bool) {
        if !request.min_revision.is_empty() {
            return (request, false);
        }
        let Some(state) = self.newest() else {
            return (request, false);
        };
        request.min_revision = state;
        (request, true)
    }

    /// The cluster that showed it is not the one that answers now. Whether there was
    /// anything to forget.
    pub(crate) fn forget(&self) -> bool {
        self.0.lock().take().is_some()
    }

    /// Whether there is anything to carry.
    pub(crate) fn is_any(&self) -> bool {
        self.0.lock().is_some()
    }

    fn newest(&self) -> Option<String> {
        self.0.lock().map(|state| state.to_string())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
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
    fn what_was_seen_is_asked_of_every_call_that_asks_for_nothing_else() {
        let seen = Seen::default();
        let asked = |own: &str| {
            let request = MintRequest {
                min_revision: own.to_owned(),
                ..MintRequest::default()
            };
            let (request, carried) = seen.carried(request);
            (request.min_revision, carried)
        };
        assert_eq!(asked(""), (String::new(), false));
        seen.note(&state(1, 7));
        assert_eq!(asked(""), (state(1, 7), true));
        assert_eq!(asked("own"), ("own".to_owned(), false));
        assert!(seen.forget());
        assert_eq!(asked(""), (String::new(), false));
        assert!(!seen.forget());
    }

    #[test]
    fn the_head_of_an_answer_is_carried_in_that_of_the_next_call() {
        let seen = Seen::default();
        let mut head = HeaderMap::new();
        seen.note_head(&head);
        seen.carry_in(&mut head);
        assert!(head.is_empty(), "nothing was seen");
        head.insert(CONSISTENCY_TOKEN, state(1, 7).parse().unwrap());
        seen.note_head(&head);
        let mut next = HeaderMap::new();
        seen.carry_in(&mut next);
        assert_eq!(next.get(MIN_REVISION).unwrap(), &state(1, 7));
    }

    #[test]
    fn a_late_answer_does_not_take_back_what_was_seen() {
        let seen = Seen::default();
        seen.note(&state(1, 7));
        seen.note(&state(1, 5));
        assert_eq!(seen.newest(), Some(state(1, 7)));
        // A restored cluster counts anew.
        seen.note(&state(2, 3));
        assert_eq!(seen.newest(), Some(state(2, 3)));
        seen.note("not a token");
        assert_eq!(seen.newest(), Some(state(2, 3)));
    }
}
