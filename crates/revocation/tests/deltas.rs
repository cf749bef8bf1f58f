//! How a view comes to be where it is, and how small it stays.
#![cfg(not(loom))]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod cluster;

use chancery_credential::{ConsistencyToken, IssuerNumber, Lineage, Revision, Subject};
use chancery_revocation::{Change, Gap, InstallError, IssuerState, Stale, View};
use cluster::{Case, LINEAGE, delta, opening, outcome, retirement, token_id, view, watermark};

#[test]
fn a_delta_that_continues_another_revision_is_a_gap_and_changes_nothing() {
    let view = view();
    let before = view.snapshot();
    let gap = Gap {
        view: Revision(20),
        previous: Revision(21),
    };
    let missed = delta(21, 22, &[watermark("everything", 22)]);
    assert_eq!(view.apply(&missed), Err(gap));
    assert_eq!(view.snapshot(), before);
    assert!(gap.to_string().contains("install a snapshot"));

    view.apply(&delta(20, 21, &[])).unwrap();
    view.apply(&missed).unwrap();
    assert_eq!(view.revision(), Revision(22));
}

#[test]
fn a_delta_that_comes_twice_changes_nothing() {
    let view = view();
    let once = delta(20, 21, &[watermark("owner:alice", 21)]);
    view.apply(&once).unwrap();
    let before = view.snapshot();
    view.apply(&once).unwrap();
    assert_eq!(view.snapshot(), before);
}

#[test]
fn a_revision_never_goes_back() {
    let view = view();
    view.publish_revision(Revision(7));
    assert_eq!(view.revision(), Revision(20));
}

#[test]
fn the_view_revision_is_the_last_that_changed_the_view() {
    let view = view();
    assert_eq!(view.view_revision(), Revision(20));
    view.apply(&delta(20, 25, &[])).unwrap();
    view.apply(&delta(25, 26, &[Change::Time(2_000_000)]))
        .unwrap();
    assert_eq!(view.revision(), Revision(26));
    assert_eq!(view.view_revision(), Revision(20), "neither is a change");

    for (at, change) in [
        (27, opening(4, 27)),
        (28, retirement(4, 28)),
        (29, Change::IssuerRevoked(IssuerNumber(4))),
        (30, Change::IssuerExpired(IssuerNumber(4))),
        (31, watermark("everything", 31)),
        (32, Change::TokenRevoked(token_id(1, 9))),
        (33, Change::Floor(Revision(5))),
    ] {
        view.apply(&delta(at - 1, at, &[change])).unwrap();
        assert_eq!(view.view_revision(), Revision(at));
    }
}

#[test]
fn a_mint_is_given_a_change_only_with_its_revision() {
    let view = view();
    view.publish_changes(Revision(23), &[watermark("owner:alice", 23)]);
    assert_eq!(view.begin().view_revision(), Revision(20));
    // Entries that were applied together are published together; the changes keep
    // the revision that was theirs.
    view.publish_revision(Revision(25));
    let serving = view.begin();
    assert_eq!(serving.revision(), Revision(25));
    assert_eq!(serving.view_revision(), Revision(23));
}

#[test]
fn a_mint_finishes_only_while_fresh() {
    let (view, now) = (view(), Case::in_force().now);
    let current = view.begin().finish(&now).unwrap();
    assert_eq!(current.revision, Revision(20));
    assert_eq!(current.age.as_millis(), 500);
    assert_eq!(current.time, now.wall);

    let unproved = View::new(LINEAGE);
    assert_eq!(unproved.begin().finish(&now), Err(Stale));
}

#[test]
fn a_snapshot_of_another_lineage_or_an_older_one_is_not_installed() {
    let view = view();
    let before = view.snapshot();
    let mut other = before.clone();
    other.lineage = Lineage {
        generation: 2,
        ..LINEAGE
    };
    let refused = view.install(&other).unwrap_err();
    assert!(matches!(refused, InstallError::OtherLineage { .. }));

    let mut older = before.clone();
    older.revision = Revision(19);
    let refused = view.install(&older).unwrap_err();
    assert!(matches!(refused, InstallError::Older { .. }));
    assert_eq!(view.snapshot(), before);
}

#[test]
fn a_snapshot_says_nothing_of_issuers_that_were_opened_after_it() {
    let node = view();
    let view = View::new(LINEAGE);
    let taken_before = node.snapshot();
    // A snapshot may hold more than its revision says.
    node.publish_changes(Revision(21), &[opening(4, 21)]);
    view.install(&node.snapshot()).unwrap();
    view.install(&taken_before).unwrap();
    assert!(view.issuer(IssuerNumber(4)).is_some());
}

#[test]
fn what_is_over_leaves_nothing_but_the_highest_number() {
    let view = view();
    let changes = [
        watermark("agent:spiffe://example.org/planner", 21),
        watermark("owner:alice", 21),
        watermark("grant-set:readers", 21),
        watermark("everything", 21),
        Change::TokenRevoked(token_id(1, 1)),
        Change::TokenRevoked(token_id(2, 2)),
        Change::IssuerExpired(IssuerNumber(1)),
        Change::IssuerExpired(IssuerNumber(2)),
        Change::Floor(Revision(21)),
    ];
    view.apply(&delta(20, 22, &changes)).unwrap();
    let left = [
        Change::IssuerExpired(IssuerNumber(3)),
        Change::Floor(Revision(21)),
        Change::Time(cluster::WALL - 1),
    ];
    assert_eq!(view.snapshot().changes, left);
    for id in [token_id(1, 1), token_id(1, 9), token_id(3, 1)] {
        assert!(view.is_token_revoked(&id), "its issuer is over");
    }
    assert!(
        !view.is_token_revoked(&token_id(4, 1)),
        "it has no issuer yet"
    );
}

#[test]
fn a_floor_drops_what_it_refuses_and_keeps_the_rest() {
    let view = view();
    let changes = [watermark("owner:alice", 10), watermark("owner:bob", 11)];
    view.apply(&delta(20, 21, &changes)).unwrap();
    view.apply(&delta(21, 22, &[Change::Floor(Revision(10))]))
        .unwrap();
    let mark = |subject: &str| view.watermark(&subject.parse::<Subject>().unwrap());
    assert_eq!(mark("owner:alice"), Revision(0));
    assert_eq!(mark("owner:bob"), Revision(11));
    view.apply(&delta(22, 23, &[Change::Floor(Revision(9))]))
        .unwrap();
    assert_eq!(view.floor(), Revision(10), "it never falls");
}

#[test]
fn an_issuer_opens_retires_and_expires_and_never_opens_again() {
    let view = View::new(LINEAGE);
    let number = IssuerNumber(1);
    let state = |view: &View| view.issuer(number).map(|issuer| issuer.state);
    view.apply(&delta(0, 1, &[opening(1, 1)])).unwrap();
    let issuer = view.issuer(number).unwrap();
    assert_eq!(
        view.issuer_of_key(&issuer.key.key_id()),
        Some(issuer.clone())
    );
    assert_eq!(view.issuers(), std::slice::from_ref(&issuer));

    view.apply(&delta(1, 2, &[retirement(1, 2)])).unwrap();
    assert_eq!(state(&view), Some(IssuerState::Retired(Revision(2))));
    view.apply(&delta(2, 3, &[retirement(1, 3)])).unwrap();
    assert_eq!(state(&view), Some(IssuerState::Retired(Revision(2))));
    view.apply(&delta(
        3,
        4,
        &[Change::IssuerExpired(number), opening(1, 4)],
    ))
    .unwrap();
    assert_eq!(state(&view), None);
    assert_eq!(view.issuer_of_key(&issuer.key.key_id()), None);
}

#[test]
fn the_ids_of_a_revoked_issuer_are_dropped_and_stay_dead() {
    let view = view();
    let changes = [
        Change::TokenRevoked(token_id(2, 2)),
        Change::IssuerRevoked(IssuerNumber(2)),
        Change::TokenRevoked(token_id(2, 3)),
    ];
    view.apply(&delta(20, 21, &changes)).unwrap();
    let kept = |change: &&Change| matches!(change, Change::TokenRevoked(_));
    assert_eq!(view.snapshot().changes.iter().filter(kept).count(), 0);
    assert_eq!(
        outcome(&Case::in_force().judge_on(&view)),
        "ANCESTOR_ISSUER_REVOKED"
    );
    assert!(!view.issuer(IssuerNumber(2)).unwrap().verifies());
}

#[test]
fn an_empty_view_knows_nobody_and_proves_nothing() {
    let view = View::new(LINEAGE);
    assert_eq!(outcome(&Case::in_force().judge_on(&view)), "BEHIND");
    assert_eq!(view.freshness(), None);
    let consistency = ConsistencyToken {
        lineage: LINEAGE,
        revision: Revision(0),
    };
    assert_eq!(view.consistency_token(), consistency);
    assert!(view.snapshot().changes.is_empty());
}
