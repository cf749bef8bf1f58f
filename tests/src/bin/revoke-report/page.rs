//! The page that says it in numbers.

use std::{fmt::Write, time::Duration};

use chancery_tests::nemesis::round::PROMISES;

use crate::{
    commits::Commits,
    failover::Failovers,
    scenes::{Kind, Seen},
    spans::ms,
};

/// How many times a commit a fence may take, by the medians, when all is well.
const RATIO: f64 = 2.5;
/// How long nothing may be written when a leader is lost, by the median.
const OUTAGE: Duration = Duration::from_millis(1_200);

/// All that was measured.
pub struct Report {
    pub commits: Commits,
    pub series: Vec<(Kind, Seen)>,
    pub failovers: Failovers,
}

impl Report {
    /// The promised bound of a node, after the commit, milliseconds.
    pub fn bound_ms(&self) -> f64 {
        PROMISES.w().as_secs_f64() * 1_000.0
    }

    /// Whether nothing is worse than promised.
    pub fn is_kept(&self) -> bool {
        let accepted = self.series.iter().map(|(_, seen)| seen.after_enforced);
        accepted.sum::<usize>() == 0
            && self.commits.ratio() <= RATIO
            && self.failovers.lost == 0
            && self.failovers.outage.at(50) <= OUTAGE
    }

    pub fn to_markdown(&self) -> String {
        let mut page = String::from(
            "# From a revocation to the last acceptance\n\n\
             Written by `make revoke-report`. Three nodes, the watchers and the operator share one \
             machine; each node is asked for the token by two watchers without a pause, two verifiers of the SDK \
             judge it in their own process, and each revocation asks to be in force on all nodes before it is answered.\n\n",
        );
        let _ = writeln!(
            page,
            "{} cores; built {}. Milliseconds after the revocation was sent; an acceptance counts \
             from when it was asked for.\n\n![](revocation.svg)\n",
            std::thread::available_parallelism().map_or(0, usize::from),
            if cfg!(debug_assertions) {
                "without optimisation, as the tests are"
            } else {
                "with optimisation"
            },
        );
        page.push_str(
            "| | revocations | last acceptance at a node: p50 | p99 | max | in a verifier: p50 | p99 | \
             max | answered: p50 | p99 | max | enforced | accepted by a node after that |\n\
             |---|---|---|---|---|---|---|---|---|---|---|---|---|\n",
        );
        for (kind, seen) in &self.series {
            let (last, answer) = (&seen.last_acceptance, &seen.answer);
            let verifiers = &seen.in_verifiers;
            let _ = writeln!(
                page,
                "| {kind} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} |",
                last.all().len(),
                ms(last.at(50)),
                ms(last.at(99)),
                ms(last.most()),
                ms(verifiers.at(50)),
                ms(verifiers.at(99)),
                ms(verifiers.most()),
                ms(answer.at(50)),
                ms(answer.at(99)),
                ms(answer.most()),
                seen.enforced,
                seen.after_enforced,
            );
        }
        let _ = writeln!(
            page,
            "\nPromised: nothing that begins after the answer `ENFORCED` is accepted; and nothing \
             at a node later than F·κ = {:.0} ms after the commit, nor in a verifier later than \
             V·κ = {:.0} ms, whatever is wrong. While a leader is lost a revocation waits for the next one. A \
             revocation that is sent to the node that is cut off is committed by a later try, at \
             another; its time counts from the first.\n",
            self.bound_ms(),
            PROMISES.v.mul_f64(PROMISES.kappa).as_secs_f64() * 1_000.0
        );
        let commits = &self.commits;
        let _ = writeln!(
            page,
            "## What the fence costs\n\n{} revocations that wait for every node, and as many that \
             wait for the commit, by turns: p50 {} ms and {} ms, {:.2} times as long (at most \
             {RATIO}); p99 {} ms and {} ms.\n",
            commits.fenced.all().len(),
            ms(commits.fenced.at(50)),
            ms(commits.plain.at(50)),
            commits.ratio(),
            ms(commits.fenced.at(99)),
            ms(commits.plain.at(99)),
        );
        let failovers = &self.failovers;
        let _ = writeln!(
            page,
            "## What the loss of a leader costs\n\nThe leader was killed {} times under {} mints \
             through the SDK: {} were lost, {} tries were repeated. From the killing to the first \
             write: median {} ms (at most {}), max {} ms.",
            failovers.outage.all().len(),
            failovers.mints,
            failovers.lost,
            failovers.tried_again,
            ms(failovers.outage.at(50)),
            ms(OUTAGE),
            ms(failovers.outage.most()),
        );
        page
    }
}
