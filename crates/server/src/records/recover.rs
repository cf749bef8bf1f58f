//! What a start finds: where the chain ended, and whether something is missing.

use std::{collections::BTreeSet, io};

use chancery_credential::IssuerNumber;

use super::{
    Cause, Gap,
    behind::{empty_sector_behind, synced_by_marks_behind},
    boot::BootId,
    disk::{Directory, Ended},
    format::{Ending, Former},
    read::{SegmentReader, Step, Unopened},
    tail::MAX_UNSYNCED,
    writer::BATCH_BYTES,
};

/// Where the next segment begins.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Next {
    pub(super) number: u64,
    pub(super) former: Former,
    pub(super) records_before: u64,
    /// For how long the node had kept records by then, milliseconds; see the header.
    pub(super) kept_ms: u64,
    /// What the former process left unsaid.
    pub(super) gap: Option<Gap>,
}

/// Reads the last segment of a directory. Nothing in it is changed: what is torn at
/// its end stays there, and the next segment says from where on it does not count.
///
/// `boot` is the start of the machine by now: when the process before ran in another
/// one, its last second may be missing in part, with holes in what is left.
///
/// `issuers_of` gives the issuers that a process opened, or all former processes of this
/// node, as far as the replicated state knows: it may have signed with one of which no
/// record reached the file.
///
/// # Errors
/// When the directory or the file cannot be read.
pub(super) fn recover(
    directory: &Directory,
    kept: &[Ended],
    now_ms: u64,
    boot: BootId,
    issuers_of: &dyn Fn(Option<u64>) -> Vec<IssuerNumber>,
) -> io::Result<Next> {
    let Some(last) = kept.last() else {
        return Ok(first(issuers_of(None), now_ms));
    };
    let mut reader = match SegmentReader::open(directory.path(), last.segment, u64::MAX) {
        Ok(reader) => reader,
        Err(Unopened::Io(error)) => return Err(error),
        Err(Unopened::Damaged(_)) => {
            let gap = unknown(Cause::Damage, issuers_of(None), now_ms);
            return Ok(after_unreadable(directory, kept, last, gap));
        }
    };
    let mut issuers = BTreeSet::new();
    let mut from_ms = 0;
    let cause = loop {
        // What was written by a clock that was set back since bounds nothing.
        if reader.as_of_ms() <= now_ms {
            from_ms = reader.as_of_ms();
        }
        match reader.step()? {
            Step::Records => issuers.extend(reader.issuers()),
            Step::Gap(_) | Step::Deleted(_) | Step::Passed => {}
            Step::End if is_clean(&reader) => break None,
            Step::End | Step::Torn => break Some(cut_by(&reader, boot)),
            Step::Damaged(_) => break Some(cause_of(directory, &reader, boot)?),
        }
    };
    let header = reader.header();
    issuers.extend(issuers_of(Some(header.process)));
    let gap = cause.map(|cause| Gap {
        cause,
        records: missing_at_most(&reader),
        from_ms,
        to_ms: now_ms.max(reader.as_of_ms()),
        issuers: issuers.into_iter().collect(),
        torn_bytes: reader.file_bytes() - reader.offset(),
    });
    Ok(Next {
        number: last.segment + 1,
        former: reader.end(),
        records_before: header.records_before + reader.records_read(),
        kept_ms: reader.kept_ms(),
        gap,
    })
}

fn is_clean(reader: &SegmentReader) -> bool {
    reader
        .closed()
        .is_some_and(|close| close.ending == Ending::Stopped)
}

/// What kept the process from closing its segment, when nothing shows that somebody
/// changed it.
fn cut_by(reader: &SegmentReader, boot: BootId) -> Cause {
    if boot.is_still(BootId(reader.header().boot)) {
        Cause::Crash
    } else {
        Cause::PowerLoss
    }
}

/// Why frames stand there that do not follow. A disk that lost power leaves zeros where
/// it did not come to write, and may have come to write what is behind them: anywhere in
/// what was not synced, which is never more than the writer keeps. So does a volume that
/// went away under a machine that has run on since, but in whole sectors. What was safe,
/// and anything else that such a machine would remember, was changed by somebody, or the
/// disk is bad.
fn cause_of(directory: &Directory, reader: &SegmentReader, boot: BootId) -> io::Result<Cause> {
    let header = reader.header();
    let broken_at = reader.offset();
    let (segment, process) = (header.segment, header.process);
    let synced = synced_by_marks_behind(directory.path(), segment, process, broken_at)?;
    let unsynced_at_most = (MAX_UNSYNCED + 2 * BATCH_BYTES) as u64;
    let can_be_unsynced =
        synced <= broken_at && reader.file_bytes().saturating_sub(broken_at) <= unsynced_at_most;
    if !can_be_unsynced || reader.closed().is_some() {
        return Ok(Cause::Damage);
    }
    let path = directory.path();
    Ok(match cut_by(reader, boot) {
        Cause::Crash if empty_sector_behind(path, segment, broken_at)? => Cause::VolumeLoss,
        Cause::Crash => Cause::Damage,
        cause => cause,
    })
}

/// Every record that was handed over and is not in what was read: those that waited,
/// those that were dropped and not counted, and those that were not synced. The last
/// whatever the cause: that the machine has run on does not say that the volume stayed,
/// and of a file that ends early nothing shows it.
fn missing_at_most(reader: &SegmentReader) -> u64 {
    let header = reader.header();
    header
        .waiting_at_most
        .saturating_add(reader.uncounted_at_most())
        .saturating_add(header.unsynced_at_most)
}

/// The first segment that there is. When former processes of this node opened issuers,
/// records of theirs may have been here.
fn first(issuers: Vec<IssuerNumber>, now_ms: u64) -> Next {
    Next {
        number: 1,
        gap: (!issuers.is_empty()).then(|| unknown(Cause::Absent, issuers, now_ms)),
        ..Next::default()
    }
}

/// A gap of which it is not known how large it is.
fn unknown(cause: Cause, mut issuers: Vec<IssuerNumber>, now_ms: u64) -> Gap {
    issuers.sort_unstable();
    Gap {
        cause,
        records: 0,
        from_ms: 0,
        to_ms: now_ms,
        issuers,
        torn_bytes: 0,
    }
}

/// Every segment begins whole: one that does not was damaged. The chain begins anew
/// behind it, and says so.
fn after_unreadable(directory: &Directory, kept: &[Ended], last: &Ended, gap: Gap) -> Next {
    let headers = kept
        .iter()
        .rev()
        .filter_map(|kept| begun_at(directory, kept));
    Next {
        number: last.segment + 1,
        former: Former::default(),
        records_before: 0,
        kept_ms: headers.into_iter().next().unwrap_or_default(),
        gap: Some(Gap {
            torn_bytes: last.bytes,
            ..gap
        }),
    }
}

/// Finds out when each segment ended, as the one behind it says: by how long the node
/// had kept records then. One whose successor cannot be read ended before the next that
/// can be.
pub(super) fn date(directory: &Directory, kept: &mut [Ended], next: &Next) {
    let mut ended_at = next.kept_ms;
    for segment in kept.iter_mut().rev() {
        segment.kept_ms = ended_at;
        if let Some(begun_at) = begun_at(directory, segment) {
            ended_at = ended_at.min(begun_at);
        }
    }
}

fn begun_at(directory: &Directory, segment: &Ended) -> Option<u64> {
    let reader = SegmentReader::open(directory.path(), segment.segment, u64::MAX).ok()?;
    Some(reader.header().kept_ms)
}
