//! Every change from every size 1 to 7, whoever answers.

use std::collections::{BTreeMap, BTreeSet};

use chancery_credential::NodeNumber;

use super::{
    Departure::{Compromised, Graceful, Lost},
    MembershipChange::{self, Demote, Enrol, Promote, Remove, Transfer},
    plan::{MAX_LAG, Plan, Refusal, Roll, plan},
};

const SIZES: std::ops::RangeInclusive<u64> = 1..=7;
/// A learner that answers, and one that does not.
const LEARNER: NodeNumber = NodeNumber(11);
const SILENT_LEARNER: NodeNumber = NodeNumber(12);
/// Nobody that was ever enrolled.
const STRANGER: NodeNumber = NodeNumber(20);
const LEADER: NodeNumber = NodeNumber(1);

/// `size` voters of which the first `answering` answer and node 1 leads, and two
/// learners.
fn roll(size: u64, answering: u64) -> Roll {
    let answering: BTreeSet<_> = (1..=answering).map(NodeNumber).chain([LEARNER]).collect();
    Roll {
        voters: (1..=size).map(NodeNumber).collect(),
        learners: BTreeSet::from([LEARNER, SILENT_LEARNER]),
        lag: answering.iter().map(|node| (*node, 0)).collect(),
        heard: answering.clone(),
        answering,
        leader: LEADER,
        retiring: BTreeSet::new(),
        barred: BTreeSet::new(),
        renewed: BTreeSet::new(),
    }
}

/// The membership that a step leads to.
fn after(roll: &Roll, step: Plan) -> Roll {
    let mut next = roll.clone();
    match step {
        Plan::Nothing => {}
        Plan::Renew(node) => {
            next.renewed.remove(&node);
        }
        Plan::Enrol(node) => drop(next.learners.insert(node)),
        Plan::Promote(node) => {
            assert!(next.learners.remove(&node), "of the learners");
            next.voters.insert(node);
        }
        Plan::Demote(node) => {
            assert!(next.voters.remove(&node), "of the voters");
            next.learners.insert(node);
        }
        Plan::Remove(node) => {
            assert!(next.voters.remove(&node) | next.learners.remove(&node));
            next.answering.remove(&node);
        }
        Plan::HandOver(node) => {
            assert!(next.voters.contains(&node) && node != next.leader);
            next.leader = node;
        }
    }
    next
}

/// Told apart from the code under test: more than half of the voters answer.
fn decides(roll: &Roll) -> bool {
    2 * roll.voters.intersection(&roll.answering).count() > roll.voters.len()
}

fn changes(size: u64) -> Vec<MembershipChange> {
    let everybody: Vec<NodeNumber> = (1..=size)
        .map(NodeNumber)
        .chain([LEARNER, SILENT_LEARNER, STRANGER])
        .collect();
    let of = |node: &NodeNumber| {
        let node = *node;
        [
            Enrol(node),
            Promote(node),
            Demote(node),
            Remove(node, Graceful),
            Remove(node, Lost),
            Remove(node, Compromised),
            Transfer(Some(node)),
        ]
    };
    let mut all: Vec<_> = everybody.iter().flat_map(of).collect();
    all.push(Transfer(None));
    all
}

/// How many voters have to answer, at least, for a voter to leave, of each size:
/// one that answers, then one that does not; 0: it never may.
const NEEDED: [(u64, u64, u64); 7] = [
    (1, 0, 0),
    (2, 2, 0),
    (3, 3, 2),
    (4, 3, 3),
    (5, 4, 3),
    (6, 4, 4),
    (7, 5, 4),
];

#[test]
fn a_voter_leaves_where_the_table_says_so_and_nowhere_else() {
    for (size, of_answering, of_silent) in NEEDED {
        for answering in 1..=size {
            let roll = roll(size, answering);
            let allowed = |needed: u64| needed > 0 && answering >= needed;
            // The last one that answers: the leader where nobody else does.
            let speaks = NodeNumber(answering);
            for change in [
                Remove(speaks, Graceful),
                Remove(speaks, Compromised),
                Demote(speaks),
            ] {
                let may = plan(&roll, change);
                let expected = allowed(of_answering);
                assert_eq!(
                    may.is_ok(),
                    expected,
                    "{size}/{answering}: {change:?}, {may:?}"
                );
            }
            if answering == size {
                continue;
            }
            let silent = NodeNumber(size);
            for change in [
                Remove(silent, Lost),
                Remove(silent, Compromised),
                Demote(silent),
            ] {
                let may = plan(&roll, change);
                let expected = allowed(of_silent);
                assert_eq!(
                    may.is_ok(),
                    expected,
                    "{size}/{answering}: {change:?}, {may:?}"
                );
            }
        }
    }
}

#[test]
fn whatever_is_planned_leaves_a_quorum_that_answers_and_a_leader_among_it() {
    let mut planned = 0;
    for size in SIZES {
        for answering in 1..=size {
            let roll = roll(size, answering);
            for change in changes(size) {
                let Ok(step) = plan(&roll, change) else {
                    continue;
                };
                planned += 1;
                let next = after(&roll, step);
                let context = format!("{size}/{answering}: {change:?} by {step:?}");
                // Where nothing can be decided, only what is so already is granted.
                assert!(
                    step == Plan::Nothing || decides(&roll) || matches!(change, Transfer(_)),
                    "{context}"
                );
                if decides(&roll) {
                    assert!(decides(&next), "{context}");
                }
                assert!(next.voters.contains(&next.leader), "{context}");
                assert!(next.answering.contains(&next.leader), "{context}");
                assert!(!next.voters.is_empty(), "{context}");
                let moved = roll.voters.symmetric_difference(&next.voters).count();
                assert!(moved <= 1, "{context}: one at a time");
            }
        }
    }
    assert!(planned > 500, "{planned} plans");
}

#[test]
fn what_is_asked_for_again_is_done_already() {
    for size in SIZES {
        let roll = roll(size, size);
        for change in changes(size) {
            let Ok(step) = plan(&roll, change) else {
                continue;
            };
            let mut next = after(&roll, step);
            if matches!(step, Plan::HandOver(_)) && !matches!(change, Transfer(_)) {
                // The new leader does the rest.
                next = after(&next, plan(&next, change).unwrap());
            }
            if change != Transfer(None) {
                assert_eq!(plan(&next, change), Ok(Plan::Nothing), "{size}: {change:?}");
            }
        }
    }
}

#[test]
fn a_change_that_would_lose_the_quorum_is_refused_with_the_arithmetic() {
    let told = |size, answering, change| plan(&roll(size, answering), change).unwrap_err();
    let text = told(3, 2, Remove(NodeNumber(2), Graceful)).to_string();
    assert_eq!(
        text,
        "3 voters of which 2 answer; without node 2 it would be 2 voters of which 1 answers, and \
         2 are needed: start a voter that does not answer, or promote another node, first"
    );
    let text = told(5, 2, Remove(NodeNumber(5), Lost)).to_string();
    assert!(
        text.starts_with("5 voters of which 2 answer, and 3 are needed for any change: "),
        "{text}"
    );
    let advice = text.split_once(": ").unwrap().1;
    assert!(!advice.contains("promote"), "{advice}");
    let text = told(2, 1, Remove(NodeNumber(2), Lost)).to_string();
    assert!(
        text.starts_with("2 voters of which 1 answers, and 2 are needed for any change: "),
        "{text}"
    );
    assert_eq!(
        told(1, 1, Remove(LEADER, Graceful)),
        Refusal::OnlyVoter(LEADER)
    );
    assert_eq!(told(1, 1, Demote(LEADER)), Refusal::OnlyVoter(LEADER));
}

#[test]
fn a_leader_hands_over_before_it_loses_its_vote() {
    for size in 2..=7 {
        let mut roll = roll(size, size);
        roll.lag.insert(NodeNumber(2), 7);
        let best = if size == 2 { 2 } else { 3 };
        for change in [
            Remove(LEADER, Graceful),
            Remove(LEADER, Compromised),
            Demote(LEADER),
            Transfer(None),
        ] {
            let step = plan(&roll, change);
            assert_eq!(
                step,
                Ok(Plan::HandOver(NodeNumber(best))),
                "the least behind"
            );
        }
        // Nobody leads who is on the way out, or far behind.
        for number in 2..=size {
            let node = NodeNumber(number);
            match number % 3 {
                0 => drop(roll.barred.insert(node)),
                1 => drop(roll.retiring.insert(node)),
                _ => drop(roll.lag.insert(node, MAX_LAG + 1)),
            }
        }
        let refusal = plan(&roll, Transfer(None));
        assert_eq!(refusal, Err(Refusal::NoSuccessor(LEADER)));
    }
    let alone = plan(&roll(1, 1), Transfer(None));
    assert_eq!(alone, Err(Refusal::NoSuccessor(LEADER)));
}

#[test]
fn a_learner_votes_once_it_has_caught_up() {
    let mut roll = roll(3, 3);
    let behind = |lag| {
        let mut roll = roll.clone();
        roll.lag.insert(LEARNER, lag);
        plan(&roll, Promote(LEARNER))
    };
    assert_eq!(behind(MAX_LAG), Ok(Plan::Promote(LEARNER)));
    let lag = MAX_LAG + 1;
    let refusal = behind(lag).unwrap_err();
    assert_eq!(refusal, Refusal::Behind { node: LEARNER, lag });
    assert!(refusal.passes(), "by waiting");
    let silent = plan(&roll, Promote(SILENT_LEARNER)).unwrap_err();
    assert_eq!(silent, Refusal::Unheard(SILENT_LEARNER));
    assert_eq!(
        plan(&roll, Promote(STRANGER)),
        Err(Refusal::NoMember(STRANGER))
    );
    roll.barred.insert(LEARNER);
    assert_eq!(
        plan(&roll, Promote(LEARNER)),
        Err(Refusal::Leaving(LEARNER))
    );
}

#[test]
fn who_answers_is_not_lost_and_who_does_not_cannot_leave_in_order() {
    let roll = roll(5, 4);
    let silent = NodeNumber(5);
    assert_eq!(
        plan(&roll, Remove(silent, Graceful)),
        Err(Refusal::Silent(silent))
    );
    assert_eq!(
        plan(&roll, Remove(NodeNumber(4), Lost)),
        Err(Refusal::Answers(NodeNumber(4)))
    );
    assert_eq!(
        plan(&roll, Remove(SILENT_LEARNER, Graceful)),
        Err(Refusal::Silent(SILENT_LEARNER))
    );
    let learner = plan(&roll, Remove(SILENT_LEARNER, Lost));
    assert_eq!(learner, Ok(Plan::Remove(SILENT_LEARNER)));
    assert_eq!(plan(&roll, Remove(STRANGER, Graceful)), Ok(Plan::Nothing));
}

/// Its old key counts no more from when the new one is appended, and it needs the
/// answer to that before it can come with the new one.
#[test]
fn a_voter_gets_another_key_only_where_the_others_decide_without_it() {
    for (size, answering, may) in [
        (1, 1, false),
        (2, 2, false),
        (3, 3, true),
        (3, 2, false),
        (4, 3, false),
        (4, 4, true),
    ] {
        let mut roll = roll(size, answering);
        let node = NodeNumber(size.min(2));
        roll.renewed.insert(node);
        let plan = plan(&roll, Enrol(node));
        assert_eq!(
            plan == Ok(Plan::Renew(node)),
            may,
            "{size}/{answering}: {plan:?}"
        );
    }
    let mut two = roll(2, 2);
    two.barred.insert(NodeNumber(2));
    assert_eq!(
        plan(&two, Enrol(NodeNumber(2))).unwrap_err().to_string(),
        "2 voters of which 2 answer; until node 2 comes with its new key it would be 2 voters of \
         which 1 answers, and 2 are needed: promote another node, or demote node 2, first"
    );
    // A learner is needed for nothing, a silent voter is not missed, and a leader is
    // followed first.
    two.renewed.insert(LEARNER);
    assert_eq!(plan(&two, Enrol(LEARNER)), Ok(Plan::Renew(LEARNER)));
    let mut three = roll(3, 2);
    three.renewed = BTreeSet::from([NodeNumber(3)]);
    assert_eq!(
        plan(&three, Enrol(NodeNumber(3))),
        Ok(Plan::Renew(NodeNumber(3)))
    );
    let mut three = roll(3, 3);
    three.renewed.insert(LEADER);
    assert_eq!(
        plan(&three, Enrol(LEADER)),
        Ok(Plan::HandOver(NodeNumber(2)))
    );
}

#[test]
fn one_node_leaves_at_a_time_unless_it_is_gone_already() {
    let mut roll = roll(5, 4);
    roll.retiring.insert(NodeNumber(2));
    for change in [Remove(NodeNumber(3), Graceful), Demote(NodeNumber(3))] {
        assert_eq!(
            plan(&roll, change),
            Err(Refusal::AnotherLeaves(NodeNumber(2)))
        );
    }
    let itself = plan(&roll, Remove(NodeNumber(2), Graceful));
    assert!(matches!(itself, Err(Refusal::Quorum(_)) | Ok(_)));
    for change in [
        Remove(NodeNumber(5), Lost),
        Remove(NodeNumber(5), Compromised),
    ] {
        assert_eq!(plan(&roll, change), Ok(Plan::Remove(NodeNumber(5))));
    }
}

#[test]
fn who_leads_is_a_voter_that_answers() {
    let mut roll = roll(3, 2);
    assert_eq!(plan(&roll, Transfer(Some(LEADER))), Ok(Plan::Nothing));
    let second = Transfer(Some(NodeNumber(2)));
    assert_eq!(plan(&roll, second), Ok(Plan::HandOver(NodeNumber(2))));
    assert_eq!(
        plan(&roll, Transfer(Some(NodeNumber(3)))),
        Err(Refusal::Unheard(NodeNumber(3)))
    );
    assert_eq!(
        plan(&roll, Transfer(Some(LEARNER))),
        Err(Refusal::NoVote(LEARNER))
    );
    roll.lag = BTreeMap::from([(NodeNumber(2), MAX_LAG + 1)]);
    assert!(matches!(plan(&roll, second), Err(Refusal::Behind { .. })));
}
