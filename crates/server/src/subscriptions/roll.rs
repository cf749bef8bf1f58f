//! Who can still serve by what it was answered, and what it has applied. Pure: the time
//! is an argument.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use chancery_credential::Revision;
use chancery_revocation::BootTime;
use thiserror::Error;

use crate::caller::Holder;

/// Names a row for as long as it is there, and no other ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct RowId(u64);

/// No verifier more is answered: to forget one that is there would be to say of it what
/// is not so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(crate) enum Full {
    #[error("{0} verifiers can still serve by what this node answered, the most that it keeps")]
    Node(usize),
    #[error(
        "{0} verifiers with the keys of this caller can still serve by what this node answered, \
         the most that it keeps of one"
    )]
    Holder(usize),
}

/// One verifier.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) holder: Holder,
    /// Everything up to here was applied by it.
    pub(super) revision: Revision,
    /// From here on it serves by nothing that it was answered.
    pub(super) until: BootTime,
}

/// The rows, also in the order of what they know and of when they run out.
pub(super) struct Roll {
    rows: BTreeMap<RowId, Entry>,
    revisions: BTreeSet<(Revision, RowId)>,
    ends: BTreeSet<(BootTime, RowId)>,
    holders: HashMap<Holder, usize>,
    next: u64,
    most: usize,
    most_of_one: usize,
}

impl Roll {
    pub(super) fn of_at_most(most: usize, most_of_one: usize) -> Self {
        Self {
            rows: BTreeMap::new(),
            revisions: BTreeSet::new(),
            ends: BTreeSet::new(),
            holders: HashMap::new(),
            next: 0,
            most,
            most_of_one,
        }
    }

    pub(super) fn count(&self) -> usize {
        self.rows.len()
    }

    /// Whether it holds nothing at all.
    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty()
            && self.revisions.is_empty()
            && self.ends.is_empty()
            && self.holders.is_empty()
    }

    /// The lowest revision of those that can serve after `now`; `None` without any.
    pub(super) fn least(&mut self, now: BootTime) -> Option<Revision> {
        self.drop_those_over(now);
        self.revisions.first().map(|(revision, _)| *revision)
    }

    /// What a row knows never goes back.
    pub(super) fn heard(&mut self, id: RowId, revision: Revision) {
        if let Some(row) = self.rows.get_mut(&id)
            && revision > row.revision
        {
            self.revisions.remove(&(row.revision, id));
            self.revisions.insert((revision, id));
            row.revision = revision;
        }
    }

    /// Keeps a row at least as long as the entry says, and makes one if it is over or
    /// never was.
    pub(super) fn answering(
        &mut self,
        id: Option<RowId>,
        entry: Entry,
        now: BootTime,
    ) -> Result<RowId, Full> {
        self.drop_those_over(now);
        if let Some(id) = id
            && let Some(row) = self.rows.get_mut(&id)
        {
            // What it was answered before lasts, though V was lowered since.
            if entry.until > row.until {
                self.ends.remove(&(row.until, id));
                self.ends.insert((entry.until, id));
                row.until = entry.until;
            }
            self.heard(id, entry.revision);
            return Ok(id);
        }
        self.make(entry)
    }

    fn make(&mut self, entry: Entry) -> Result<RowId, Full> {
        if self.rows.len() >= self.most {
            return Err(Full::Node(self.most));
        }
        let of_one = self.holders.get(&entry.holder).copied().unwrap_or(0);
        if of_one >= self.most_of_one {
            return Err(Full::Holder(self.most_of_one));
        }
        let id = RowId(self.next);
        self.next += 1;
        self.holders.insert(entry.holder.clone(), of_one + 1);
        self.revisions.insert((entry.revision, id));
        self.ends.insert((entry.until, id));
        self.rows.insert(id, entry);
        Ok(id)
    }

    fn drop_those_over(&mut self, now: BootTime) {
        while let Some((until, id)) = self.ends.first().copied()
            && until <= now
        {
            self.ends.remove(&(until, id));
            let Some(row) = self.rows.remove(&id) else {
                continue;
            };
            self.revisions.remove(&(row.revision, id));
            match self.holders.get_mut(&row.holder) {
                Some(count) if *count > 1 => *count -= 1,
                _ => drop(self.holders.remove(&row.holder)),
            }
        }
    }
}
