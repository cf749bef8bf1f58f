//! Looking into the history, the newest first.

use std::{collections::VecDeque, io};

use chancery_credential::{NodeNumber, Revision};
use chancery_storage::StateStore;

use super::{HistoryEntry, TABLE, part::Part};
use crate::codec::decode_history_entry;

/// Entries of a part that are read at once.
const READ_AT_ONCE: usize = 32;
/// Entries that one page looks at, found or not: a question that nothing answers
/// must not read the whole history in one go.
const LOOKED_AT: usize = 20_000;
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

/// # Errors
/// The disk's, or an entry that cannot be read.
pub(crate) fn page(store: &StateStore, query: &HistoryQuery) -> io::Result<HistoryPage> {
    // What is applied while this reads is in some parts and not in others: it is left to
    // whoever asks next, so that no page goes on below what it did not show.
    let applied = store.applied().map_or(0, |applied| applied.index);
    let after = Revision(applied.saturating_add(1));
    let before = query.before.map_or(after, |before| before.min(after));
    let mut parts: Vec<_> = Part::all(store)?
        .into_iter()
        .map(|part| Newest::of(part, Some(before)))
        .collect();
    let mut entries = Vec::new();
    let mut next = None;
    let mut bytes = 0_usize;
    for _ in 0..LOOKED_AT {
        let Some((entry, size)) = newest_of(&mut parts, store)? else {
            return Ok(HistoryPage {
                entries,
                next: None,
            });
        };
        // Log time only grows: nothing before this is later.
        if entry.log_time_ms < query.since_ms {
            return Ok(HistoryPage {
                entries,
                next: None,
            });
        }
        next = Some(entry.revision);
        if query.fits(&entry) {
            entries.push(entry);
            bytes = bytes.saturating_add(size);
            if entries.len() >= query.most || bytes >= PAGE_BYTES {
                break;
            }
        }
    }
    Ok(HistoryPage { entries, next })
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

/// A part, read from its newest entry on.
struct Newest {
    part: Part,
    /// Entries before this key are not read yet.
    to: Vec<u8>,
    /// With their sizes on the disk.
    read: VecDeque<(HistoryEntry, usize)>,
    ended: bool,
}

impl Newest {
    fn of(part: Part, before: Option<Revision>) -> Self {
        Self {
            part,
            to: before.map_or_else(|| part.end(), |before| part.key(before)),
            read: VecDeque::new(),
            ended: false,
        }
    }

    fn peek(&mut self, store: &StateStore) -> io::Result<Option<Revision>> {
        if self.read.is_empty() && !self.ended {
            let rows = store.last(TABLE, &self.part.begin(), &self.to, READ_AT_ONCE)?;
            self.ended = rows.len() < READ_AT_ONCE;
            for row in rows {
                self.to = row.key.to_vec();
                let size = row.value.len();
                self.read
                    .push_back((decode_history_entry(row.value)?, size));
            }
        }
        Ok(self.read.front().map(|(entry, _)| entry.revision))
    }
}

fn newest_of(
    parts: &mut [Newest],
    store: &StateStore,
) -> io::Result<Option<(HistoryEntry, usize)>> {
    let mut newest: Option<(usize, Revision)> = None;
    for (place, part) in parts.iter_mut().enumerate() {
        if let Some(revision) = part.peek(store)?
            && newest.is_none_or(|(_, known)| known < revision)
        {
            newest = Some((place, revision));
        }
    }
    let found = newest.and_then(|(place, _)| parts.get_mut(place));
    Ok(found.and_then(|part| part.read.pop_front()))
}
