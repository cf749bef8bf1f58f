//! Who is refused more often than it may be: it is not heard for a moment, and
//! nobody else notices. It is told so when the moment is over: asking more gets it no
//! more answers, and costs the node next to nothing.

use std::sync::Arc;
use std::time::Duration;

use chancery_revocation::Clock;
use tokio::sync::Semaphore;
use tonic::Code;

use super::bounds::{Holder, Share, Tally};
use super::refusal::Refusal;
use crate::rate::Rates;

const TOO_MANY: &str = "TOO_MANY_REJECTIONS";
/// The longest that who is not heard waits to be told so.
const LONGEST_HOLD: Duration = Duration::from_millis(500);
/// Who wait for that at a time, at about 4 KiB each; one more is told at once.
const HELD: Share = Share {
    principal: 2048,
    address: 512,
    strangers: 4096,
};
/// And of all together.
const HELD_OF_ALL: usize = 8192;

/// The refusals of each caller, counted.
pub(super) struct Rejections {
    share: Share,
    held: Arc<Tally>,
    held_of_all: Arc<Semaphore>,
    rates: Rates<Holder, Arc<dyn Clock + Send + Sync>>,
}

impl Rejections {
    pub(super) fn new(share: Share, clock: Arc<dyn Clock + Send + Sync>) -> Self {
        Self {
            share,
            held: Tally::new(),
            held_of_all: Arc::new(Semaphore::new(HELD_OF_ALL)),
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

    /// Holds a refusal to hear `caller` back until it would be heard, but for no more
    /// than half of `limit`, the time that it has for an answer. Any other refusal is
    /// told at once.
    pub(super) async fn hold_back(
        &self,
        caller: &Holder,
        limit: Duration,
        refusal: Refusal,
    ) -> Refusal {
        let Some(wait) = refusal.retry_after.filter(|_| refusal.reason == TOO_MANY) else {
            return refusal;
        };
        let place = |holder: &Holder| self.held.take(holder.clone(), share_of(HELD, holder));
        let (Ok(_place), Ok(_of_all)) = (place(caller), all_of(caller).map(place).transpose())
        else {
            return refusal;
        };
        let Ok(_of_everybody) = self.held_of_all.try_acquire() else {
            return refusal;
        };
        let held = wait.min(LONGEST_HOLD).min(limit / 2);
        tokio::time::sleep(held).await;
        refusal.retry_after(wait.saturating_sub(held))
    }

    fn bound(&self, holder: &Holder) -> u32 {
        share_of(self.share, holder)
    }
}

const fn share_of(share: Share, holder: &Holder) -> u32 {
    match holder {
        Holder::Strangers => share.strangers,
        Holder::Address(_) => share.address,
        Holder::Agent(_) | Holder::Operator(_) | Holder::Service(_) => share.principal,
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
        TOO_MANY,
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
    use futures::FutureExt;
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

    const HOUR: Duration = Duration::from_secs(3600);

    fn unheard(caller: &Holder, wait: Duration) -> Refusal {
        too_many(caller, 4, wait)
    }

    #[tokio::test]
    async fn who_is_not_heard_is_told_when_it_would_be_and_any_other_at_once() {
        let (_, rejections) = rejections();
        let caller = agent("flood");
        let wait = Duration::from_millis(20);
        let told = rejections.hold_back(&caller, HOUR, unheard(&caller, wait));
        assert_eq!(told.await.retry_after, Some(Duration::ZERO));
        // Who has less time is told in time, and how long is left.
        let told = rejections.hold_back(&caller, wait, unheard(&caller, HOUR));
        assert_eq!(told.await.retry_after, Some(HOUR - wait / 2));

        let other = Refusal::new(Code::NotFound, "UNKNOWN", "", "").retry_after(HOUR);
        let told = rejections.hold_back(&caller, HOUR, other.clone());
        assert_eq!(told.now_or_never(), Some(other));
    }

    #[tokio::test]
    async fn so_many_are_held_back_and_one_more_is_told_at_once() {
        let (_, rejections) = rejections();
        let (flood, other) = (agent("flood"), agent("other"));
        let hold = |caller| rejections.hold_back(caller, HOUR, unheard(caller, HOUR));
        let mut held: Vec<_> = (0..HELD.principal)
            .map(|_| Box::pin(hold(&flood)))
            .collect();
        assert!(held.iter_mut().all(|one| one.now_or_never().is_none()));
        let told = hold(&flood).now_or_never();
        assert_eq!(told, Some(unheard(&flood, HOUR)));
        assert_eq!(hold(&other).now_or_never(), None, "others have their own");
        drop(held);
        assert_eq!(hold(&flood).now_or_never(), None, "their places are free");
    }
}
