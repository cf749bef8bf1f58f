//! What stands in the log, on disk and between peers, as `chancery.log.v1`, and
//! back. Every stored message carries its version. A message of another version,
//! or with a command or row that this build does not know, is never skipped: it
//! is an error that ends the process and says to upgrade.

mod answer;
mod command;
mod disk;
mod grant;
mod history;
mod meta;
mod outcome;
pub(crate) mod peer;
pub(crate) mod raft;
mod record;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod round_trips;
mod row;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub(crate) mod samples;
mod scalar;
mod settings;
mod spec;

pub(crate) use command::{command_digest, decode_stamped, encode_stamped};
pub(crate) use disk::{
    AppliedRecord, decode_applied, decode_entry, decode_log_id, decode_vote, encode_applied,
    encode_entry, encode_log_id, encode_vote,
};
pub(crate) use history::{
    decode_amount, decode_history_entry, encode_amount, encode_history_entry,
};
pub(crate) use outcome::{decode_outcome, decode_proposal, encode_outcome, encode_proposal};
pub(crate) use row::{decode_row, encode_key, encode_row};

/// The version of every stored message that this build writes, and the only one
/// that it reads. Raised whenever an older build would misread what is written.
pub(crate) const VERSION: u32 = 1;

/// A stored message or one from a peer cannot be understood.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Undecodable {
    /// Written by a newer build.
    #[error(
        "{what} has version {found}, and this build reads {VERSION}: upgrade this node to the \
         build that the rest of the cluster runs"
    )]
    Version {
        /// Which message.
        what: &'static str,
        /// What stands in it.
        found: u32,
    },
    /// A kind that only a newer build knows.
    #[error(
        "{0} is of a kind that this build does not know: upgrade this node to the build that the \
         rest of the cluster runs"
    )]
    Unknown(&'static str),
    /// A part that is always written is not there.
    #[error("{0} is missing: the data is damaged, or was written by a newer build")]
    Missing(&'static str),
    /// A part that cannot be what it claims to be.
    #[error(
        "{what} cannot be read ({reason}): the data is damaged, or was written by a newer build"
    )]
    Invalid {
        /// Which part.
        what: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// No protobuf message at all.
    #[error("the message is no valid protobuf ({0}): the data is damaged")]
    Protobuf(#[from] prost::DecodeError),
}

impl From<Undecodable> for std::io::Error {
    fn from(error: Undecodable) -> Self {
        Self::new(std::io::ErrorKind::InvalidData, error)
    }
}

pub(crate) fn check_version(what: &'static str, found: u32) -> Result<(), Undecodable> {
    if found == VERSION {
        Ok(())
    } else {
        Err(Undecodable::Version { what, found })
    }
}
