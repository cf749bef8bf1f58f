//! What nodes hand each other about a command: the proposal, and its outcome.

use bytes::Bytes;
use chancery_authority::{Command, Meta};
use chancery_credential::Revision;
use chancery_wire::log as pb;
use prost::Message;

use super::{
    Undecodable, VERSION,
    answer::{read_verdict, verdict},
    check_version,
    command::{command, read_command},
    meta::{meta, read_meta},
};
use crate::outcome::Outcome;

pub(crate) fn encode_outcome(outcome: &Outcome) -> Bytes {
    let message = pb::Outcome {
        version: VERSION,
        revision: outcome.revision.0,
        verdict: Some(verdict(&outcome.verdict)),
    };
    message.encode_to_vec().into()
}

pub(crate) fn decode_outcome(bytes: Bytes) -> Result<Outcome, Undecodable> {
    let message = pb::Outcome::decode(bytes)?;
    check_version("an outcome", message.version)?;
    Ok(Outcome {
        revision: Revision(message.revision),
        verdict: read_verdict(message.verdict.as_ref())?,
    })
}

pub(crate) fn encode_proposal(what: &Command, who: &Meta) -> Bytes {
    let message = pb::Proposal {
        version: VERSION,
        command: Some(command(what)),
        meta: Some(meta(who)),
    };
    message.encode_to_vec().into()
}

pub(crate) fn decode_proposal(bytes: Bytes) -> Result<(Command, Meta), Undecodable> {
    let message = pb::Proposal::decode(bytes)?;
    check_version("a proposal", message.version)?;
    Ok((
        read_command(message.command.as_ref())?,
        read_meta(message.meta.as_ref())?,
    ))
}
