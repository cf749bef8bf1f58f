//! The envelope of the two files that travel between a node and the operator:
//! JSON that says what it is and in which version, and holds nothing unknown.

use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use super::error::AdmissionError;

/// A kind of file.
pub(super) trait Document: Serialize + DeserializeOwned {
    /// What it says in its member `kind`.
    const KIND: &'static str;
    /// What it is called in errors.
    const NAME: &'static str;
    /// What it says in its member `version`.
    const VERSION: u64;
}

/// Writes the file, for people to read too.
pub(super) fn write<D: Document>(document: &D) -> Result<String, AdmissionError> {
    let failed = |why: &str| AdmissionError::malformed("(in memory)", D::NAME, why);
    let value = serde_json::to_value(document).map_err(|error| failed(&error.to_string()))?;
    let Value::Object(members) = value else {
        return Err(failed("not an object"));
    };
    let mut whole = serde_json::Map::new();
    whole.insert("kind".to_owned(), D::KIND.into());
    whole.insert("version".to_owned(), D::VERSION.into());
    whole.extend(members);
    let mut text =
        serde_json::to_string_pretty(&whole).map_err(|error| failed(&error.to_string()))?;
    text.push('\n');
    Ok(text)
}

/// Reads the file that `origin` names. Its kind and version are judged before
/// anything else, so that a newer file is called newer and not malformed.
pub(super) fn parse<D: Document>(origin: &str, text: &str) -> Result<D, AdmissionError> {
    let malformed = |why: String| AdmissionError::malformed(origin, D::NAME, why);
    let value: Value = serde_json::from_str(text).map_err(|error| malformed(error.to_string()))?;
    let Value::Object(mut members) = value else {
        return Err(malformed("it is no JSON object".to_owned()));
    };
    match members.remove("kind") {
        Some(Value::String(kind)) if kind == D::KIND => {}
        Some(kind) => {
            return Err(malformed(format!(
                "its kind is {kind}, not \"{}\"",
                D::KIND
            )));
        }
        None => return Err(malformed("it does not say its `kind`".to_owned())),
    }
    match members.remove("version").as_ref().and_then(Value::as_u64) {
        Some(version) if version == D::VERSION => {}
        Some(found) => {
            return Err(AdmissionError::Version {
                path: origin.to_owned(),
                expected: D::NAME,
                found,
                known: D::VERSION,
            });
        }
        None => return Err(malformed("it does not say its `version`".to_owned())),
    }
    serde_json::from_value(Value::Object(members)).map_err(|error| malformed(error.to_string()))
}
