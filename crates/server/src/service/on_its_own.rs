//! Work of a stream that goes on whether or not its caller reads.
//!
//! What a stream answers is polled only while there is room to send it. Work that waits
//! for a [turn](crate::minting::Turns) there, and gets one while the caller reads
//! nothing, would keep it for as long: so few streams that are never read would keep the
//! turns from everybody.

use std::future::Future;

use tokio_util::task::AbortOnDropHandle;
use tracing::Instrument;

/// Begins the work, and ends it when what is given is dropped.
pub(super) fn on_its_own<T: Send + 'static>(
    work: impl Future<Output = T> + Send + 'static,
) -> impl Future<Output = T> + Send + 'static {
    let working = AbortOnDropHandle::new(tokio::spawn(work.in_current_span()));
    async move {
        match working.await {
            Ok(done) => done,
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            // The runtime ends, and this with it.
            Err(_) => std::future::pending().await,
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::time::Duration;

    use futures::poll;

    use super::*;
    use crate::{caller::Holder, minting::Turns};

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_turn_of_a_stream_that_is_not_read_is_not_kept_from_others() {
        let turns = Turns::new(1);
        let first = turns.take(Holder::Strangers).await;
        let waiting = turns.clone();
        let mut unread = std::pin::pin!(on_its_own(async move {
            let _turn = waiting.take(Holder::Strangers).await;
        }));
        assert!(poll!(&mut unread).is_pending(), "it waits behind the first");
        drop(first);
        let another = turns.take(Holder::Strangers);
        let another = tokio::time::timeout(Duration::from_secs(60), another).await;
        drop(another.unwrap());
        unread.await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn work_ends_with_the_stream_that_it_is_for() {
        let turns = Turns::new(1);
        let held = turns.clone();
        let (begun, has_begun) = tokio::sync::oneshot::channel();
        let work = on_its_own(async move {
            let _turn = held.take(Holder::Strangers).await;
            begun.send(()).unwrap();
            std::future::pending::<()>().await;
        });
        has_begun.await.unwrap();
        drop(work);
        let another = turns.take(Holder::Strangers);
        let another = tokio::time::timeout(Duration::from_secs(60), another).await;
        drop(another.unwrap());
    }
}
