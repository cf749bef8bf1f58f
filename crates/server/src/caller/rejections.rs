//! Who is refused more often than it may be: it is not heard for a moment, and
//! nobody else notices.

use std::sync::Arc;
use std::time::Duration;

use chancery_revocation::Clock;
use tonic::Code;

use super::bounds::{Holder, Share};
use super::refusal::Refusal;
use crate::rate::Rates;

/// The refusals of each caller, counted.
pub(super) struct Rejections {
    share: Share,
    rates: Rates<Holder, Arc<dyn Clock + Send + Sync>>,
}

impl Rejections {
    pub(super) fn new(share: Share, clock: Arc<dyn Clock + Send + Sync>) -> Self {
        Self {
            share,
            rates: Rates::new(clock),
        }
    }

    /// Whether `caller` is heard now.
    ///
    /// # Errors
    /// It was refused more often than it may be.
    pub(super) fn hear(&self, caller: &Holder) -> Result<(), Refusal> {
        let mut waits = [Some(caller), all_of(caller)].into_iter().flatten();
        match waits.find_map(|holder| self.rates.owes_for(holder)) {
            Some(wait) => Err(too_many(caller, self.bound(caller), wait)),
            None => Ok(()),
        }
    }

    /// Counts an answer to `caller`, if it says that the caller was wrong.
    pub(super) fn count(&self, caller: &Holder, code: Code) {
        if !is_the_caller_s(code) {
            return;
        }
        for holder in [Some(caller), all_of(caller)].into_iter().flatten() {
            // That there is none left shows when it is next heard.
            let _ = self.rates.take(holder, self.bound(holder));
        }
    }

    fn bound(&self, holder: &Holder) -> u32 {
        match holder {
            Holder::Strangers => self.share.strangers,
            Holder::Address(_) => self.share.address,
            Holder::Agent(_) | Holder::Operator(_) | Holder::Service(_) => self.share.principal,
        }
    }
}

/// Strangers count for their address, and all of them together.
fn all_of(caller: &Holder) -> Option<&'static Holder> {
    matches!(caller, Holder::Address(_)).then_some(&Holder::Strangers)
}

/// What the same caller, asking for something else, would not be told. Bounds have
/// been kept already, and outages are the node's.
const fn is_the_caller_s(code: Code) -> bool {
    matches!(
        code,
        Code::InvalidArgument
            | Code::NotFound
            | Code::AlreadyExists
            | Code::PermissionDenied
            | Code::FailedPrecondition
            | Code::OutOfRange
            | Code::Unimplemented
            | Code::Unauthenticated
    )
}

fn too_many(caller: &Holder, bound: u32, wait: Duration) -> Refusal {
    Refusal::new(
        Code::ResourceExhausted,
        "TOO_MANY_REJECTIONS",
        format!("{bound} requests of {caller} were refused within a second, the most that this node answers"),
        "look at why they were refused, and send no more of them; wait as long as the answer says",
    )
    .retry_after(wait)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use chancery_revocation::{BootTime, Now};
    use parking_lot::Mutex;

    struct Moved(Mutex<BootTime>);

    impl Clock for Moved {
        fn now(&self) -> Now {
            Now {
                wall: 0,
                boot: *self.0.lock(),
            }
        }
    }

    const SHARE: Share = Share {
        principal: 4,
        address: 2,
        strangers: 3,
    };

    fn rejections() -> (Arc<Moved>, Rejections) {
        let clock = Arc::new(Moved(Mutex::default()));
        (clock.clone(), Rejections::new(SHARE, clock))
    }

    fn agent(name: &str) -> Holder {
        Holder::Agent(format!("spiffe://example.org/{name}").parse().unwrap())
    }

    /// How many of ten wrong requests are answered.
    fn heard(rejections: &Rejections, caller: &Holder) -> usize {
        let ask = |_: &usize| {
            let heard = rejections.hear(caller).is_ok();
            if heard {
                rejections.count(caller, Code::NotFound);
            }
            heard
        };
        (0..10).filter(ask).count()
    }

    #[test]
    fn who_is_refused_too_often_is_not_heard_until_it_is_due_again() {
        let (clock, rejections) = rejections();
        let (flood, other) = (agent("flood"), agent("other"));
        // The one that is too many shows that there is none left.
        assert_eq!(heard(&rejections, &flood), 5);
        let refusal = rejections.hear(&flood).unwrap_err();
        assert_eq!(refusal.reason, "TOO_MANY_REJECTIONS");
        assert!(refusal.message.contains("agent:spiffe://example.org/flood"));
        assert_eq!(rejections.hear(&other), Ok(()), "others are untouched");

        *clock.0.lock() = BootTime::default().plus(refusal.retry_after.unwrap());
        assert_eq!(rejections.hear(&flood), Ok(()));
    }

    #[test]
    fn what_is_not_the_caller_s_fault_does_not_count() {
        let (_, rejections) = rejections();
        let caller = agent("unlucky");
        for _ in 0..100 {
            for code in [Code::Ok, Code::Unavailable, Code::ResourceExhausted] {
                rejections.count(&caller, code);
            }
        }
        assert_eq!(rejections.hear(&caller), Ok(()));
    }

    #[test]
    fn strangers_count_for_their_address_and_together() {
        let (_, rejections) = rejections();
        let at = |last: u8| Holder::at([192, 0, 2, last].into());
        assert_eq!(heard(&rejections, &at(1)), 3);
        assert_eq!(rejections.hear(&at(2)), Ok(()));
        // Three were the share of all; one more closes them all.
        assert_eq!(heard(&rejections, &at(2)), 1);
        assert!(rejections.hear(&at(3)).is_err());
        assert_eq!(rejections.hear(&agent("known")), Ok(()));
    }
}
