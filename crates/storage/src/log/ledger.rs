//! What is known of the log without the disk: its extent, its tail, the vote.

use std::{collections::VecDeque, ops::Range};

use bytes::Bytes;

use crate::{Error, Result};

/// The tail kept in memory once it is on the disk: what followers and the state machine read next.
const TAIL_BYTES: usize = 8 << 20;
const TAIL_ENTRIES: usize = 16 * 1024;

/// Through where the log was forgotten.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Purged {
    /// The index of the last entry forgotten.
    pub index: u64,
    /// Its log id, as its owner wrote it.
    pub log_id: Bytes,
}

/// Entries by index.
pub(super) type Entries = Vec<(u64, Bytes)>;

/// The log as its readers see it, ahead of the disk.
///
/// Invariants: `first <= next`; the tail is the entries `[next - tail.len(), next)`; an entry that is not in the
/// tail is on the disk as it stands here (only entries that are flushed are evicted).
pub(super) struct Ledger {
    first: u64,
    next: u64,
    tail: VecDeque<Bytes>,
    tail_bytes: usize,
    /// Truncations and purges so far.
    cuts: u64,
    pub(super) purged: Option<Purged>,
    pub(super) vote: Option<Bytes>,
    pub(super) committed: Option<Bytes>,
}

/// How to answer a read: first these from the disk, then those.
pub(super) struct Plan {
    pub(super) disk: Range<u64>,
    pub(super) tail: Entries,
    /// [`Ledger::cuts`] when it was planned.
    pub(super) cuts: u64,
}

impl Ledger {
    /// The ledger of a log whose entries `[first, next)` are all on the disk.
    pub(super) fn of(first: u64, next: u64, purged: Option<Purged>) -> Self {
        Self {
            first,
            next,
            tail: VecDeque::new(),
            tail_bytes: 0,
            cuts: 0,
            purged,
            vote: None,
            committed: None,
        }
    }

    /// First and last index, if there is an entry.
    pub(super) fn extent(&self) -> Option<(u64, u64)> {
        (self.first < self.next).then(|| (self.first, self.next.saturating_sub(1)))
    }

    /// The index that an append must begin with, if any other would be wrong.
    fn expected(&self) -> Option<u64> {
        match (self.extent(), &self.purged) {
            (None, None) => None,
            _ => Some(self.next),
        }
    }

    /// Takes consecutive entries; nothing changes when they are not.
    pub(super) fn append(&mut self, entries: &[(u64, Bytes)]) -> Result<()> {
        let Some((start, _)) = entries.first() else {
            return Ok(());
        };
        let mut expected = self.expected().unwrap_or(*start);
        for (index, _) in entries {
            // The greatest index has no successor.
            if *index != expected || *index == u64::MAX {
                return Err(Error::NotConsecutive {
                    expected,
                    found: *index,
                });
            }
            expected += 1;
        }
        if self.extent().is_none() {
            self.first = *start;
        }
        self.next = expected;
        for (_, entry) in entries {
            self.tail_bytes += entry.len();
            self.tail.push_back(entry.clone());
        }
        Ok(())
    }

    /// Forgets `from` and all after it. Answers what was really cut: nothing of what was purged.
    pub(super) fn truncate(&mut self, from: u64) -> Range<u64> {
        let from = from.clamp(self.first, self.next);
        let cut = from..self.next;
        self.cuts += 1;
        while self.next > from {
            self.next -= 1;
            if let Some(entry) = self.tail.pop_back() {
                self.tail_bytes -= entry.len();
            } else {
                self.next = from;
            }
        }
        cut
    }

    /// Forgets everything through `through`. Answers from which index on, `None` when it was forgotten already.
    pub(super) fn purge(&mut self, through: u64, log_id: Bytes) -> Result<Option<u64>> {
        if self
            .purged
            .as_ref()
            .is_some_and(|purged| purged.index >= through)
        {
            return Ok(None);
        }
        let Some(first) = through.checked_add(1) else {
            return Err(Error::NotConsecutive {
                expected: self.next,
                found: through,
            });
        };
        let tail_first = self.tail_first();
        for _ in tail_first..first {
            let Some(entry) = self.tail.pop_front() else {
                break;
            };
            self.tail_bytes -= entry.len();
        }
        self.cuts += 1;
        self.purged = Some(Purged {
            index: through,
            log_id,
        });
        let forgotten = self.first;
        self.first = self.first.max(first);
        self.next = self.next.max(self.first);
        Ok(Some(forgotten))
    }

    /// Lets go of what is on the disk and too much to keep.
    pub(super) fn evict(&mut self, flushed: Option<u64>) {
        while self.tail_bytes > TAIL_BYTES || self.tail.len() > TAIL_ENTRIES {
            if flushed < Some(self.tail_first()) {
                return;
            }
            let Some(entry) = self.tail.pop_front() else {
                return;
            };
            self.tail_bytes -= entry.len();
        }
    }

    /// How often entries were taken away: what was missing while this stood still was lost.
    pub(super) fn cuts(&self) -> u64 {
        self.cuts
    }

    fn tail_first(&self) -> u64 {
        self.next.saturating_sub(self.tail.len() as u64)
    }

    /// How to read `range`. Takes entries from the tail until `max_bytes` are reached, but at least one.
    pub(super) fn plan(&self, range: &Range<u64>, max_bytes: usize) -> Plan {
        let start = range.start.max(self.first);
        let end = range.end.min(self.next).max(start);
        let from_tail = self.tail_first().clamp(start, end);
        let skipped = usize::try_from(from_tail - self.tail_first().min(from_tail));
        let mut bytes = 0;
        let tail = (from_tail..end)
            .zip(self.tail.iter().skip(skipped.unwrap_or(usize::MAX)))
            .take_while(|(_, entry)| {
                let taken = bytes == 0 || bytes + entry.len() <= max_bytes;
                bytes += entry.len().max(1);
                taken
            })
            .map(|(index, entry)| (index, entry.clone()))
            .collect();
        Plan {
            disk: start..from_tail,
            tail,
            cuts: self.cuts,
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn entries(range: Range<u64>, size: usize) -> Entries {
        range
            .map(|index| (index, Bytes::from(vec![index as u8; size])))
            .collect()
    }

    fn indexes(plan: &Plan) -> Vec<u64> {
        plan.tail.iter().map(|(index, _)| *index).collect()
    }

    #[test]
    fn a_hole_or_an_overwritten_entry_is_the_callers_fault_and_changes_nothing() {
        let mut ledger = Ledger::of(0, 0, None);
        ledger.append(&entries(5..8, 1)).unwrap();
        assert!(matches!(
            ledger.append(&entries(9..10, 1)),
            Err(Error::NotConsecutive {
                expected: 8,
                found: 9
            })
        ));
        assert!(ledger.append(&entries(7..9, 1)).is_err());
        let gap = [(8, Bytes::new()), (10, Bytes::new())];
        assert!(ledger.append(&gap).is_err());
        assert_eq!(ledger.extent(), Some((5, 7)));
    }

    #[test]
    fn what_is_not_flushed_stays_in_memory_and_what_is_goes_when_it_is_too_much() {
        let mut ledger = Ledger::of(0, 0, None);
        ledger.append(&entries(0..20, 1 << 20)).unwrap();
        ledger.evict(None);
        assert_eq!(ledger.plan(&(0..20), usize::MAX).disk, 0..0);
        ledger.evict(Some(3));
        assert_eq!(ledger.plan(&(0..20), usize::MAX).disk, 0..4);
        ledger.evict(Some(19));
        assert_eq!(ledger.plan(&(0..20), usize::MAX).disk, 0..12);
        assert_eq!(indexes(&ledger.plan(&(14..16), usize::MAX)), vec![14, 15]);
    }

    #[test]
    fn a_read_is_bounded_but_never_empty() {
        let mut ledger = Ledger::of(0, 0, None);
        ledger.append(&entries(0..4, 10)).unwrap();
        assert_eq!(indexes(&ledger.plan(&(0..4), 0)), vec![0]);
        assert_eq!(indexes(&ledger.plan(&(1..4), 25)), vec![1, 2]);
        assert!(indexes(&ledger.plan(&(4..9), 25)).is_empty());
        let backwards = Range { start: 3, end: 1 };
        assert!(indexes(&ledger.plan(&backwards, 25)).is_empty());
    }

    #[test]
    fn a_truncation_cuts_below_the_tail_and_a_purge_beyond_the_end() {
        let mut ledger = Ledger::of(3, 10, None);
        ledger.append(&entries(10..12, 1)).unwrap();
        assert_eq!(ledger.truncate(6), 6..12);
        assert_eq!(ledger.extent(), Some((3, 5)));
        ledger.append(&entries(6..8, 1)).unwrap();
        assert_eq!(ledger.plan(&(0..100), usize::MAX).disk, 3..6);

        assert_eq!(ledger.purge(20, Bytes::new()).unwrap(), Some(3));
        assert_eq!(ledger.purge(20, Bytes::new()).unwrap(), None);
        assert_eq!(ledger.extent(), None);
        assert!(ledger.append(&entries(8..9, 1)).is_err());
        ledger.append(&entries(21..22, 1)).unwrap();
        assert_eq!(ledger.truncate(7), 21..22, "never within what was purged");
        assert_eq!(ledger.extent(), None);
    }
}
