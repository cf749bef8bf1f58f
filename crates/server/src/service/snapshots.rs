//! How many snapshots a node sends at a time. Each is a copy of the whole view,
//! kept until its watcher has read it.

use std::{sync::Arc, time::Duration};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tonic::{Code, Status};

use crate::caller::{Holder, Identity, Place, Refusal, Tally};

/// Of all watchers.
const AT_ONCE: usize = 8;
/// Of one principal: nobody alone keeps the others waiting by reading slowly.
const OF_ONE: u32 = 4;
const PAUSE: Duration = Duration::from_secs(1);

/// The places of the snapshots that are being sent.
pub(crate) struct Snapshots {
    all: Arc<Semaphore>,
    each: Arc<Tally>,
}

/// One of them; dropping it gives it back.
pub(super) type SnapshotPlace = (OwnedSemaphorePermit, Place);

impl Default for Snapshots {
    fn default() -> Self {
        Self {
            all: Arc::new(Semaphore::new(AT_ONCE)),
            each: Tally::new(),
        }
    }
}

impl Snapshots {
    /// A place for a snapshot for `watcher`.
    pub(super) fn place(&self, watcher: &Identity) -> Result<SnapshotPlace, Status> {
        let of_one = self.each.take(Holder::of(watcher), OF_ONE);
        let of_all = self.all.clone().try_acquire_owned();
        match (of_all, of_one) {
            (Ok(of_all), Ok(of_one)) => Ok((of_all, of_one)),
            _ => Err(busy()),
        }
    }
}

fn busy() -> Status {
    Refusal::new(
        Code::ResourceExhausted,
        "SNAPSHOTS_BUSY",
        "this node is sending as many snapshots as it may",
        "watch again in a moment, or at another node",
    )
    .retry_after(PAUSE)
    .into()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use tonic_types::StatusExt;

    fn service(name: &str) -> Identity {
        Identity::Service {
            name: name.parse().unwrap(),
        }
    }

    fn refused(outcome: Result<SnapshotPlace, Status>) {
        let status = outcome.unwrap_err();
        assert_eq!(status.code(), Code::ResourceExhausted);
        let details = status.get_error_details();
        assert_eq!(details.error_info().unwrap().reason, "SNAPSHOTS_BUSY");
    }

    #[test]
    fn a_slow_reader_leaves_places_to_others_and_a_full_node_says_so() {
        let snapshots = Snapshots::default();
        let place = |name: &str| snapshots.place(&service(name));
        let mut slow: Vec<_> = (0..OF_ONE).map(|_| place("slow").unwrap()).collect();
        refused(place("slow"));
        let _others: Vec<_> = (slow.len()..AT_ONCE)
            .map(|number| place(&format!("other{number}")).unwrap())
            .collect();
        refused(place("one-more"));
        drop(slow.pop());
        assert!(place("one-more").is_ok());
    }
}
