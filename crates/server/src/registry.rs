//! The caller layer's registry: the directory of principals, as this node has
//! applied it.

use std::time::Duration;

use chancery_authority::Principal;
use chancery_consensus::{Consensus, Missed, Step};
use chancery_credential::{KeyThumbprint, Revision, Subject};
use futures::future::BoxFuture;

use crate::{
    caller::{Callers, Identity, Registration, Registry},
    clock::SystemClock,
};

/// How long a caller who is not known here waits until it is certain: several ticks.
const PROOF_WAIT: Duration = Duration::from_millis(1500);

/// Looks callers up in the published directory.
pub(crate) struct Principals(pub(crate) Consensus);

impl Registry for Principals {
    fn look_up(&self, key: &KeyThumbprint) -> Option<Registration> {
        let directory = self.0.directory();
        let principal = directory.principal(key)?;
        let expires_at = match principal.expires_at() {
            0 => None,
            seconds => Some(seconds),
        };
        let (identity, suspended) = match principal {
            Principal::Agent(entry) => {
                let id = entry.record.id.clone();
                let suspended = if entry.suspended {
                    Some(Subject::Agent(id.clone()))
                } else {
                    directory.suspended_owner(&entry).map(Subject::Owner)
                };
                (Identity::Agent { id }, suspended)
            }
            Principal::Operator(record) => (
                Identity::Operator {
                    name: record.name.clone(),
                    roles: record.roles,
                },
                None,
            ),
            Principal::Service(record) => (
                Identity::Service {
                    name: record.name.clone(),
                },
                None,
            ),
        };
        Some(Registration {
            identity,
            suspended,
            expires_at,
        })
    }

    fn standing_generation(&self) -> u64 {
        self.0.directory().standing_generation()
    }

    fn revision(&self) -> Revision {
        self.0.view().revision()
    }

    fn is_fresh(&self) -> bool {
        self.0.view().begin().finish(&SystemClock).is_ok()
    }

    fn catch_up(&self) -> BoxFuture<'_, bool> {
        let proof = self.0.next_proof(PROOF_WAIT);
        Box::pin(async { proof.await.is_ok() })
    }
}

/// Has open streams look again whenever somebody lost standing, until the node
/// stops.
pub(crate) async fn ring(consensus: Consensus, callers: Callers) {
    let mut events = consensus.events();
    loop {
        match events.next().await {
            Err(Missed::Closed) => return,
            Ok(Step::Applied { events, .. }) => {
                if events.contains(&chancery_authority::Event::StandingLost) {
                    callers.standing_changed();
                }
            }
            Ok(Step::Replaced { .. }) | Err(Missed::Lagged(_)) => callers.standing_changed(),
        }
    }
}
