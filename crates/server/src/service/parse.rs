//! From the wire to the model: a field that cannot be understood is the client's
//! to mend, and the answer names it.

use std::{fmt::Display, str::FromStr};

use chancery_credential::{KeyThumbprint, Subject};
use chancery_wire::v1;
use tonic::{Code, Status};

use crate::caller::refuse;

/// The largest public key that is accepted, DER bytes.
const MAX_SPKI_BYTES: usize = 1024;

/// A field that is missing or cannot be understood.
pub(super) fn invalid(field: &str, why: impl Display) -> Status {
    refuse(
        Code::InvalidArgument,
        "INVALID_FIELD",
        format!("`{field}` cannot be used: {why}"),
        "mend the field and send the request again",
    )
}

/// Parses a field by its own rules.
pub(super) fn field<T>(name: &str, text: &str) -> Result<T, Status>
where
    T: FromStr,
    T::Err: Display,
{
    text.parse().map_err(|error: T::Err| invalid(name, error))
}

/// Parses a list, naming the entry that is wrong.
pub(super) fn list<T>(name: &str, texts: &[String]) -> Result<Vec<T>, Status>
where
    T: FromStr,
    T::Err: Display,
{
    texts
        .iter()
        .enumerate()
        .map(|(position, text)| field(&format!("{name}[{position}]"), text))
        .collect()
}

/// The same, of at most `most` entries.
pub(super) fn short_list<T>(name: &str, texts: &[String], most: usize) -> Result<Vec<T>, Status>
where
    T: FromStr,
    T::Err: Display,
{
    if texts.len() > most {
        let why = format!(
            "it has {} entries, and a token has {most} at most",
            texts.len()
        );
        return Err(invalid(name, why));
    }
    list(name, texts)
}

/// A field that has to be there.
pub(super) fn required<T>(name: &str, value: Option<T>) -> Result<T, Status> {
    value.ok_or_else(|| invalid(name, "it is missing"))
}

/// The thumbprints of public keys, each a `SubjectPublicKeyInfo` (RFC 5280) and
/// nothing behind it.
pub(super) fn public_keys(name: &str, keys: &[Vec<u8>]) -> Result<Vec<KeyThumbprint>, Status> {
    keys.iter()
        .enumerate()
        .map(|(position, der)| {
            public_key(der).map_err(|why| invalid(&format!("{name}[{position}]"), why))
        })
        .collect()
}

pub(super) fn public_key(der: &[u8]) -> Result<KeyThumbprint, String> {
    use x509_parser::prelude::FromDer;
    if der.len() > MAX_SPKI_BYTES {
        return Err(format!(
            "it has {} bytes, and at most {MAX_SPKI_BYTES} are accepted",
            der.len()
        ));
    }
    let (rest, _) = x509_parser::x509::SubjectPublicKeyInfo::from_der(der)
        .map_err(|error| format!("no SubjectPublicKeyInfo in DER ({error})"))?;
    if rest.is_empty() {
        Ok(KeyThumbprint::of_spki(der))
    } else {
        Err("there are bytes behind the SubjectPublicKeyInfo".to_owned())
    }
}

/// Whom a verb covers.
pub(super) fn subject(message: Option<v1::Subject>) -> Result<Subject, Status> {
    use v1::subject::Subject as Wire;
    match required("subject", message.and_then(|subject| subject.subject))? {
        Wire::Agent(id) => Ok(Subject::Agent(field("subject.agent", &id)?)),
        Wire::Owner(name) => Ok(Subject::Owner(field("subject.owner", &name)?)),
        Wire::GrantSet(name) => Ok(Subject::GrantSet(field("subject.grant_set", &name)?)),
        Wire::Everything(true) => Ok(Subject::Everything),
        Wire::Everything(false) => {
            Err(invalid("subject.everything", "it is false: name a subject"))
        }
    }
}

/// How many a page holds.
pub(super) fn page_size(asked: u32) -> Result<usize, Status> {
    match asked {
        0 => Ok(100),
        1..=1000 => Ok(asked as usize),
        _ => Err(invalid("page_size", format!("{asked} is more than 1000"))),
    }
}
