//! How many files this process may have open, and how many callers that leaves room
//! for: a database that cannot open a file stops the node, so callers never take the
//! last ones.

use rustix::process::{Resource, getrlimit, setrlimit};
use tracing::warn;

/// Kept for everything else: two databases with their tables and logs, records, the
/// peers, a snapshot on its way.
const BESIDES: u64 = 1024;

/// Raises the limit of open files as far as this process may, and gives how many
/// callers' connections it leaves room for, at most `most`.
pub(crate) fn room_for_connections(most: usize) -> usize {
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        limit.current = limit.maximum;
        if let Err(error) = setrlimit(Resource::Nofile, limit.clone()) {
            warn!(%error, "the limit of open files cannot be raised");
            limit = getrlimit(Resource::Nofile);
        }
    }
    let room = room_within(limit.current, most);
    if room < most {
        warn!(
            connections = room,
            "fewer callers can be connected than this node would take; raise the limit of open files (LimitNOFILE)"
        );
    }
    room
}

/// Of a limit too low for both, half.
fn room_within(limit: Option<u64>, most: usize) -> usize {
    let Some(limit) = limit else {
        return most;
    };
    let room = limit.saturating_sub(BESIDES).max(limit / 2);
    usize::try_from(room).map_or(most, |room| room.min(most))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn callers_leave_room_for_the_rest() {
        assert_eq!(room_within(None, 20_000), 20_000);
        assert_eq!(room_within(Some(1 << 20), 20_000), 20_000);
        assert_eq!(room_within(Some(20_000), 20_000), 18_976);
        assert_eq!(room_within(Some(4_096), 20_000), 3_072);
        assert_eq!(room_within(Some(1_024), 20_000), 512);
    }

    #[test]
    fn as_many_as_the_process_may_have() {
        let room = room_for_connections(usize::MAX);
        let limit = getrlimit(Resource::Nofile);
        assert_eq!(limit.current, limit.maximum);
        assert_eq!(room, room_within(limit.current, usize::MAX));
    }
}
