//! A fuzz target for each of this crate's own records (`chancery-fuzzing` says what
//! one is). What rows and entries hold is not this crate's to understand.

use std::path::Path;

use crate::{
    log::form,
    marker,
    sealed::Kind,
    state::{Applied, installed},
};

const KIND: Kind = Kind {
    name: b"FUZZ",
    version: 1,
};

/// A sealed file: whatever its content, it opens as it was sealed, and only so.
pub fn sealed(input: &[u8]) -> bool {
    let path = Path::new("a file");
    let resealed = KIND.seal(input);
    assert_eq!(KIND.unseal(path, &resealed).ok(), Some(input));
    let Ok(content) = KIND.unseal(path, input) else {
        return false;
    };
    assert_eq!(KIND.seal(content), input);
    true
}

/// Whose a data directory is.
pub fn marker(input: &[u8]) -> bool {
    let Some((read, phase)) = marker::parse(input) else {
        return false;
    };
    assert_eq!(read.content(phase), input);
    true
}

/// The key of an entry of the log.
pub fn entry_key(input: &[u8]) -> bool {
    let Some(index) = form::parse_entry_key(input) else {
        return false;
    };
    assert_eq!(form::entry_key(index), input);
    true
}

/// The key of a row of the state.
pub fn row_key(input: &[u8]) -> bool {
    let Some((table, key)) = crate::row::parse_key(input) else {
        return false;
    };
    assert_eq!(crate::row::database_key(table, key), input);
    true
}

/// Where the state stands.
pub fn applied(input: &[u8]) -> bool {
    let Some(applied) = Applied::parse(input) else {
        return false;
    };
    assert_eq!(applied.to_value(), input);
    true
}

/// The name of a state's database.
pub fn state_number(input: &[u8]) -> bool {
    let Ok(name) = std::str::from_utf8(input) else {
        return false;
    };
    let Some(number) = installed::number(Path::new(name)) else {
        return false;
    };
    let again = installed::path(Path::new(""), number);
    let file = Path::new(name).file_name();
    assert_eq!(again.file_name(), file);
    true
}

#[cfg(test)]
mod tests {
    chancery_fuzzing::exercise! { sealed, marker, entry_key, row_key, applied, state_number }
}
