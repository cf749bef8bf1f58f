//! Verifiers of the SDK, in the harness's own process, that follow the cluster and judge
//! by themselves.

use std::{sync::Arc, time::Duration};

use chancery_client::{Expectations, Proof, Rejected, Verifier, VerifierConfig};

use super::{IMPATIENT, Load};
use crate::{
    agent::AUDIENCE,
    dice::Dice,
    history::{Deed, Moment, Operation, Place, Seen},
};

impl Load {
    /// One verifier, which turns to another node first than the others.
    pub(super) async fn verify_in(self: Arc<Self>, number: u32, seed: u64) {
        let count = self.apis.len();
        let first = usize::try_from(number).unwrap();
        let positions: Vec<usize> = (0..count).map(|at| (first + at) % count).collect();
        let client = self.client(&positions, self.operator(), IMPATIENT);
        // It waits for no node: what it says, it says at once.
        let config = VerifierConfig {
            catch_up: Duration::from_millis(500),
            ..VerifierConfig::default()
        };
        let verifier = Verifier::follow(&client, config);
        let expected = Expectations::of(AUDIENCE.parse().unwrap());
        let session = self.recorder.session();
        let mut dice = Dice::of(seed);
        let mut pace = Self::pace(self.pace.check);
        while !self.recorder.is_over() {
            pace.tick().await;
            let Some(held) = self.choose(&mut dice) else {
                continue;
            };
            let proof = Proof {
                certificate: Some(held.thumbprint()),
            };
            let begun = Moment::now();
            let verdict = verifier.verify(&held.token, &expected, &proof).await;
            let (deed, seen) = match verdict {
                Ok(accepted) => {
                    let standing = accepted.standing();
                    let seen = Seen {
                        revision: standing.revision.0,
                        age: Some(standing.age),
                    };
                    (Deed::Accepted { token: held.id }, Some(seen))
                }
                Err(Rejected::Refused(_)) => (Deed::Rejected { token: held.id }, None),
                Err(_) => continue,
            };
            self.recorder.note(Operation {
                session,
                place: Place::Verifier(number),
                begun,
                asked: begun,
                ended: Some(Moment::now()),
                seen,
                deed,
            });
        }
    }
}
