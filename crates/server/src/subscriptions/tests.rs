//! Verifiers that come, say what they know, and go.

#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use chancery_credential::{Lineage, TrustDomain};
use chancery_revocation::Change;

use super::*;
use crate::caller::Identity;

/// When the process began.
const BEGAN: u64 = 1_000;
/// `V_max·κ` of the default settings: 5 s · 110/90, rounded up.
const HORIZON: u64 = 6_112;

fn ms(milliseconds: u64) -> BootTime {
    BootTime(milliseconds * 1_000_000)
}

/// Old enough to know of all that there are.
fn later(milliseconds: u64) -> BootTime {
    ms(BEGAN + HORIZON + milliseconds)
}

fn shop(number: u32) -> Holder {
    Holder::of(&Identity::Service {
        name: format!("shop-{number}").parse().unwrap(),
    })
}

struct Node {
    view: Arc<View>,
    subscriptions: Subscriptions,
}

impl Node {
    fn new() -> Self {
        let lineage = Lineage {
            generation: 1,
            random: 7,
        };
        let node = Self {
            view: Arc::new(View::new(lineage)),
            subscriptions: Subscriptions::new(),
        };
        node.subscriptions.serve(node.view.clone(), ms(BEGAN));
        node
    }

    /// With the default settings, at revision 100.
    fn settled() -> Self {
        let node = Self::new();
        node.subscriptions.go_by(&settings());
        node.publish(100);
        node
    }

    fn publish(&self, revision: u64) {
        let change = [Change::Floor(Revision(1))];
        self.view.publish_changes(Revision(revision), &change);
        self.view.publish_revision(Revision(revision));
    }

    fn known(&self, now: BootTime) -> Option<u64> {
        self.subscriptions.known(now).map(|revision| revision.0)
    }

    fn answer(&self, row: Option<RowId>, revision: u64, until: BootTime, now: BootTime) -> RowId {
        let revision = Revision(revision);
        self.subscriptions
            .answering(row, &shop(0), revision, until, now)
            .unwrap()
    }
}

fn settings() -> Settings {
    let domain: TrustDomain = "example.org".parse().unwrap();
    Settings::new(domain, "https://chancery.example.org")
}

#[test]
fn a_young_process_says_nothing_of_the_verifiers_of_the_one_before() {
    let node = Node::new();
    node.publish(100);
    assert_eq!(node.known(later(0)), None, "V is not known");
    node.subscriptions.go_by(&settings());
    assert_eq!(node.known(ms(BEGAN + HORIZON - 1)), None);
    assert_eq!(node.known(ms(BEGAN + HORIZON)), Some(100));

    // Somebody may go by a longer V that was in force before.
    let mut lowered = settings();
    lowered.former.v_max_ms = 2 * lowered.v_max_ms;
    node.subscriptions.go_by(&lowered);
    assert_eq!(node.known(later(0)), None);
    assert_eq!(node.known(later(HORIZON)), Some(100));
}

#[test]
fn before_it_serves_a_node_says_nothing() {
    let subscriptions = Subscriptions::new();
    subscriptions.go_by(&settings());
    assert_eq!(subscriptions.known(later(0)), None);
}

#[test]
fn all_know_what_the_one_knows_that_knows_least() {
    let node = Node::settled();
    assert_eq!(
        node.known(later(0)),
        Some(100),
        "nobody has to know anything"
    );
    let first = node.answer(None, 90, later(6_000), later(0));
    let second = node.answer(None, 95, later(6_000), later(0));
    assert_ne!(first, second);
    assert_eq!(node.known(later(0)), Some(90));
    let moved = node.subscriptions.moved();
    node.publish(101);
    node.subscriptions.heard(first, Revision(101), later(10));
    assert_eq!(node.known(later(10)), Some(95));
    assert!(moved.has_changed().unwrap(), "who waits for it is told");
    node.subscriptions.heard(second, Revision(101), later(20));
    assert_eq!(node.known(later(20)), Some(101));
    // A verifier does not forget what it knew.
    node.subscriptions.heard(second, Revision(3), later(20));
    assert_eq!(node.known(later(20)), Some(101));
}

#[test]
fn a_verifier_that_is_ahead_of_its_node_says_nothing_for_those_to_come() {
    let node = Node::settled();
    node.answer(None, 140, later(6_000), later(0));
    assert_eq!(node.known(later(0)), Some(100));
}

#[test]
fn a_row_is_there_until_its_last_answer_has_run_out() {
    let node = Node::settled();
    let row = node.answer(None, 90, later(1_000), later(0));
    // A lower V since: what it was answered before still counts.
    node.answer(Some(row), 90, later(500), later(10));
    assert_eq!(node.known(later(999)), Some(90));
    assert_eq!(node.known(later(1_000)), Some(100));
    assert_eq!(node.subscriptions.count(later(1_000)), 0);
    // It comes back on the same stream.
    let again = node.answer(Some(row), 90, later(3_000), later(2_000));
    assert_ne!(again, row);
    node.answer(Some(again), 91, later(5_000), later(2_500));
    assert_eq!(node.known(later(4_999)), Some(91));
    assert_eq!(node.known(later(5_000)), Some(100));
    // A row that is over says nothing any more.
    node.subscriptions.heard(again, Revision(95), later(5_000));
    assert_eq!(node.known(later(5_000)), Some(100));
}

#[test]
fn when_it_is_full_who_is_there_stays_and_who_comes_is_refused() {
    let mut roll = Roll::of_at_most(3, 2);
    let entry = |holder: u32, until: u64| Entry {
        holder: shop(holder),
        revision: Revision(5),
        until: ms(until),
    };
    let first = roll.answering(None, entry(0, 10), ms(0)).unwrap();
    roll.answering(None, entry(0, 20), ms(0)).unwrap();
    let more = roll.answering(None, entry(0, 20), ms(0));
    assert_eq!(more, Err(Full::Holder(2)));
    roll.answering(None, entry(1, 20), ms(0)).unwrap();
    assert_eq!(
        roll.answering(None, entry(2, 20), ms(0)),
        Err(Full::Node(3))
    );
    // Who is there is answered, and there is room when one has run out.
    assert_eq!(roll.answering(Some(first), entry(0, 15), ms(0)), Ok(first));
    assert!(roll.answering(None, entry(2, 20), ms(14)).is_err());
    assert!(roll.answering(None, entry(2, 30), ms(15)).is_ok());
    assert_eq!(roll.count(), 3);
    assert_eq!(roll.least(ms(29)), Some(Revision(5)));
    assert_eq!(roll.least(ms(30)), None);
    assert!(roll.is_empty(), "nothing is left of those that are over");
}
