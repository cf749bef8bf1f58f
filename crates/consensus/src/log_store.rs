//! Raft's log, on storage. Entries, votes and log ids go in and out as
//! `chancery.log.v1`; order and durability are storage's.

use std::{
    fmt::Debug,
    io,
    ops::{Bound, Range, RangeBounds},
};

use bytes::Bytes;
use chancery_storage::{LogStore as Storage, StateStore, completion};
use futures::Stream;
use openraft::{
    LogState, OptionalSend, RaftLogReader,
    entry::RaftEntry as _,
    storage::{IOFlushed, RaftLogStorage},
};

use crate::{
    codec::{decode_entry, decode_log_id, decode_vote, encode_entry, encode_log_id, encode_vote},
    disk_work::on_a_thread,
    peers::limits::MAX_APPEND_BYTES,
    raft::{Entry, LogId, Types, Vote},
    release::Hold,
};

/// openraft's view of the log. Cheap to clone.
#[derive(Clone)]
pub(crate) struct LogStore {
    log: Storage,
    /// Synced before anything is purged: what is purged can be found nowhere else.
    /// Without it anything is, which only openraft's own storage tests ask for.
    state: Option<StateStore>,
    _hold: Hold,
}

impl LogStore {
    pub(crate) fn new(log: Storage, state: Option<StateStore>, hold: Hold) -> Self {
        Self {
            log,
            state,
            _hold: hold,
        }
    }

    fn range(&self, range: &impl RangeBounds<u64>) -> Range<u64> {
        let start = match range.start_bound() {
            Bound::Included(start) => *start,
            Bound::Excluded(before) => before.saturating_add(1),
            Bound::Unbounded => 0,
        };
        let end = match range.end_bound() {
            Bound::Included(last) => last.saturating_add(1),
            Bound::Excluded(end) => *end,
            Bound::Unbounded => self
                .log
                .last_index()
                .map_or(0, |last| last.saturating_add(1)),
        };
        start..end.max(start)
    }

    /// The part of a range that the log holds: it may lack a beginning that was
    /// purged and an end that was never appended, and nothing between.
    fn held(&self, range: &impl RangeBounds<u64>) -> Range<u64> {
        let range = self.range(range);
        let (Some(first), Some(last)) = (self.log.first_index(), self.log.last_index()) else {
            return range.start..range.start;
        };
        let start = range.start.max(first);
        start..range.end.min(last.saturating_add(1)).max(start)
    }

    fn entries(&self, range: Range<u64>, max_bytes: usize) -> io::Result<Vec<Entry>> {
        let stored = self.log.read(range, max_bytes)?;
        stored
            .into_iter()
            .map(|(index, bytes)| {
                let entry = decode_entry(bytes)?;
                if entry.index() == index {
                    Ok(entry)
                } else {
                    Err(damaged(format_args!(
                        "entry {} stands at {index}",
                        entry.index()
                    )))
                }
            })
            .collect()
    }

    /// The next chunk of a walk through the log, which must not skip an entry.
    fn chunk(&self, range: Range<u64>) -> io::Result<Vec<Entry>> {
        let first = range.start;
        let chunk = self.entries(range, MAX_APPEND_BYTES)?;
        match chunk.first() {
            Some(entry) if entry.index() == first => Ok(chunk),
            _ => Err(damaged(format_args!("entry {first} is not in the log"))),
        }
    }
}

/// Through where the state survives the machine, once this returns.
fn synced_through(state: &StateStore) -> chancery_storage::Result<Option<u64>> {
    #[cfg(simulation)]
    if chancery_mutation::is_made(chancery_mutation::Mutation::PurgeSync) {
        return Ok(state.applied().map(|applied| applied.index));
    }
    state.sync()
}

fn damaged(what: impl std::fmt::Display) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("{what}: the log of this node is damaged; remove the node and admit it anew"),
    )
}

impl RaftLogReader<Types> for LogStore {
    async fn try_get_log_entries<RB: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: RB,
    ) -> io::Result<Vec<Entry>> {
        self.entries(self.range(&range), usize::MAX)
    }

    async fn read_vote(&mut self) -> io::Result<Option<Vote>> {
        Ok(self.log.vote().map(decode_vote).transpose()?)
    }

    async fn limited_get_log_entries(&mut self, start: u64, end: u64) -> io::Result<Vec<Entry>> {
        // A leader that was deposed may go on reading for a moment what the new one has
        // truncated: nothing, and openraft asks no more. A hole within the log is damage.
        let holds_start = |store: &Self| {
            let held = store.held(&(start..end));
            !held.is_empty() && held.start == start
        };
        if !holds_start(self) {
            return Ok(Vec::new());
        }
        match self.chunk(start..end) {
            Err(_) if !holds_start(self) => Ok(Vec::new()),
            chunk => chunk,
        }
    }

    async fn entries_stream<RB>(
        &mut self,
        range: RB,
    ) -> impl Stream<Item = io::Result<Entry>> + OptionalSend
    where
        RB: RangeBounds<u64> + Clone + Debug + OptionalSend,
    {
        let store = self.clone();
        let chunks = futures::stream::try_unfold(self.held(&range), move |left| {
            let store = store.clone();
            async move {
                if left.is_empty() {
                    return io::Result::Ok(None);
                }
                let chunk = store.chunk(left.clone())?;
                let next = chunk.last().map_or(left.end, |entry| entry.index() + 1);
                Ok(Some((
                    futures::stream::iter(chunk.into_iter().map(Ok)),
                    next..left.end,
                )))
            }
        });
        Box::pin(futures::TryStreamExt::try_flatten(chunks))
    }
}

impl RaftLogStorage<Types> for LogStore {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> io::Result<LogState<Types>> {
        let purged = self
            .log
            .purged()
            .map(|purged| decode_log_id(purged.log_id))
            .transpose()?;
        let last = match self.log.last_index() {
            Some(last) => self
                .entries(last..last + 1, usize::MAX)?
                .pop()
                .map(|e| e.log_id()),
            None => None,
        };
        Ok(LogState {
            last_purged_log_id: purged,
            last_log_id: last.or(purged),
        })
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> io::Result<()> {
        let (on_flushed, flushed) = completion();
        self.log.save_vote(encode_vote(vote), on_flushed)?;
        flushed.await
    }

    async fn save_committed(&mut self, committed: Option<LogId>) -> io::Result<()> {
        if let Some(committed) = committed {
            self.log.save_committed(encode_log_id(&committed))?;
        }
        Ok(())
    }

    async fn read_committed(&mut self) -> io::Result<Option<LogId>> {
        Ok(self.log.committed().map(decode_log_id).transpose()?)
    }

    async fn append<I>(&mut self, entries: I, callback: IOFlushed<Types>) -> io::Result<()>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let encoded: Vec<(u64, Bytes)> = entries
            .into_iter()
            .map(|entry| (entry.index(), encode_entry(&entry)))
            .collect();
        self.log.append(
            encoded,
            Box::new(move |result| callback.io_completed(result)),
        )?;
        Ok(())
    }

    async fn truncate_after(&mut self, last: Option<LogId>) -> io::Result<()> {
        let from = last.map_or(0, |last| last.index.saturating_add(1));
        let (on_flushed, flushed) = completion();
        self.log.truncate_from(from, on_flushed)?;
        flushed.await
    }

    async fn purge(&mut self, through: LogId) -> io::Result<()> {
        if let Some(state) = self.state.clone() {
            let sync = on_a_thread(move || synced_through(&state));
            if sync.await?? < Some(through.index) {
                return Err(damaged(format_args!(
                    "the state does not hold entry {through}"
                )));
            }
        }
        let (on_flushed, flushed) = completion();
        self.log
            .purge_through(through.index, encode_log_id(&through), on_flushed)?;
        flushed.await
    }
}
