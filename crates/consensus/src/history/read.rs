//! Looking into the history, the newest first.

use std::{collections::VecDeque, io};

use bytes::Bytes;
use chancery_credential::{NodeNumber, Revision};
use chancery_storage::{Row, StateStore};

use super::{HistoryEntry, TABLE, part::Part};
use crate::codec::decode_history_entry;

/// Entries of a part that are read at once.
const READ_AT_ONCE: usize = 32;
/// Bytes that are read ahead of all parts together, each of which may have an equal
/// share. Of an entry that is larger than that only its place is kept.
const READ_AHEAD_BYTES: usize = 8 << 20;
/// Entries that one page looks at, found or not: a question that nothing answers
/// must not read the whole history in one go.
const LOOKED_AT: usize = 20_000;
/// Bytes of the entries that it looks at: commands may be large.
const LOOKED_AT_BYTES: usize = 64 << 20;
/// Bytes of a page, after which it ends: commands may be large.
const PAGE_BYTES: usize = 1 << 20;

/// What is sought. All that is given has to fit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HistoryQuery {
    /// As [`Actor`](chancery_authority::Actor) is shown: `operator:root`.
    pub actor: Option<String>,
    /// As [`Command::about`](chancery_authority::Command::about) tells it:
    /// `agent:<SPIFFE ID>`; or as [`HistoryEntry::named`] has it.
    pub about: Option<String>,
    /// The node that authenticated the actor.
    pub via: Option<NodeNumber>,
    /// As [`Command::name`](chancery_authority::Command::name).
    pub command: Option<String>,
    /// Not before, by log time, milliseconds since the Unix epoch.
    pub since_ms: u64,
    /// Not after; none: up to now.
    pub until_ms: Option<u64>,
    /// Only entries before this revision: where the page before ended.
    pub before: Option<Revision>,
    /// How many, at most.
    pub most: usize,
}

/// A page of the history, the newest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoryPage {
    /// Those that fit.
    pub entries: Vec<HistoryEntry>,
    /// Ask for what is before this; none: there is no more. A page may be short, or
    /// empty, and yet not be the last.
    pub next: Option<Revision>,
}

/// A page, as long as `is_wanted`, which is asked before each look at the disk and at
/// each entry.
///
/// # Errors
/// The disk's, or an entry that cannot be read; [`io::ErrorKind::Interrupted`] when it
/// is not wanted any more.
pub(crate) fn page(
    store: &StateStore,
    query: &HistoryQuery,
    is_wanted: &dyn Fn() -> bool,
) -> io::Result<HistoryPage> {
    // What is applied while this reads is in some parts and not in others: it is left to
    // whoever asks next, so that no page goes on below what it did not show.
    let applied = store.applied().map_or(0, |applied| applied.index);
    let after = Revision(applied.saturating_add(1));
    let before = query.before.map_or(after, |before| before.min(after));
    let mut parts = Parts::of(store, before, is_wanted)?;
    let mut page = HistoryPage {
        entries: Vec::new(),
        next: None,
    };
    let (mut bytes, mut looked_at) = (0_usize, 0_usize);
    for _ in 0..LOOKED_AT {
        // Log time only grows: nothing before an entry is later.
        let newest = parts.newest()?;
        let Some((entry, size)) = newest.filter(|(entry, _)| entry.log_time_ms >= query.since_ms)
        else {
            page.next = None;
            return Ok(page);
        };
        page.next = Some(entry.revision);
        looked_at = looked_at.saturating_add(size);
        if query.fits(&entry) {
            page.entries.push(entry);
            bytes = bytes.saturating_add(size);
        }
        let is_full = page.entries.len() >= query.most || bytes >= PAGE_BYTES;
        if is_full || looked_at >= LOOKED_AT_BYTES {
            break;
        }
    }
    Ok(page)
}

impl HistoryQuery {
    fn fits(&self, entry: &HistoryEntry) -> bool {
        let is = |wanted: &Option<String>, found: &dyn Fn(&str) -> bool| {
            wanted.as_deref().is_none_or(found)
        };
        self.until_ms.is_none_or(|until| entry.log_time_ms <= until)
            && self.via.is_none_or(|via| entry.meta.via == via)
            && is(&self.actor, &|actor| entry.meta.actor.to_string() == actor)
            && is(&self.command, &|name| entry.command.name() == name)
            && is(&self.about, &|about| {
                let mut named = entry.named.iter();
                named.any(|named| named == about)
                    || entry.command.about().iter().any(|named| named == about)
            })
    }
}

/// Every part, each read from its newest entry on.
struct Parts<'a> {
    store: &'a StateStore,
    is_wanted: &'a dyn Fn() -> bool,
    /// Bytes that each part may have read ahead.
    share: usize,
    parts: Vec<Newest>,
}

impl<'a> Parts<'a> {
    fn of(
        store: &'a StateStore,
        before: Revision,
        is_wanted: &'a dyn Fn() -> bool,
    ) -> io::Result<Self> {
        let parts: Vec<_> = Part::all(store)?
            .into_iter()
            .map(|part| Newest::of(part, before))
            .collect();
        Ok(Self {
            store,
            is_wanted,
            share: READ_AHEAD_BYTES / parts.len().max(1),
            parts,
        })
    }

    /// The newest entry that is left of all parts, and its size on the disk.
    fn newest(&mut self) -> io::Result<Option<(HistoryEntry, usize)>> {
        loop {
            let mut newest: Option<(usize, Revision)> = None;
            for place in 0..self.parts.len() {
                if let Some(revision) = self.peek(place)?
                    && newest.is_none_or(|(_, known)| known < revision)
                {
                    newest = Some((place, revision));
                }
            }
            let found = newest.and_then(|(place, _)| self.parts.get_mut(place));
            let Some(ahead) = found.and_then(|part| part.ahead.pop_front()) else {
                return Ok(None);
            };
            self.must_be_wanted()?;
            let value = match ahead.value {
                Some(value) => Some(value),
                None => self.store.get(TABLE, &ahead.key)?,
            };
            // It may have been let go since.
            if let Some(value) = value {
                let size = value.len();
                return Ok(Some((decode_history_entry(value)?, size)));
            }
        }
    }

    /// Where the newest entry of a part stands.
    fn peek(&mut self, place: usize) -> io::Result<Option<Revision>> {
        let is_due = |part: &&mut Newest| part.ahead.is_empty() && !part.ended;
        if self.parts.get_mut(place).as_ref().is_some_and(is_due) {
            self.must_be_wanted()?;
        }
        let Some(part) = self.parts.get_mut(place) else {
            return Ok(None);
        };
        part.read_ahead(self.store, self.share)?;
        let front = part.ahead.front();
        Ok(front.map(|ahead| Part::revision(&ahead.key)))
    }

    fn must_be_wanted(&self) -> io::Result<()> {
        if (self.is_wanted)() {
            return Ok(());
        }
        let left = "nobody waits for this page of the history any more";
        Err(io::Error::new(io::ErrorKind::Interrupted, left))
    }
}

/// A part, read from its newest entry on.
struct Newest {
    part: Part,
    /// Entries before this key are not read yet.
    to: Vec<u8>,
    ahead: VecDeque<Ahead>,
    ended: bool,
}

/// An entry that was read ahead; of a large one the key alone.
struct Ahead {
    key: Bytes,
    value: Option<Bytes>,
}

impl Newest {
    fn of(part: Part, before: Revision) -> Self {
        Self {
            part,
            to: part.key(before),
            ahead: VecDeque::new(),
            ended: false,
        }
    }

    /// Reads on when nothing is left of what was read.
    fn read_ahead(&mut self, store: &StateStore, share: usize) -> io::Result<()> {
        if !self.ahead.is_empty() || self.ended {
            return Ok(());
        }
        let from = self.part.begin();
        let rows = store.last(TABLE, &from, &self.to, READ_AT_ONCE, share)?;
        let bytes: usize = rows.iter().map(|row| row.value.len()).sum();
        self.ended = rows.len() < READ_AT_ONCE && bytes < share;
        if let Some(last) = rows.last() {
            self.to = last.key.to_vec();
        }
        let within = |row: Row| Ahead {
            value: (row.value.len() <= share).then_some(row.value),
            key: row.key,
        };
        self.ahead.extend(rows.into_iter().map(within));
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::history::{HistoryBounds, chronicle::Chronicle};

    /// Two hundred parts of large commands: what is read ahead of them is bounded.
    #[test]
    fn what_is_read_ahead_is_bounded_however_many_parts_there_are() {
        let chronicle = Chronicle::within(HistoryBounds::default());
        for via in 1..=200 {
            let batch: Vec<_> = (0..8).map(|_| chronicle.by_root(via, 30 << 10)).collect();
            chronicle.apply(&batch);
        }
        let before = Revision(chronicle.applied().0 + 1);
        let mut parts = Parts::of(&chronicle.store, before, &|| true).unwrap();
        for _ in 0..1_000 {
            parts.newest().unwrap().unwrap();
            let ahead = parts.parts.iter().flat_map(|part| &part.ahead);
            let bytes: usize = ahead.flat_map(|ahead| &ahead.value).map(Bytes::len).sum();
            assert!(bytes <= 2 * READ_AHEAD_BYTES, "{bytes} bytes");
        }
    }
}
