//! `chancery records`: what was minted, from a node's own files or a copy of them.

mod find;
mod verify;

use std::{
    io,
    path::{Path, PathBuf},
};

use chancery_server::records::{Damage, RECORDS_DIRECTORY};
use clap::{Args, Subcommand};

use crate::{failure::Failure, output::Output};

/// Records of mints.
#[derive(Debug, Subcommand)]
pub enum RecordsCommand {
    /// Hold every record of a node against the chain of hashes, and list what is missing
    Verify(verify::VerifyArgs),
    /// Find what was minted, by agent, owner, audience, time or token
    Find(find::FindArgs),
}

impl RecordsCommand {
    pub fn run(&self, output: Output) -> Result<(), Failure> {
        match self {
            Self::Verify(args) => verify::run(args, output),
            Self::Find(args) => find::run(args, output),
        }
    }
}

/// Which files.
#[derive(Debug, Clone, Args)]
#[group(required = true, multiple = false)]
struct FilesArgs {
    /// The directory of segments: a node's `records`, or a copy of it
    #[arg(value_name = "DIR")]
    directory: Option<PathBuf>,
    /// The node's directory, as in its configuration; it may be running
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
}

impl FilesArgs {
    fn directory(&self) -> PathBuf {
        match (&self.directory, &self.data_dir) {
            (Some(directory), _) => directory.clone(),
            (None, Some(data_dir)) => data_dir.join(RECORDS_DIRECTORY),
            (None, None) => PathBuf::new(),
        }
    }
}

fn unreadable(directory: &Path, error: &io::Error) -> Failure {
    let failure = Failure::local(format_args!(
        "the records in `{}` cannot be read: {error}",
        directory.display()
    ));
    failure.next(
        "give the `records` directory of a node, or a copy of it, or with --data-dir what the \
         node's configuration calls `data_dir`; only the node's user may read there",
    )
}

/// The first damage, for the exit code. The rest was shown.
fn damaged(directory: &Path, damage: &[Damage]) -> Result<(), Failure> {
    let Some(first) = damage.first() else {
        return Ok(());
    };
    let more = match damage.len() {
        1 => String::new(),
        count => format!(", and {} more", count - 1),
    };
    Err(Failure {
        reason: "CHAIN_BROKEN".to_owned(),
        ..Failure::local(format_args!(
            "`{}` is not as it was written: segment {}, byte {}: {}{more}",
            directory.display(),
            first.segment,
            first.offset,
            first.what
        ))
    }
    .next("compare with a copy that was taken before; keep the damaged files"))
}
