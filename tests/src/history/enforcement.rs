//! Nothing is accepted, and nothing minted, after it was said that it would not be.

use std::{collections::BTreeMap, time::Duration};

use super::{
    Complaint, Deed, History, Moment, Operation, Outcome, Place, Promises, Subject, Verb, Verdict,
    horizon::Horizon,
};

/// What a token falls under, and the revision it was minted at.
struct Facts<'a> {
    rev: u64,
    subjects: [Subject; 4],
    agent: &'a str,
}

/// Horizons by subject.
#[derive(Default)]
struct Ends(BTreeMap<Subject, Horizon>);

impl Ends {
    /// Of those commands that `when` gives a moment for.
    fn of(
        history: &History,
        relevant: impl Fn(Verb) -> bool,
        when: impl Fn(Outcome, Moment) -> Option<Moment>,
    ) -> Self {
        let mut known: BTreeMap<Subject, Vec<(Moment, u64)>> = BTreeMap::new();
        for operation in &history.operations {
            let Deed::Ended {
                subject,
                verb,
                outcome,
            } = &operation.deed
            else {
                continue;
            };
            let Some((revision, ended)) = operation.acknowledged() else {
                continue;
            };
            if let Some(from) = when(*outcome, ended).filter(|_| relevant(*verb)) {
                let of_subject = known.entry(subject.clone()).or_default();
                of_subject.push((from, revision));
            }
        }
        let horizons = known
            .into_iter()
            .map(|(subject, known)| (subject, Horizon::of(known)));
        Self(horizons.collect())
    }

    /// Which of the subjects makes the token dead for what begins at `moment`.
    fn dead<'f>(&self, facts: &'f Facts<'_>, moment: Moment) -> Option<(&'f Subject, u64)> {
        facts.subjects.iter().find_map(|subject| {
            let revision = self.0.get(subject)?.at(moment)?;
            let covered = matches!(subject, Subject::Token(_)) || revision > facts.rev;
            covered.then_some((subject, revision))
        })
    }
}

fn enforced(outcome: Outcome, ended: Moment) -> Option<Moment> {
    outcome.is_enforced().then_some(ended)
}

fn in_verifiers(outcome: Outcome, ended: Moment) -> Option<Moment> {
    matches!(outcome, Outcome::EnforcedInVerifiers(_)).then_some(ended)
}

fn later_by(span: Duration) -> impl Fn(Outcome, Moment) -> Option<Moment> {
    move |_, ended| Some(ended.after(span))
}

pub(super) fn judge(history: &History, promises: &Promises, verdict: &mut Verdict) {
    let facts = facts(history);
    accepted(history, promises, &facts, verdict);
    minted(history, promises, verdict);
}

fn facts(history: &History) -> BTreeMap<&str, Facts<'_>> {
    let minted = history.operations.iter().filter_map(|operation| {
        let Deed::Minted {
            token,
            agent,
            owner,
            rev,
        } = &operation.deed
        else {
            return None;
        };
        let facts = Facts {
            rev: *rev,
            subjects: [
                Subject::Token(token.clone()),
                Subject::Agent(agent.clone()),
                Subject::Owner(owner.clone()),
                Subject::Everything,
            ],
            agent,
        };
        Some((token.as_str(), facts))
    });
    minted.collect()
}

fn accepted(
    history: &History,
    promises: &Promises,
    facts: &BTreeMap<&str, Facts<'_>>,
    verdict: &mut Verdict,
) {
    let any = |_: Verb| true;
    let nodes = [
        (
            Complaint::AcceptedAfterEnforced,
            Ends::of(history, any, enforced),
        ),
        (
            Complaint::AcceptedBeyondF,
            Ends::of(history, any, later_by(promises.w())),
        ),
    ];
    let v = promises.v.mul_f64(promises.kappa);
    let verifiers = [
        (
            Complaint::AcceptedAfterEnforced,
            Ends::of(history, any, in_verifiers),
        ),
        (
            Complaint::AcceptedBeyondV,
            Ends::of(history, any, later_by(v)),
        ),
    ];
    // The same structure by revision: a moment there is a revision here.
    let by_state = by_revision(history);
    for operation in &history.operations {
        let Deed::Accepted { token } = &operation.deed else {
            continue;
        };
        // Of a token that another history minted nothing is known.
        let Some(facts) = facts.get(token.as_str()) else {
            continue;
        };
        let laws = match operation.place {
            Place::Verifier(_) => &verifiers,
            Place::Node(_) | Place::Cluster => &nodes,
        };
        for (complaint, ends) in laws {
            if let Some((subject, revision)) = ends.dead(facts, operation.begun) {
                verdict.complain(*complaint, told(operation, token, facts, subject, revision));
            }
        }
        let state = operation.seen.map(|seen| Moment(seen.revision + 1));
        if let Some((subject, revision)) = state.and_then(|state| by_state.dead(facts, state)) {
            let told = told(operation, token, facts, subject, revision);
            verdict.complain(Complaint::AcceptedAgainstState, told);
        }
    }
}

fn by_revision(history: &History) -> Ends {
    let mut known: BTreeMap<Subject, Vec<(Moment, u64)>> = BTreeMap::new();
    for operation in &history.operations {
        if let (Deed::Ended { subject, .. }, Some((revision, _))) =
            (&operation.deed, operation.acknowledged())
        {
            let of_subject = known.entry(subject.clone()).or_default();
            of_subject.push((Moment(revision), revision));
        }
    }
    let horizons = known
        .into_iter()
        .map(|(subject, known)| (subject, Horizon::of(known)));
    Ends(horizons.collect())
}

fn told(
    operation: &Operation,
    token: &str,
    facts: &Facts<'_>,
    subject: &Subject,
    revision: u64,
) -> String {
    format!(
        "{token} of {} (rev {}) at {:?} by what began at {:?} (state {:?}), though {subject:?} was \
         ended at revision {revision}",
        facts.agent, facts.rev, operation.place, operation.begun, operation.seen
    )
}

/// What lets a subject mint again: by revision, from when on; and from when on
/// perhaps.
#[derive(Default)]
struct Resumes {
    /// (revision, the earliest beginning of this or any later one), by revision.
    known: Vec<(u64, Moment)>,
    perhaps_from: Option<Moment>,
}

impl Resumes {
    fn may_mint(&self, suspended_at: u64, by: Moment) -> bool {
        if self.perhaps_from.is_some_and(|from| from < by) {
            return true;
        }
        let later = self
            .known
            .partition_point(|(revision, _)| *revision <= suspended_at);
        self.known.get(later).is_some_and(|(_, begun)| *begun < by)
    }
}

fn resumes(history: &History) -> BTreeMap<&Subject, Resumes> {
    let mut all: BTreeMap<&Subject, Resumes> = BTreeMap::new();
    for operation in &history.operations {
        let Deed::Resumed { subject, outcome } = &operation.deed else {
            continue;
        };
        let resumes = all.entry(subject).or_default();
        match outcome.revision() {
            Some(revision) => resumes.known.push((revision, operation.begun)),
            None if outcome.may_have_happened() => {
                let from = resumes.perhaps_from.get_or_insert(operation.begun);
                *from = operation.begun.min(*from);
            }
            None => {}
        }
    }
    for resumes in all.values_mut() {
        resumes.known.sort_unstable();
        let mut earliest = Moment(u64::MAX);
        for (_, begun) in resumes.known.iter_mut().rev() {
            earliest = earliest.min(*begun);
            *begun = earliest;
        }
    }
    all
}

fn minted(history: &History, promises: &Promises, verdict: &mut Verdict) {
    let resumes = resumes(history);
    let laws = [
        (
            Complaint::MintedAfterEnforced,
            Ends::of(history, Verb::ends_minting, enforced),
        ),
        (
            Complaint::MintedBeyondF,
            Ends::of(history, Verb::ends_minting, later_by(promises.w())),
        ),
    ];
    for operation in &history.operations {
        let Deed::Minted {
            token,
            agent,
            owner,
            ..
        } = &operation.deed
        else {
            continue;
        };
        let by = operation.ended.unwrap_or(Moment(u64::MAX));
        let subjects = [
            Subject::Agent(agent.clone()),
            Subject::Owner(owner.clone()),
            Subject::Everything,
        ];
        for (complaint, ends) in &laws {
            for subject in &subjects {
                let ended = ends
                    .0
                    .get(subject)
                    .and_then(|ends| ends.at(operation.begun));
                let Some(revision) = ended else { continue };
                let resumed = resumes.get(subject);
                if !resumed.is_some_and(|resumes| resumes.may_mint(revision, by)) {
                    let told = format!(
                        "{token} of {agent} at {:?} by what began at {:?}, though {subject:?} was \
                         suspended or removed at revision {revision}",
                        operation.place, operation.begun
                    );
                    verdict.complain(*complaint, told);
                }
            }
        }
    }
}
