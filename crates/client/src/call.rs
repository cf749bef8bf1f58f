//! One call, over as many tries and nodes as its policy allows.

use std::{
    future::Future,
    sync::atomic::{AtomicBool, AtomicU32, Ordering},
    time::Duration,
};

use tonic::{Response, Status};

use crate::{
    clock::SystemClock,
    endpoints::{Endpoints, Node},
    error::{Error, Refusal, reason_of},
    retry::{Failure, RetryPolicy, classify},
};

/// Whether a call may be sent again when it is not known what became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Idempotence {
    /// Reads, mints, and commands that carry a request id.
    Repeatable,
    /// A command under a request id that an earlier call sent, of which it is not known
    /// what became ([`Error::Unknown`]). A copy of it may still be on its way.
    Repeated,
    /// Anything else: sent again only when nothing was done.
    Once,
}

/// Tries `call` on the preferred node, then on the others, until an answer is
/// final or the deadline has passed. Each is told the node, its position, and how many
/// tries went before; gives the position of the node that answered.
pub(crate) async fn call<T, F, Fut>(
    endpoints: &Endpoints,
    policy: RetryPolicy,
    idempotence: Idempotence,
    call: F,
) -> Result<(usize, T), Error>
where
    F: Fn(usize, &Node, u32) -> Fut,
    Fut: Future<Output = Result<Response<T>, Status>>,
{
    let tries = Tries::default();
    endpoints.counters.call_began();
    let outcome = tokio::time::timeout(
        policy.deadline,
        tries.run(endpoints, policy, idempotence, call),
    )
    .await;
    let answer = outcome.unwrap_or_else(|_| {
        if tries.begun.load(Ordering::Relaxed) == 1 && tries.in_flight.load(Ordering::Relaxed) {
            endpoints.counters.try_failed(0);
        }
        Err(tries.ran_out())
    });
    if let Err(Error::Unavailable { .. } | Error::Unknown { .. }) = &answer {
        endpoints.counters.gave_up();
    }
    answer
}

/// What the tries so far have shown.
#[derive(Default)]
struct Tries {
    last: parking_lot::Mutex<Option<String>>,
    refusal: parking_lot::Mutex<Option<Refusal>>,
    unknown: AtomicBool,
    in_flight: AtomicBool,
    begun: AtomicU32,
}

impl Tries {
    async fn run<T, F, Fut>(
        &self,
        endpoints: &Endpoints,
        policy: RetryPolicy,
        idempotence: Idempotence,
        call: F,
    ) -> Result<(usize, T), Error>
    where
        F: Fn(usize, &Node, u32) -> Fut,
        Fut: Future<Output = Result<Response<T>, Status>>,
    {
        let began = SystemClock::boot();
        let before = u32::from(idempotence == Idempotence::Repeated);
        let mut rounds = 0;
        'rounds: loop {
            for _ in 0..endpoints.len() {
                let Some((position, node)) = endpoints.preferred() else {
                    break;
                };
                let number = self.begun.fetch_add(1, Ordering::Relaxed);
                endpoints.counters.try_began(number);
                // A deadline that cuts a try short must not report it as undone.
                self.in_flight.store(true, Ordering::Relaxed);
                let outcome =
                    within(policy.try_timeout, call(position, node, before + number)).await;
                self.in_flight.store(false, Ordering::Relaxed);
                let status = match outcome {
                    Ok(response) => return Ok((position, response.into_inner())),
                    Err(status) => status,
                };
                let failure = if never_sent(&status) {
                    Failure::NotDone
                } else {
                    classify(&status, reason_of(&status).as_deref())
                };
                if failure == Failure::Final {
                    return Err(Error::Refused(Refusal::of(&status)));
                }
                endpoints.counters.try_failed(number);
                self.note(&node.address, &status, failure);
                if failure == Failure::TooOften {
                    let refusal = Refusal::of(&status);
                    let told = refusal.retry_after.unwrap_or(policy.pause_max);
                    let passed = SystemClock::boot().since(began).unwrap_or_default();
                    let left = policy.deadline.saturating_sub(passed);
                    let Some(wait) = RetryPolicy::wait_of(told, left, jitter()) else {
                        return Err(Error::Refused(refusal));
                    };
                    tokio::time::sleep(wait).await;
                    // The node is as good as any: it counts by itself, as they do.
                    continue 'rounds;
                }
                endpoints.leave(position, SystemClock::boot());
                if failure == Failure::Unknown && idempotence == Idempotence::Once {
                    return Err(self.ran_out());
                }
            }
            tokio::time::sleep(policy.pause_after(rounds, jitter())).await;
            rounds += 1;
        }
    }

    fn note(&self, address: &str, status: &Status, failure: Failure) {
        *self.last.lock() = Some(format!("{address}: {}", status.message()));
        // Without a reason it is the transport that speaks.
        let refusal = Refusal::of(status);
        if !refusal.reason.is_empty() {
            *self.refusal.lock() = Some(refusal);
        }
        if failure == Failure::Unknown {
            self.unknown.store(true, Ordering::Relaxed);
        }
    }

    fn ran_out(&self) -> Error {
        let last = self
            .last
            .lock()
            .clone()
            .unwrap_or_else(|| "no node answered at all".to_owned());
        if self.unknown.load(Ordering::Relaxed) || self.in_flight.load(Ordering::Relaxed) {
            Error::Unknown { last }
        } else {
            let refusal = self.refusal.lock().take().map(Box::new);
            Error::Unavailable { last, refusal }
        }
    }
}

/// Whether there was no connection to send the request on.
fn never_sent(status: &Status) -> bool {
    let mut source = std::error::Error::source(status);
    while let Some(error) = source {
        if error.is::<tonic::ConnectError>() {
            return true;
        }
        source = error.source();
    }
    false
}

async fn within<T>(
    limit: Duration,
    call: impl Future<Output = Result<T, Status>>,
) -> Result<T, Status> {
    match tokio::time::timeout(limit, call).await {
        Ok(outcome) => outcome,
        Err(_) => Err(Status::deadline_exceeded(format!(
            "no answer within {limit:?}"
        ))),
    }
}

/// Without entropy the pause is merely not spread.
pub(crate) fn jitter() -> u8 {
    let mut byte = [128];
    let _ = getrandom::fill(&mut byte);
    let [byte] = byte;
    byte
}
