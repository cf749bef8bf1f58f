//! Entries on their way to the disk, and the oldest on their way out.

use std::io;

use bytes::Bytes;
use chancery_authority::{Command, State};
use chancery_credential::Revision;
use chancery_storage::{Row, RowWrite, StateStore};
use parking_lot::Mutex;

use super::{Amount, HistoryBounds, HistoryEntry, TABLE, part::Part};
use crate::codec::{decode_amount, decode_history_entry, encode_amount, encode_history_entry};

/// Entries that one batch lets go at most, of each part: more than it can bring, so
/// that what is over the bound is worn away.
const GO_AT_ONCE: usize = 512;
/// Entries that are read at a time for that.
const READ_AT_ONCE: usize = 16;

type Kept = [KeptPart; Part::ALL.len()];

/// What is known of a part without reading it.
#[derive(Clone, Copy, Debug, Default)]
struct KeptPart {
    amount: Amount,
    /// None of its entries is before this: to look for the oldest from the beginning
    /// would be to pass over everything that was ever let go.
    from: Revision,
    /// Log time of its oldest entry, milliseconds; not known after a start.
    oldest_ms: Option<u64>,
}

/// Keeps the history within its bounds.
pub(crate) struct Writer {
    store: StateStore,
    bounds: HistoryBounds,
    kept: Mutex<Kept>,
}

impl Writer {
    /// # Errors
    /// The disk's, or amounts that cannot be read.
    pub(crate) fn new(store: StateStore, bounds: HistoryBounds) -> io::Result<Self> {
        let kept = Mutex::new(read_amounts(&store)?);
        Ok(Self {
            store,
            bounds,
            kept,
        })
    }

    /// Another state was installed, with the history that came with it.
    pub(crate) fn reload(&self) -> io::Result<()> {
        *self.kept.lock() = read_amounts(&self.store)?;
        Ok(())
    }

    /// What is to be written with a batch of entries that has led to `state`.
    ///
    /// What is kept may differ between nodes with other bounds: nothing depends on it.
    pub(crate) fn rows(
        &self,
        entries: &[HistoryEntry],
        state: &State,
    ) -> io::Result<Vec<RowWrite>> {
        let mut kept = self.kept.lock();
        let mut rows = Vec::new();
        for (part, kept) in Part::ALL.into_iter().zip(kept.iter_mut()) {
            let before = rows.len();
            for entry in entries.iter().filter(|entry| Part::of(entry) == part) {
                let value = encode_history_entry(entry);
                kept.add(entry, &value);
                rows.push(row(part.key(entry.revision), Some(value)));
            }
            self.let_go(part, kept, state, &mut rows)?;
            if rows.len() > before {
                rows.push(row(part.amount_key(), Some(encode_amount(kept.amount))));
            }
        }
        Ok(rows)
    }

    /// The oldest of a part, while it is beyond its bound or they are too old. What the
    /// batch itself brings is not on the disk yet, and stays.
    fn let_go(
        &self,
        part: Part,
        kept: &mut KeptPart,
        state: &State,
        rows: &mut Vec<RowWrite>,
    ) -> io::Result<()> {
        let age_ms = u64::try_from(self.bounds.age.as_millis()).unwrap_or(u64::MAX);
        let end_ms = state.log_time_ms().saturating_sub(age_ms);
        let over = |kept: &KeptPart| kept.amount.bytes > self.bounds.bytes;
        let is_young = kept.oldest_ms.is_some_and(|oldest_ms| oldest_ms >= end_ms);
        if kept.amount.entries == 0 || (is_young && !over(kept)) {
            return Ok(());
        }
        kept.oldest_ms = None;
        let mut gone = 0;
        while gone < GO_AT_ONCE {
            let from = part.key(kept.from);
            let oldest = self.store.first(TABLE, &from, &part.end(), READ_AT_ONCE)?;
            if oldest.is_empty() {
                return Ok(());
            }
            for candidate in oldest {
                let (revision, at_ms) = position(&candidate);
                if !over(kept) && at_ms.is_none_or(|at_ms| at_ms >= end_ms) {
                    (kept.from, kept.oldest_ms) = (revision, at_ms);
                    return Ok(());
                }
                kept.amount.take(&candidate.value);
                kept.from = Revision(revision.0.saturating_add(1));
                gone += 1;
                rows.push(row(candidate.key.to_vec(), None));
            }
        }
        Ok(())
    }
}

impl KeptPart {
    fn add(&mut self, entry: &HistoryEntry, value: &Bytes) {
        if self.amount.entries == 0 {
            (self.from, self.oldest_ms) = (entry.revision, Some(entry.log_time_ms));
        }
        self.amount.add(value);
    }
}

/// Where an entry stands, by its key, and when; no time of one that cannot be read: it
/// is let go when its turn comes by size.
fn position(row: &Row) -> (Revision, Option<u64>) {
    let number = row.key.iter().skip(1);
    let revision = number.fold(0, |number, byte| (number << 8) | u64::from(*byte));
    let entry = decode_history_entry(row.value.clone()).ok();
    (Revision(revision), entry.map(|entry| entry.log_time_ms))
}

fn row(key: Vec<u8>, value: Option<Bytes>) -> RowWrite {
    RowWrite {
        table: TABLE,
        key: key.into(),
        value,
    }
}

fn read_amounts(store: &StateStore) -> io::Result<Kept> {
    let mut kept = Kept::default();
    for (kept, part) in kept.iter_mut().zip(Part::ALL) {
        if let Some(value) = store.get(TABLE, &part.amount_key())? {
            kept.amount = decode_amount(value)?;
        }
    }
    Ok(kept)
}

/// Whether a command is written down. Those with which the leader keeps time and
/// compares states say nothing of anybody, and come every second.
pub(crate) fn is_worth_it(command: &Command) -> bool {
    !matches!(command, Command::Tick | Command::CompareState { .. })
}
