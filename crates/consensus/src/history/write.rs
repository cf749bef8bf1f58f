//! Entries on their way to the disk, and the oldest on their way out.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, VecDeque},
    io,
};

use bytes::Bytes;
use chancery_authority::Command;
use chancery_credential::Revision;
use chancery_storage::{Row, RowWrite, StateStore};
use parking_lot::Mutex;

use super::{
    Amount, HistoryBounds, HistoryEntry, TABLE,
    part::{Class, Part},
};
use crate::codec::{decode_amount, decode_history_entry, encode_amount, encode_history_entry};

/// Entries that one batch lets go at most for their age, of each class: more than it can
/// bring, so that what is too old is worn away.
const GO_AT_ONCE: usize = 512;
/// And for their size: as many bytes as the batch brings, and so many more, so that what
/// is over the bound, which may have been set anew, is worn away.
const WORN_AT_ONCE: u64 = 256 << 10;
/// Entries that are read at a time for that.
const READ_AT_ONCE: usize = 16;

/// Parts that hold something: at most six for each node through which anything came
/// that is still told of.
type Kept = BTreeMap<Part, KeptPart>;

/// What is known of a part without reading it.
#[derive(Clone, Debug, Default)]
struct KeptPart {
    amount: Amount,
    /// None of its entries on the disk is before this, but for those that were read:
    /// to look for the oldest from the beginning would be to pass over everything that
    /// was ever let go.
    from: Revision,
    /// The oldest on the disk, read ahead.
    oldest: VecDeque<Oldest>,
    /// Log time of its oldest entry, milliseconds; not known after a start.
    oldest_ms: Option<u64>,
}

/// An entry that goes when its turn comes.
#[derive(Clone, Debug)]
struct Oldest {
    key: Vec<u8>,
    bytes: u64,
    /// No time of one that cannot be read: it is let go when its turn comes by size.
    at_ms: Option<u64>,
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

    /// How many rows the history has now.
    pub(crate) fn row_count(&self) -> u64 {
        let kept = self.kept.lock();
        let entries = kept.values().map(|part| part.amount.entries);
        entries.sum::<u64>().saturating_add(kept.len() as u64)
    }

    /// What is to be written with a batch of entries after which it is `log_time_ms`.
    /// Reads the disk: nobody's reading of the state is to wait for it.
    ///
    /// What is kept may differ between nodes with other bounds: nothing depends on it.
    pub(crate) fn rows(
        &self,
        entries: &[HistoryEntry],
        log_time_ms: u64,
    ) -> io::Result<Vec<RowWrite>> {
        let mut kept = self.kept.lock();
        let mut batch = Batch::default();
        for entry in entries {
            batch.bring(entry, kept.entry(Part::of(entry)).or_default());
        }
        for class in Class::ALL {
            self.let_go_of_the_old(class, log_time_ms, &mut kept, &mut batch)?;
            self.let_go_of_the_most(class, &mut kept, &mut batch)?;
        }
        for part in std::mem::take(&mut batch.changed) {
            let amount = kept.get(&part).map(|kept| kept.amount);
            let amount = amount.filter(|amount| amount.entries > 0);
            if amount.is_none() {
                kept.remove(&part);
            }
            let rest = row(part.amount_key(), amount.map(encode_amount));
            batch.rows.push(rest);
        }
        Ok(batch.rows)
    }

    fn let_go_of_the_old(
        &self,
        class: Class,
        log_time_ms: u64,
        kept: &mut Kept,
        batch: &mut Batch,
    ) -> io::Result<()> {
        let age_ms = u64::try_from(self.bounds.age.as_millis()).unwrap_or(u64::MAX);
        let end_ms = log_time_ms.saturating_sub(age_ms);
        let mut left = GO_AT_ONCE;
        for (part, kept) in kept.iter_mut().filter(|(part, _)| part.class == class) {
            if kept.oldest_ms.is_some_and(|oldest_ms| oldest_ms >= end_ms) {
                continue;
            }
            while left > 0
                && let Some(at_ms) = self.peek(*part, kept)?.map(|oldest| oldest.at_ms)
            {
                kept.oldest_ms = at_ms;
                if at_ms.is_none_or(|at_ms| at_ms >= end_ms) {
                    break;
                }
                batch.let_go(*part, kept);
                left -= 1;
            }
        }
        Ok(())
    }

    /// While a class is beyond its bound, the oldest entry goes of what came through the
    /// node that has the most there: who floods it pushes out its own, and what came
    /// through another stays as long as that is less than an equal share. What the batch
    /// itself brings is not on the disk yet, and stays.
    ///
    /// By bytes, not by number: small old entries do not make room for as many large new
    /// ones.
    fn let_go_of_the_most(
        &self,
        class: Class,
        kept: &mut Kept,
        batch: &mut Batch,
    ) -> io::Result<()> {
        let brought = batch.brought.get(&class).copied().unwrap_or_default();
        let mut left = brought.saturating_add(WORN_AT_ONCE);
        while left > 0 {
            let own = || kept.iter().filter(|(part, _)| part.class == class);
            let bytes: u64 = own().map(|(_, kept)| kept.amount.bytes).sum();
            let most = own().max_by_key(|(part, kept)| (kept.amount.bytes, Reverse(part.via)));
            let most = most.map(|(part, _)| *part);
            let Some(part) = most.filter(|_| bytes > self.bounds.bytes) else {
                return Ok(());
            };
            let Some(kept) = kept.get_mut(&part) else {
                return Ok(());
            };
            let Some(oldest) = self.peek(part, kept)? else {
                return Ok(());
            };
            left = left.saturating_sub(oldest.bytes);
            batch.let_go(part, kept);
        }
        Ok(())
    }

    /// The oldest of a part on the disk.
    fn peek<'a>(&self, part: Part, kept: &'a mut KeptPart) -> io::Result<Option<&'a Oldest>> {
        if kept.oldest.is_empty() && kept.amount.entries > 0 {
            let from = part.key(kept.from);
            let rows = self.store.first(TABLE, &from, &part.end(), READ_AT_ONCE)?;
            if let Some(last) = rows.last() {
                kept.from = Revision(Part::revision(&last.key).0.saturating_add(1));
            }
            kept.oldest.extend(rows.into_iter().map(Oldest::of));
        }
        Ok(kept.oldest.front())
    }
}

/// What a batch writes.
#[derive(Default)]
struct Batch {
    rows: Vec<RowWrite>,
    changed: BTreeSet<Part>,
    /// Bytes of each class.
    brought: BTreeMap<Class, u64>,
}

impl Batch {
    fn bring(&mut self, entry: &HistoryEntry, kept: &mut KeptPart) {
        let part = Part::of(entry);
        let value = encode_history_entry(entry);
        if kept.amount.entries == 0 {
            (kept.from, kept.oldest_ms) = (entry.revision, Some(entry.log_time_ms));
        }
        kept.amount.add(&value);
        *self.brought.entry(part.class).or_default() += value.len() as u64;
        self.rows.push(row(part.key(entry.revision), Some(value)));
        self.changed.insert(part);
    }

    /// The oldest that was read of a part.
    fn let_go(&mut self, part: Part, kept: &mut KeptPart) {
        if let Some(oldest) = kept.oldest.pop_front() {
            kept.amount.take(oldest.bytes);
            kept.oldest_ms = kept.oldest.front().and_then(|next| next.at_ms);
            self.rows.push(row(oldest.key, None));
            self.changed.insert(part);
        }
    }
}

impl Oldest {
    fn of(row: Row) -> Self {
        let bytes = row.value.len() as u64;
        let entry = decode_history_entry(row.value).ok();
        Self {
            key: row.key.to_vec(),
            bytes,
            at_ms: entry.map(|entry| entry.log_time_ms),
        }
    }
}

fn row(key: Vec<u8>, value: Option<Bytes>) -> RowWrite {
    RowWrite {
        table: TABLE,
        key: key.into(),
        value,
    }
}

fn read_amounts(store: &StateStore) -> io::Result<Kept> {
    let mut kept = Kept::new();
    for part in Part::all(store)? {
        let amount = match store.get(TABLE, &part.amount_key())? {
            Some(value) => decode_amount(value)?,
            None => Amount::default(),
        };
        let known = KeptPart {
            amount,
            ..KeptPart::default()
        };
        kept.insert(part, known);
    }
    Ok(kept)
}

/// Whether a command is written down. Those with which the leader keeps time and
/// compares states say nothing of anybody, and come every second.
pub(crate) fn is_worth_it(command: &Command) -> bool {
    !matches!(command, Command::Tick | Command::CompareState { .. })
}
