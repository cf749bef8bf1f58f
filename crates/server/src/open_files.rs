//! How many files this process may have open, and how many callers that leaves room
//! for: the databases need some too, so callers never take the last ones, and strangers
//! never all that callers may have.

use rustix::process::{Resource, getrlimit, setrlimit};
use tracing::warn;

use crate::{
    caller::{Bounds, Share},
    listener::Limits,
};

/// Kept for everything else: two databases with their tables and logs, records, the
/// peers, a snapshot on its way.
const BESIDES: u64 = 1024;

/// The bounds of the public listener and of its callers. Raises the limit of open
/// files as far as this process may.
pub(crate) fn bounds() -> (Limits, Bounds) {
    let most = Limits::default().connections;
    let room = room_within(raise(), most);
    if room < most {
        warn!(
            connections = room,
            "fewer callers can be connected than this node would take; raise the limit of open files (LimitNOFILE)"
        );
    }
    bounds_within(room)
}

/// The limit of open files, `None` when there is none.
fn raise() -> Option<u64> {
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        limit.current = limit.maximum;
        if let Err(error) = setrlimit(Resource::Nofile, limit) {
            warn!(%error, "the limit of open files cannot be raised");
        }
    }
    getrlimit(Resource::Nofile).current
}

/// Of a limit too low for both, half.
fn room_within(limit: Option<u64>, most: usize) -> usize {
    let Some(limit) = limit else {
        return most;
    };
    let room = limit.saturating_sub(BESIDES).max(limit / 2);
    usize::try_from(room).map_or(most, |room| room.min(most))
}

/// Of `room` connections a quarter, at most, has still to say who it is, and half is
/// strangers'.
fn bounds_within(room: usize) -> (Limits, Bounds) {
    let limits = Limits::default();
    let bounds = Bounds::default();
    let half = u32::try_from(room / 2).unwrap_or(u32::MAX);
    let limits = Limits {
        connections: room,
        handshakes: limits.handshakes.min(room / 4),
        ..limits
    };
    let connections = Share {
        strangers: bounds.connections.strangers.min(half),
        ..bounds.connections
    };
    let bounds = Bounds {
        connections,
        ..bounds
    };
    (limits, bounds)
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
    fn strangers_leave_room_for_who_is_known() {
        for room in [0, 1, 16, 350, 3_072, 20_000] {
            let (limits, bounds) = bounds_within(room);
            let strangers = usize::try_from(bounds.connections.strangers).unwrap_or(usize::MAX);
            assert_eq!(limits.connections, room);
            assert!(
                limits.handshakes + strangers <= room - room / 4,
                "{limits:?}"
            );
        }
        assert_eq!(
            bounds_within(20_000),
            (Limits::default(), Bounds::default())
        );
    }

    #[test]
    fn a_process_has_as_many_as_it_may() {
        let limit = raise();
        assert_eq!(limit, getrlimit(Resource::Nofile).maximum);
    }
}
