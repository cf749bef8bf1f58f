//! Subjects, grants and limits.

use chancery_authority::Limits;
use chancery_credential::{Grant, Subject};
use chancery_wire::log as pb;

use super::{
    Undecodable,
    raft::required,
    scalar::{parse, parse_all, text, texts},
};

pub(super) fn subject(subject: &Subject) -> pb::Subject {
    use pb::subject::Kind;
    let kind = match subject {
        Subject::Agent(id) => Kind::Agent(text(id)),
        Subject::Owner(name) => Kind::Owner(text(name)),
        Subject::GrantSet(name) => Kind::GrantSet(text(name)),
        Subject::Everything => Kind::Everything(true),
    };
    pb::Subject { kind: Some(kind) }
}

pub(super) fn read_subject(subject: &pb::Subject) -> Result<Subject, Undecodable> {
    use pb::subject::Kind;
    Ok(
        match subject
            .kind
            .as_ref()
            .ok_or(Undecodable::Unknown("a subject"))?
        {
            Kind::Agent(id) => Subject::Agent(parse("an agent's id", id)?),
            Kind::Owner(name) => Subject::Owner(parse("an owner's name", name)?),
            Kind::GrantSet(name) => Subject::GrantSet(parse("a grant set's name", name)?),
            Kind::Everything(_) => Subject::Everything,
        },
    )
}

pub(super) fn grants(grants: &[Grant]) -> Vec<pb::Grant> {
    grants
        .iter()
        .map(|grant| pb::Grant {
            audience: text(&grant.audience),
            scopes: texts(&grant.scopes),
            max_ttl_seconds: grant.max_ttl_seconds,
            bearer: grant.bearer,
        })
        .collect()
}

pub(super) fn read_grants(grants: &[pb::Grant]) -> Result<Vec<Grant>, Undecodable> {
    grants
        .iter()
        .map(|grant| {
            Ok(Grant {
                audience: parse("a grant's audience", &grant.audience)?,
                scopes: parse_all("a grant's scope", &grant.scopes)?,
                max_ttl_seconds: grant.max_ttl_seconds,
                bearer: grant.bearer,
            })
        })
        .collect()
}

pub(super) fn limits(limits: &Limits) -> pb::Limits {
    let Limits { rate } = *limits;
    pb::Limits { rate }
}

pub(super) fn read_limits(limits: Option<pb::Limits>) -> Result<Limits, Undecodable> {
    Ok(Limits {
        rate: required(limits, "limits")?.rate,
    })
}
