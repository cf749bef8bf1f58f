//! What a start finds: where the chain ended, and whether something is missing.

use std::{collections::BTreeSet, io};

use chancery_credential::IssuerNumber;

use super::{
    Cause, Gap,
    disk::{Directory, Ended},
    format::{Ending, Former},
    read::{SegmentReader, Step, Unopened},
};

/// Where the next segment begins.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Next {
    pub(super) number: u64,
    pub(super) former: Former,
    pub(super) records_before: u64,
    /// What the former process left unsaid.
    pub(super) gap: Option<Gap>,
}

/// Reads the last segment of a directory. Nothing in it is changed: what is torn at
/// its end stays there, and the next segment says from where on it does not count.
///
/// `issuers_of` gives the issuers that a process opened, as far as the replicated
/// state knows: it may have signed with one of which no record reached the file.
///
/// # Errors
/// When the directory or the file cannot be read.
pub(super) fn recover(
    directory: &Directory,
    kept: &[Ended],
    now_ms: u64,
    issuers_of: &dyn Fn(u64) -> Vec<IssuerNumber>,
) -> io::Result<Next> {
    let Some(last) = kept.last() else {
        return Ok(Next {
            number: 1,
            ..Next::default()
        });
    };
    let mut reader = match SegmentReader::open(directory.path(), last.segment, u64::MAX) {
        Ok(reader) => reader,
        Err(Unopened::Io(error)) => return Err(error),
        Err(Unopened::Damaged(_)) => return Ok(after_unreadable(last, now_ms)),
    };
    let mut issuers = BTreeSet::new();
    let cause = loop {
        match reader.step()? {
            Step::Records => issuers.extend(reader.issuers()),
            Step::Gap(_) | Step::Deleted(_) | Step::Passed => {}
            Step::End if is_clean(&reader) => break None,
            Step::End | Step::Torn => break Some(Cause::Crash),
            Step::Damaged(_) => break Some(cause_of(directory, &reader)?),
        }
    };
    let header = reader.header();
    issuers.extend(issuers_of(header.process));
    let gap = cause.map(|cause| Gap {
        cause,
        records: header.waiting_at_most,
        from_ms: reader.as_of_ms(),
        to_ms: now_ms.max(reader.as_of_ms()),
        issuers: issuers.into_iter().collect(),
        torn_bytes: reader.file_bytes() - reader.offset(),
    });
    Ok(Next {
        number: last.segment + 1,
        former: reader.end(),
        records_before: header.records_before + reader.records_read(),
        gap,
    })
}

fn is_clean(reader: &SegmentReader) -> bool {
    reader
        .closed()
        .is_some_and(|close| close.ending == Ending::Stopped)
}

/// A disk that lost power leaves zeros where it did not come to write. Anything else
/// that is whole and wrong was not written by an interrupted node.
fn cause_of(directory: &Directory, reader: &SegmentReader) -> io::Result<Cause> {
    let segment = reader.header().segment;
    let zeros = SegmentReader::rest_is_zeros(directory.path(), segment, reader.offset())?;
    Ok(if zeros && reader.closed().is_none() {
        Cause::Crash
    } else {
        Cause::Damage
    })
}

/// Every segment begins whole: one that does not was damaged. The chain begins anew
/// behind it, and says so.
fn after_unreadable(last: &Ended, now_ms: u64) -> Next {
    Next {
        number: last.segment + 1,
        former: Former::default(),
        records_before: 0,
        gap: Some(Gap {
            cause: Cause::Damage,
            records: 0,
            from_ms: 0,
            to_ms: now_ms,
            issuers: Vec::new(),
            torn_bytes: last.bytes,
        }),
    }
}
