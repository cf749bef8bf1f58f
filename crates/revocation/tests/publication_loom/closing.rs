//! What is dropped from a view stays refused.

use std::sync::Arc;

use chancery_credential::{IssuerNumber, Lineage, Revision, Subject};
use chancery_revocation::{Change, Facts, Snapshot, Verdict, View};
use loom::thread;

use crate::{derived, facts, judged, names, opening, token_id, view, watermark};

/// Whatever is published meanwhile, the token was dead before and is refused.
fn stays_refused(
    facts: Facts<'static>,
    dead_by: &[Change],
    meanwhile: impl Fn(&View) + Send + Sync + 'static,
) {
    let dead_by = dead_by.to_vec();
    loom::model(move || {
        let view = view(&dead_by, 3);
        let checker = {
            let view = Arc::clone(&view);
            thread::spawn(move || judged(&facts, &view, 10))
        };
        meanwhile(&view);
        let verdict = checker.join().unwrap();
        assert!(matches!(verdict, Verdict::Refused(_)), "{verdict:?}");
    });
}

fn publish(view: &View, changes: &[Change]) {
    view.publish_changes(Revision(4), changes);
    view.publish_revision(Revision(4));
}

#[test]
fn a_watermark_that_the_floor_drops_stays_refused() {
    stays_refused(facts(1, 1), &[watermark(2)], |view| {
        publish(view, &[Change::Floor(Revision(2))])
    });
}

#[test]
#[should_panic(expected = "neither refuses it")]
fn found_when_the_floor_is_read_before_the_watermarks() {
    loom::model(|| {
        let view = view(&[watermark(2)], 3);
        let checker = {
            let view = Arc::clone(&view);
            thread::spawn(move || {
                let floor = view.floor();
                let mark = view.watermark(&Subject::Agent(names().agent.clone()));
                assert!(floor.max(mark) > Revision(1), "neither refuses it");
            })
        };
        publish(&view, &[Change::Floor(Revision(2))]);
        checker.join().unwrap();
    });
}

#[test]
fn a_revoked_token_stays_refused_while_its_issuer_closes() {
    let revoked = [Change::TokenRevoked(token_id(1))];
    let number = IssuerNumber(1);
    stays_refused(facts(1, 1), &revoked, move |view| {
        let retired_at = Revision(4);
        publish(view, &[Change::IssuerRetired { number, retired_at }]);
    });
    stays_refused(facts(1, 1), &revoked, move |view| {
        publish(view, &[Change::IssuerRevoked(number)])
    });
    stays_refused(facts(1, 1), &revoked, move |view| {
        publish(view, &[Change::IssuerExpired(number)])
    });
}

#[test]
fn what_derives_from_a_revoked_token_stays_refused_while_its_issuer_closes() {
    let revoked = [opening(2, 2), Change::TokenRevoked(token_id(2))];
    let number = IssuerNumber(2);
    stays_refused(derived(), &revoked, move |view| {
        publish(view, &[Change::IssuerRevoked(number)])
    });
    stays_refused(derived(), &revoked, move |view| {
        publish(view, &[Change::IssuerExpired(number)])
    });
}

#[test]
fn what_was_dead_stays_refused_while_a_snapshot_is_installed() {
    fn snapshot(changes: Vec<Change>) -> Snapshot {
        Snapshot {
            lineage: Lineage::default(),
            revision: Revision(9),
            view_revision: Revision(9),
            changes,
        }
    }
    // The floor has passed the watermark.
    stays_refused(facts(1, 1), &[watermark(2)], |view| {
        let changes = vec![Change::Floor(Revision(3)), opening(1, 1)];
        view.install(&snapshot(changes)).unwrap();
    });
    // The issuer of the ancestor expired.
    stays_refused(
        derived(),
        &[opening(2, 2), Change::TokenRevoked(token_id(2))],
        |view| {
            let changes = vec![opening(1, 1), Change::IssuerExpired(IssuerNumber(2))];
            view.install(&snapshot(changes)).unwrap();
        },
    );
}

#[test]
fn a_snapshot_taken_while_the_floor_rises_still_refuses_what_was_dead() {
    loom::model(|| {
        let view = view(&[watermark(2)], 3);
        let taker = {
            let view = Arc::clone(&view);
            thread::spawn(move || view.snapshot())
        };
        publish(&view, &[Change::Floor(Revision(2))]);
        let copy = View::new(Lineage::default());
        copy.install(&taker.join().unwrap()).unwrap();
        let verdict = judged(&facts(1, 1), &copy, 10);
        assert!(matches!(verdict, Verdict::Refused(_)), "{verdict:?}");
    });
}

#[test]
fn a_snapshot_taken_while_an_issuer_is_opened_never_takes_it_for_expired() {
    loom::model(|| {
        let view = view(&[], 3);
        let taker = {
            let view = Arc::clone(&view);
            thread::spawn(move || view.snapshot())
        };
        publish(&view, &[opening(2, 4)]);
        let copy = View::new(Lineage::default());
        copy.install(&taker.join().unwrap()).unwrap();
        let verdict = judged(&facts(2, 4), &copy, 10);
        assert!(
            matches!(verdict, Verdict::Behind(_) | Verdict::Stale),
            "{verdict:?}"
        );
    });
}
