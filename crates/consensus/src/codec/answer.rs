//! Answers and rejections: what became of a command.

use chancery_authority::{Answer, Reason, Rejection};
use chancery_credential::{EpochNumber, IssuerNumber, NodeNumber};
use chancery_wire::log as pb;

use super::{
    Undecodable,
    raft::required,
    scalar::{parse, text},
};

fn answer(answer: &Answer) -> pb::Answer {
    use pb::answer::{Issuers, Kind, Nothing};
    let kind = match answer {
        Answer::Nothing => Kind::Nothing(Nothing {}),
        Answer::Agent(id) => Kind::Agent(text(id)),
        Answer::Node(number) => Kind::Node(number.0),
        Answer::Issuer(number) => Kind::Issuer(number.0),
        Answer::Epoch(number) => Kind::Epoch(number.0),
        Answer::Issuers(numbers) => Kind::Issuers(Issuers {
            numbers: numbers.iter().map(|number| number.0).collect(),
        }),
        Answer::HeldKilled(killed) => Kind::HeldKilled(*killed),
        Answer::MayMintAnew(may) => Kind::MayMintAnew(*may),
        Answer::Expired(count) => Kind::Expired(*count),
    };
    pb::Answer { kind: Some(kind) }
}

fn read_answer(answer: &pb::Answer) -> Result<Answer, Undecodable> {
    use pb::answer::Kind;
    Ok(
        match answer
            .kind
            .as_ref()
            .ok_or(Undecodable::Unknown("an answer"))?
        {
            Kind::Nothing(_) => Answer::Nothing,
            Kind::Agent(id) => Answer::Agent(parse("an agent's id", id)?),
            Kind::Node(number) => Answer::Node(NodeNumber(*number)),
            Kind::Issuer(number) => Answer::Issuer(IssuerNumber(*number)),
            Kind::Epoch(number) => Answer::Epoch(EpochNumber(*number)),
            Kind::Issuers(issuers) => {
                Answer::Issuers(issuers.numbers.iter().copied().map(IssuerNumber).collect())
            }
            Kind::HeldKilled(killed) => Answer::HeldKilled(*killed),
            Kind::MayMintAnew(may) => Answer::MayMintAnew(*may),
            Kind::Expired(count) => Answer::Expired(*count),
        },
    )
}

pub(super) fn verdict(verdict: &Result<Answer, Rejection>) -> pb::Verdict {
    use pb::verdict::Kind;
    let kind = match verdict {
        Ok(value) => Kind::Answer(answer(value)),
        Err(rejection) => Kind::Rejection(pb::Rejection {
            code: rejection.code().to_owned(),
            about: rejection.about().to_owned(),
        }),
    };
    pb::Verdict { kind: Some(kind) }
}

pub(super) fn read_verdict(
    verdict: Option<&pb::Verdict>,
) -> Result<Result<Answer, Rejection>, Undecodable> {
    use pb::verdict::Kind;
    let verdict = required(verdict, "verdict")?;
    Ok(
        match verdict
            .kind
            .as_ref()
            .ok_or(Undecodable::Unknown("a verdict"))?
        {
            Kind::Answer(answer) => Ok(read_answer(answer)?),
            Kind::Rejection(rejection) => {
                let reason = Reason::from_code(&rejection.code)
                    .ok_or(Undecodable::Unknown("a rejection"))?;
                Err(Rejection::new(reason, &rejection.about))
            }
        },
    )
}
