//! What a process that will hold signing keys denies itself before it has any.

use std::io;

use rustix::process::{
    DumpableBehavior, Resource, Rlimit, dumpable_behavior, getrlimit, set_dumpable_behavior,
    setrlimit,
};
use thiserror::Error;

/// Why a process that must not be dumped could be. What forbids it is outside:
/// a filter of system calls, usually.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum HardeningError {
    /// `RLIMIT_CORE` is not 0.
    #[error(
        "core dumps cannot be turned off (setrlimit RLIMIT_CORE: {0}), and one would hold the signing key"
    )]
    CoreDumps(io::Error),
    /// The process is dumpable.
    #[error(
        "the process cannot be made undumpable (prctl PR_SET_DUMPABLE: {0}): every process of the same user could read the signing key"
    )]
    Dumpable(io::Error),
}

/// Turns off core dumps for this process, also those that are piped to a program,
/// and takes its memory out of reach of other processes of the same user (ptrace,
/// `/proc/PID/mem`). Call it before any key exists; it cannot be undone by who is
/// not root.
///
/// # Errors
/// Every [`HardeningError`]. Who holds signing keys must not go on then.
pub fn forbid_dumps() -> Result<(), HardeningError> {
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    if getrlimit(Resource::Core) != none {
        setrlimit(Resource::Core, none).map_err(|error| HardeningError::CoreDumps(error.into()))?;
    }
    let undumpable = dumpable_behavior().is_ok_and(|now| now == DumpableBehavior::NotDumpable);
    if !undumpable {
        set_dumpable_behavior(DumpableBehavior::NotDumpable)
            .map_err(|error| HardeningError::Dumpable(error.into()))?;
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_forbids_it_is_never_dumped() {
        forbid_dumps().unwrap();
        let limit = getrlimit(Resource::Core);
        assert_eq!((limit.current, limit.maximum), (Some(0), Some(0)));
        assert_eq!(dumpable_behavior().unwrap(), DumpableBehavior::NotDumpable);
        forbid_dumps().unwrap();
    }
}
