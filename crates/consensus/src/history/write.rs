//! Entries on their way to the disk, and the oldest on their way out.

use std::io;

use chancery_authority::{Command, State};
use chancery_storage::{RowWrite, StateStore};
use parking_lot::Mutex;

use super::{Amount, HistoryBounds, HistoryEntry, TABLE, part::Part};
use crate::codec::{decode_amount, decode_history_entry, encode_amount, encode_history_entry};

/// Entries that one batch lets go at most, of each part: more than it can bring, so
/// that what is over the bound is worn away.
const GO_AT_ONCE: usize = 512;

type Amounts = [Amount; Part::ALL.len()];

/// Keeps the history within its bounds.
pub(crate) struct Writer {
    store: StateStore,
    bounds: HistoryBounds,
    amounts: Mutex<Amounts>,
}

impl Writer {
    /// # Errors
    /// The disk's, or amounts that cannot be read.
    pub(crate) fn new(store: StateStore, bounds: HistoryBounds) -> io::Result<Self> {
        let amounts = Mutex::new(read_amounts(&store)?);
        Ok(Self {
            store,
            bounds,
            amounts,
        })
    }

    /// Another state was installed, with the history that came with it.
    pub(crate) fn reload(&self) -> io::Result<()> {
        *self.amounts.lock() = read_amounts(&self.store)?;
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
        let mut amounts = self.amounts.lock();
        let mut rows = Vec::new();
        let mut touched = [false; Part::ALL.len()];
        for entry in entries {
            let part = Part::of(entry);
            let value = encode_history_entry(entry);
            touch(&mut amounts, &mut touched, part, |amount| {
                amount.add(&value)
            });
            rows.push(row(part.key(entry.revision), Some(value)));
        }
        for part in Part::ALL {
            self.let_go(part, state, &mut amounts, &mut touched, &mut rows)?;
        }
        for part in Part::ALL {
            if touched.get(part.index()) == Some(&true) {
                let amount = amounts.get(part.index()).copied().unwrap_or_default();
                rows.push(row(part.amount_key(), Some(encode_amount(amount))));
            }
        }
        Ok(rows)
    }

    /// The oldest of a part, while it is beyond its bound or they are too old.
    fn let_go(
        &self,
        part: Part,
        state: &State,
        amounts: &mut Amounts,
        touched: &mut [bool; Part::ALL.len()],
        rows: &mut Vec<RowWrite>,
    ) -> io::Result<()> {
        let holds = |amounts: &Amounts| amounts.get(part.index()).copied().unwrap_or_default();
        if holds(amounts).entries == 0 {
            return Ok(());
        }
        let age_ms = u64::try_from(self.bounds.age.as_millis()).unwrap_or(u64::MAX);
        let oldest_ms = state.log_time_ms().saturating_sub(age_ms);
        let over = |amounts: &Amounts| holds(amounts).bytes > self.bounds.bytes;
        // One is enough to see that nothing is too old.
        let most = if over(amounts) { GO_AT_ONCE } else { 1 };
        let (from, to) = (part.begin(), part.end());
        let mut candidates = self.store.first(TABLE, &from, &to, most)?;
        if most == 1 && candidates.iter().any(|first| is_older(first, oldest_ms)) {
            candidates = self.store.first(TABLE, &from, &to, GO_AT_ONCE)?;
        }
        for candidate in candidates {
            if !over(amounts) && !is_older(&candidate, oldest_ms) {
                break;
            }
            touch(amounts, touched, part, |amount| {
                amount.take(&candidate.value)
            });
            rows.push(row(candidate.key.to_vec(), None));
        }
        Ok(())
    }
}

/// What cannot be read is let go when its turn comes by size.
fn is_older(row: &chancery_storage::Row, oldest_ms: u64) -> bool {
    decode_history_entry(row.value.clone()).is_ok_and(|entry| entry.log_time_ms < oldest_ms)
}

fn touch(
    amounts: &mut Amounts,
    touched: &mut [bool; Part::ALL.len()],
    part: Part,
    change: impl FnOnce(&mut Amount),
) {
    if let Some(amount) = amounts.get_mut(part.index()) {
        change(amount);
    }
    if let Some(touched) = touched.get_mut(part.index()) {
        *touched = true;
    }
}

fn row(key: Vec<u8>, value: Option<bytes::Bytes>) -> RowWrite {
    RowWrite {
        table: TABLE,
        key: key.into(),
        value,
    }
}

fn read_amounts(store: &StateStore) -> io::Result<Amounts> {
    let mut amounts = Amounts::default();
    for (amount, part) in amounts.iter_mut().zip(Part::ALL) {
        if let Some(value) = store.get(TABLE, &part.amount_key())? {
            *amount = decode_amount(value)?;
        }
    }
    Ok(amounts)
}

/// Whether a command is written down. Those with which the leader keeps time and
/// compares states say nothing of anybody, and come every second.
pub(crate) fn is_worth_it(command: &Command) -> bool {
    !matches!(command, Command::Tick | Command::CompareState { .. })
}
