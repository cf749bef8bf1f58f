//! Votes are never taken back, and equal revisions are equal states.

use std::collections::BTreeMap;

use super::{Complaint, History, Moment, Report, Verdict};

pub(super) fn judge(history: &History, verdict: &mut Verdict) {
    leaders_go_forward(history, verdict);
    terms_go_forward(history, verdict);
    equal_states(history, verdict);
}

/// A vote is for a term and a candidate, and the candidates of a term are in order: a
/// node may follow another leader in the same term, with a greater number, and never goes
/// back to the one before.
fn leaders_go_forward(history: &History, verdict: &mut Verdict) {
    let leads = |report: &Report| (report.leader != 0).then_some((report.term, report.leader));
    for (node, before, report) in later_than(history, leads) {
        let (term, leader) = (report.term, report.leader);
        if (term, leader) < before && term == before.0 {
            verdict.complain(
                Complaint::LeaderWentBack,
                format!(
                    "node {node} followed {} in term {term}, and then {leader}",
                    before.1
                ),
            );
        }
    }
}

fn terms_go_forward(history: &History, verdict: &mut Verdict) {
    for (node, before, report) in later_than(history, |report| Some(report.term)) {
        if report.term < before {
            verdict.complain(
                Complaint::TermWentBack,
                format!(
                    "node {node} was in term {before}, and then in {}",
                    report.term
                ),
            );
        }
    }
}

/// Each report of a node that says something, with the greatest that it said before: what
/// was asked after another answer was there is later.
fn later_than<'h, T: Ord + Copy + 'h>(
    history: &'h History,
    says: impl Fn(&Report) -> Option<T>,
) -> Vec<(u64, T, &'h Report)> {
    let mut by_node: BTreeMap<u64, Vec<&Report>> = BTreeMap::new();
    for report in history
        .reports
        .iter()
        .filter(|report| says(report).is_some())
    {
        by_node.entry(report.node).or_default().push(report);
    }
    let mut later = Vec::new();
    for (node, mut reports) in by_node {
        let mut answered: Vec<(Moment, T)> = reports
            .iter()
            .filter_map(|report| Some((report.seen, says(report)?)))
            .collect();
        answered.sort_unstable();
        reports.sort_unstable_by_key(|report| report.asked);
        let (mut before, mut greatest) = (0, None);
        for report in reports {
            while let Some((_, said)) = answered.get(before).filter(|it| it.0 < report.asked) {
                greatest = greatest.max(Some(*said));
                before += 1;
            }
            later.extend(greatest.map(|greatest| (node, greatest, report)));
        }
    }
    later
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
