//! A token in force, then for each condition one change that breaks it, and the
//! verdict that this gives: exactly that one.
#![cfg(not(loom))]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

#[path = "../cluster/mod.rs"]
mod cluster;
mod rows;

use std::cell::Cell;
use std::collections::BTreeSet;
use std::time::Duration;

use chancery_credential::Revision;
use chancery_revocation::{
    Behind, Change, Clock, Facts, Now, Reason, Verdict, View, check, judge_facts,
};
use cluster::{Case, LIMITS, LINEAGE, agent, key, outcome, token_id, watermark};
use rows::{Mutation, rows, stall};

fn mutated(mutation: Mutation) -> Case {
    let mut case = Case::in_force();
    mutation(&mut case);
    case
}

#[test]
fn each_condition_has_its_verdict() {
    for (what, expected, mutation) in rows() {
        let verdict = mutated(*mutation).judge();
        assert_eq!(outcome(&verdict), *expected, "{what}: {verdict:?}");
    }
}

#[test]
fn a_ground_for_refusal_comes_before_behind_and_stale() {
    for (what, expected, mutation) in rows() {
        let mut case = mutated(*mutation);
        stall(&mut case);
        let expected = if *expected == "VALID" {
            "STALE"
        } else {
            expected
        };
        assert_eq!(outcome(&case.judge()), expected, "{what}");
        let never_proved = View::new(LINEAGE);
        never_proved.install(&case.view().snapshot()).unwrap();
        assert_eq!(outcome(&case.judge_on(&never_proved)), expected, "{what}");
    }
    // Behind for its issuer, behind for its rev, stale, and expired.
    let mut case = Case::in_force();
    case.signed_by = 9;
    case.claims.jti = token_id(9, 1);
    case.claims.rev = Revision(22);
    stall(&mut case);
    assert_eq!(outcome(&case.judge()), "BEHIND");
    case.now.wall = case.claims.exp;
    assert_eq!(outcome(&case.judge()), "EXPIRED");
}

#[test]
fn facts_are_judged_as_the_token_that_states_them() {
    let by_the_text = [
        "MALFORMED",
        "WRONG_ISSUER",
        "WRONG_AUDIENCE",
        "BAD_SIGNATURE",
        "PROOF_MISSING",
        "PROOF_MISMATCH",
    ];
    for (what, expected, mutation) in rows() {
        if by_the_text.contains(expected) {
            continue;
        }
        let case = mutated(*mutation);
        let facts = Facts::of(key(case.signed_by).public().key_id(), &case.claims);
        let verdict = judge_facts(&facts, case.expected.limits, &case.view(), &case.now);
        assert_eq!(outcome(&verdict), *expected, "{what}");
    }
}

#[test]
fn facts_that_are_not_all_the_facts_are_refused() {
    let claims = Case::in_force().claims;
    let complete = Facts::of(key(1).public().key_id(), &claims);
    let many_ids = [token_id(2, 2); 9];
    let many_agents = [(); 9].map(|()| agent("courier"));
    let cases = [
        Facts {
            owners: &[],
            ..complete
        },
        Facts {
            ancestors: &many_ids,
            ..complete
        },
        Facts {
            actors: &many_agents,
            ..complete
        },
        Facts {
            expires_at: complete.issued_at,
            ..complete
        },
    ];
    let (view, now) = (cluster::view(), Case::in_force().now);
    assert_eq!(
        outcome(&judge_facts(&complete, LIMITS, &view, &now)),
        "VALID"
    );
    for facts in cases {
        let verdict = judge_facts(&facts, LIMITS, &view, &now);
        assert_eq!(outcome(&verdict), "MALFORMED", "{facts:?}");
    }
}

#[test]
fn who_is_not_the_bearer_is_not_asked_for_a_proof() {
    for (what, expected, mutation) in rows() {
        let case = mutated(*mutation);
        let verdict = check(&case.token(), &case.expected, &case.view(), &case.now);
        let expected = if expected.starts_with("PROOF_") {
            "VALID"
        } else {
            expected
        };
        assert_eq!(outcome(&verdict), expected, "{what}");
    }
}

#[test]
fn a_valid_verdict_says_what_it_rests_on() {
    let case = Case::in_force();
    let Verdict::Valid(claims, standing) = case.judge() else {
        panic!("not in force");
    };
    assert_eq!(claims, case.claims);
    assert_eq!(standing.revision, Revision(21));
    assert_eq!(standing.age, Duration::from_millis(500));
}

#[test]
fn behind_says_what_for_and_how_it_ends() {
    let mut case = Case::in_force();
    case.claims.rev = Revision(22);
    let behind = Behind::Revision(Revision(22));
    assert_eq!(case.judge(), Verdict::Behind(behind));
    assert_eq!(behind.refused().code(), "REVISION_UNKNOWN");

    case.signed_by = 9;
    case.claims.jti = token_id(9, 1);
    let behind = Behind::Issuer(key(9).public().key_id());
    assert_eq!(case.judge(), Verdict::Behind(behind));
    assert_eq!(behind.refused().code(), "ISSUER_UNKNOWN");
}

#[test]
fn the_clock_is_read_once_and_after_everything_else() {
    /// Kills the token while it is read.
    struct Late<'a>(&'a View, Now, Cell<u32>);
    impl Clock for Late<'_> {
        fn now(&self) -> Now {
            self.2.set(self.2.get() + 1);
            let changes = [watermark("everything", 22), Change::Floor(Revision(21))];
            self.0.publish_changes(Revision(22), &changes);
            self.0.publish_revision(Revision(22));
            self.1
        }
    }
    let case = Case::in_force();
    let view = case.view();
    let facts = Facts::of(key(1).public().key_id(), &case.claims);
    let clock = Late(&view, case.now, Cell::new(0));
    assert_eq!(
        outcome(&judge_facts(&facts, LIMITS, &view, &clock)),
        "VALID"
    );
    assert_eq!(clock.2.get(), 1);
    assert_eq!(
        outcome(&judge_facts(&facts, LIMITS, &view, &clock)),
        "EVERYTHING_REVOKED"
    );
    assert_eq!(clock.2.get(), 1, "a refusal needs no clock");
}

#[test]
fn every_reason_has_a_name_and_says_what_to_do() {
    let mut codes = BTreeSet::new();
    for (_, expected, mutation) in rows() {
        if let Verdict::Refused(reason) = mutated(*mutation).judge() {
            assert_eq!(reason.code(), *expected);
            codes.insert(reason.code());
            let text = reason.to_string();
            assert!(
                [
                    "mint", "discard", "begin", "revoke", "send", "call", "clock"
                ]
                .iter()
                .any(|word| text.contains(word)),
                "{text}"
            );
        }
    }
    let snake = |code: &&str| {
        code.bytes()
            .all(|byte| byte.is_ascii_uppercase() || byte == b'_')
    };
    assert!(codes.iter().all(snake));
    // All but the two that follow a wait.
    assert_eq!(codes.len(), 24, "{codes:?}");
    assert_eq!(
        Reason::TokenRevoked.to_string(),
        "this token was revoked: mint a new one"
    );
}
