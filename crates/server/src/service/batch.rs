//! Many credentials judged at once: each as `Check` judges it, with one proof for all
//! that this state does not reach.

use chancery_credential::UnverifiedToken;
use chancery_revocation::{Behind, Expectations, Reason, Standing, Verdict, check, judge_facts};
use chancery_wire::v1::{self, credential::Credential};
use tonic::Status;

use super::{
    Desk, consistency::stale, facts::StatedFacts, parse, refusals::refusal, verdict::alarm,
};
use crate::{
    caller::{Caller, Holder},
    clock::SystemClock,
};

/// Credentials in a batch.
const MOST: usize = 1000;
/// Judged in one turn: about half a millisecond.
const AT_A_STRETCH: usize = 8;

/// Judges a batch.
///
/// # Errors
/// Nothing of it was judged.
pub(super) async fn checked(
    desk: &Desk,
    caller: &Caller,
    message: v1::CheckStreamRequest,
) -> Result<v1::CheckedBatch, Status> {
    caller.hear()?;
    let count = message.credentials.len();
    if count == 0 || count > MOST {
        let why = format!("it has {count}, and a batch has 1 to {MOST}");
        return Err(parse::invalid("credentials", why));
    }
    desk.at_least(&message.min_revision).await?;
    let expected = desk.expectations(None)?;
    let holder = Holder::of(&caller.identity);
    let mut stated = Vec::with_capacity(count);
    let mut credentials = message.credentials.into_iter();
    while stated.len() < count {
        let _turn = desk.turns.take(holder.clone()).await;
        let read = |credential| Stated::read(desk, caller, credential);
        stated.extend(credentials.by_ref().take(AT_A_STRETCH).map(read));
    }
    let mut verdicts = Vec::with_capacity(count);
    for stretch in stated.chunks(AT_A_STRETCH) {
        let _turn = desk.turns.take(holder.clone()).await;
        let judge = |stated: &Stated| stated.judge(desk, &expected);
        verdicts.extend(stretch.iter().map(|stated| stated.as_ref().map(judge)));
    }
    if verdicts.iter().any(is_behind) {
        let proved = desk.next_proof().await;
        let stretches = verdicts.chunks_mut(AT_A_STRETCH);
        for (verdicts, stated) in stretches.zip(stated.chunks(AT_A_STRETCH)) {
            if !verdicts.iter().any(is_behind) {
                continue;
            }
            let _turn = desk.turns.take(holder.clone()).await;
            for (verdict, stated) in verdicts.iter_mut().zip(stated) {
                if let (true, Ok(stated)) = (is_behind(verdict), stated) {
                    *verdict = Ok(match proved {
                        Ok(()) => stated.judge_finally(desk, &expected),
                        Err(_) => Verdict::Stale,
                    });
                }
            }
        }
    }
    Ok(told(desk, verdicts))
}

type Judged<'a> = Result<Verdict<()>, &'a Status>;

fn is_behind(judged: &Judged<'_>) -> bool {
    matches!(judged, Ok(Verdict::Behind(_)))
}

/// A credential that can be judged.
enum Stated {
    Token(String),
    Facts(Box<StatedFacts>),
}

impl Stated {
    fn read(desk: &Desk, caller: &Caller, credential: v1::Credential) -> Result<Self, Status> {
        match parse::required("credential", credential.credential)? {
            Credential::Token(token) => {
                let unverified = UnverifiedToken::parse(&token)
                    .map_err(|error| parse::invalid("credential.token", error))?;
                desk.may_judge(caller, &unverified.claims().aud)?;
                Ok(Self::Token(token))
            }
            Credential::Facts(facts) => {
                let stated = StatedFacts::parse(&facts)?;
                Ok(Self::Facts(Box::new(stated)))
            }
        }
    }

    fn judge(&self, desk: &Desk, expected: &Expectations) -> Verdict<()> {
        let view = desk.consensus.view();
        match self {
            Self::Token(token) => check(token, expected, view, &SystemClock).map(|_| ()),
            Self::Facts(stated) => {
                judge_facts(&stated.facts(), expected.limits, view, &SystemClock)
            }
        }
    }

    /// After a proof: what is still beyond it was never committed.
    fn judge_finally(&self, desk: &Desk, expected: &Expectations) -> Verdict<()> {
        match self.judge(desk, expected) {
            Verdict::Behind(behind) => Verdict::Refused(self.beyond(behind)),
            verdict => verdict,
        }
    }

    fn beyond(&self, behind: Behind) -> Reason {
        if matches!(self, Self::Token(_)) {
            alarm(behind);
        }
        behind.refused()
    }
}

fn told(desk: &Desk, verdicts: Vec<Judged<'_>>) -> v1::CheckedBatch {
    let mut weakest: Option<Standing> = None;
    let results = verdicts.into_iter().map(|judged| {
        if let Ok(Verdict::Valid((), standing)) = &judged {
            weakest = Some(weaker(weakest, *standing));
        }
        result(judged)
    });
    let results = results.collect();
    let (revision, age_ms) = match weakest {
        Some(standing) => {
            let age_ms = u64::try_from(standing.age.as_millis()).unwrap_or(u64::MAX);
            (standing.revision, age_ms)
        }
        None => {
            let age_ms = desk.age_ms().unwrap_or(u64::MAX);
            (desk.consensus.view().revision(), age_ms)
        }
    };
    v1::CheckedBatch {
        results,
        consistency_token: desk.token_for(revision),
        age_ms,
    }
}

/// The earlier revision and the greater age.
fn weaker(one: Option<Standing>, other: Standing) -> Standing {
    one.map_or(other, |one| Standing {
        revision: one.revision.min(other.revision),
        age: one.age.max(other.age),
    })
}

fn result(judged: Judged<'_>) -> v1::Checked {
    let refused = |status: &Status| v1::Checked {
        refusal: Some(refusal(status)),
        ..v1::Checked::default()
    };
    match judged {
        Ok(Verdict::Valid((), _)) => v1::Checked {
            in_force: true,
            ..v1::Checked::default()
        },
        Ok(Verdict::Refused(reason)) => v1::Checked {
            reason: reason.code().to_owned(),
            message: reason.to_string(),
            ..v1::Checked::default()
        },
        Err(status) => refused(status),
        // Behind was settled; whatever else a verdict may be, it is no yes.
        Ok(_) => refused(&stale()),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use chancery_credential::Revision;

    #[test]
    fn a_batch_is_as_old_as_the_oldest_of_its_judgements() {
        let standing = |revision, age_ms| Standing {
            revision: Revision(revision),
            age: Duration::from_millis(age_ms),
        };
        let weakest = weaker(Some(standing(7, 10)), standing(6, 30));
        assert_eq!(weakest, standing(6, 30));
        assert_eq!(weaker(Some(weakest), standing(8, 5)), standing(6, 30));
        assert_eq!(weaker(None, standing(8, 5)), standing(8, 5));
    }

    #[test]
    fn only_what_was_judged_valid_is_in_force() {
        assert!(!result(Ok(Verdict::Stale)).in_force);
        let told = result(Ok(Verdict::Stale)).refusal.map(|told| told.reason);
        assert_eq!(told.as_deref(), Some("STALE"));
        let unknown = Reason::RevisionUnknown(Revision(9));
        let refused = result(Ok(Verdict::Refused(unknown)));
        assert!(!refused.in_force && refused.refusal.is_none());
        assert!(!refused.reason.is_empty() && !refused.message.is_empty());
        let other = parse::invalid("credential.token", "no token");
        let refused = result(Err(&other));
        assert!(!refused.in_force && refused.reason.is_empty());
        let told = refused.refusal.map(|told| told.reason);
        assert_eq!(told.as_deref(), Some("INVALID_FIELD"));
    }
}
