//! Reading: from the disk what is only there, from memory the rest.

use std::ops::Range;

use bytes::Bytes;

use super::{commit::Desk, form, ledger::Entries};
use crate::{Error, Result, database::Database};

/// The entries of `range` that the log holds, until they exceed `max_bytes`, but at least one.
pub(super) fn entries(
    desk: &Desk,
    database: &Database,
    range: &Range<u64>,
    max_bytes: usize,
) -> Result<Entries> {
    loop {
        desk.failure.check()?;
        let plan = desk.book.lock().ledger.plan(range, max_bytes);
        let mut read = Read {
            entries: Vec::new(),
            bytes: 0,
            max_bytes,
        };
        let end = read.take_disk(database, plan.disk)?;
        // Truncated or purged since it was planned? Then what is there now is read:
        // the disk's part and the tail would be of two logs.
        if desk.book.lock().ledger.cuts() != plan.cuts {
            continue;
        }
        match end {
            End::Full => return Ok(read.entries),
            End::Complete => {
                read.take_tail(plan.tail);
                return Ok(read.entries);
            }
            End::Missing(index) => {
                let why = format!("entry {index} is missing");
                return Err(Error::corrupt(database.path(), why));
            }
        }
    }
}

/// Entries collected for one answer.
struct Read {
    entries: Entries,
    bytes: usize,
    max_bytes: usize,
}

/// Why reading from the disk ended.
enum End {
    /// The answer is as large as it may be.
    Full,
    /// The range is read.
    Complete,
    /// This entry is not there.
    Missing(u64),
}

impl Read {
    /// Whether there was room for the entry; for the first there always is.
    fn take(&mut self, index: u64, entry: Bytes) -> bool {
        let bytes = self.bytes.saturating_add(entry.len());
        if bytes > self.max_bytes && !self.entries.is_empty() {
            return false;
        }
        self.bytes = bytes;
        self.entries.push((index, entry));
        true
    }

    fn take_disk(&mut self, database: &Database, range: Range<u64>) -> Result<End> {
        let mut pairs = database.range(form::entry_key(range.start), form::entry_key(range.end));
        for expected in range {
            let Some((key, entry)) = pairs.next().transpose()? else {
                return Ok(End::Missing(expected));
            };
            if form::entry_index(database, &key)? != expected {
                return Ok(End::Missing(expected));
            }
            if !self.take(expected, Bytes::from(entry)) {
                return Ok(End::Full);
            }
        }
        Ok(End::Complete)
    }

    fn take_tail(&mut self, tail: Entries) {
        for (index, entry) in tail {
            if !self.take(index, entry) {
                return;
            }
        }
    }
}
