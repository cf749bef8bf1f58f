//! Votes are never taken back, and equal revisions are equal states.

use std::collections::BTreeMap;

use super::{Complaint, History, Moment, Report, Verdict};

pub(super) fn judge(history: &History, verdict: &mut Verdict) {
    one_leader_a_term(history, verdict);
    terms_go_forward(history, verdict);
    equal_states(history, verdict);
}

fn one_leader_a_term(history: &History, verdict: &mut Verdict) {
    let mut leaders: BTreeMap<u64, u64> = BTreeMap::new();
    for report in history.reports.iter().filter(|report| report.leader != 0) {
        let leader = *leaders.entry(report.term).or_insert(report.leader);
        if leader != report.leader {
            verdict.complain(
                Complaint::TwoLeaders,
                format!("{leader} and {} led in term {}", report.leader, report.term),
            );
        }
    }
}

fn terms_go_forward(history: &History, verdict: &mut Verdict) {
    let mut by_node: BTreeMap<u64, Vec<&Report>> = BTreeMap::new();
    for report in &history.reports {
        by_node.entry(report.node).or_default().push(report);
    }
    for (node, mut reports) in by_node {
        // What was asked after the other's answer was there is later.
        let mut answered: Vec<(Moment, u64)> =
            reports.iter().map(|it| (it.seen, it.term)).collect();
        answered.sort_unstable();
        reports.sort_unstable_by_key(|report| report.asked);
        let (mut before, mut greatest) = (0, 0);
        for report in reports {
            while let Some((_, term)) = answered.get(before).filter(|it| it.0 < report.asked) {
                greatest = greatest.max(*term);
                before += 1;
            }
            if report.term < greatest {
                verdict.complain(
                    Complaint::TermWentBack,
                    format!(
                        "node {node} was in term {greatest}, and then in {}",
                        report.term
                    ),
                );
            }
        }
    }
}

fn equal_states(history: &History, verdict: &mut Verdict) {
    let mut digests: BTreeMap<u64, &Report> = BTreeMap::new();
    for report in &history.reports {
        let first = digests.entry(report.revision).or_insert(report);
        if first.digest != report.digest {
            verdict.complain(
                Complaint::StatesDiffer,
                format!(
                    "revision {}: {} on node {}, {} on node {}",
                    report.revision, first.digest, first.node, report.digest, report.node
                ),
            );
        }
    }
}
