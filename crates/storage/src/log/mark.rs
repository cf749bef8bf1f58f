//! The number of the last synced batch, kept beside the log.

use std::path::{Path, PathBuf};

use crate::{Error, Result, durable, durable::File, sealed::Kind};

const KIND: Kind = Kind {
    name: b"SYNC",
    version: 1,
};

/// Tells a torn tail from lost data: what the log held when it was last synced, it must hold for ever.
///
/// Written after each sync and never synced itself. The death of the process takes nothing from it; a power loss may
/// take its last seconds, and then it demands less than it could, never more: a number stands here only after the
/// batch with that number is on the disk. It fits one sector, so it is not torn. Unreadable, it demands nothing: the
/// log is checked by its checksums still, and two faults at once are not defended against.
pub(super) struct SyncedMark {
    file: File,
    path: PathBuf,
}

impl SyncedMark {
    pub(super) fn open(path: &Path) -> Result<Self> {
        Ok(Self {
            file: durable::open_file(path)?,
            path: path.to_owned(),
        })
    }

    /// The least number that the log must reach.
    pub(super) fn read(&self) -> Result<u64> {
        let content = durable::read_file(&self.path)?.unwrap_or_default();
        let number = KIND.unseal(&self.path, &content).and_then(|number| {
            let number = number.try_into().map_err(|_| Error::Damaged {
                path: self.path.clone(),
                why: "is not a number".into(),
            })?;
            Ok(u64::from_be_bytes(number))
        });
        match number {
            Err(error @ Error::Damaged { .. }) => {
                tracing::warn!(%error, "cannot tell whether the log lost synced writes");
                Ok(0)
            }
            other => other,
        }
    }

    /// To be called only after the batch of this number is synced.
    pub(super) fn record(&self, number: u64) -> Result<()> {
        self.file
            .overwrite(&KIND.seal(&number.to_be_bytes()))
            .map_err(Error::io(&self.path, "write"))
    }
}
