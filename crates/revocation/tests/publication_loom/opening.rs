//! What is new to a view is never taken for what is over.

use std::sync::Arc;

use chancery_credential::Revision;
use chancery_revocation::{Facts, Verdict};
use loom::thread;

use crate::{derived, facts, judged, opening, view};

/// The view may not have the issuer yet, but no reader may take it for expired:
/// that refusal would be final.
fn is_never_refused(facts: Facts<'static>) {
    loom::model(move || {
        let view = view(&[], 1);
        let checker = {
            let view = Arc::clone(&view);
            thread::spawn(move || judged(&facts, &view, 10))
        };
        view.publish_changes(Revision(3), &[opening(2, 3)]);
        view.publish_revision(Revision(3));
        match checker.join().unwrap() {
            Verdict::Valid((), standing) => assert_eq!(standing.revision, Revision(3)),
            verdict => assert!(matches!(verdict, Verdict::Behind(_)), "{verdict:?}"),
        }
    });
}

#[test]
fn a_token_of_an_issuer_that_is_being_opened_is_valid_or_behind() {
    is_never_refused(facts(2, 3));
}

#[test]
fn what_derives_from_an_issuer_that_is_being_opened_is_valid_or_behind() {
    is_never_refused(derived());
}
