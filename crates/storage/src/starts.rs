//! How often a directory was opened: what tells the processes of one node apart, the
//! later from the earlier.

use std::path::Path;

use crate::{Error, Result, durable, sealed::Kind};

/// The counter's file in a data directory.
const FILE: &str = "STARTS";
const KIND: Kind = Kind {
    name: b"STRT",
    version: 1,
};

/// Counts this start, durably, and gives its number: 1 for the first. No later start of
/// the same directory has it, or a lower one.
pub(crate) fn count(directory: &Path) -> Result<u64> {
    let path = directory.join(FILE);
    let before = match durable::read_file(&path)? {
        None => 0,
        Some(sealed) => {
            let content = KIND.unseal(&path, &sealed)?;
            content
                .try_into()
                .map(u64::from_be_bytes)
                .map_err(|_| Error::Damaged {
                    path: path.clone(),
                    why: "is not a count".into(),
                })?
        }
    };
    let start = before.saturating_add(1);
    durable::replace_file(&path, &KIND.seal(&start.to_be_bytes()))?;
    Ok(start)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn every_start_has_a_higher_number_and_a_damaged_count_is_noticed() {
        let home = tempfile::tempdir().unwrap();
        let numbers: Vec<u64> = (0..3).map(|_| count(home.path()).unwrap()).collect();
        assert_eq!(numbers, [1, 2, 3]);
        let path = home.path().join(FILE);
        let mut bytes = std::fs::read(&path).unwrap();
        bytes.reverse();
        std::fs::write(&path, bytes).unwrap();
        assert!(matches!(count(home.path()), Err(Error::Damaged { .. })));
    }
}
